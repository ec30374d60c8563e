"""A batch of the workflows stage while it grows: the cases as it leaves them, what it writes and counts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bus.logic import Decided
from bus.records import Output
from bus.topics import EVENTS
from schemas.envelope import Event
from services.workflows.definition import CaseState, Emission, consequence
from services.workflows.memory import View


class Batch:
    """Nothing of it is true before the transaction stands."""

    def __init__(self, view: View, now: datetime) -> None:
        self.view = view
        self.now = now
        self.now_text = now.isoformat()
        self.outputs: list[Output] = []
        self._counted: dict[str, int] = {}

    def count(self, outcome: str) -> None:
        """One more came to this."""
        self._counted[outcome] = self._counted.get(outcome, 0) + 1

    def send(self, emissions: Sequence[Emission], cause: Event, case: CaseState, source: str, number: int) -> None:
        """Write what a decision says."""
        for place, emission in enumerate(emissions):
            event = consequence(emission, place, cause, case, source=source, now=self.now_text)
            here = number if emission.subject is None else None  # another case may have another partition
            self.outputs.append(Output(EVENTS, event.key, event.data, event.headers(), here))

    def decided(self, number: int) -> Decided:
        """The outcome, with the changelog's records."""
        return Decided([*self.outputs, *self.view.outputs(number)], self.view, self._counted)
