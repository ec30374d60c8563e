"""The developers' how-tos, word for word in a copy of the tree: what comes of them is sound and runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.follower import ROOT, Follower, blocks, section

pytestmark = pytest.mark.slow

EVENT_TYPE = ROOT / "docs" / "how-to" / "add-an-event-type.md"
WORKFLOW = ROOT / "docs" / "how-to" / "write-a-workflow.md"


@pytest.fixture
def follower(tmp_path: Path) -> Follower:
    return Follower(tmp_path)


def test_a_workflow_is_written_tested_catalogued_and_drawn(follower: Follower) -> None:
    opening = follower.follows(section(WORKFLOW, "1. What opens a case"))
    assert "repair@2" in opening
    assert "wrote FindReported" in opening
    assert "documents written" in opening
    follower.follows(section(WORKFLOW, "2. The states"))
    assert "3 passed" in follower.follows(section(WORKFLOW, "3. Test it"))

    catalogued = follower.follows(section(WORKFLOW, "4. Put it into the catalogue"))
    assert "Everything fits together." in catalogued
    assert "lost-property@1 in denpasar: no case can stall" in catalogued
    assert "asked --> kept : request acknowledged" in catalogued
    assert (follower.tree / "lost-property.svg").read_text("utf-8").startswith("<svg")
    assert "| kept | timer `keep` |" in (follower.tree / "docs/reference/workflows/lost-property.md").read_text("utf-8")

    follower.lints("schemas/types", "services/workflows", "tests/workflows")

    (changed, *_), _ = (block.text.splitlines() for block in blocks(section(WORKFLOW, "6.")) if block.language == "sh")
    assert changed.endswith("> /tmp/changed.py")
    follower.types(changed.replace("/tmp/", ""))
    text = (follower.tree / "changed.py").read_text("utf-8")
    assert "version=2" in text
    assert "days=60" in text


def test_an_event_type_is_begun_written_published_and_taken(follower: Follower) -> None:
    assert "Somebody added a remark" in follower.follows(section(EVENT_TYPE, "1. Ask"))
    assert "wrote RequestPhotographed in schemas/types/requests.py" in follower.follows(
        section(EVENT_TYPE, "2. Choose")
    )
    replace_body(follower, section(EVENT_TYPE, "3. Write the class"))
    examples = follower.tree / "schemas/examples/subak.request.photographed.v1"
    for begun in (examples / "refused").iterdir():
        begun.unlink()
    shown = re.findall(r"^`((?:valid|refused)/\S+)`\n\n```json\n(.*?)^```$", section(EVENT_TYPE, "4."), re.M | re.S)
    assert len(shown) == 4
    for name, text in shown:
        (examples / name).write_text(text, "utf-8")

    assert "published, current, and compatible" in follower.follows(section(EVENT_TYPE, "5. Publish"))
    said = follower.follows(section(EVENT_TYPE, "6. Let it flow"))
    assert "Everything fits together." in said
    assert said.count("no workflow takes it") == 1, "before its handler is there, and not after"
    follower.lints("schemas/types", "services/workflows")
    assert "subak.request.photographed.v1" in (follower.tree / "docs/reference/workflows/repair.md").read_text("utf-8")


def test_a_new_major_version_reads_the_old_one(follower: Follower) -> None:
    text = section(EVENT_TYPE, "When something must break")
    assert "wrote RequestRatedV2" in follower.follows(text)
    replace_body(follower, text)
    module = follower.tree / "schemas/types/requests.py"
    content = module.read_text("utf-8")
    content = content.replace("from typing import Annotated, Literal", "from typing import Annotated, Any, Literal")
    content = content.replace("from schemas.values", "from schemas.upcast import upcast\nfrom schemas.values", 1)
    module.write_text(content, "utf-8")
    examples = follower.tree / "schemas/examples/subak.request.rated.v2"
    for begun in examples.glob("*/*.json"):
        begun.unlink()
    for name, said in {
        "valid/full": '{"data": {"score": 9, "comment": "Cepat dan rapi."}}',
        "valid/minimal": '{"data": {"score": 0}}',
        "refused/eleven": '{"data": {"score": 11}, "reasons": [["too_large", "data.score"]]}',
        "refused/in-quotes": '{"data": {"score": "9"}, "reasons": [["int_type", "data.score"]]}',
    }.items():
        (examples / f"{name}.json").write_text(said, "utf-8")
    assert "published, current, and compatible" in follower.types("subak schemas publish && subak schemas check")
    follower.lints("schemas/types")


def replace_body(follower: Follower, text: str) -> None:
    """Put the class that the page shows where the command wrote one, at the end of the module."""
    (written,) = [block.text for block in blocks(text) if block.language == "python"]
    path = follower.tree / "schemas/types/requests.py"
    before, _, _ = path.read_text("utf-8").partition(written.splitlines()[0].split(",")[0])
    path.write_text(before + written, "utf-8")
