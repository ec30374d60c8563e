"""A control: `harbour`, a made-up city with three levels, and copies of it in which one thing was changed."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

from bus.city import City, load_city

HARBOUR = Path(__file__).parent / "harbour"


@cache
def harbour() -> City:
    """The control, as its files are."""
    return load_city(HARBOUR)


def changed_harbour(folder: Path, *changes: tuple[str, str, str]) -> Path:
    """A copy of the control with the text of files changed; each change is (file, what stands there, what to write)."""
    copy = folder / "harbour"
    shutil.copytree(HARBOUR, copy)
    for file, old, new in changes:
        text = (copy / file).read_text(encoding="utf-8")
        assert old in text, f"{file} of the control no longer has {old!r}"
        (copy / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    return copy
