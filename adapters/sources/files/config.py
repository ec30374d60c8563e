"""The keys of a `[[agency.source]]` of kind `files`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.strict import Strict
from schemas.values import Text100, Text500

MIB = 1024 * 1024


class FilesConfig(Strict):
    """Where files arrive, how they are written, and how large one may be."""

    folder: Text500
    """Where files arrive, relative to adapter.toml. `reading`, `done` and `failed` are made in it."""
    mapping: Text500
    """The mapping that makes events of rows, relative to adapter.toml: its key says which columns identify a row, its
    formats how numbers and dates are written in CSV. A cell of CSV reaches it as text, one of XLSX as its type."""
    files: Annotated[tuple[Text100, ...], Field(min_length=1, max_length=50)] = ("*.csv", "*.xlsx")
    """Names that are read, upper or lower case. All others stay where they are."""
    header_row: int = Field(default=1, ge=1, le=1000)
    """The row that names the columns; what stands above it is passed over."""
    sheet: Text100 | None = None
    """XLSX: the sheet that is read. Default: the first."""
    delimiter: Annotated[str, StringConstraints(pattern=r"^[^\"\r\n\u0000]$")] = ","
    """CSV: what stands between cells."""
    encoding: Literal["utf-8", "cp1252"] = "utf-8"
    """CSV: how text is written. A byte order mark at the beginning says UTF-8, whatever stands here."""
    settle_seconds: float = Field(default=5.0, ge=0, le=86_400)
    """How long size and time of a file must stand still before it is taken for whole."""
    poll_seconds: float = Field(default=2.0, gt=0, le=3600)
    """How often the folder is looked at."""
    file_bytes_max: int = Field(default=256 * MIB, ge=1)
    """A larger file fails."""
    row_bytes_max: int = Field(default=MIB, ge=1000, le=16 * MIB)
    """A larger row is refused: a quote that is never closed swallows no more than that."""
    columns_max: int = Field(default=500, ge=1, le=16_384)
    """A file with more columns fails."""
    unpacked_bytes_max: int = Field(default=512 * MIB, ge=1)
    """XLSX: what it may unpack to. A larger one fails before it is read."""
    memory_bytes_max: int = Field(default=1024 * MIB, ge=64 * MIB)
    """XLSX: what reading it may take, in a process of its own. One that needs more fails."""
    remember_days: int = Field(default=400, ge=1)
    """How long a row is known again, so that a file which repeats it, unchanged, says nothing new."""
