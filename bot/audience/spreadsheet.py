"""A spreadsheet of readers, saved as CSV by whatever program -> rows, and why some cannot be used."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.audience.addresses import valid_address
from bot.errors import AudienceError

# What the columns are called elsewhere.
_COLUMNS = {
    "address": {"address", "email", "e-mail", "email address", "mail", "correo", "courriel"},
    "name": {"name", "full name", "first name", "first_name", "nombre", "nom"},
    "lang": {"lang", "language", "locale", "idioma", "langue"},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One reader of a list that is to be imported."""

    line: int
    address: str
    name: str = ""
    lang: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A row that cannot be used, and why."""

    line: int
    reason: str


def read_rows(path: Path) -> Iterator[Row | Refused]:
    """Every row in order, in constant memory. AudienceError when the file has no column of addresses."""
    with path.open(encoding=_encoding(path), newline="") as file:
        sample = file.read(8192)
        file.seek(0)
        table = csv.reader(file, delimiter=_delimiter(sample))
        columns = _columns(next(table, []), path)
        for cells in table:
            if any(cell.strip() for cell in cells):
                yield _row(cells, columns, table.line_num)


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


def _columns(header: Iterable[str], path: Path) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for place, title in enumerate(header):
        for column, names in _COLUMNS.items():
            if title.strip().casefold() in names:
                found.setdefault(column, place)
    if "address" not in found:
        raise AudienceError(
            f"{path}:1: no column is called 'email' or 'address'; the first line must name the columns"
        )
    return found


def _row(cells: list[str], columns: Mapping[str, int], line: int) -> Row | Refused:
    def cell(column: str) -> str:
        place = columns.get(column, len(cells))
        return cells[place].strip() if place < len(cells) else ""

    try:
        address = valid_address(cell("address"))
    except AudienceError as error:
        return Refused(line=line, reason=str(error))
    if any(ord(character) < 32 for character in cell("name")):
        return Refused(line=line, reason="the name holds a control character")
    return Row(line=line, address=address, name=cell("name"), lang=cell("lang"))
