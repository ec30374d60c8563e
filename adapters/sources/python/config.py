"""The keys of a `[[agency.source]]` of kind `python`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from adapters.handlers import HANDLER_PATTERN
from schemas.strict import Strict
from schemas.values import Text500


class PythonSourceConfig(Strict):
    """Which function gives what happened, and how often it is asked."""

    handler: Annotated[str, StringConstraints(pattern=HANDLER_PATTERN, max_length=200)]
    """`package.module:function`: called with the cursor (None at first), it gives records, or pairs of a record and the
    cursor to go on from. A generator, an async generator, or a function that returns a list. Modules beside
    adapter.toml are found."""
    mapping: Text500 | None = None
    """The mapping that makes events of records, relative to adapter.toml. Without it the function gives events in the
    short form: `type`, `data`, `id`, `time`, `subject`."""
    refused: Annotated[str, StringConstraints(pattern=HANDLER_PATTERN, max_length=200)] | None = None
    """`package.module:function`, called with a record that was refused and the reasons, each a dict with code, field,
    problem and fix. Without it they are logged."""
    poll_seconds: float = Field(default=5.0, gt=0, le=86_400)
    """Pause before the function is called again, after it has come to its end."""
    batch_records_max: int = Field(default=500, ge=1, le=10_000)
    """Records stored together, and held in memory. A crash reads at most so many again."""
