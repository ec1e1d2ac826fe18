"""Readers -> text that another program, or our own import, can read. Page by page, in constant memory."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import StringIO
from json.encoder import encode_basestring as quoted

from bot.audience.cells import guarded
from bot.audience.preferring import cell_of
from bot.store.listing import Listed

Person = tuple[str, str, str]  # address, name, language
Chosen = Callable[[Sequence[str]], Mapping[str, Listed]]  # what these addresses get, and how

_FIRST = "'=+-@\t\r"  # a cell that begins like this may have to be guarded
_TITLES = "email,name,language"


def to_csv(pages: Iterable[Sequence[Person]], chosen: Chosen | None = None) -> Iterator[str]:
    """A table with titles; cells that a spreadsheet program would calculate are made harmless.

    With ``chosen`` two more columns say what each reader gets, and how.
    """
    if chosen is None:
        yield f"{_TITLES}\n"
        for page in pages:
            yield _plain_table(page) or _table(page)
        return
    yield f"{_TITLES},newsletters,preferences\n"
    for page in pages:
        yield _table([(*person, *_cells(listed)) for person, listed in _with(page, chosen)])


def to_json(pages: Iterable[Sequence[Person]], chosen: Chosen | None = None) -> Iterator[str]:
    """One array, an object in each line, every value exactly as it is stored."""
    yield "["
    before = "\n"
    for page in pages:
        if page:
            yield before + ",\n".join(_objects(page, chosen))
            before = ",\n"
    yield "\n]\n"


def _objects(page: Sequence[Person], chosen: Chosen | None) -> list[str]:
    if chosen is None:
        return [
            f'{{"email": {quoted(address)}, "name": {quoted(name)}, "language": {quoted(lang)}}}'
            for address, name, lang in page
        ]
    return [
        f'{{"email": {quoted(address)}, "name": {quoted(name)}, "language": {quoted(lang)}, '
        f'"newsletters": [{", ".join(map(quoted, listed.newsletters))}], '
        f'"preferences": {quoted(cell_of(listed.choices))}}}'
        for (address, name, lang), listed in _with(page, chosen)
    ]


def _with(page: Sequence[Person], chosen: Chosen) -> Iterator[tuple[Person, Listed]]:
    found = chosen([address for address, _, _ in page])
    return ((person, found.get(person[0], Listed())) for person in page)


def _cells(listed: Listed) -> tuple[str, str]:
    return " ".join(listed.newsletters), cell_of(listed.choices)


def _plain_table(page: Sequence[Person]) -> str | None:
    """Nearly every page: no cell has to be quoted or guarded, as its text shows. Four times as fast."""
    text = "".join([f"{address},{name},{lang}\n" for address, name, lang in page])
    needs_no_quotes = text.count(",") == 2 * len(page) and text.count("\n") == len(page) and '"' not in text
    if not needs_no_quotes or "\r" in text:
        return None
    firsts = {cell[:1] for person in page for cell in person}
    return text if firsts.isdisjoint(_FIRST) else None


def _table(page: Sequence[Sequence[str]]) -> str:
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerows([[guarded(cell) for cell in row] for row in page])
    return text.getvalue()
