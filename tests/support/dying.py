"""A workflows stage that is killed at the worst moment: what a replay led to is written, and not yet committed.

Run as a program it is one member of the group: `python -m tests.support.dying BOOTSTRAP`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from bus.kafka import Output
from bus.kafka import lane as lane_module
from bus.kafka.transactions import TransactionalProducer
from bus.logs import configure_logs
from bus.process import run_process, until_stopped
from schemas.types.cases import CaseReplayed
from tests.support.bus import SmallBus
from tests.support.counting import settings_for

REPLAYED = ("ce_type", CaseReplayed.registered.name.encode())


class Dying(TransactionalProducer):
    """It dies of the first transaction that says that a case was replayed, between its records and its end."""

    async def commit(
        self, outputs: Sequence[Output], offsets: Mapping[tuple[str, int], int] | None = None, group: str = ""
    ) -> None:
        if any(REPLAYED in output.headers for output in outputs):
            vars(self._producer)["commit_transaction"] = _die
        await super().commit(outputs, offsets, group)


async def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def _member(bootstrap_servers: str, stopping: asyncio.Event) -> None:
    vars(lane_module)["TransactionalProducer"] = Dying
    async with SmallBus(settings_for(bootstrap_servers)).running("workflows") as stages:
        print("started", flush=True)
        await until_stopped(stopping, stages["workflows"].failed)


if __name__ == "__main__":
    configure_logs("warning")
    sys.exit(run_process(lambda stopping: _member(sys.argv[1], stopping)))
