"""For a workflow's tests: one case, a clock that the test owns, and what was said. A month takes a millisecond.

    repair = WorkflowTest("repair", city="denpasar")
    repair.event(RequestSubmitted(service_code="drain", area="51.71.01.1005"), by="communications")
    repair.event(RequestAcknowledged(), by="public-works")
    assert repair.state == "ordered"
    repair.advance(days=30)
    assert repair.said(CaseEscalated).to_agency == "city-secretariat"

Nothing is imitated: the workflow decides as it does on the bus, with the city's own calendar and catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from bus.city import City, city_path, load_city
from bus.city.calendar import Within
from schemas.envelope import Event
from schemas.failures import Misconfigured, Reason
from schemas.identifiers import derived_id
from schemas.registry import EventData
from services.workflows.catalogue import WORKFLOWS
from services.workflows.definition import Workflow, moment_of
from services.workflows.world import World

Data = TypeVar("Data", bound=EventData)


class WorkflowTest:
    """One case of one workflow, in one city."""

    def __init__(
        self,
        workflow: Workflow | str,
        *,
        city: City | str,
        start: datetime = datetime(2026, 11, 24, 1, tzinfo=UTC),
        beside: Iterable[Workflow] = (),
    ) -> None:
        """
        Args:
            workflow: the workflow, or the name of one of the catalogue's (its newest version).
            city: a city, the name of one that comes with Subak, or a folder.
            start: what time it is; by default a Tuesday morning.
            beside: workflows of other cases that this one speaks to.
        """
        self.city = load_city(city_path(city)) if isinstance(city, str) else city
        self.workflow = _named(workflow) if isinstance(workflow, str) else workflow
        self.id = derived_id("workflow test", self.workflow.id)
        self.refused: tuple[Reason, ...] = ()
        """Why the last event was refused; empty where it was taken."""
        self._world = World(self.city, [self.workflow, *beside], at_ms=int(start.timestamp() * 1000))
        self._count = 0

    # -- what happens

    def event(self, data: EventData, *, by: str, case: str | None = None) -> WorkflowTest:
        """An agency says something about the case (or about another one). Look at `refused` for whether it counts."""
        self._count += 1
        event = Event.of(
            data,
            id=derived_id(self.id, self._count),
            source=self.city.source_of(self.city.agency(by).id),
            subject=case or self.id,
            time=self.now.isoformat(),
        )
        self.refused = self._world.take(event, data, self._world.at_ms)
        if (case or self.id) in self._world.failed:
            raise AssertionError(f"the workflow failed, and the case would be parked: {self.failure}")
        return self

    def advance(self, within: Within | None = None, **span: float) -> WorkflowTest:
        """Time passes: `advance(days=3)`, or a target's time: `advance(service.acknowledge_within)`. Timers fire."""
        calendar_time = within if within is not None else timedelta(**span)
        self._world.run_to(self.city.calendar.due_ms(self._world.at_ms, calendar_time))
        return self

    # -- what to look at

    @property
    def now(self) -> datetime:
        """What time it is."""
        return moment_of(self._world.at_ms)

    @property
    def case(self) -> Any:
        """The case as its workflow remembers it; None before it is opened."""
        return self._world.cases.get(self.id)

    @property
    def state(self) -> str | None:
        """The state that the case is in."""
        return self.case.state if self.case is not None else None

    @property
    def failure(self) -> str | None:
        """Why the case would be parked; None where it would not."""
        return self._world.failed.get(self.id)

    @property
    def emitted(self) -> list[EventData]:
        """All that the workflow sent about this case, in order."""
        return [said.data for said in self._world.said if said.case == self.id]

    def said(self, kind: type[Data]) -> Data:
        """The last event of that type."""
        found = [data for data in self.emitted if isinstance(data, kind)]
        assert found, f"no {kind.__name__} was sent, but {[type(data).__name__ for data in self.emitted]}"
        return found[-1]

    def recipients(self, kind: type[EventData]) -> list[str | None]:
        """To whom the events of that type went, in order."""
        return [said.recipient for said in self._world.said if said.case == self.id and isinstance(said.data, kind)]

    def due(self, timer: str) -> datetime | None:
        """When a timer will fire; None where it does not run."""
        ms = self.case.timers.get(timer) if self.case is not None else None
        return moment_of(ms) if ms is not None else None


def _named(name: str) -> Workflow:
    found = [workflow for workflow in WORKFLOWS.values() if name in (workflow.name, workflow.id)]
    if not found:
        raise Misconfigured(f'there is no workflow "{name}". Known: {", ".join(WORKFLOWS)}.')
    return max(found, key=lambda workflow: workflow.version)
