"""The house's own laws. Each failure says what to do next."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from bus import metrics
from bus.settings import Settings

ROOT = Path(__file__).parents[1]
CODE = ("schemas", "bus", "adapters", "services", "deploy")

LINES_MAX = 350
MODULES_LONGER_WITH_REASON = {
    "bus/kafka/lane.py": "the order of its steps is its promise",
}


def tracked() -> list[Path]:
    """Files under version control, or all where the project is not a checkout."""
    found = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip("not a git checkout, so there is no list of the project's files")
    return [ROOT / line for line in found.stdout.splitlines() if (ROOT / line).is_file()]


def modules() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in CODE]


def test_every_module_begins_with_its_promise() -> None:
    silent = [str(p.relative_to(ROOT)) for p in modules() if not ast.get_docstring(ast.parse(p.read_text("utf-8")))]
    assert silent == [], f"begin these modules with a docstring that says what they guarantee: {silent}"


def test_a_module_is_short_enough_to_be_one_idea() -> None:
    long = {
        str(p.relative_to(ROOT)): count
        for p in modules()
        if (count := len(p.read_text("utf-8").splitlines())) > LINES_MAX
        and str(p.relative_to(ROOT)) not in MODULES_LONGER_WITH_REASON
    }
    assert long == {}, f"look for the seam in these modules, or give the reason in this test: {long}"


def test_no_file_names_a_place_of_one_machine() -> None:
    place = re.compile(r"(?<![\w.])/(?:work|root|farm)/|/home/[a-z]+/")
    found = []
    for path in tracked():
        if path.name in ("requirements.lock", "test_repository.py"):
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in place.finditer(text)]
    assert found == [], f"use a relative path: {found}"


def test_every_setting_is_in_the_reference() -> None:
    reference = (ROOT / "docs/reference/settings.md").read_text("utf-8")
    missing = [name for name in Settings.model_fields if f"SUBAK_{name.upper()}" not in reference]
    assert missing == [], f"run `subak settings --markdown > docs/reference/settings.md`: it lacks {missing}"


def test_every_metric_is_in_the_reference_with_what_to_do() -> None:
    reference = (ROOT / "docs/reference/metrics.md").read_text("utf-8")
    names = [
        metric._name
        for metric in vars(metrics).values()
        if hasattr(metric, "_name") and str(metric._name).startswith("subak_")
    ]
    assert names, "no metric was found: this test looks at the wrong place"
    missing = [name for name in names if name not in reference]
    assert missing == [], f"add to docs/reference/metrics.md what these tell and what an operator does: {missing}"


def test_every_relative_link_in_the_docs_leads_somewhere() -> None:
    broken = []
    for path in tracked():
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text("utf-8")):
            if not (path.parent / target).exists():
                broken.append(f"{path.relative_to(ROOT)} -> {target}")
    assert broken == [], f"mend these links: {broken}"
