"""Several cases at one place under test: the workflows stage and the places stage over one partition, without Kafka.

city = Neighbours(load_city(city_path("denpasar")))
one = city.report("road-damage", at=(115.2126, -8.6705))
"""

from __future__ import annotations

from bus.city import City
from bus.logic import Decided
from bus.records import Record
from bus.topics import EVENTS, PLACES
from schemas.envelope import Event
from schemas.identifiers import derived_id
from schemas.types.requests import RequestSubmitted
from schemas.values import Point
from services.places.logic import Places
from tests.support.matter import Matter

AREA = "51.71.01.1005"


class Neighbours(Matter):
    """As `Matter`, with as many cases as are reported, and the places stage behind the log."""

    def __init__(self, city: City) -> None:
        super().__init__(city)
        self.places = Places(0, city=city, partitions=1)
        self.topic: list[Record] = []
        """`city-places` so far."""
        self._unread: list[Record] = []
        self._reported = 0

    def report(self, service: str, *, at: tuple[float, float] | None, area: str = AREA) -> str:
        """A citizen reports something at a spot. Returns the new case's id."""
        self._reported += 1
        id = derived_id("neighbours", f"case {self._reported}")
        location = Point(type="Point", coordinates=at) if at is not None else None
        data = RequestSubmitted(service_code=service, area=area, description=f"No. {self._reported}", location=location)
        self.say(self.city.citizens_channel, data, subject=id)
        return id

    def _record(self, event: Event) -> Record:
        record = super()._record(event)
        self._unread.append(record)
        return record

    def _commit(self, decided: Decided) -> None:
        super()._commit(decided)
        while self._unread:
            records, self._unread = self._unread, []
            self._look(records)

    def _look(self, records: list[Record]) -> None:
        """The places stage takes these records, and what it says comes to the log."""
        found = self.places.decide(records, self.now)
        self.places.apply(found)
        assert found.counted.get("failed", 0) == 0, "a record could not be noted"
        own: list[Record] = []
        for output in found.outputs:
            if output.topic == PLACES:
                own.append(Record(PLACES, 0, len(self.topic), 0, output.key, output.value, output.headers))
                self.topic.append(own[-1])
        if own:
            self._look(own)
        told = [Event.from_record(output.headers, output.value) for output in found.outputs if output.topic == EVENTS]
        self.outputs += [output for output in found.outputs if output.topic == EVENTS]
        if told:
            self.take(told)
