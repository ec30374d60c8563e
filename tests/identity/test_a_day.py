"""docs/how-to/a-day-in-operations.md can be followed word for word: every block in its order, on real processes.

The test looks again where an operator would look again. Where the page waits for nobody, it does not either. The day
takes five minutes and more, so it is one of `make soak`; each thing that it does has a short test in `make test`.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from deploy.local.children import Child, log_tail, start_child, stop_child
from deploy.local.ports import free_ports
from tests.identity.desk import HOW_TO, Desk

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(2400)]

PAGE = (HOW_TO / "a-day-in-operations.md").read_text(encoding="utf-8")
RULES = HOW_TO.parents[1] / "deploy" / "prometheus" / "alerts.yml"

PORTS = ("8460", "19090", "19093")
"""That the page takes, and that others may have here."""

SEEN_SECONDS_MAX = 500.0
"""How long what the page promises may take to be seen, on a machine that does other things as well."""

UP = {
    "subak up": "Ctrl-C ends it",
    "subak run adapter": "inbox_reader_began",
    "prometheus-alertmanager": "Listening on",
    "prometheus ": "Server is ready to receive web requests",
}
"""What a process of a terminal of its own says once it is at work."""

WELL, AS_ASKED, FIFTY = "All is well", "as the city's directory asks", "50 cases are parked"

CASE = r"(?m)^ \S{36} .*Damaged pier"

SAYS: dict[str, list[str | tuple[int, str]]] = {
    "subak doctor": [
        WELL,
        "agency-port is suspended. `subak agency add port`",
        r"kafka-2 at \S+ does not answer[\s\S]*copies that are behind[\s\S]*Nothing stands still",
        WELL,
        WELL,
        WELL,
    ],
    "subak topology plan || true": [r"user agency-port.1\n19 to create, 0 to change, 0 to delete"],
    "subak topology apply": ["Credentials of users: 1"],
    "subak topology plan": [AS_ASKED, AS_ASKED, rf"agency-port is suspended[\s\S]*{AS_ASKED}", AS_ASKED],
    "subak case list --agency port --state forwarded": [(10, CASE), (10, CASE), (50, CASE)],
    "subak case list --agency port --state ordered": [(10, CASE), (50, CASE)],
    "subak case list --agency port --state in_progress": [(10, CASE)],
    "subak case list --state completed": [(10, CASE)],
    "curl": [r"subak_outbox_depth\{agency=\"port\"\} 10.0"],
    "amtool": [FIFTY],
    "subak parked list --by cause": [r"workorder.accepted +KeyError\('pier-damage'\) +50"],
    "subak parked list --limit 5": [(5, "workorder.accepted +1 +KeyError")],
    "subak parked show $CASE --original": [r"(?s)subak.workorder.accepted.v1.*subak.workorder.started.v1"],
    "subak parked show $CASE": ["1 more event waits behind it"],
    "grep case_parked": [r"work\.py[\s\S]*KeyError: 'pier-damage'"],
    "subak parked replay --all --dry-run": [(50, "run again +2 +in_progress")],
    "subak parked replay --all --reason": ["50 runs again"],
    "subak parked list": ["No case is parked"],
    "subak rejected list": ["Nothing was refused"],
    "subak case list --agency port --state in_progress --limit 5": [(5, CASE)],
    "subak case show $CASE": [
        r"(?s)case.parked.*Replay requested: Release 2 knows every service again.*Runs again, events run: 2"
    ],
    "subak reconcile": ["Every event since .* is where it must be"],
}
"""What the page's commands say, each time that they stand there: a pattern, or how often at least it is found."""

WATCHING = ("prometheus-alertmanager", "prometheus ", "amtool")
"""What is passed over where it is not installed."""


@dataclass(frozen=True)
class Block:
    """One of the page's: a file, a process that stays, or commands."""

    kind: str
    file: str
    text: str


@dataclass
class Day:
    """The page as it is gone through."""

    desk: Desk
    ports: dict[str, str]
    terminals: ExitStack
    left: dict[str, list[str | tuple[int, str]]] = field(
        default_factory=lambda: {key: list(said) for key, said in SAYS.items()}
    )
    said: dict[str, str] = field(default_factory=dict)
    """Command → what it said last."""
    children: dict[str, Child] = field(default_factory=dict)

    def do(self, block: Block) -> None:
        text = re.sub("|".join(self.ports), lambda found: self.ports[found[0]], block.text)
        if block.file:
            (self.desk.folder / block.file).parent.mkdir(exist_ok=True)
            (self.desk.folder / block.file).write_text(text, encoding="utf-8")
        elif block.kind == "bash":
            self._start(text.strip())
        else:
            settings = ""
            for command in commands(text):
                if re.match(r"[A-Z]+=\S+\n?$|[A-Z]+=\$\(.*\)$", command):
                    settings += f"{command}\n"
                else:
                    self._run(settings, command)

    def _start(self, line: str) -> None:
        sign = next(key for key in UP if key in line)
        if sign in WATCHING and not watched():
            return
        log = self.desk.folder / f"{len(self.children)}.log"
        argv = ["/bin/bash", "-c", f"cd {self.desk.folder} && exec env {line}"]
        child = start_child(argv, log=log, env=dict(self.desk.environment))
        self.terminals.callback(stop_child, child, grace_seconds=60)
        self.children[line] = child
        self._until(lambda: UP[sign] in log.read_text(errors="replace"), lambda: f"{line}: {log_tail(log)}", child)

    def _run(self, settings: str, command: str) -> None:
        if command.startswith(WATCHING) and not watched():
            return
        known = [key for key in SAYS if command.startswith(key)]
        if not known:
            self.said[command] = self.desk.run(settings + command)
            return
        key = max(known, key=len)
        wanted = self.left[key].pop(0)
        if ("replay" in command and "--dry-run" not in command) or "apply" in command:
            code, said = self.desk.tried(settings + command)
            assert (code, holds(wanted, said)) == (0, True), (command, wanted, code, said)
        else:
            said = self._look(settings + command, wanted)
        self.said[command] = said

    def _look(self, command: str, wanted: str | tuple[int, str]) -> str:
        """What the command says once it says what it must, and ends well."""
        found = (1, "")

        def seen() -> bool:
            nonlocal found
            found = self.desk.tried(command)
            return found[0] == 0 and holds(wanted, found[1])

        self._until(seen, lambda: f"{command}: not {wanted!r} but {found}")
        return found[1]

    def _until(self, holds: object, why: object, child: Child | None = None) -> None:
        assert callable(holds)
        assert callable(why)
        deadline = time.monotonic() + SEEN_SECONDS_MAX
        while not holds():
            assert time.monotonic() < deadline, why()
            assert child is None or child.poll() is None, why()
            time.sleep(0.5)


def holds(wanted: str | tuple[int, str], said: str) -> bool:
    """Whether a command said it."""
    count, pattern = (1, wanted) if isinstance(wanted, str) else wanted
    return len(re.findall(pattern, said)) >= count


def commands(text: str) -> Iterator[str]:
    """A block's commands, each with the lines that it reads."""
    kept: list[str] = []
    for line in text.splitlines():
        kept.append(line)
        if "<<'END'" in kept[0] and line != "END":
            continue
        yield "\n".join(kept)
        kept = []
    assert not kept


def watched() -> bool:
    """Whether the two that watch are installed."""
    return all(shutil.which(program) for program in ("prometheus", "prometheus-alertmanager", "amtool"))


def page() -> list[Block]:
    """The page's blocks, in their order."""
    found = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [Block(*one) for one in found]


@pytest.mark.soak
def test_every_command_of_the_page_does_what_it_says_in_its_order(tmp_path: Path) -> None:
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    with ExitStack() as terminals:
        day = Day(Desk(tmp_path), ports, terminals)
        for block in page():
            day.do(block)
        left = {key for key, said in day.left.items() if said}
        assert left == (set() if watched() else {"amtool"}), "the page no longer has these"
        for process in day.children.values():
            assert process.poll() is None


def test_the_page_says_how_long_the_alert_waits() -> None:
    (rule,) = [
        one for one in yaml.safe_load(RULES.read_text())["groups"][0]["rules"] if one["alert"] == "SubakCasesParked"
    ]
    assert rule["for"] == "1m"
    assert yaml.safe_load((RULES.parent / "prometheus.yml").read_text())["global"]["scrape_interval"] == "15s"
    assert "Every fifteen seconds Prometheus looks, and a case that is parked for a minute is an alert." in PAGE
