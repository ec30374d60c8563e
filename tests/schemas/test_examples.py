"""Every type ships with examples, valid and refused, and no example is wrong, unreferenced or in a strange place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import schemas.types
from schemas.example_files import EXAMPLES, example_problems, examples_of
from schemas.failures import Misconfigured
from schemas.registry import registry

RATED = "subak.request.rated.v1"

assert schemas.types


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """A copy of all examples, to spoil."""
    return Path(shutil.copytree(EXAMPLES, tmp_path / "examples"))


def test_all_examples_agree_with_their_types() -> None:
    assert example_problems() == []


def test_an_example_that_belongs_to_no_type_is_found(examples: Path) -> None:
    shutil.copytree(examples / RATED, examples / "subak.request.applauded.v1")
    (problem,) = example_problems(folder=examples)
    assert "subak.request.applauded.v1 belongs to no event type" in problem


def test_a_valid_example_that_is_refused_is_found_with_the_reason(examples: Path) -> None:
    (examples / RATED / "valid" / "full.json").write_text('{"data": {"score": 6, "comment": "!"}}')
    (problem,) = example_problems(folder=examples)
    assert "the valid example full is refused: data.score" in problem


def test_a_refused_example_that_is_accepted_is_found(examples: Path) -> None:
    content = {"data": {"score": 4}, "reasons": [["too_large", "data.score"]]}
    (examples / RATED / "refused" / "score-six.json").write_text(json.dumps(content))
    (problem,) = example_problems(folder=examples)
    assert "the refused example score-six is accepted" in problem


def test_a_refused_example_with_other_reasons_is_found(examples: Path) -> None:
    content = {"data": {"score": 6}, "reasons": [["too_small", "data.score"]]}
    (examples / RATED / "refused" / "score-six.json").write_text(json.dumps(content))
    (problem,) = example_problems(folder=examples)
    assert '[["too_small", "data.score"]], but they are [["too_large", "data.score"]]' in problem


def test_a_type_with_too_few_examples_is_found_and_so_is_a_field_that_none_shows(examples: Path) -> None:
    (examples / RATED / "valid" / "full.json").unlink()
    found = example_problems(folder=examples)
    assert any("has 1 valid examples: add 1" in problem for problem in found)
    assert any("no valid example shows comment" in problem for problem in found)


def test_a_file_in_a_strange_place_is_found(examples: Path) -> None:
    (examples / RATED / "full.json").write_text("{}")
    (problem,) = example_problems(folder=examples)
    assert "holds full.json" in problem


@pytest.mark.parametrize("text", ["", "[]", '{"data": {}, "reasons": []}', '{"dat": {}}', "{"])
def test_a_file_that_is_no_example_stops_with_its_name(examples: Path, text: str) -> None:
    (examples / RATED / "valid" / "full.json").write_text(text)
    with pytest.raises(Misconfigured, match=r"subak\.request\.rated\.v1: valid/full\.json is not an example"):
        examples_of(registry.get(RATED), examples)
