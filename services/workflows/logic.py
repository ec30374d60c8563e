"""The workflows stage's decisions for one partition: each event to its case, each case by its own workflow. Pure.

An event that a case cannot take now (unknown case, closed, wrong state, not the sender's matter) goes back to its
sender with the reason, and the case stays as it is: nobody can stall a case by a mistake. A decision that *fails* is
a defect: the case is parked, its later events wait behind it in order, and other cases flow on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from bus.city import City
from bus.city.model import OPERATIONS_TYPES
from bus.logic import Decided
from bus.logs import get_logger
from bus.records import Output, Record
from bus.topics import CASES, EVENTS
from schemas.envelope import Event
from schemas.failures import Reason, Refused, Unprocessable
from schemas.types.acts import CorrectionRequested, DiscardRequested
from schemas.types.cases import CaseParked, CaseReplayed, MessageRefused, TimerFired
from services.workflows import repairing
from services.workflows.batch import Batch
from services.workflows.deciding import TIMER_FIRED, Deciding, timer_event_id
from services.workflows.definition import (
    WORKFLOWS,
    CaseState,
    DefectInWorkflow,
    Emission,
    Step,
    Workflow,
    consequence,
)
from services.workflows.history import note_history
from services.workflows.memory import Memory, ParkedEvent, View
from services.workflows.messages import counted
from services.workflows.refusing import Refusing
from services.workflows.watch import Watch

log = get_logger("workflows")

_TIMER_FIRED = ("ce_type", TIMER_FIRED.encode())
_SOURCE_AT = 3
"""Where `Event.headers` puts `ce_source`, for all that the bus itself writes."""
_MESSAGE = ("ce_recipient", WORKFLOWS.encode())

TIMERS_MAX = 1000
"""Timers that fire in one transaction; the rest follows at once in the next."""

CASE_BYTES_MAX = 64 * 1024
"""The largest case, as it is remembered. What would make it larger is refused: a case is not a file."""

PARKED_MAX = 10_000
"""Events that may wait in one parked case. Past that the sender is refused, and told to come back."""

_ALWAYS_WAIT = frozenset({TIMER_FIRED, MessageRefused.registered.name})
"""What nobody would send again, and a case has few of: its deadlines, and the answers to what it said."""


class Workflows:
    """`bus.logic.Logic` for the stage `workflows`."""

    restores_from: str | None = CASES
    restores_since_seconds: float | None = None

    def __init__(
        self,
        number: int,
        *,
        city: City,
        workflows: Mapping[str, Workflow],
        watch: Watch | None = None,
        rehearsing: bool = False,
    ) -> None:
        """`rehearsing`: what it decides is never made true, so a failure is no news for the log."""
        self._watch = watch or Watch()
        self._number = number
        self._city = city
        self._rehearsing = rehearsing
        self._source = city.source_of("workflows")
        self._own = frozenset({self._source.encode(), city.source_of("places").encode()})
        self._deciding = Deciding(workflows)
        self._refusing = Refusing(city, number)
        self.memory = Memory(workflows)

    def restore(self, records: Sequence[Record], position: int | None = None) -> None:
        """Read the cases back."""
        self.memory.restore(records)

    def apply(self, decided: Decided) -> None:
        """The transaction stands: its view becomes the memory."""
        view = decided.changes
        assert isinstance(view, View)
        self.memory.take(view)

    def sizes(self) -> dict[str, int]:
        """Cases that are live, closed and parked."""
        memory = self.memory
        return {"live": len(memory.cases), "closed": memory.closed_count, "parked": len(memory.parked)}

    def next_due(self) -> datetime | None:
        """When the earliest timer is due."""
        due = self.memory.next_due_ms()
        return datetime.fromtimestamp(due / 1000, UTC) if due is not None else None

    # -- events

    def decide(self, records: Sequence[Record], now: datetime) -> Decided:
        """Each event's consequences, in order, and the changed cases."""
        batch = Batch(View(self.memory), now)
        for record in records:
            try:
                self._handle(record, batch)
            except Refused as refused:
                batch.count("rejected")
                batch.outputs += self._refusing.reject(record, refused.reasons, now)
            except Unprocessable as error:
                batch.count("rejected")
                reason = Reason("not_an_event", "event", str(error), "Only the gateway may write to the city's log.")
                batch.outputs += self._refusing.reject(record, [reason], now)
        return batch.decided(self._number)

    def _handle(self, record: Record, batch: Batch) -> None:
        own = self._wrote(record)
        if own and _TIMER_FIRED not in record.headers and _MESSAGE not in record.headers:
            batch.count("own")
            return
        event = Event.from_record(record.headers, record.value)
        if event.workflowversion is not None and not own:
            batch.count("own")  # a corrected event: it was decided on when this stage wrote it
            return
        if event.type in OPERATIONS_TYPES:
            self._act(event, batch)
            return
        waiting = batch.view.parked_events(event.subject)
        if waiting:
            if len(waiting) >= PARKED_MAX and event.type not in _ALWAYS_WAIT:
                problem = f"the case is parked, and {PARKED_MAX} events wait in it already"
                fix = "Send it again when an operator has replayed it."
                self._refusing.refuse(event, record, Refused([Reason("parked", "subject", problem, fix)]), batch)
                return
            parked = ParkedEvent(record.offset, event, record.timestamp_ms)
            batch.view.parked[event.subject] = (*waiting, parked)
            batch.count("parked")
            return
        try:
            self._decide(event, record.timestamp_ms, batch)
        except Refused as refused:
            self._refusing.refuse(event, record, refused, batch)
        except Exception as error:
            self._park(ParkedEvent(record.offset, event, record.timestamp_ms), error, batch)

    def _wrote(self, record: Record) -> bool:
        """Whether the bus itself wrote the record: more than half of the log, so nothing else is read of it."""
        headers = record.headers
        if len(headers) > _SOURCE_AT and headers[_SOURCE_AT][0] == "ce_source":
            return headers[_SOURCE_AT][1] in self._own
        return next((value for name, value in headers if name == "ce_source"), None) in self._own

    def _decide(self, event: Event, at_ms: int, batch: Batch, *, looked_at: bool = False) -> None:
        """Let the case's workflow decide; raises with nothing changed. `looked_at`: an operator has looked at it."""
        case = batch.view.case(event.subject)
        if event.history is not None:
            note_history(case, event, batch)
            return
        sender = self._city.agency_of(event.source) or event.source
        self._watch.began(event.subject, event.type)
        try:
            decision = self._deciding.decision(case, event, step := Step(self._city, sender, at_ms))
        finally:
            self._watch.ended()
        if decision is None:
            batch.count("stale")
            return
        emissions = counted(decision.emissions, event.subject, None if looked_at else step.cause)
        before = batch.view.cases.get(event.subject)
        if batch.view.put(decision.case) > CASE_BYTES_MAX:
            self._too_large(event, before, batch)
        batch.send(emissions, event, decision.case, self._source, self._number)
        batch.count("decided")

    def _too_large(self, event: Event, before: CaseState | None, batch: Batch) -> None:
        """Put the case back as it was, and refuse what made it too large; a timer's case is parked."""
        batch.view.drop(event.subject)
        if before is not None:
            batch.view.put(before)
        if event.source == self._source:
            raise DefectInWorkflow(f"the case would be larger than {CASE_BYTES_MAX} bytes")
        problem = f"with it the case would be larger than {CASE_BYTES_MAX} bytes"
        fix = "Send large texts and lists by reference (`media_url`), or open a second case."
        raise Refused([Reason("case_too_large", "data", problem, fix)])

    # -- timers

    def decide_due(self, now: datetime) -> Decided:
        """An event for each timer that is due, and the case marked so that it fires once."""
        batch = Batch(View(self.memory), now)
        for case, name, due in self.memory.due(int(now.timestamp() * 1000), TIMERS_MAX):
            current = batch.view.cases.get(case.id, case)
            batch.view.put(msgspec.structs.replace(current, timers={**current.timers, name: -due}))
            fired = Event(
                id=timer_event_id(case.id, name, due),
                type=TIMER_FIRED,
                source=self._source,
                subject=case.id,
                time=batch.now_text,
                data=TimerFired(timer=name, due=datetime.fromtimestamp(due / 1000, UTC)).encode(),
                correlationid=case.correlation,
                causationid=case.correlation,
                jurisdiction=case.jurisdiction,
                workflowversion=case.workflow,
            )
            batch.outputs.append(Output(EVENTS, fired.key, fired.data, fired.headers(), self._number))
            batch.count("timer")
        return batch.decided(self._number)

    # -- parking

    def _park(self, parked: ParkedEvent, error: Exception, batch: Batch, *, act: Event | None = None) -> None:
        """Let the case wait at this event. `act`: what an operator did to it, so that each parking has its own id."""
        event = parked.event
        if not self._rehearsing:
            about = {"case": event.subject, "event_id": event.id, "type": event.type, "error": repr(error)}
            log.error("case_parked", **about, exc_info=error)
        batch.view.parked[event.subject] = (parked, *batch.view.parked_events(event.subject))
        data = CaseParked(event_id=event.id, event_type=event.type, error=repr(error)[:4000].replace("\x00", ""))
        self._tell(data, f"parked {act.id if act is not None else ''}", event, event, batch)
        batch.count("parked")

    def _tell(self, data: CaseParked | CaseReplayed, label: str, cause: Event, of_case: Event, batch: Batch) -> None:
        """Say of the case as such what befell it. There may be none yet: then it has its place by an event of it."""
        case = batch.view.case(cause.subject) or CaseState(
            id=cause.subject, workflow="", state="", correlation=of_case.correlationid or of_case.id,
            jurisdiction=of_case.jurisdiction,
        )  # fmt: skip
        said = consequence(Emission(data, None, ()), label, cause, case, source=self._source, now=batch.now_text)
        batch.outputs.append(Output(EVENTS, said.key, said.data, said.headers(), self._number))

    def _act(self, act: Event, batch: Batch) -> None:
        """What an operator asks: of a parked case it is done here; what concerns rejected events is only noted."""
        if act.type not in repairing.OF_PARKED_CASES:
            batch.count("noted")
            return
        id, wish = act.subject, repairing.wish_of(act)
        waiting = batch.view.parked_events(id)
        head = repairing.head_of(waiting, id, wish)
        ran: list[Event] = []
        if isinstance(wish, CorrectionRequested):
            ran.append(self._correct(act, wish, head, batch))
            waiting = waiting[1:]
        elif isinstance(wish, DiscardRequested):
            self._refusing.refuse(head.event, head.as_record(self._number), repairing.left_out(wish), batch)
            waiting = waiting[1:]
        batch.view.parked[id] = ()
        case = batch.view.cases.get(id) or self.memory.cases.get(id)
        if case is not None:
            again = repairing.timers_again(case, head.event, wish, batch.now)
            if case.turns or again != case.timers:
                batch.view.put(msgspec.structs.replace(case, turns=0, timers=again))  # a person has looked at it
        self._run(waiting, act, batch, ran, head.event)

    def _correct(self, act: Event, wish: CorrectionRequested, head: ParkedEvent, batch: Batch) -> Event:
        """Decide on the corrected event, and write it before what follows from it. Raises with nothing changed."""
        event = repairing.corrected(act, wish, head.event, self._city)
        place = len(batch.outputs)
        try:
            self._decide(event, head.at_ms, batch)
        except Refused as refused:
            raise repairing.would_fail(refused.reasons) from refused
        except Exception as error:
            raise repairing.fails_again(error) from error
        case = batch.view.case(act.subject)
        assert case is not None  # it has taken the event
        written = msgspec.structs.replace(event, workflowversion=case.workflow)  # by this the stage knows it again
        batch.outputs.insert(place, Output(EVENTS, written.key, written.data, written.headers(), self._number))
        self._refusing.refuse(head.event, head.as_record(self._number), repairing.stood_in_for(wish, event), batch)
        return event

    def _run(
        self, waiting: Sequence[ParkedEvent], act: Event, batch: Batch, ran: Sequence[Event], parked_at: Event
    ) -> None:
        """Run what waits in a case, behind what `ran`, in order, until it is empty or fails again; tell of either."""
        refusals = 0
        for place, parked in enumerate(waiting):
            try:
                self._decide(parked.event, parked.at_ms, batch, looked_at=True)
            except Refused as refused:
                refusals += 1
                self._refusing.refuse(parked.event, parked.as_record(self._number), refused, batch)
            except Exception as error:
                batch.view.parked[act.subject] = tuple(waiting[place + 1 :])
                self._park(parked, error, batch, act=act)
                return
        batch.count("replayed")
        said = repairing.ran(act, [*ran, *(parked.event for parked in waiting)], refusals)
        self._tell(said, "replayed", act, parked_at, batch)
