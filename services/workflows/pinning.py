"""A case keeps the version of its workflow: which cases can be read back, and which move to a newer one first. Pure.

While the changelog is read, cases of versions that are gone are only noted: a later record may close them. When all is
read, either every live case has its version, or a migration that covers the state in which it stands, or the stage does
not start and says which cases want what. So no migration runs before all are known to be covered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

from schemas.failures import Misconfigured
from services.workflows.definition import CLOSED, CaseState, Migration, Workflow

SHOWN_MAX = 5
"""Case ids in a sentence."""


class Pinning:
    """What one stage's workflows can read, and the cases that wait for the end of the changelog."""

    def __init__(self, workflows: Mapping[str, Workflow]) -> None:
        self._workflows = workflows
        self._migrations = {frm: (one, to) for to in workflows.values() for frm, one in to.migrations.items()}
        self._decoders = {
            id: msgspec.json.Decoder(workflow.case) for id, workflow in workflows.items() if id not in self._migrations
        }
        self._older = {frm: msgspec.json.Decoder(one.case) for frm, (one, _) in self._migrations.items()}
        self._waiting: dict[str, CaseState] = {}
        """Cases of older versions, to be moved."""
        self._unknown: dict[str, str] = {}
        """Cases of versions that nobody has: id → workflow."""

    def read(self, id: str, workflow: str, value: bytes) -> CaseState | None:
        """A live case as the changelog has it; None where it waits for the end."""
        self.forget(id)
        decoder = self._decoders.get(workflow)
        if decoder is not None:
            return decoder.decode(value)
        older = self._older.get(workflow)
        if older is None:
            self._unknown[id] = workflow
        else:
            self._waiting[id] = older.decode(value)
        return None

    def forget(self, id: str) -> None:
        """What was noted of a case counts no more: a later record tells of it."""
        if self._waiting or self._unknown:
            self._waiting.pop(id, None)
            self._unknown.pop(id, None)

    def moved(self) -> list[CaseState]:
        """The cases of older versions, moved to the newer ones. Called when all is read.

        Raises:
            Misconfigured: live cases are pinned to a version that is gone, or stand in a state that no migration
                covers, or a migration does not do what it declares. Nothing was moved.
        """
        problems = [*self._gone(), *self._uncovered()]
        if problems:
            raise Misconfigured(" ".join(problems))
        moved = [self._move(case) for case in self._waiting.values()]
        self._waiting.clear()
        return moved

    def _gone(self) -> list[str]:
        return [
            f"{_cases(count, [id for id, pinned in self._unknown.items() if pinned == workflow])} pinned to the "
            f"workflow {workflow!r}, which this version of Subak does not have. Run the version that has it until its "
            "cases are closed, or give a newer version of it a migration."
            for workflow, count in Counter(self._unknown.values()).items()
        ]

    def _uncovered(self) -> list[str]:
        standing: dict[tuple[str, str], list[str]] = {}
        for id, case in self._waiting.items():
            migration, _ = self._migrations[case.workflow]
            if case.state not in migration.states:
                standing.setdefault((case.workflow, case.state), []).append(id)
        return [
            f"{_cases(len(ids), ids)} in the state {state!r} of {workflow}, which the migration to "
            f"{self._migrations[workflow][1].id} does not cover. Name the state in its `states`, and say how such a "
            "case goes on."
            for (workflow, state), ids in standing.items()
        ]

    def _move(self, case: CaseState) -> CaseState:
        migration, to = self._migrations[case.workflow]
        try:
            moved = migration.move(case)
        except Exception as error:
            raise _broken(migration, to, case, f"raised {error!r}") from error
        if moved.state != migration.states[case.state]:
            problem = f"led to {moved.state!r}, and declares {migration.states[case.state]!r}"
            raise _broken(migration, to, case, problem)
        if (moved.workflow, moved.id) != (to.id, case.id) or not isinstance(moved, to.case):
            raise _broken(migration, to, case, f"gave no case of {to.id} with the same id")
        return moved


def _broken(migration: Migration, to: Workflow, case: CaseState, problem: str) -> Misconfigured:
    return Misconfigured(
        f"the migration of {migration.from_workflow} to {to.id} {problem}, for the case {case.id} in the state "
        f"{case.state!r}. Correct it: nothing was moved, and the older version still runs these cases."
    )


def _cases(count: int, ids: list[str]) -> str:
    shown = ", ".join(sorted(ids)[:SHOWN_MAX])
    more = f" and {count - SHOWN_MAX} more" if count > SHOWN_MAX else ""
    return f"{count} live {'case is' if count == 1 else 'cases are'} ({shown}{more})"


def states_without_migration(workflow: Workflow, migration: Migration) -> list[str]:
    """States of an older version, still in the catalogue, that a migration from it does not name."""
    live = {state for transition in workflow.transitions for state in (*transition.states, *transition.to)}
    return sorted(live - {CLOSED} - set(migration.states))
