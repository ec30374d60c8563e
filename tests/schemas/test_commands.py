"""`subak schemas` and `subak new`, as a developer uses them: what is shown, what is refused, and what is begun."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from schemas.failures import Misconfigured
from schemas.registry import UnknownType, registry
from services.cli import new, schemas

ROOT = Path(__file__).parents[2]
SUNG = "subak.request.sung.v1"


def shown(*arguments: str) -> Result:
    """What `subak schemas` does with these arguments."""
    return CliRunner().invoke(schemas.app, list(arguments), catch_exceptions=False)


def test_list_shows_every_type_with_its_owner() -> None:
    text = shown("list").stdout
    assert f"{len(list(registry))} event types" in text
    assert "subak.workorder.defectfound.v1" in text
    found = json.loads(shown("list", "--domain", "approval", "--json").stdout)
    assert {each["type"] for each in found} == {each.name for each in registry if each.domain == "approval"}
    assert "finance" in {each["owner"] for each in found}


def test_show_tells_fields_values_and_examples() -> None:
    text = shown("show", "subak.request.commented.v1").stdout
    assert "text, 1 to 200 characters, optional, personal" in text
    assert "empty-text (refused: too_short at data.text)" in text
    assert json.loads(shown("show", "subak.request.rated.v1", "--json").stdout)["title"] == "subak.request.rated.v1"


def test_show_of_a_type_that_there_is_not_names_the_nearest() -> None:
    with pytest.raises(UnknownType, match=r"Did you mean subak\.request\.commented\.v1"):
        shown("show", "subak.request.comented.v1")


def test_check_is_content_with_what_is_published() -> None:
    result = shown("check")
    assert result.exit_code == 0
    assert "published, current, and compatible" in result.stdout
    assert json.loads(shown("check", "--json").stdout) == {"ok": True, "findings": []}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source tree, as far as the shared language needs it."""
    home = tmp_path_factory.mktemp("tree")
    without = shutil.ignore_patterns("__pycache__", "node_modules")
    for folder in ("schemas", "services/cli", "docs/reference"):
        shutil.copytree(ROOT / folder, home / folder, ignore=without)
    for name in ("pyproject.toml", "services/__init__.py"):
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, home / name)
    return home


def run(tree: Path, app: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the copied tree, in a process of its own, so that it sees the classes as they are there."""
    code = f"from services.cli.{app} import app; app()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tree,
        env={"PYTHONPATH": str(tree), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
def test_a_new_type_is_begun_described_published_and_then_guarded(tree: Path) -> None:
    begun = run(tree, "new", "event-type", SUNG, "--owner", "citizens-channel")
    assert begun.returncode == 0, begun.stderr
    assert "wrote RequestSung in schemas/types/requests.py" in begun.stdout

    skeleton = run(tree, "schemas", "publish")
    assert skeleton.returncode == 1
    assert "say in the docstring of RequestSung what happened" in skeleton.stdout

    module = tree / "schemas" / "types" / "requests.py"
    said = module.read_text().replace("Say here in one sentence what happened, in the past tense.", "A song was sung.")
    module.write_text(said)
    assert run(tree, "schemas", "publish").returncode == 0
    assert run(tree, "schemas", "check").returncode == 0
    assert f"## {SUNG}" in (tree / "docs" / "reference" / "event-types.md").read_text()

    required = said.replace(
        '    reason: Text1000 | None = None\n    """Why."""', '    reason: Text1000\n    """Why."""'
    )
    assert required != said
    module.write_text(required)
    refused = run(tree, "schemas", "check", "--json")
    assert refused.returncode == 1
    problems = [each["problem"] for each in json.loads(refused.stdout)["findings"]]
    assert "`reason` became required: old events lack it" in problems
    assert run(tree, "schemas", "publish").returncode == 1
    module.write_text(said)


@pytest.mark.slow
def test_what_is_begun_satisfies_the_linter(tree: Path) -> None:
    begun = [
        run(tree, "new", "event-type", "subak.request.rated.v7", "--owner", "citizens-channel"),
        run(tree, "new", "event-type", "subak.festival.granted.v1", "--owner", "planning", "--kind", "command"),
    ]
    assert [each.returncode for each in begun] == [0, 0], begun[0].stderr + begun[1].stderr
    assert "Write how subak.request.rated.v1 becomes this one: @upcast" in begun[0].stdout
    assert "The domain is new" in begun[1].stdout
    for command in (["check"], ["format", "--check"]):
        linted = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "schemas/types"],
            cwd=tree,
            capture_output=True,
            text=True,
            check=False,
        )
        assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["subak.request.rated.v1"], "there is an event type subak.request.rated.v1 already"),
        (["request.photographed"], "Send subak.<domain>.<event>.v<major>"),
        (["subak.request.Photographed.v1"], "this is not the name of an event type"),
        ([SUNG, "--publisher", "nobody"], "--publisher is one of agency, bus, any"),
        ([SUNG, "--kind", "wish"], "--kind is one of event, command"),
        ([SUNG, "--root", "/"], "is not a source tree of Subak"),
    ],
)
def test_a_wrong_beginning_is_refused_in_words(arguments: list[str], said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        CliRunner().invoke(new.app, ["event-type", *arguments, "--owner", "finance"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("subak.request.photographed.v1", "RequestPhotographed"),
        ("subak.workorder.inspected.v2", "WorkOrderInspectedV2"),
        ("subak.festival.granted.v10", "FestivalGrantedV10"),
    ],
)
def test_a_class_is_named_by_its_type(name: str, expected: str) -> None:
    assert new.class_name_of(name) == expected
