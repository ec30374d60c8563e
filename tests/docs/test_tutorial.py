"""docs/tutorial.md can be followed word for word: a case goes from hand to hand to its end, and is proved."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text(encoding="utf-8")


def lines(section: int) -> list[str]:
    """The commands of a section."""
    (text,) = re.findall(rf"^## {section}\. .*?(?=^## )", PAGE, re.MULTILINE | re.DOTALL)
    found = [line for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S) for line in block.splitlines()]
    return [line for line in found if not line.startswith((". .venv", "export "))]


class Reader:
    """Whoever follows the tutorial, in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SUBAK_")}
        self.environment = kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"}
        (self.home,) = re.findall(r"^export SUBAK_HOME=(.*)$", PAGE, re.MULTILINE)
        self.case = "ID"

    def start(self, line: str) -> subprocess.Popen[bytes]:
        """Type what stays until Ctrl-C, and wait until it says that all is there."""
        with (self.folder / "up.out").open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {line}"], cwd=self.folder, env=self.environment, stdout=output, stderr=output
            )
        deadline = time.monotonic() + 240
        while "Ctrl-C ends it" not in self.told():
            assert process.poll() is None, self.told()
            assert time.monotonic() < deadline, self.told()
            time.sleep(0.3)
        return process

    def told(self) -> str:
        return (self.folder / "up.out").read_text("utf-8")

    def types(self, line: str, *, code: int = 0) -> str:
        """Type a command, with the case's id where the page says ID."""
        done = subprocess.run(
            ["bash", "-c", re.sub(r"\bID\b", self.case, line)],
            cwd=self.folder,
            env=self.environment | {"SUBAK_HOME": self.home},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, (line, done.stdout, done.stderr)
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    reader = Reader(tmp_path_factory.mktemp("tutorial"))
    (up,) = lines(2)
    process = reader.start(up)
    yield reader
    process.send_signal(signal.SIGINT)
    assert process.wait(90) == 0, reader.told()


def test_a_case_is_taken_to_its_end_by_hand_and_proved(reader: Reader) -> None:
    (report,) = lines(3)
    said = reader.types(report)
    assert "Forwarded to Public Works" in said
    reader.case = re.findall(r"case ([0-9a-f]{8})", said)[0]

    *steps, show, lag, tail = lines(4)
    holders = [reader.types(step).splitlines()[-1] for step in steps]
    assert ["city-administrator" in each for each in holders].index(True) == 3, "whoever is to inspect holds the case"
    assert holders[-1].endswith("closed (rated)")
    assert "USD 130" in reader.types(show)
    reader.types(lag)
    assert reader.types(tail).count(reader.case) >= 10

    (incomplete,) = [line for line in lines(5) if "submitted" in line]
    assert "data.service_code: the field is missing" in reader.types(incomplete, code=1)
    late, refused = lines(5)[1:]
    assert "closed" in reader.types(late, code=1)
    assert "request.rated" in reader.types(refused)

    kill, proof = lines(6)
    assert kill.startswith("pkill -9 -f")
    run = json.loads((reader.folder / reader.home / "run.json").read_text())
    os.kill(run["processes"]["router"]["pid"], signal.SIGKILL)  # the page's way would find other cities' too
    assert "is where it must be" in reader.types(proof)
