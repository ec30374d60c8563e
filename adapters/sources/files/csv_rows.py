"""Reads CSV (RFC 4180, with the delimiter that was declared) row by row, in bounded memory, whatever the file holds.

What cannot be read costs its own row and no other: where a quote is never closed, or a row grows beyond its bound, only
the line where that began is refused, and reading goes on with the next line. Lines end with LF or CRLF.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Generator, Iterator
from typing import BinaryIO

from adapters.sources.files.config import FilesConfig
from adapters.sources.files.table import Columns, FileRefused, Row
from schemas.failures import Reason

_BOM_UTF8 = b"\xef\xbb\xbf"
_BOMS_UTF16 = (b"\xff\xfe", b"\xfe\xff")
SHOWN_CHARACTERS_MAX = 1000
"""As much of a line that cannot be read is shown in the errors file."""


def csv_rows(file: BinaryIO, config: FilesConfig, *, after: int = 0) -> Generator[Row | Columns, None, None]:
    """First the columns, then each row whose number is above `after`.

    Raises:
        FileRefused: the file as a whole cannot be read.
    """
    encoding = _encoding(file, config)
    lines = _Lines(file, encoding, config.row_bytes_max)
    for _ in range(config.header_row - 1):
        lines.skip()
    number = config.header_row
    reader = _reader(lines, config)
    try:
        header = next(reader)
    except StopIteration:
        raise FileRefused("the file is empty: it has no header. Send one that names the columns.") from None
    except _BadLine as bad:
        raise FileRefused(f"the header cannot be read: {bad.reason.problem}. {bad.reason.fix}") from None
    except csv.Error as error:
        raise FileRefused(f"the header is not CSV: {error}. Close every quote.") from error
    columns = Columns(header, config)
    yield columns
    lines.passes_over_rest = True
    while True:
        lines.begin()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except (_BadLine, csv.Error) as error:
            number += 1
            reason = error.reason if isinstance(error, _BadLine) else _not_csv(error)
            row = Row(number, [lines.first[:SHOWN_CHARACTERS_MAX]], reasons=[reason])
            lines.give_back()
            reader = _reader(lines, config)
        else:
            number += 1
            if not cells or (number <= after and len(cells) == len(columns.names)):
                continue
            row = columns.row(number, list(cells))
            if row.reasons and lines.several and row.reasons[0].code == "ragged":  # a quote may have swallowed lines
                row = Row(number, [lines.first[:SHOWN_CHARACTERS_MAX]], reasons=[_not_csv(csv.Error("end of data"))])
                lines.give_back()
                reader = _reader(lines, config)
        if number > after:
            yield row


def _encoding(file: BinaryIO, config: FilesConfig) -> str:
    begins = file.read(4)
    if begins.startswith(_BOMS_UTF16):
        raise FileRefused("the file is in UTF-16. Save it as CSV in UTF-8.")
    if begins.startswith(b"PK\x03\x04"):
        raise FileRefused("the file is an XLSX or another archive, and is named CSV. Name it .xlsx.")
    if begins.startswith(_BOM_UTF8):
        file.seek(3)
        return "utf-8"
    file.seek(0)
    return config.encoding


def _reader(lines: _Lines, config: FilesConfig) -> Iterator[list[str]]:
    return csv.reader(lines, delimiter=config.delimiter, quotechar='"', doublequote=True, strict=True)


def _not_csv(error: csv.Error) -> Reason:
    problem = f"the row is not CSV: {error}"
    if "end of data" in str(error) or "field larger" in str(error):
        problem = "a quote is opened in this row and not closed"
    return Reason("not_csv", "row", problem, 'Write a quote within a cell twice (""), and close every cell\'s quote.')


class _BadLine(Exception):
    """A line that is not text, or a row without an end."""

    def __init__(self, reason: Reason) -> None:
        self.reason = reason
        super().__init__(reason.problem)


class _Lines:
    """The lines of a file as text; those of the row at hand are kept, so that they can be read again."""

    def __init__(self, file: BinaryIO, encoding: str, bytes_max: int) -> None:
        self._file = file
        self._encoding = encoding
        self._bytes_max = bytes_max
        self._taken: list[bytes] = []
        self._size = 0
        self._again: deque[bytes] = deque()
        self.passes_over_rest = False
        """Whether a line that is too long is read to its end. The header's is not: the file fails, unread."""

    def begin(self) -> None:
        """A new row begins."""
        self._taken.clear()
        self._size = 0

    @property
    def first(self) -> str:
        """The first line of the row, as far as it is text."""
        line = self._taken[0] if self._taken else b""
        return line[: SHOWN_CHARACTERS_MAX * 4].decode(self._encoding, "backslashreplace").rstrip("\r\n")

    @property
    def several(self) -> bool:
        """Whether the row has more lines than one."""
        return len(self._taken) > 1

    def give_back(self) -> None:
        """Only the first line counts as read."""
        self._again.extendleft(reversed(self._taken[1:]))

    def skip(self) -> None:
        """Pass over one line."""
        self._read()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._read()
        if not line:
            raise StopIteration
        self._taken.append(line)
        self._size += len(line)
        if self._size > self._bytes_max:
            problem = f"the row has more than {self._bytes_max} bytes"
            raise _BadLine(Reason("too_large", "row", problem, "Close every quote, or send less in one row."))
        return self._text(line)

    def _read(self) -> bytes:
        """The next line; of one that is too long, as much as shows that it is."""
        line = part = self._file.readline(self._bytes_max + 1)
        while self.passes_over_rest and len(part) > self._bytes_max and not part.endswith(b"\n"):
            part = self._file.readline(self._bytes_max + 1)
        return line

    def _text(self, line: bytes) -> str:
        if line.isascii():
            text = line.decode("ascii")
        else:
            try:
                text = line.decode(self._encoding)
            except UnicodeDecodeError as error:
                problem = f"byte {error.start + 1} of the row is not text in {self._encoding.upper()}"
                fix = "Save the file in that encoding, or set encoding of the source to the file's."
                raise _BadLine(Reason("encoding", "row", problem, fix)) from None
            if self._encoding != "utf-8" and _is_utf8(line):
                problem = f"the row is text in UTF-8, and the source says {self._encoding.upper()}"
                raise _BadLine(Reason("encoding", "row", problem, 'Set encoding = "utf-8" for this source.'))
        if "\0" in text:
            raise _BadLine(Reason("nul", "row", "the row holds a NUL character", "Remove it."))
        return text


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
