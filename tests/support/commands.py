"""Whether a command line that stands in a document or a deployment is one that the real command would take."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import typer.main

from services.cli.main import commands


@cache
def root() -> Any:
    """The command `subak`, with all that is under it."""
    return typer.main.get_command(commands())


def problem_of(words: Sequence[str], command: Any = None) -> str | None:
    """Why `subak` would not take these words (those after `subak`); None where it would.

    Commands, options and the number of arguments are held against the real ones; what values mean is not, since a
    document says `ID` where a case's id stands.
    """
    found, rest = command or root(), list(words)
    named = ["subak"]
    while hasattr(found, "commands") and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        under = found.commands.get(name)
        if under is None:
            return f"`{' '.join(named)}` has no command {name}; it has {', '.join(sorted(found.commands))}"
        found = under
        named.append(name)
    if hasattr(found, "commands") and not found.invoke_without_command and not set(rest) & {"--help", "--version"}:
        return f"`{' '.join(named)}` needs one of {', '.join(sorted(found.commands))}"
    return _problem_of_parameters(" ".join(named), found, rest)


def _problem_of_parameters(named: str, command: Any, words: list[str]) -> str | None:
    options = {
        text: parameter
        for parameter in command.params
        if parameter.param_type_name == "option"
        for text in (*parameter.opts, *parameter.secondary_opts)
    }
    plain: list[str] = []
    given: set[str | None] = set()
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word == "-":
            plain.append(word)
            continue
        name, equals, _ = word.partition("=")
        if name == "--help":
            return None
        option = options.get(name)
        if option is None:
            return f"`{named}` has no option {name}; it has {', '.join(sorted(options)) or 'none'}"
        given.add(option.name)
        if not (option.is_flag or option.count or equals):
            if not words:
                return f"`{named} {name}` needs a value"
            words.pop(0)
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    least = sum(1 for argument in arguments if argument.required)
    if len(plain) < least:
        return f"`{named}` needs {least} arguments: {', '.join(str(a.human_readable_name) for a in arguments)}"
    if len(plain) > len(arguments) and not any(argument.nargs == -1 for argument in arguments):
        return f"`{named}` takes {len(arguments)} arguments, and {len(plain)} stand there: {plain}"
    missing = [o.opts[0] for o in options.values() if o.required and o.name not in given]
    return f"`{named}` needs {missing[0]}" if missing else None
