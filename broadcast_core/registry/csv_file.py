"""The registry as one CSV file: a row for each zone and endpoint, told apart by its `kind` (docs/registry.md).

Written as UTF-8 with BOM and CRLF, which is what spreadsheets open correctly. Read with what spreadsheets leave
behind: BOM or none, any line end, commas, semicolons or tabs, full-width forms, spaces, empty rows and columns.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, zip_longest
from typing import Final

from broadcast_core.errors import RegistryRejected, RejectReason, RowError
from broadcast_core.i18n import _
from broadcast_core.model import Endpoint, Zone
from broadcast_core.registry.record import COLUMNS, REQUIRED_COLUMNS, code_text, write_record
from broadcast_core.registry.sheet import Record, Sheet, check_size, refusal, sheet_of
from broadcast_core.registry.snapshot import Registry

_LONGEST_LINE: Final = 64 * 1024
_MOST_LINES: Final = 1_048_576  # a spreadsheet has no more; most of them may be empty
_DELIMITERS: Final = ",;\t"
# A spreadsheet runs a cell that begins with one of these as a formula; an apostrophe before it makes it text. The
# apostrophe is among them so that taking one off again always gives back what was there.
_RISKY: Final = ("=", "+", "-", "@", "\t", "\r", "'")
_NUMBERS: Final = frozenset({"lat", "lon"})  # a minus sign is theirs, and they are checked to be numbers


def encode(registry: Registry, *, with_phones: bool = False) -> bytes:
    """The whole registry. Without `with_phones` no number is in it, and it cannot be imported again."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    items: tuple[Zone | Endpoint, ...] = (*registry.zones.values(), *registry.endpoints.values())
    for item in items:
        cells = write_record(item, with_phones=with_phones)
        rows.writerow([_guarded(column, cells.get(column, "")) for column in COLUMNS])
    return text.getvalue().encode("utf-8-sig")


def parse(data: bytes) -> Sheet:
    """Read a file. What is wrong with single rows is in the sheet, with lines as an editor counts them.

    Raises RegistryRejected for what is no such file at all: not UTF-8, too large, without a header, with unknown,
    missing or repeated columns, or exported without phones.
    """
    check_size(data)
    lines = _lines(data)
    header = next(lines, "")
    delimiter = max(_DELIMITERS, key=header.count)
    columns = tuple(code_text(cell).lower() for cell in _split(header, delimiter) or ())
    _check_columns(columns)
    return sheet_of(_records(lines, delimiter, columns))


def _guarded(column: str, value: str) -> str:
    return f"'{value}" if value.startswith(_RISKY) and column not in _NUMBERS else value


def _bare(value: str) -> str:
    return value[1:] if value.startswith("'") and value[1:].startswith(_RISKY) else value


def _lines(data: bytes) -> Iterator[str]:
    """Physical lines. Each is one row, since no cell here may hold a line break; that bounds every row."""
    with io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig") as text:
        for number in count(1):
            try:
                line = text.readline(_LONGEST_LINE + 1)
            except UnicodeDecodeError:
                sentence = _("The file is not UTF-8. In a spreadsheet, save it as 'CSV UTF-8'.")
                raise refusal(RejectReason.MALFORMED, sentence, line=_line_not_utf8(data)) from None
            if number > _MOST_LINES:
                sentence = _("The file has more than {most} lines.", most=_MOST_LINES)
                raise refusal(RejectReason.TOO_LARGE, sentence, line=number)
            if len(line) > _LONGEST_LINE:
                sentence = _("A line has more than {most} characters.", most=_LONGEST_LINE)
                raise refusal(RejectReason.TOO_LARGE, sentence, line=number)
            if not line:
                return
            yield line


def _line_not_utf8(data: bytes) -> int:
    """Where decoding fails; the reader above decodes ahead of the line it gives."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return data.count(b"\n", 0, error.start) + 1
    return 0


def _split(line: str, delimiter: str) -> list[str] | None:
    """The cells of one line, or None if its quotes are wrong."""
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return None


def _check_columns(columns: Sequence[str]) -> None:
    named = [column for column in columns if column]
    wrong = [
        *((c, RejectReason.UNKNOWN_ELEMENT, _("There is no such column.")) for c in named if c not in COLUMNS),
        *(
            (c, RejectReason.DUPLICATE_ELEMENT, _("The column is there twice."))
            for c in COLUMNS
            if named.count(c) > 1
        ),
        *((c, RejectReason.MISSING, _("The column is missing.")) for c in REQUIRED_COLUMNS if c not in named),
    ]
    if wrong:
        raise RegistryRejected([RowError(1, column[:40], reason, sentence) for column, reason, sentence in wrong])


def _records(lines: Iterable[str], delimiter: str, columns: Sequence[str]) -> Iterator[Record | RowError]:
    for number, line in enumerate(lines, start=2):
        if line.isspace():
            continue
        cells = _split(line, delimiter)
        if cells is None:
            sentence = _("The quotes do not close on this line; a cell may hold no line break.")
            yield RowError(number, "row", RejectReason.MALFORMED, sentence)
            continue
        cells = [_bare(cell.strip()) for cell in cells]
        if not any(cells):
            continue
        if any(cell for column, cell in zip_longest(columns, cells, fillvalue="") if not column):
            yield RowError(number, "row", RejectReason.MALFORMED, _("There are more cells than columns."))
        yield number, {column: cell for column, cell in zip(columns, cells, strict=False) if column and cell}
