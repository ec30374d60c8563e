"""An operator's desk: a folder in which the commands of a page are run, with no settings but the page's own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


def blocks(page: str, language: str) -> list[str]:
    """The texts of a page's blocks of this language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Desk:
    """The folder, and the settings that hold in it."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> Mapping[str, str]:
        """This process's, without settings of Subak's, and with its commands first on the path."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SUBAK_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        return {**kept, "PATH": path, **self.settings}

    def tried(self, line: str) -> tuple[int, str]:
        """A command's exit code, and what it said on both outputs."""
        done = subprocess.run(
            ["bash", "-c", line], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def run(self, line: str, *, code: int = 0) -> str:
        """What a command said that ended with this code."""
        found, said = self.tried(line)
        assert found == code, (line, found, said)
        return said

    def run_for_a_while(self, line: str) -> str:
        """A process that runs until SIGTERM: started, waited for until it is at work, and stopped."""
        log = self.folder / "process.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"exec env {line}"], cwd=self.folder, env=self.environment, stdout=output, stderr=output
            )
            deadline = time.monotonic() + 120
            while "lane_ready" not in log.read_text() and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, log.read_text()
        return log.read_text()
