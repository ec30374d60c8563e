"""The words of a new adapter's folder: adapter.toml, README, test and handlers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pprint import pformat
from typing import Any

from adapters.skeleton.vocabulary import Vocabulary

TEST = '''"""Each sample becomes what it should: run `python -m pytest` here, and after each change of the mapping."""

import json
import subprocess
from pathlib import Path

ADAPTER = Path(__file__).parent / "adapter.toml"


def test_every_sample_is_understood() -> None:
    command = ["subak", "adapter", "check", str(ADAPTER), "--offline", "--json", "--city", "{city}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["samples"]
    assert found["ok"], json.dumps(found, indent=2)
'''

SHARED = "shared"
"""Stands for no source of its own: the system POSTs in the shared form, as it may to every adapter."""

UNMAPPED_SOURCES = frozenset({"open311", SHARED})
"""Sources that take what they are sent in a form of its own: Open311's, or the shared one."""

ARRIVING = "The system puts its CSV or XLSX files into this folder; the adapter moves them to done/ or failed/.\n"

_HEAD = """\
# The adapter of {agency}. Check it: subak adapter check adapter.toml --offline. Run it: subak run adapter adapter.toml
# The city and the Kafka cluster come from the environment: SUBAK_CITY, SUBAK_KAFKA_BOOTSTRAP_SERVERS.

[adapter]
name = "{name}"
listen = "127.0.0.1:8460"               # /health, /metrics and the HTTP source; port 0 takes a free one

[[agency]]
id = "{agency}"{space} # as in the city's agencies.toml
token_env = "{variable}_TOKEN"{blank} # what its system shows when it calls: 16 characters or more
"""

_SOURCES = {
    SHARED: "",
    "http": """
[[agency.source]]
kind = "http"                           # POST http://<listen>/sources/{agency}/records/records
name = "records"
mapping = "mapping.toml"
token_env = "{variable}_RECORDS_TOKEN"   # what the system shows; or secret_env = "...", where it signs what it sends
""",
    "files": """
[[agency.source]]
kind = "files"
name = "records"
folder = "arriving"                     # where files arrive
mapping = "mapping.toml"
""",
    "open311": """
[[agency.source]]
kind = "open311"                        # answers below http://<listen>/open311/{agency}/v2

  [[agency.source.app]]                 # an app that may write
  name = "city-app"
  key_env = "{variable}_APP_KEY"
""",
    "python": """
[[agency.source]]
kind = "python"
name = "records"
handler = "handlers:read"               # in handlers.py, beside this file
mapping = "mapping.toml"
""",
}

_SQL_SOURCE = """
[[agency.source]]
kind = "sql"
name = "records"
url = "sqlite:///system.sqlite3"        # or url_env = "...": postgresql://..., mysql://...
mapping = "mapping.toml"

  [[agency.source.table]]
  name = "records"
  columns = [{columns}]
  watch = ["status"]                    # an update is news where this has changed
"""

_TARGETS = {
    "webhook": """
[agency.webhook]
url = "https://{agency}.example/subak/events"
secret_env = "{variable}_WEBHOOK_SECRET"   # signs the calls: whsec_<base64>, or any text of 24 bytes or more
""",
    "files": """
[agency.target]
kind = "files"
folder = "leaving"                      # where files are written
mapping = "mapping.toml"
""",
    "sql": """
[agency.target]
kind = "sql"
url = "sqlite:///system.sqlite3"        # or url_env = "...": postgresql://..., mysql://...
mapping = "mapping.toml"
""",
    "python": """
[agency.target]
kind = "python"
handler = "handlers:take"               # in handlers.py, beside this file
mapping = "mapping.toml"
""",
}


def adapter_toml(name: str, agency: str, source: str, target: str, columns: Sequence[str]) -> str:
    """adapter.toml. `columns`: those of the sample system's table."""
    known = {"name": name, "agency": agency, "variable": _variable(agency)}
    pad = {"space": " " * max(0, 33 - len(agency)), "blank": " " * max(0, 20 - len(known["variable"]))}
    reads = _SOURCES.get(source, _SQL_SOURCE)
    quoted = ",\n    ".join(f'"{column}"' for column in columns)
    return (_HEAD + reads + _TARGETS[target]).format(**known, **pad, columns=f"\n    {quoted},\n  ")


def readme(name: str, agency: str, title: str, city: str, source: str, target: str, words: Vocabulary) -> str:
    """README.md: what each file is for, and what to do in which order."""
    secrets = [f"{_variable(agency)}_TOKEN"]
    if target == "webhook":
        secrets.append(f"{_variable(agency)}_WEBHOOK_SECRET")
    if source == "open311":
        secrets.append(f"{_variable(agency)}_APP_KEY")
    if source == "http":
        secrets.append(f"{_variable(agency)}_RECORDS_TOKEN")
    files = [
        ("adapter.toml", "the process: whom it serves, how it is reached, which secrets it needs"),
        *([("mapping.toml", "what a record becomes, and what an event becomes")] if _mapped(source, target) else []),
        ("samples/", "records and events as they come; `check` shows what each becomes"),
        *([("handlers.py", "the functions that read or write your system")] if "python" in (source, target) else []),
        *([("arriving/", "where your system puts its files")] if source == "files" else []),
        *(
            [("sample_system.py", "a sample system in SQLite, until yours is there")]
            if "sql" in (source, target)
            else []
        ),
        ("test_samples.py", "the same check, for `python -m pytest`"),
    ]
    table = "\n".join(f"| `{file}` | {what} |" for file, what in files)
    says = ", ".join(f"`{said.type}`" for said in words.says) or "nothing yet"
    hears = ", ".join(f"`{name}`" for name in words.hears) or "nothing yet"
    exports = "\n".join(f'export {secret}="$(openssl rand -base64 32)"' for secret in secrets)
    return f"""\
# {name}: the adapter of {title}

It says what happens in the system of `{agency}` to the city's bus, and tells the system what concerns it.

| file | what it is |
| --- | --- |
{table}

To begin with it says {says}, and hears of {hears}. The city's agencies.toml says what else it may.

## What to do

1. Put records of your own system into `samples/in/`, {_as(source)}.
2. Change {"`mapping.toml`" if _mapped(source, target) else "them"} until each is understood:

   ```sh
   subak adapter check adapter.toml --offline --city {city}
   ```

3. Say where your system is, in `adapter.toml`{_handlers(source, target)}.{_sample_steps(source, target)}
4. Set the secrets, and try the connections:

   ```sh
{_indented(exports)}
   subak adapter check adapter.toml
   ```

5. Run it, as a service that is started again when it ends:

   ```sh
   subak run adapter adapter.toml
   ```

What an answer or an exit code means: docs/how-to/connect-an-agency.md of Subak.
"""


def handlers(reads: bool, writes: bool, records: list[dict[str, Any]]) -> str:
    """handlers.py."""
    parts = ['"""Reads the system and writes into it. Replace what is between: nothing here is real."""\n']
    if reads:
        parts.append(
            f"RECORDS = {pformat(records, width=110, sort_dicts=False)}\n\n\n"
            "def read(cursor):\n"
            '    """Records that are new since `cursor` (None at first), each with the cursor to go on from."""\n'
            "    for number, record in enumerate(RECORDS):\n"
            "        if cursor is None or number > cursor:\n"
            "            yield record, number\n"
        )
    if writes:
        parts.append(
            "def take(event, rows):\n"
            '    """Put the rows of an event into the system. The same event may come again: put them by their key.\n\n'
            "    Raise schemas.failures.Retryable where the system is away; anything else is a refusal of this event.\n"
            '    """\n'
            "    for row in rows:\n"
            "        print(row.table, row.key, row.values)\n"
        )
    return "\n\n".join(parts)


def _variable(agency: str) -> str:
    return agency.upper().replace("-", "_")


def _mapped(source: str, target: str) -> bool:
    return source not in UNMAPPED_SOURCES or target != "webhook"


def _as(source: str) -> str:
    return "as CSV" if source == "files" else "as JSON"


def _sample_steps(source: str, target: str) -> str:
    if "sql" not in (source, target):
        return ""
    return """ Or make the sample system first:

   ```sh
   python sample_system.py make
   subak adapter sql-ddl adapter.toml | python sample_system.py run
   python sample_system.py add
   ```
"""


def _handlers(source: str, target: str) -> str:
    return " and `handlers.py`" if "python" in (source, target) else ""


def _indented(text: str) -> str:
    return "\n".join(f"   {line}" for line in text.splitlines())
