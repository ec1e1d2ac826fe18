"""A table of readers, as CSV from whatever program -> its rows, and how it has to be read.

Programs differ in encoding, in what stands between the cells, and in whether they say so. What can be told
from the bytes is told from them; an encoding that cannot be told is asked for, never guessed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from bot.audience.addresses import plain_address
from bot.audience.archives import Part
from bot.audience.cells import address_of, language_of, unguarded
from bot.audience.headings import Columns, Heading, read_heading
from bot.errors import AudienceError
from bot.store.audience import Signup

_QUOTE = "does a cell begin with a quote that never ends?"
_TELL_EVERY = 2_000  # rows
_SAMPLE = 1 << 16  # characters: the rows from which a table is understood
_LONGEST_LINE = 1 << 20
_FIRST = 6  # rows in which the titles are looked for
_SEPARATORS = ",;\t|"
_says_separator = re.compile(r'\ufeff?"?sep=(.)"?\r?\n', re.IGNORECASE).match

# A letter of our alphabet with an accent stands between plain ones; Thai, Arabic or Russian come in runs.
_foreign_runs = re.compile(rb"[\x80-\xff]{3,}").findall
_accents = re.compile(rb"[\x80-\xff]").findall
_ENCODINGS = "Thai 'cp874', Arabic 'cp1256', Cyrillic 'cp1251', Greek 'cp1253', Japanese 'cp932'"


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A row that cannot be used, and why; ``kind`` is the reason without what is particular to the row."""

    line: int
    reason: str
    kind: str = ""
    part: str = ""  # which table of a zip


class Place(NamedTuple):
    """How far the reading is: rows, and bytes of the file."""

    rows: int
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How a table has to be read."""

    encoding: str
    separator: str
    says_separator: bool
    heading: Heading

    @property
    def columns(self) -> Columns:
        """Where each value stands."""
        return self.heading.columns


def look(part: Part, *, encoding: str = "") -> Layout:
    """Understand a table from its beginning. AudienceError when that cannot be done."""
    taken = encoding or _encoding(part)
    try:
        with part.open() as data, TextIOWrapper(data, encoding=taken, newline="") as file:
            sample = file.read(_SAMPLE)
    except (UnicodeError, LookupError) as error:
        raise AudienceError(
            f"{part.place}: is no text that can be read as {taken}; save the list as CSV in UTF-8, "
            f"or name its encoding with --encoding: {_ENCODINGS}"
        ) from error
    said = _says_separator(sample)
    lines = sample.splitlines(keepends=True)
    if len(sample) == _SAMPLE and len(lines) > 1:
        lines.pop()  # cut in the middle
    separator = said[1] if said else _separator(lines)
    try:
        rows = _filled(csv.reader(lines[1:] if said else lines, delimiter=separator))
        first = list(islice(rows, _FIRST))
    except csv.Error as error:
        raise AudienceError(f"{part.place}: {error}; {_QUOTE}") from error
    return Layout(
        encoding=taken,
        separator=separator,
        says_separator=bool(said),
        heading=read_heading(first, part.place),
    )


Line = tuple[int, list[str]]


@contextmanager
def rows_of(
    part: Part, layout: Layout, tell: Callable[[Place], None] = lambda _: None
) -> Iterator[Iterator[Line]]:
    """Every row below the titles that holds anything, with its line, in constant memory.

    ``tell`` hears from time to time how far it is. AudienceError when a quote never ends.
    """
    with part.open() as data, TextIOWrapper(data, encoding=layout.encoding, newline="") as file:
        lines: Iterable[str] = _short_lines(file, part) if part.member else file
        yield _rows(lines, part, layout, lambda rows: tell(Place(rows, data.tell())))


def _rows(lines: Iterable[str], part: Part, layout: Layout, tell: Callable[[int], None]) -> Iterator[Line]:
    rest = iter(lines)
    above = 1 if layout.says_separator else 0
    if above:
        next(rest, "")
    table = csv.reader(rest, delimiter=layout.separator)
    titles, rows = 0 if layout.heading.is_person else 1 + layout.heading.above, 0
    try:
        for cells in table:
            if not any(cells):  # what holds only blanks is looked at where it cannot be used
                continue
            if titles:
                titles -= any(cell.strip() for cell in cells)
                continue
            rows += 1
            if rows % _TELL_EVERY == 0:
                tell(rows)
            yield table.line_num + above, cells
        tell(rows)
    except csv.Error as error:
        raise AudienceError(f"{part.place}:{table.line_num + above}: {error}; {_QUOTE}") from error
    except UnicodeDecodeError as error:
        raise AudienceError(f"{part.place}: is not {layout.encoding} after all ({error.reason})") from error


def read_rows(
    path: Path,
    newsletters: tuple[str, ...] = (),
    *,
    refuse: Callable[[Refused], None],
    tell: Callable[[Place], None] = lambda _: None,
) -> Iterator[Signup]:
    """Every row of a plain table that can be used, in order; ``refuse`` hears of the others."""
    part = Part(path=path, size=path.stat().st_size)
    layout = look(part)
    with rows_of(part, layout, tell) as rows:
        yield from signups(rows, layout.columns, newsletters, refuse)


def signups(
    rows: Iterable[Line], columns: Columns, newsletters: tuple[str, ...], refuse: Callable[[Refused], None]
) -> Iterator[Signup]:
    """What each row says of a reader who joins."""
    for line, cells in rows:
        try:
            yield signup(cells, columns, newsletters)
        except AudienceError as error:
            if any(cell.strip() for cell in cells):  # an empty row is no mistake
                refuse(refused(line, error))


def refused(line: int, error: AudienceError) -> Refused:
    """The row of that line, and why."""
    reason = str(error)
    return Refused(line=line, reason=reason, kind=reason.rpartition(" is not a mail address: ")[2] or reason)


def signup(cells: list[str], columns: Columns, newsletters: tuple[str, ...]) -> Signup:
    """The reader of one row. AudienceError when it cannot be used."""
    # No function for a cell: called three million times, it would take as long as all the checks.
    width = len(cells)
    at, name_at, lang_at = columns[:3]
    text = cells[at].strip() if at < width else ""
    name = cells[name_at].strip() if name_at < width else ""
    lang = cells[lang_at].strip() if lang_at < width else ""
    if "'" in text or "'" in name or "'" in lang:
        text, name, lang = unguarded(text), unguarded(name), unguarded(lang)
    if not name.isprintable() and any(ord(character) < 32 for character in name):
        raise AudienceError("the name holds a control character")
    address = plain_address(text)
    if address is None:
        address, beside = address_of(text)
        name = name or beside
    return Signup(address, name, (language_of(lang) or "") if lang else "", newsletters)


def _filled(table: Iterable[list[str]]) -> Iterator[list[str]]:
    return (row for row in table if any(cell.strip() for cell in row))


def _short_lines(file: TextIOWrapper, part: Part) -> Iterator[str]:
    """A zip may hold a line of gigabytes, which nobody wrote; reading it would fill the memory."""
    while line := file.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise AudienceError(f"{part.place}: a line is longer than {_LONGEST_LINE:,} characters")
        yield line


def _encoding(part: Part) -> str:
    """By the byte order mark; else UTF-8 if it is that, else what Excel writes in the west."""
    with part.open() as data:
        head = data.read(256)
        for mark, name in _MARKS:
            if head.startswith(mark):
                return name
        if len(head) > 3 and head.count(0) * 3 > len(head):  # UTF-16 without its mark
            return "utf-16-le" if head[1] == 0 else "utf-16-be"
        legacy = _first_that_is_not_utf8(chain([head], iter(lambda: data.read(1 << 20), b"")))
    if legacy is None:
        return "utf-8-sig"
    if 2 * sum(map(len, _foreign_runs(legacy))) > len(_accents(legacy)):
        raise AudienceError(
            f"{part.place}: is not UTF-8, and which encoding it is cannot be told; save it as UTF-8, "
            f"or name it with --encoding: {_ENCODINGS}"
        )
    return "cp1252"


_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


def _first_that_is_not_utf8(pieces: Iterable[bytes]) -> bytes | None:
    """A piece that is something else; None when all of it is UTF-8."""
    import codecs

    decoder, last = codecs.getincrementaldecoder("utf-8")(), b""
    try:
        for last in pieces:
            decoder.decode(last)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return last
    return None


def _separator(lines: Sequence[str]) -> str:
    """What makes the most addresses stand alone, and the rows equally long."""

    def fitness(mark: str) -> tuple[bool, int, float, int]:
        try:
            rows = list(_filled(csv.reader(lines[:50], delimiter=mark)))
        except csv.Error:
            return (False, 0, 0.0, 0)
        if not rows:
            return (False, 0, 0.0, 0)
        widths = [len(row) for row in rows]
        alone = sum(1 for row in rows for cell in row if _is_alone(cell.strip()))
        return (widths[0] > 1, alone, widths.count(widths[0]) / len(rows), widths[0])

    return max(_SEPARATORS, key=fitness)


_is_alone = re.compile(r"(?=.[^@]*@.)[^\s,;|<>\"]+").fullmatch
