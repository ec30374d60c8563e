"""Writes the folder of a new adapter: adapter.toml, mapping, samples, a test, README; it passes `check --offline`."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from adapters.skeleton import texts
from adapters.skeleton.examples import CASE, example_data
from adapters.skeleton.mapping_file import events, mapping_text, records
from adapters.skeleton.sample_system import columns_of, sample_system
from adapters.skeleton.vocabulary import TYPES_MAX, Vocabulary, vocabulary_of
from bus.city import City
from schemas.failures import Misconfigured

SOURCES: Mapping[str, str] = {
    "http": "the system POSTs JSON in its own columns",
    "files": "the system writes CSV or XLSX files into a folder",
    "sql": "triggers in the system's database write down what changes",
    "open311": "apps for citizens speak to the adapter as to any Open311 server",
    "python": "a function of your own reads the system",
}
"""The kinds of source that a folder can begin with, and what each is for."""

TARGETS: Mapping[str, str] = {
    "webhook": "the adapter calls the system",
    "files": "the adapter writes CSV files for the system",
    "sql": "the adapter writes rows into the system's database",
    "python": "a function of your own writes into the system",
}
"""The kinds of target that a folder can begin with, and what each is for."""


def write_skeleton(
    folder: Path, *, name: str, agency: str, city: City, city_name: str, source: str, target: str
) -> list[Path]:
    """Write the folder; returns its files.

    Raises:
        Misconfigured: the folder holds something already, or cannot be written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise Misconfigured(f"{folder} is not empty. Name another with --directory.")
    words = vocabulary_of(city.agency(agency), city)
    words = replace(words, hears=tuple(type for type in words.hears if example_data(type, words))[:TYPES_MAX])
    files = _files(name, agency, city, city_name, source, target, words)
    try:
        for path, text in files.items():
            whole = folder / path
            whole.parent.mkdir(parents=True, exist_ok=True)
            whole.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"{folder} cannot be written: {error.strerror}.") from error
    return [folder / path for path in files]


def _files(
    name: str, agency: str, city: City, city_name: str, source: str, target: str, words: Vocabulary
) -> dict[str, str]:
    if source == "http" and not words.says:  # there is nothing that a mapping could say
        source = texts.SHARED
    reads, writes = source not in texts.UNMAPPED_SOURCES, target != "webhook"
    if reads and not words.says:
        raise Misconfigured(
            f"{agency} publishes nothing that a mapping could begin with: see the city's agencies.toml."
        )
    if writes and not words.hears:
        raise Misconfigured(f"{agency} hears of nothing that a mapping could begin with: see the city's agencies.toml.")
    said = records(words)
    files = {
        "adapter.toml": texts.adapter_toml(name, agency, source, target, columns_of(said) if said else ()),
        "README.md": texts.readme(name, agency, city.text(city.agency(agency).name), city_name, source, target, words),
        "test_samples.py": texts.TEST.format(city=city_name),
        ".gitignore": "*.sqlite3\n*.sqlite3-*\n__pycache__/\narriving/\nleaving/\n",
    }
    if reads or writes:
        files["mapping.toml"] = mapping_text(agency, city.timezone, words, both=(reads, writes))
    if source == "files":
        files["samples/in/records/records.csv"] = _csv(said)
        files["arriving/README"] = texts.ARRIVING
    elif reads:
        files["samples/in/records/records.json"] = _json(said)
    elif words.says:
        files["samples/in/http/events.json"] = _json(_short_forms(words))
    if writes:
        files[f"samples/out/{target}/events.json"] = _json(events(words))
    if "sql" in (source, target):
        reads_sql, writes_sql = source == "sql", target == "sql"
        files["sample_system.py"] = sample_system(files["mapping.toml"], said, reads=reads_sql, writes=writes_sql)
    if "python" in (source, target):
        files["handlers.py"] = texts.handlers(source == "python", target == "python", said)
    return files


def _short_forms(words: Vocabulary) -> list[dict[str, Any]]:
    """What the system would POST, by the mapping that it does without."""
    found = []
    for said in words.says:
        event: dict[str, Any] = {"type": said.type, "data": example_data(said.type, words)}
        if not said.opens_case:
            event["subject"] = CASE
        found.append(event)
    return found


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _csv(rows: list[dict[str, Any]]) -> str:
    written = io.StringIO()
    writer = csv.DictWriter(written, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in row.items()} for row in rows)
    return written.getvalue()
