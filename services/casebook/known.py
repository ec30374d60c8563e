"""Names that a question may ask for: one that nobody knows is refused, since an empty answer would hide the mistake.

Whoever has left the city, or never was of it, may still be asked for, as long as the tables know what it did.
"""

from __future__ import annotations

from dataclasses import dataclass

from bus.city import City
from bus.city.problems import nearest
from services.casebook.problems import NotAsked
from services.casebook.questions import Questions


@dataclass(frozen=True)
class Known:
    """The names of a city and of its casebook."""

    city: City
    questions: Questions

    def require_of_cases(self, agency: str | None, service_code: str | None = None) -> None:
        """
        Raises:
            NotAsked: neither the city nor any case knows the agency, or the service.
        """
        city = self.city
        if agency is not None and agency not in city.agencies and not self.questions.has_agency(agency):
            raise self._no_agency(agency)
        if service_code is None or service_code in city.services or self.questions.has_service(service_code):
            return
        problem = f"{city.id} has no service {service_code!r}"
        raise NotAsked("service_code", problem, nearest(service_code, city.services))

    def require_sender(self, agency: str | None) -> None:
        """
        Raises:
            NotAsked: neither the city nor any refused event knows the sender.
        """
        if agency is not None and agency not in self.city.agencies and not self.questions.has_refused(agency):
            raise self._no_agency(agency)

    def _no_agency(self, agency: str) -> NotAsked:
        return NotAsked("agency", f"{self.city.id} has no agency {agency!r}", nearest(agency, self.city.agencies))
