"""Kafka's jars are those of the lock or none: a changed one is refused by name, a broken fetch leaves no half file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from deploy.local import jars
from deploy.local.jars import LOCK_PATH, Jar, ensure_jars, read_lock
from schemas.failures import Misconfigured, Retryable


def _jar(file: str, content: bytes) -> Jar:
    return Jar(f"example:{file.removesuffix('.jar')}:1", file, hashlib.sha256(content).hexdigest())


def test_a_changed_jar_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "good.jar").write_bytes(b"good")
    (tmp_path / "changed.jar").write_bytes(b"with something more in it")
    lock = (_jar("good.jar", b"good"), _jar("changed.jar", b"as it was"))
    with pytest.raises(Misconfigured, match=r"changed\.jar is not the jar that the lock names"):
        ensure_jars(tmp_path, lock=lock)
    assert (tmp_path / "changed.jar").exists(), "it stays for a look"


def test_a_jar_fetched_wrong_never_reaches_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch_wrong(coordinate: str, scratch: Path) -> Path:
        scratch.mkdir(parents=True)
        (scratch / "wanted.jar").write_bytes(b"half of it")
        return scratch / "wanted.jar"

    monkeypatch.setattr(jars, "_download", fetch_wrong)
    with pytest.raises(Misconfigured, match=r"wanted\.jar is not the jar"):
        ensure_jars(tmp_path, lock=(_jar("wanted.jar", b"the whole of it"),))
    assert list(tmp_path.iterdir()) == []


def test_a_jar_that_cannot_be_fetched_is_named_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def fail(coordinate: str, scratch: Path) -> Path:
        tries.append(coordinate)
        raise OSError("no network here")

    monkeypatch.setattr(jars, "_download", fail)
    monkeypatch.setattr("deploy.local.jars.time.sleep", lambda seconds: None)
    with pytest.raises(Retryable, match=r"example:wanted:1 could not be fetched.*no network here.*wanted\.jar"):
        ensure_jars(tmp_path, lock=(_jar("wanted.jar", b"x"),))
    assert len(tries) > 1


def test_the_lock_names_files_and_checksums_and_no_address() -> None:
    locked = read_lock()
    assert {jar.file for jar in locked} >= {
        "kafka_2.13-4.3.1.jar",
        "kafka-clients-4.3.1.jar",
        "slf4j-simple-1.7.36.jar",
    }
    assert all(len(jar.sha256) == 64 for jar in locked)
    assert "://" not in LOCK_PATH.read_text(encoding="utf-8")


@pytest.mark.parametrize("content", ["", "[]", '{"jars": [{"file": "a.jar"}]}'])
def test_a_broken_lock_is_a_sentence(tmp_path: Path, content: str) -> None:
    lock = tmp_path / "kafka-lock.json"
    lock.write_text(content, encoding="utf-8")
    with pytest.raises(Misconfigured, match="The lock of Kafka's jars cannot be read"):
        read_lock(lock)


def test_the_lock_is_whole(tmp_path: Path) -> None:
    text = json.loads(LOCK_PATH.read_text(encoding="utf-8"))
    assert text["kafka"] == jars.KAFKA_VERSION
    assert len({jar["file"] for jar in text["jars"]}) == len(text["jars"])
