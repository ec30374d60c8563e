"""The keys of a `[[agency.source]]` of kind `sql`, and of its `[[agency.source.table]]`s."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.strict import Strict
from schemas.values import Text500

_PART = r"\w[\w $#-]{0,59}"
Name = Annotated[str, StringConstraints(pattern=rf"^{_PART}$")]
"""A column's name, as the database has it."""
TableName = Annotated[str, StringConstraints(pattern=rf"^({_PART}\.)?{_PART}$")]
"""A table's name, with its schema before a dot where it has one."""

CHANGE = "change"
"""What a record has besides the table's columns: id, table, operation, time, old."""


class TableConfig(Strict):
    """One of the agency's tables."""

    name: TableName
    """As in the database; `schema.table` where it lies in another schema."""
    columns: Annotated[tuple[Name, ...], Field(min_length=1, max_length=50)]
    """What the adapter may know of a row, and the mapping may name. Nothing else leaves the agency's table."""
    watch: tuple[Name, ...] = ()
    """Triggers: an update counts only where one of these has changed. Default: all of `columns`."""
    operations: Annotated[tuple[Literal["insert", "update", "delete"], ...], Field(min_length=1)] = ("insert", "update")
    """Triggers: what is news."""
    key: tuple[Name, ...] = ()
    """Cursor: the columns that tell a row from others."""
    cursor: Name | None = None
    """Cursor: the column that grows with every insert and every change."""

    @model_validator(mode="after")
    def _columns_are_named(self) -> Self:
        others = [*self.watch, *self.key, *([self.cursor] if self.cursor else [])]
        if missing := [name for name in others if name not in self.columns]:
            raise ValueError(f"{missing[0]} is not among the columns of {self.name}: add it there")
        if CHANGE in self.columns:
            raise ValueError(
                f"a column may not be named {CHANGE}, which is what the mapping knows of the change itself"
            )
        return self


class SqlSourceConfig(Strict):
    """Where the agency's database is, and how its changes are found."""

    url: str | None = Field(default=None, repr=False)
    """SQLAlchemy's URL: `sqlite:///works.sqlite3` (from adapter.toml), `postgresql://...`, `mysql://...`."""
    url_env: str | None = None
    """The environment variable that holds the URL."""
    url_file: str | None = None
    """The file that holds the URL."""
    mapping: Text500 | None = None
    """The mapping that makes events of rows, relative to adapter.toml. Without it a row is an event: `type` and `data`
    (JSON), and where it has them `id`, `time`, `subject`."""
    way: Literal["triggers", "cursor"] = "triggers"
    """`triggers`: what `subak adapter sql-ddl` prints writes each change down as it is made; none is missed. `cursor`:
    nothing is made in the agency's database; a column that grows says what is new, and deletions are not seen."""
    changes: TableName = "subak_changes"
    """Triggers: the table that they write to. Each source has its own."""
    settle_seconds: float = Field(default=10.0, ge=0, le=3600)
    """Cursor: how much later a row may be committed than one with a higher cursor."""
    begin: Literal["now", "beginning"] = "now"
    """Cursor: whether rows that are there at the first start are news."""
    table: Annotated[tuple[TableConfig, ...], Field(min_length=1)]
    poll_seconds: float = Field(default=0.5, gt=0, le=3600)
    """How often it is looked. On PostgreSQL triggers wake the adapter at once."""
    batch_rows_max: int = Field(default=500, ge=1, le=10_000)
    """Rows whose events are stored together, and read again after a crash."""
    refused_rows_max: int = Field(default=100_000, ge=1)
    """Refused rows that are kept with their reasons. Of more, the oldest go."""

    @model_validator(mode="after")
    def _fits_its_way(self) -> Self:
        names = [table.name for table in self.table]
        if len(set(names)) < len(names):
            raise ValueError("a table stands twice: name each once")
        if self.way == "cursor" and (
            lacking := [table.name for table in self.table if not table.key or not table.cursor]
        ):
            raise ValueError(f"the table {lacking[0]} needs key and cursor, since the way is cursor")
        return self
