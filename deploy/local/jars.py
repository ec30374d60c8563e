"""Kafka's jars: exactly those of `kafka-lock.json`, each checked by its SHA-256 before every start.

jgo fetches them from Maven's central repository once, into the user's cache (`$XDG_CACHE_HOME/subak`, else
`~/.cache/subak`). A jar is verified beside the cache and then moved in whole, so a broken download or two starts at
the same moment leave no half file. `python -m deploy.local.jars` writes the lock anew after a version changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from schemas.failures import Misconfigured, Retryable

KAFKA_VERSION = "4.3.1"
LOCK_PATH = Path(__file__).with_name("kafka-lock.json")
# slf4j-simple: Kafka's own artifact names no logging backend, and without one the broker dies in silence.
ROOTS = (f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}", "org.slf4j:slf4j-simple:1.7.36")
_TRIES = 4

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Jar:
    """One file of the lock."""

    coordinate: str
    """group:artifact:version, as Maven names it."""
    file: str
    sha256: str


def user_cache() -> Path:
    """The folder where this user's downloads are kept."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "subak"


def read_lock(path: Path = LOCK_PATH) -> tuple[Jar, ...]:
    """The jars of the lock, in the order of the class path."""
    try:
        return tuple(Jar(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["jars"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Misconfigured(
            f"The lock of Kafka's jars cannot be read: {path}: {error}. Restore it from git."
        ) from error


def ensure_jars(
    folder: Path | None = None, *, lock: tuple[Jar, ...] | None = None, report: Report = lambda _: None
) -> list[Path]:
    """Fetch what is missing, verify every jar, and return their paths.

    Raises:
        Misconfigured: a jar is not the one of the lock. It stays where it is, for a look.
        Retryable: a jar is missing and cannot be fetched.
    """
    jars = read_lock() if lock is None else lock
    folder = user_cache() / f"kafka-{KAFKA_VERSION}" if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    missing = [jar for jar in jars if not (folder / jar.file).exists()]
    if missing:
        report(f"Fetching Apache Kafka {KAFKA_VERSION}: {len(missing)} jars, once")
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch, ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda jar: _fetch(jar, Path(scratch), folder), missing))
    for jar in jars:
        _verify(jar, folder / jar.file)
    return [folder / jar.file for jar in jars]


def _fetch(jar: Jar, scratch: Path, folder: Path) -> None:
    for attempt in range(1, _TRIES + 1):
        try:
            fetched = _download(jar.coordinate, scratch / f"{jar.file}-{attempt}")
            break
        except Exception as error:  # jgo raises RuntimeError, and what requests and the file system raise
            if attempt == _TRIES:
                raise Retryable(
                    f"{jar.coordinate} could not be fetched from Maven's central repository: {error}. "
                    f"Try again with a network, or put {jar.file} into {folder} by hand."
                ) from error
            time.sleep(attempt)
    _verify(jar, fetched)
    fetched.replace(folder / jar.file)


def _download(coordinate: str, scratch: Path) -> Path:
    from jgo.maven import MavenContext, PythonResolver

    group, artifact, version = coordinate.split(":")
    context = MavenContext(resolver=PythonResolver(), repo_cache=scratch, timeout=30)
    return Path(context.project(group, artifact).at_version(version).artifact().resolve())


def _verify(jar: Jar, path: Path) -> None:
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != jar.sha256:
        raise Misconfigured(
            f"{jar.file} is not the jar that the lock names: {path} has SHA-256 {actual}, expected {jar.sha256}. "
            "Kafka is not started with it. If you did not change it yourself, find out who did; "
            "delete the file to have it fetched again."
        )


def write_lock(path: Path = LOCK_PATH) -> tuple[Jar, ...]:
    """Resolve `ROOTS` with all that they need, and write names and checksums, without any address."""
    from jgo.maven import MavenContext, PythonResolver

    scratch = Path(tempfile.mkdtemp(prefix="subak-lock-"))
    try:
        context = MavenContext(resolver=PythonResolver(), repo_cache=scratch, timeout=30)
        wanted = [context.create_dependency(root) for root in ROOTS]
        inputs, needed = context.resolver.resolve(wanted)
        jars = [_locked(dependency.artifact) for dependency in [*inputs, *needed]]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    content = {"kafka": KAFKA_VERSION, "jars": [asdict(jar) for jar in jars]}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return tuple(jars)


def _locked(artifact: object) -> Jar:
    file = Path(artifact.resolve())  # type: ignore[attr-defined]
    group, name, version = artifact.groupId, artifact.artifactId, artifact.version  # type: ignore[attr-defined]
    return Jar(f"{group}:{name}:{version}", file.name, hashlib.sha256(file.read_bytes()).hexdigest())


if __name__ == "__main__":
    sys.stdout.write(f"{len(write_lock())} jars locked in {LOCK_PATH}\n")
