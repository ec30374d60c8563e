"""What the commands that administer a cluster share: the administrator, the city's wishes, plans shown and done."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape

from bus.city import City
from bus.kafka.settings import KafkaSettings
from bus.topics import EVENTS, POSITIONS, STAGES
from bus.topology import Change, Found, Plan, Shape, Standing, difference, standing_of, wanted
from bus.topology.identities import parted
from schemas.failures import Misconfigured
from services.cli.finding import Whereabouts

if TYPE_CHECKING:
    from bus.kafka.admin import ClusterAdmin

SIGNS = {"create": ("+", "green"), "alter": ("~", "yellow"), "delete": ("-", "red")}


@dataclass(frozen=True)
class Administration:
    """A city's cluster, and what it has now."""

    admin: ClusterAdmin
    city: City
    found: Found

    @classmethod
    def here(cls) -> Administration:
        """Of this environment.

        Raises:
            Misconfigured: nothing says where it is, the extra is missing, or we are no administrator.
        """
        whereabouts = Whereabouts.here()
        admin = cluster_admin(whereabouts.administration)
        from bus.kafka.admin import look

        return cls(admin, whereabouts.city, look(admin))

    @property
    def standing(self) -> Standing:
        """Whose credentials count now."""
        return standing_of(self.found)

    def plan(self, standing: Standing | None = None) -> Plan:
        """What is to be done, as the directory says, for these credentials."""
        settings = self.admin.settings
        shape = Shape(
            partitions=settings.partitions,
            replication_factor=settings.replication_factor,
            min_insync_replicas=settings.min_insync_replicas,
        )
        return difference(wanted(self.city.agencies, shape, standing or self.standing, self.city.quotas()), self.found)

    def apply(self, plan: Plan, keep: Callable[[str, str], None]) -> None:
        """Do it; a bus that is new gets its stages' first positions, which state that they begin at the beginning."""
        from bus.kafka.admin import apply
        from bus.kafka.topics import write_first_positions

        apply(self.admin, plan, keep)
        created = {change.name for change in plan.changes if change.act == "create" and change.what == "topic"}
        if {EVENTS, POSITIONS} <= created:
            asyncio.run(write_first_positions(self.admin.settings, STAGES))


def cluster_admin(settings: KafkaSettings) -> ClusterAdmin:
    """An administrator's connection.

    Raises:
        Misconfigured: the extra `admin` is not installed; or as `ClusterAdmin`.
    """
    try:
        from bus.kafka.admin import ClusterAdmin
    except ImportError as error:
        raise Misconfigured(
            f"this needs the extra `admin`, which is not installed ({error.name} is missing): "
            "pip install 'subak[admin]'."
        ) from error
    return ClusterAdmin(settings)


class SecretFiles:
    """Keeps new users' passwords: each identity's in a file of its own, which only its owner can read."""

    def __init__(self, folder: Path | None) -> None:
        self.written: list[Path] = []
        self._folder = folder

    def __call__(self, user: str, password: str) -> None:
        """As `apply` calls it."""
        known = parted(user)
        assert known is not None, "only users of ours are made"
        assert self._folder is not None, "a plan with users is applied with a folder only"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{known[0]}.toml"
        write_credentials(path, user, password)
        self.written.append(path)


def write_credentials(path: Path, user: str, password: str) -> None:
    """Replace a credentials file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise Misconfigured(f"the credentials cannot be written to {path}: {error.strerror}.") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(credentials_text(user, password))
    temporary.replace(path)


def credentials_text(user: str, password: str) -> str:
    """What a credentials file holds. Neither needs an escape: both are made of letters, digits, `-`, `_` and `.`."""
    return f'user = "{user}"\npassword = "{password}"\n'


def print_plan(console: Console, plan: Plan) -> None:
    """As a coloured diff: what comes, what changes, what goes."""
    for change in plan.changes:
        sign, colour = SIGNS[change.act]
        flag = f"  [bold red]needs {escape(change.flag)}[/]" if change.flag else ""
        console.print(f"[{colour}]{sign}[/] {_line(change)}{flag}", soft_wrap=True)
    for problem in plan.problems:
        console.print(f"[bold red]![/] {escape(problem)}", soft_wrap=True)
    for note in plan.notes:
        console.print(f"[yellow]i[/] {escape(note)}", soft_wrap=True)


def counted(plan: Plan) -> str:
    """`3 to create, 1 to change, 0 to delete`."""
    counts = {act: sum(1 for change in plan.changes if change.act == act) for act in SIGNS}
    return f"{counts['create']} to create, {counts['alter']} to change, {counts['delete']} to delete"


def plan_as_dict(plan: Plan) -> dict[str, Any]:
    """For `--json`."""
    return {
        "changes": [_as_dict(change) for change in plan.changes],
        "problems": list(plan.problems),
        "notes": list(plan.notes),
    }


def _as_dict(change: Change) -> Mapping[str, Any]:
    found = {"act": change.act, "what": change.what, "name": change.name, "key": change.key, "before": change.before}
    found |= {"after": change.after, "flag": change.flag}
    return {key: value for key, value in found.items() if value}


def _line(change: Change) -> str:
    name = escape(change.name)
    if change.what == "setting":
        return f"topic [bold]{name}[/]: {change.key} [red]{change.before or '(none)'}[/] → [green]{change.after}[/]"
    if change.what == "grant":
        return name
    if change.what == "quota" and change.act == "alter":
        before, after = change.before or "(none)", change.after or "(none)"
        return f"quota [bold]{name}[/]: [red]{before}[/] → [green]{after}[/]"
    after = f"  [dim]{escape(change.after)}[/]" if change.after else ""
    return f"{change.what} [bold]{name}[/]{after}"
