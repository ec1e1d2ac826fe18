"""The letters of one reader. There is no index for that: a large issue is searched by halves.

An issue's audience is frozen in the order of the readers' ids, so each look halves what is left: twenty
looks for a million. Only an issue that was given its readers, a rehearsal's, is read through.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, select

from bot.model import State
from bot.store.schema import issue, letter


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """One letter to a reader, and what became of it."""

    mode: str
    newsletter: str
    number: int
    subject: str
    state: State
    at: datetime | None


def letters_to(connection: Connection, reader: str, *issues: ColumnElement[bool]) -> Iterator[Received]:
    """The letters to this reader within these issues, the oldest first."""
    query = select(issue).where(*issues).order_by(issue.c.id)
    for of in connection.execute(query).all():
        found = (
            _given(connection, reader, of.id)
            if of.audience == "given"
            else _by_halves(connection, reader, of)
        )
        if found is not None:
            yield Received(
                mode=of.mode,
                newsletter=of.newsletter,
                number=of.number,
                subject=of.subject,
                state=State(found.state),
                at=found.at,
            )


def _given(connection: Connection, reader: str, number: int) -> Row[Any] | None:
    mine = and_(letter.c.issue == number, letter.c.reader == reader)
    return connection.execute(select(letter).where(mine).limit(1)).one_or_none()


def _by_halves(connection: Connection, reader: str, of: Row[Any]) -> Row[Any] | None:
    first, last = 1, of.total
    while first <= last:
        middle = (first + last) // 2
        place = and_(letter.c.issue == of.id, letter.c.number == middle)
        row = connection.execute(select(letter).where(place)).one()
        if row.reader == reader:
            return row
        first, last = (middle + 1, last) if row.reader < reader else (first, middle - 1)
    return None
