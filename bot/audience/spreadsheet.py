"""A spreadsheet of readers, as CSV from whatever program -> sign-ups, and why some rows cannot be used.

A cell that begins with ``=``, ``+``, ``-``, ``@`` or a tab is a formula to a spreadsheet program, and a name
comes from whoever typed it. So such a cell is written with an apostrophe before it, and read without.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import NamedTuple

from bot.audience.addresses import plain_address, valid_address
from bot.errors import AudienceError
from bot.store.audience import Signup

# What the columns are called elsewhere.
_COLUMNS = {
    "address": {"address", "email", "e-mail", "email address", "mail", "correo", "courriel"},
    "name": {"name", "full name", "first name", "first_name", "nombre", "nom"},
    "lang": {"lang", "language", "locale", "idioma", "langue"},
}
_TELL_EVERY = 2_000  # rows

# An apostrophe that stands there already gets a second one, so that reading gives back what was written.
_is_formula = re.compile(r"'*[=+\-@\t\r]").match
_is_guarded = re.compile(r"'+[=+\-@\t\r]").match


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A row that cannot be used, and why."""

    line: int
    reason: str


class Place(NamedTuple):
    """How far the reading is: rows, and bytes of the file."""

    rows: int
    bytes: int


def read_rows(
    path: Path,
    newsletters: tuple[str, ...] = (),
    *,
    refuse: Callable[[Refused], None],
    tell: Callable[[Place], None] = lambda _: None,
) -> Iterator[Signup]:
    """Every row that can be used, in order and in constant memory; ``refuse`` hears of the others.

    ``tell`` hears from time to time how far it is. AudienceError when the file cannot be read as a table.
    """
    with path.open("rb") as data, TextIOWrapper(data, encoding=_encoding(path), newline="") as file:
        sample = file.read(8192)
        file.seek(0)
        table = csv.reader(file, delimiter=_delimiter(sample))
        try:
            columns = _columns(next(table, []), path)
            rows = 0
            for rows, cells in enumerate(table, 1):
                if rows % _TELL_EVERY == 0:
                    tell(Place(rows, data.tell()))
                try:
                    yield _signup(cells, columns, newsletters)
                except AudienceError as error:
                    if any(cell.strip() for cell in cells):  # an empty row is no mistake
                        refuse(Refused(line=table.line_num, reason=str(error)))
            tell(Place(rows, data.tell()))
        except csv.Error as error:
            raise AudienceError(
                f"{path}:{table.line_num}: {error}; does a cell begin with a quote that never ends?"
            ) from error


def guarded(cell: str) -> str:
    """The cell with an apostrophe before what a spreadsheet program would calculate."""
    return f"'{cell}" if _is_formula(cell) else cell


def unguarded(cell: str) -> str:
    """What ``guarded`` was given."""
    return cell[1:] if _is_guarded(cell) else cell


def _encoding(path: Path) -> str:
    """By the byte order mark; else UTF-8 if it is that, else what Excel writes in the west."""
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        with path.open(encoding="utf-8-sig") as text:
            for _ in iter(lambda: text.read(1 << 20), ""):
                pass
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def _delimiter(sample: str) -> str:
    head = sample.split("\n", 1)[0]
    return max(",;\t", key=head.count)


class _Columns(NamedTuple):
    """Where each value stands; a column that is not there stands beyond the end of every row."""

    address: int
    name: int = sys.maxsize
    lang: int = sys.maxsize


def _columns(header: Iterable[str], path: Path) -> _Columns:
    found: dict[str, int] = {}
    for place, title in enumerate(header):
        for column, names in _COLUMNS.items():
            if title.strip().casefold() in names:
                found.setdefault(column, place)
    if "address" not in found:
        raise AudienceError(
            f"{path}:1: no column is called 'email' or 'address'; the first line must name the columns"
        )
    return _Columns(**found)


def _signup(cells: list[str], columns: _Columns, newsletters: tuple[str, ...]) -> Signup:
    # No function for a cell: called three million times, it would take as long as all the checks.
    width = len(cells)
    at, name_at, lang_at = columns
    text = cells[at].strip() if at < width else ""
    name = cells[name_at].strip() if name_at < width else ""
    lang = cells[lang_at].strip() if lang_at < width else ""
    if "'" in text or "'" in name or "'" in lang:
        text, name, lang = unguarded(text), unguarded(name), unguarded(lang)
    if not name.isprintable() and any(ord(character) < 32 for character in name):
        raise AudienceError("the name holds a control character")
    return Signup(plain_address(text) or valid_address(text), name, lang, newsletters)
