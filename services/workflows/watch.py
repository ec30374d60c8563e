"""A watch over decisions: a handler that does not return parks its case, and stops nobody else for longer.

Handlers run one at a time in the process's main thread, so one that never returns would stop every case of its process,
and its lease on the partitions with it. A thread of the watch looks at which decision is in hand. One that takes longer
than `seconds_max` is broken off: a signal lets the main thread raise `DecisionTookTooLong` in the handler, which parks
the case as any defect does. Where that does not help either (it swallows what is raised, or waits in a library's code)
the process ends and says which case it was: the next one meets the same event, so a person must look.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

from bus.logs import get_logger
from services.workflows.step import DefectInWorkflow

log = get_logger("workflows")

EXIT_STUCK = 70
"""The process's exit code where a decision could not be broken off."""

BREAKS_MAX = 3
"""So many times a decision is broken off before the process ends."""


class DecisionTookTooLong(DefectInWorkflow):
    """A decision did not end in time. Decisions take microseconds: it waits for something, or goes round and round."""


class Watch:
    """Which decision is in hand, and since when. Without `start` it watches nothing, and costs next to nothing."""

    def __init__(self, seconds_max: float = 10.0) -> None:
        """
        Args:
            seconds_max: how long one decision may take. A stage's session at Kafka outlives it.
        """
        self.seconds_max = seconds_max
        self._in_hand: tuple[str, str] | None = None
        self._count = 0
        self._breaking = -1
        self._main = 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def began(self, case: str, type_: str) -> None:
        """A decision on this case begins."""
        self._count += 1
        self._in_hand = (case, type_)

    def ended(self) -> None:
        """It has ended, however it did."""
        self._in_hand = None

    # -- watching

    def start(self) -> None:
        """Watch from now on. Called in the main thread, in which the decisions are made."""
        self._main = threading.get_ident()
        signal.signal(signal.SIGALRM, self._break_off)
        self._stopping.clear()
        self._thread = threading.Thread(target=self._look, name="decisions", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _look(self) -> None:
        count, since, breaks = -1, 0.0, 0
        while not self._stopping.wait(self.seconds_max / 10):
            in_hand = self._in_hand
            if in_hand is None or self._count != count:
                count, since, breaks = self._count, time.monotonic(), 0
                continue
            if time.monotonic() - since < self.seconds_max:
                continue
            case, type_ = in_hand
            if breaks >= BREAKS_MAX:
                log.critical("decision_stuck", case=case, type=type_, seconds=self.seconds_max * (BREAKS_MAX + 1))
                os._exit(EXIT_STUCK)
            log.error("decision_broken_off", case=case, type=type_, seconds=self.seconds_max)
            breaks, since, self._breaking = breaks + 1, time.monotonic(), count
            signal.pthread_kill(self._main, signal.SIGALRM)

    def _break_off(self, signum: int, frame: FrameType | None) -> None:
        """In the main thread, between two of its instructions: raise, if it is still that decision."""
        if self._in_hand is not None and self._count == self._breaking:
            case, type_ = self._in_hand
            raise DecisionTookTooLong(
                f"the decision on {type_} for the case {case} took more than {self.seconds_max} s"
            )
