"""How `subak` is called from the reader's shell: a hint that does not run is worse than none."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def command() -> str:
    """`subak` where the shell finds it, or else the path of the script that runs, relative where that is shorter."""
    script = Path(sys.argv[0])
    if shutil.which("subak") or script.name != "subak":
        return "subak"
    try:
        return str(script.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(script.resolve())
