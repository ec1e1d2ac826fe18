"""Readers -> text that another program, or our own import, can read. Page by page, in constant memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO

from bot.audience.spreadsheet import guarded

Person = tuple[str, str, str]  # address, name, language
TITLES = ("email", "name", "language")


def to_csv(pages: Iterable[Sequence[Person]]) -> Iterator[str]:
    """A table with titles; cells that a spreadsheet program would calculate are made harmless."""
    yield ",".join(TITLES) + "\n"
    for page in pages:
        text = StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerows([(guarded(address), guarded(name), guarded(lang)) for address, name, lang in page])
        yield text.getvalue()


def to_json(pages: Iterable[Sequence[Person]]) -> Iterator[str]:
    """One array, an object in each line, every value exactly as it is stored."""
    encode = json.JSONEncoder(ensure_ascii=False).encode
    yield "["
    before = "\n"
    for page in pages:
        if page:
            yield before + ",\n".join([encode(dict(zip(TITLES, person, strict=True))) for person in page])
            before = ",\n"
    yield "\n]\n"
