"""Logs as text: any separator, with or without a header, decimal points or commas."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from discover.data.formats.table import Dialect, Table

_SEPARATORS = (",", ";", "\t", r"\s+", "|")
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", r"\s+": "blanks", "|": "bars"}
_COMMENT = ("#", "%")
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d*,\d+([eE][-+]?\d+)?\s*\Z")
_THOUSANDS = re.compile(r"\s*[-+]?[1-9]\d{0,2},\d{3}\s*\Z")
_WHOLE = re.compile(r"\s*[-+]?\d+([eE][-+]?\d+)?\s*\Z")
_NUMBER = re.compile(
    r"\s*[\"']?[-+]?(\d+[.,]?\d*|[.,]\d+)([eE][-+]?\d+)?[\"']?\s*\Z|\s*nan\s*\Z", re.I
)
_LOOKED_AT = 20  # rows from which the separator is found out


def read_csv(path: Path, wanted: Sequence[str], dialect: Dialect) -> Table:
    """Separated by comma, semicolon, tab, blanks or a bar, whichever gives the wanted columns, or
    rows of numbers; with a decimal comma where every fraction has one.

    Where the file has no header the columns are called "0", "1", …; a comment above the numbers is
    taken as the header if it has a word for each of them. Raises ValueError.
    """
    comments, lines = _head(path)
    if not lines:
        raise ValueError("it holds no rows")
    names = [w for w in wanted if not w.isdecimal()]
    header = dialect.header
    if header is None:
        header = not _are_numbers(lines[0])
    separator = dialect.separator or _separator(lines, names, header)
    options: dict[str, Any] = {"skipinitialspace": True, "sep": separator, "skiprows": comments[0]}
    given = None
    if not header:
        options["header"] = None
        given = _commented_header(comments[1], lines[0], separator)
    table = pd.read_csv(path, **options)
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes surplus fields for an index
        if len(lines) < 2 or not lines[1].rstrip("\r\n").endswith(separator):
            raise ValueError(
                "its rows have more fields than its header; a decimal comma needs another separator"
            )
        options["index_col"] = False
        table = pd.read_csv(path, **options)
    if dialect.decimal == "," or (dialect.decimal is None and _has_decimal_commas(table, wanted)):
        table = pd.read_csv(path, **options, decimal=",")
    return _table(table, header, given, separator, wanted)


def has_numbers(path: Path) -> bool:
    """Whether the first lines of a text have rows of numbers among them."""
    try:
        _, lines = _head(path)
    except (OSError, UnicodeError):
        return False
    return any(_are_numbers(line) for line in lines[1:])


def _table(
    table: pd.DataFrame,
    header: bool,
    given: list[str] | None,
    separator: str,
    wanted: Sequence[str],
) -> Table:
    notes = [f"text separated by {_NAMES.get(separator, repr(separator))}"]
    columns = {str(name): table[name] for name in table.columns}
    by_number = {str(k): table.iloc[:, k] for k in range(table.shape[1])}
    if given is not None:
        columns = dict(zip(given, by_number.values(), strict=True))
        notes.append("the comment above the numbers is the header")
    elif not header:
        notes.append("no header: columns are called by number, from 0")
        unknown = [name for name in wanted if name not in by_number]
        if unknown:
            raise ValueError(
                f"no column {unknown[0]!r}: the file has no header, so that its "
                f"{table.shape[1]} columns are called 0 to {table.shape[1] - 1}"
            )
    else:
        used = [name for name in wanted if name.isdecimal() and name not in columns]
        if used:
            notes.append("columns taken by their number, from 0, though there is a header")
    return Table(columns=by_number | columns, notes=tuple(notes))


def _head(path: Path) -> tuple[tuple[int, str | None], list[str]]:
    """How many lines of comments and blanks stand above, the last comment, and the rows below."""
    with path.open(encoding="utf-8-sig") as file:
        above, last = 0, None
        for line in file:
            if line.strip() and not line.lstrip().startswith(_COMMENT):
                return (above, last), [line, *islice(file, _LOOKED_AT)]
            above += 1
            last = line.strip() or last
    return (above, last), []


def _separator(lines: list[str], names: list[str], header: bool) -> str:
    """The first separator that makes columns of the names wanted out of the header; without names,
    one that splits all rows into the same number of fields, with numbers below the header."""
    rows = [line for line in lines if line.strip()]
    if header and names:
        for separator in _SEPARATORS:
            if set(names) <= set(_fields(rows[0], separator)):
                return separator
    for separator in _SEPARATORS:
        fields = [_fields(line, separator) for line in rows]
        body = fields[1:] if header else fields
        if body and len({len(row) for row in body}) == 1 and len(body[0]) > 1:
            numeric = [sum(bool(_NUMBER.match(x)) for x in row) for row in body]
            if min(numeric) >= len(body[0]) - 1:  # one may be a date
                return separator
    return _SEPARATORS[0]


def _fields(line: str, separator: str) -> list[str]:
    line = line.strip() if separator == r"\s+" else line.rstrip("\r\n")
    parts = [
        x.strip().strip("\"'")
        for x in re.split(r"\s+" if separator == r"\s+" else re.escape(separator), line)
    ]
    return parts[:-1] if len(parts) > 2 and not parts[-1] else parts


def _are_numbers(line: str) -> bool:
    """Whether a row holds numbers, but for one field that may be a date."""
    for separator in _SEPARATORS:
        fields = _fields(line, separator)
        if len(fields) > 1:
            numeric = sum(bool(_NUMBER.match(x)) for x in fields)
            if numeric == len(fields) or (
                numeric and numeric >= len(fields) - 1 and fields[0][:4].isdecimal()
            ):
                return True
    return bool(_NUMBER.match(line))


def _commented_header(comment: str | None, row: str, separator: str) -> list[str] | None:
    """The names in a comment above the numbers, if it has as many as they are."""
    if comment is None or not comment.startswith(_COMMENT):
        return None
    names = _fields(comment.lstrip("#% "), separator)
    whole = len(names) == len(_fields(row, separator)) and len(set(names)) == len(names)
    return names if whole and not any(_NUMBER.match(x) for x in names) else None


def _has_decimal_commas(table: pd.DataFrame, wanted: Sequence[str]) -> bool:
    """Whether fractions are written with a comma. Raises ValueError where commas may as well stand
    between thousands."""
    by_name = {str(name): name for name in table.columns}
    chosen = [by_name[w] for w in wanted if w in by_name] or list(table.columns)
    texts = [
        str(entry)
        for column in chosen
        if table[column].dtype.kind in "OTU"
        for entry in table[column]
    ]
    with_comma = [text for text in texts if not _WHOLE.match(text)]
    if not with_comma or not all(_DECIMAL_COMMA.match(text) for text in with_comma):
        return False
    if all(_THOUSANDS.match(text) for text in with_comma):
        raise ValueError(
            f"numbers such as {with_comma[0].strip()!r} may have thousands or decimals behind the "
            "comma; write them with a decimal point"
        )
    return True
