"""`subak settings`: every setting, its value here, and what it does. The reference page is made by it."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bus.settings import PREFIX, Settings, read_settings

HEAD = """# Settings

Read once, when a process starts: from the environment, or from the TOML file that `SUBAK_SETTINGS` names (the same
names without the prefix, in lower case). The environment wins. A setting that does not exist is refused, with the
nearest that does. Made by `subak settings --markdown`.

| setting | default | what it does |
| --- | --- | --- |
"""


def settings(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: name to value.")] = False,
    markdown: Annotated[bool, typer.Option(help="The reference page, with defaults.")] = False,
) -> None:
    """Show every setting, its value in this environment, and what it does."""
    fields = Settings.model_fields
    if markdown:
        rows = [
            f"| `{PREFIX}{name.upper()}` | {f'`{field.default}`' if field.default not in (None, '') else ''} "
            f"| {' '.join((field.description or '').split())} |"
            for name, field in fields.items()
        ]
        typer.echo(HEAD + "\n".join(rows))
        return
    found = read_settings()
    if as_json:
        typer.echo(
            json.dumps({PREFIX + name.upper(): _shown(name, getattr(found, name)) for name in fields}, default=str)
        )
        return
    table = Table("setting", "value", "what it does")
    for name, field in fields.items():
        value = str(_shown(name, getattr(found, name)) or "")
        table.add_row(PREFIX + name.upper(), f"[bold]{value}[/]", " ".join((field.description or "").split()))
    Console().print(table)


def _shown(name: str, value: object) -> object:
    """A value as it may be shown: of a password only that there is one."""
    return "(set)" if name.endswith("_password") and value else value
