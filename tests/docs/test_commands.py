"""Every command that a document names is one that the program has, with the options that stand there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.settings import Settings
from services.cli.reference import page
from tests.support.commands import problem_of, root

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str) -> Iterator[str]:
    """Each line of a fenced or an indented block, lines that go on (`\\`) as one."""
    fenced = False
    kept = ""
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
            continue
        if fenced or line.startswith("    "):
            kept += line.strip()
            if kept.endswith("\\"):
                kept = kept[:-1]
                continue
            yield kept
        kept = ""


def words_of(line: str) -> list[str] | None:
    """A shell line's words, without its prompt, settings before it and comment after it; None where it is none."""
    line = re.sub(r"^\$ ", "", line)
    line = re.split(r"\s+#\s|\s+[|>&]|\s+2>|;", line)[0]
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    return words


def stated(path: Path) -> Iterator[tuple[str, list[str], bool]]:
    """(line, words, whether it stands in a block) of each command that the document names."""
    text = path.read_text("utf-8")
    for line in blocks(text):
        if words := words_of(line):
            yield line, words, True
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    for line in re.findall(r"`((?:subak|make|python -m) [^`]+)`", prose):
        if words := words_of(" ".join(line.split())):
            yield line, words, False


def commands(program: str) -> list[tuple[str, str, list[str], bool]]:
    found = []
    for path in DOCUMENTS:
        for line, words, in_block in stated(path):
            if Path(words[0]).name == program and (program != "subak" or "/" not in words[0] or "bin/" in words[0]):
                found.append((str(path.relative_to(ROOT)), line, words[1:], in_block))
    return found


def cut(words: list[str]) -> list[str]:
    """Without what stands for more: `...`, or an option in brackets."""
    for place, word in enumerate(words):
        if word in ("...", "…") or word.startswith("["):
            return words[:place]
    return words


def test_documents_name_many_commands() -> None:
    assert len(commands("subak")) > 100
    assert len(commands("make")) > 8


def test_every_subak_command_in_a_document_is_one_that_there_is() -> None:
    wrong = []
    for where, line, words, in_block in commands("subak"):
        said = cut(words)
        problem = problem_of(said)
        shortened = len(said) < len(words) or not in_block  # `subak case` in a sentence means the group
        if problem is not None and not (shortened and (" needs " in problem)):
            wrong.append(f"{where}: {line}: {problem}")
    assert wrong == [], "\n".join(wrong)


def test_every_make_target_in_a_document_is_one_that_there_is() -> None:
    targets = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    wrong = [
        f"{where}: {line}"
        for where, line, words, _ in commands("make")
        for word in words
        if "=" not in word and not word.startswith("-") and word not in targets
    ]
    assert wrong == []


def test_every_measurement_in_a_document_is_one_that_there_is() -> None:
    from bench.__main__ import MEASURES

    named = [(w, line, words) for w, line, words, _ in commands("python") if words[:2] == ["-m", "bench"]]
    assert named
    for where, line, words in named:
        plain = [word for word in words[2:] if re.fullmatch(r"[a-z_]+", word)]
        assert not plain or plain[0] in MEASURES, f"{where}: {line}"


def test_every_module_that_a_document_runs_is_there() -> None:
    for where, line, words, _ in commands("python"):
        if words[:1] == ["-m"] and words[1].split(".")[0] in ("bench", "deploy", "services"):
            module = ROOT / words[1].replace(".", "/")
            assert module.with_suffix(".py").is_file() or (module / "__main__.py").is_file(), f"{where}: {line}"


def test_every_setting_in_a_document_is_one_that_there_is() -> None:
    known = {f"SUBAK_{name.upper()}" for name in Settings.model_fields}
    for path in DOCUMENTS:
        named = set(re.findall(r"\bSUBAK_[A-Z][A-Z0-9_]*\b(?!_?\.\.\.)", path.read_text("utf-8")))
        assert named <= known, f"{path.relative_to(ROOT)} names {named - known}"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("subak lagg", "has no command lagg"),
        ("subak case list --overdu", "has no option --overdu"),
        ("subak case show", "needs 1 arguments"),
        ("subak parked show A B C D", "takes"),
        ("subak case list --agency", "needs a value"),
    ],
)
def test_a_wrong_command_is_seen(line: str, told: str) -> None:
    assert told in (problem_of(line.split()[1:]) or "")


def test_the_reference_of_commands_is_current_and_complete() -> None:
    assert (ROOT / "docs/reference/cli.md").read_text("utf-8") == page(), (
        "run `python -m services.cli.reference > docs/reference/cli.md`"
    )
    sections = set(re.findall(r"^## subak (\S+)", page(), re.M))
    assert sections == set(root().commands)


def test_the_reference_can_be_written_by_the_command_that_it_names() -> None:
    ran = subprocess.run([sys.executable, "-m", "services.cli.reference"], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout == page()
