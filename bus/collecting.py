"""When Python looks for objects that hold each other: by the clock, and hardly ever by their number.

A stage makes millions of objects, and almost none of them in cycles: reference counting frees them at once. Python
looks whenever so many more objects live than at the last look, which under load is in the middle of each batch, when
most live and none can go. That took a fifth of the workflows stage's time. And a process with little to do takes hours
to make so many: its cycles (a failed request's traceback, a closed connection) lie around until then, as if it leaked.
"""

from __future__ import annotations

import asyncio
import gc
import time

SECONDS = 30.0
"""From one look to the next."""

SHARE_MAX = 0.01
"""Of the process's time for looking: where a look takes long, the next is later."""

OBJECTS_MAX = 2_000_000
"""So many objects more than at the last look bring one by themselves: a storm of failures may not fill the memory."""


def tune_collector() -> None:
    """Take what has been loaded for good out of every look, and look by the number as rarely as is safe."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_MAX, 10, 10)


async def collect_by_the_clock(seconds: float = SECONDS) -> None:
    """Look at all objects now and then, for ever."""
    pause = seconds
    while True:
        await asyncio.sleep(pause)
        began = time.perf_counter()
        gc.collect()
        pause = max(seconds, (time.perf_counter() - began) / SHARE_MAX)
