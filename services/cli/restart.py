"""`subak restart`: processes of the local bus, one after the other, each ready before the next one ends.

What a rolling upgrade does, in small: a process that starts anew reads the city's files and its own program again. It
ends on SIGTERM, with the batch in hand committed, and `subak up` starts it again. On a cluster the platform does that.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from bus.city.problems import nearest
from bus.runfile import RunFile
from bus.settings import read_settings
from schemas.failures import Misconfigured, Retryable
from services.cli.showing import console

READY_SECONDS_MAX = 180.0
LOOK_SECONDS = 0.2


def restart(
    names: Annotated[
        list[str] | None, typer.Argument(help="Such as workflows: as `subak up` prints them. Without any: all.")
    ] = None,
) -> None:
    """Restart processes of the local bus one by one, so that they read the city's files and their program anew."""
    home = read_settings().home
    known = RunFile.load(home).processes
    for name in names or ():
        if name not in known:
            raise Misconfigured(f"no process {name} runs here. {nearest(name, known)}")
    for name in dict.fromkeys(names or known):
        began = time.monotonic()
        before = _end(RunFile.load(home), name)
        _until_back(home, name, before)
        console().print(f"[green]✓[/] {name}  [dim]ready again after {time.monotonic() - began:.1f} s[/]")


def _end(run: RunFile, name: str) -> int:
    """SIGTERM to the process, which listens where the run file says: its number alone could be another's by now.

    Raises:
        Retryable: it does not run now.
    """
    from deploy.local.ports import listens

    pid, url = int(run.processes[name]["pid"]), str(run.processes[name]["url"])
    if not listens(pid, urlsplit(url).port or 80):
        raise Retryable(f"{name} does not run now. `subak up` starts what ended by itself again: wait for it.")
    os.kill(pid, signal.SIGTERM)
    return pid


def _until_back(home: Path, name: str, before: int) -> None:
    """Wait until the run file names another process that is ready: `subak up` writes it then.

    Raises:
        Misconfigured: nothing runs any more: what was started anew could not run, and `subak up` said why.
        Retryable: the time is up.
    """
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        if RunFile.load(home).processes[name]["pid"] not in (before, 0):
            return
        time.sleep(LOOK_SECONDS)
    raise Retryable(f"{name} was not ready again within {READY_SECONDS_MAX:.0f} s. The end of its log says why.")
