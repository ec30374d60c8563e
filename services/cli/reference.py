"""`python -m services.cli.reference`: the reference page of every command, made from the commands themselves."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

import typer.main

HEAD = """# Commands

Each says more with `--help`. Exit codes: 0 done, 1 it failed or found something, 78 a person must change something
first. Made by `python -m services.cli.reference`.
"""


def page() -> str:
    """The page, in Markdown."""
    from services.cli.main import commands

    root = typer.main.get_command(commands())
    return HEAD + "".join(_sections("subak", root)) + "\n"


def _sections(name: str, command: Any) -> Iterator[str]:
    """A section for a command, or for each command of a group."""
    under = getattr(command, "commands", None)
    if under is None:
        yield _section(name, command)
        return
    for each in sorted(under):
        if not under[each].hidden:
            yield from _sections(f"{name} {each}", under[each])


def _section(name: str, command: Any) -> str:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    needed = [f"{one.opts[0]} {one.name.upper()}" for one in options if one.required]
    usage = " ".join([name, *(_placed(one) for one in arguments), *needed])
    rows = [f"| `{_placed(one)}` | | {_plain(one.help)} |" for one in arguments]
    rows += [f"| {_names(one)} | {_default(one)} | {_plain(one.help)} |" for one in sorted(options, key=_first)]
    table = "\n\n| | default | |\n| --- | --- | --- |\n" + "\n".join(rows) if rows else ""
    return f"\n## {name}\n\n    {usage}\n\n{_told(command.help)}{table}\n"


def _placed(argument: Any) -> str:
    name = str(argument.make_metavar(None) if argument.metavar is None else argument.metavar).strip("[]").rstrip(".")
    return f"{name.upper()}{'...' if argument.nargs == -1 else ''}"


def _first(option: Any) -> str:
    return str(option.opts[0])


def _names(option: Any) -> str:
    return ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))


def _default(option: Any) -> str:
    if option.default in (None, "", False, ()) or callable(option.default):
        return ""
    return f"`{option.default}`" if option.default is not True else f"`{option.opts[0]}`"


def _plain(text: str | None) -> str:
    """Without rich's marks, and fit for a cell."""
    return re.sub(r"\[/?[a-z ]*\]", "", " ".join((text or "").split())).replace("|", "\\|").replace("<", "&lt;")


def _told(text: str | None) -> str:
    paragraphs = re.split(r"\n\s*\n", (text or "").replace("\f", ""))
    plain = re.sub(r"\[/?(bold|red|green|cyan)?\]", "", "\n\n".join(" ".join(part.split()) for part in paragraphs))
    return plain.strip()


if __name__ == "__main__":
    sys.stdout.write(page())
