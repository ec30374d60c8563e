"""The folder: which files have arrived whole, and where they go. Nothing is ever overwritten.

A file is whole when its size and its time have stood still for a while, as seen here and by this machine's own clock:
the clock of whoever wrote it may be wrong. Only plain files count: no folder, no link, no pipe, whatever its name. A
file is moved into `reading/` before it is read, so that its sender may send another of the same name meanwhile.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from adapters.folders import shown, sync_folder
from adapters.sources.files.config import FilesConfig

READING, DONE, FAILED = "reading", "done", "failed"

FILES_MAX = 10_000
"""Files that are looked at in one pass; others wait for these."""

STEM_BYTES_MAX = 200
"""What is kept of a name, so that a number and `.errors.csv` find room behind it."""

_UNFINISHED = (".tmp", ".part", ".partial", ".filepart", ".crdownload")

_Seen = tuple[int, int, int]
"""Size, time of change, and number of the file."""


class Arrivals:
    """One source's folder."""

    def __init__(self, folder: Path, config: FilesConfig, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self._config = config
        self._clock = clock
        self._patterns = [pattern.lower() for pattern in config.files]
        self._watched: dict[str, tuple[_Seen, float]] = {}
        """Name → how it looked, and since when."""

    def prepare(self) -> None:
        """Make the folders that are missing in it.

        Raises:
            OSError: the folder itself is not there, or is not ours to write.
        """
        for name in (READING, DONE, FAILED):
            path = self.folder / name
            path.mkdir(exist_ok=True)
            if path.is_symlink():
                raise NotADirectoryError(f"{path} is a link: make it a folder")

    def left_over(self) -> Path | None:
        """The file that was being read when the process ended."""
        names = [entry.name for entry in os.scandir(self.folder / READING) if self._is_wanted(entry)]
        return self.folder / READING / min(names) if names else None

    def next_whole(self) -> Path | None:
        """The oldest file that has stood still for long enough."""
        now = self._clock()
        watched: dict[str, tuple[_Seen, float]] = {}
        whole: list[tuple[int, str]] = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if not self._is_wanted(entry):
                    continue
                with suppress(FileNotFoundError):
                    seen = _look(entry.stat(follow_symlinks=False))
                    before, since = self._watched.get(entry.name, (None, now))
                    since = since if before == seen else now
                    watched[entry.name] = (seen, since)
                    if now - since >= self._config.settle_seconds and before == seen:
                        whole.append((seen[1], entry.name))
                if len(watched) >= FILES_MAX:
                    break
        self._watched = watched
        return self.folder / min(whole)[1] if whole else None

    def claim(self, path: Path) -> Path:
        """Move a file into `reading/`; returns where it is now."""
        self._watched.pop(path.name, None)
        target = self.folder / READING / path.name
        os.rename(path, target)  # nothing is there: one file is read at a time
        return target

    def put(self, path: Path, folder: str, stem: str, suffix: str) -> Path:
        """Move a file into `done/` or `failed/`, under this name or, where it is taken, the next free one."""
        for target in _names(self.folder / folder, stem, suffix):
            try:
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            except FileExistsError:
                continue
            try:
                os.replace(path, target)  # over the empty file that was just made, and is ours
            except BaseException:
                target.unlink(missing_ok=True)
                raise
            sync_folder(target.parent)
            sync_folder(path.parent)
            return target
        raise FileExistsError(f"there is no free name for {shown(stem)} in {folder}")

    def free_stem(self, folder: str, stem: str, suffixes: Sequence[str]) -> str:
        """The name, or it with a number, under which none of these is there yet: what belongs together is named so."""
        stem = os.fsdecode(os.fsencode(stem)[:STEM_BYTES_MAX])
        for found in _numbered(stem):
            if not any(os.path.lexists(self.folder / folder / f"{found}{suffix}") for suffix in suffixes):
                return found
        return stem

    def _is_wanted(self, entry: os.DirEntry[str]) -> bool:
        name = entry.name.lower()
        if name.startswith((".", "~$")) or name.endswith(_UNFINISHED):
            return False
        if not any(fnmatchcase(name, pattern) for pattern in self._patterns):
            return False
        return entry.is_file(follow_symlinks=False)


def open_plain(path: Path) -> int:
    """A descriptor of a plain file, for reading.

    Raises:
        OSError: it is a link, a pipe, or not ours to read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path.name} is not a plain file")
    return descriptor


def look(descriptor: int) -> tuple[int, int, int]:
    """What changes where a file is written to: its size, its time, its number."""
    return _look(os.fstat(descriptor))


def _look(found: os.stat_result) -> _Seen:
    return found.st_size, found.st_mtime_ns, found.st_ino


def _names(folder: Path, stem: str, suffix: str) -> Iterator[Path]:
    return (folder / f"{found}{suffix}" for found in _numbered(os.fsdecode(os.fsencode(stem)[:STEM_BYTES_MAX])))


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    for number in range(2, 10_000):
        yield f"{stem}.{number}"
