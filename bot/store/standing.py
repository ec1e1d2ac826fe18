"""How the issues stand, for people: how far each has come, and which of its letters are or were in doubt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, case, func, literal_column, select

from bot.model import State
from bot.store.chunks import Progress, short_name
from bot.store.engine import reading
from bot.store.letterbook import read_mailing
from bot.store.schema import chunk, issue, letter

SHOWN = 20  # letters that are named; the others are counted

# Word for word what the index of these letters says, and an order that the table does not have: only so
# SQLite looks there, and not through all letters of the issue.
_DOUBTFUL: ColumnElement[bool] = literal_column("letter.doubts > 0")
_IN_ORDER: ColumnElement[int] = literal_column("+letter.number")


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """Letters by their short names: the first of them, and how many there are.

    In a sum whoever is among the first of both counts once.
    """

    count: int = 0
    first: tuple[str, ...] = ()

    def __add__(self, other: Named) -> Named:
        names = tuple(dict.fromkeys(self.first + other.first))
        both = len(self.first) + len(other.first) - len(names)
        return Named(count=self.count + other.count - both, first=names[:SHOWN])

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        """ "i1.3", "i1.3, i1.4 and 981 more"."""
        names, more = ", ".join(self.first), self.count - len(self.first)
        return f"{names} and {more:,} more" if more else names

    @property
    def letters(self) -> str:
        """ "1 letter", "1,204 letters"."""
        return f"{self.count:,} letter{'s' * (self.count != 1)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How an issue stands."""

    id: int
    subject: str
    channel: str
    scopes: frozenset[str]  # whatever may hold it
    progress: Progress
    leased_until: datetime | None = None  # the latest lease of who has claimed letters
    unanswered: Named = field(default_factory=Named)  # may have gone out; a person must answer
    doubted: Named = field(default_factory=Named)  # were so once: they went out again, or a person answered


def standings(
    engine: Engine, *, mode: str, publication: str, limit: int, on_their_way: bool = False
) -> list[Standing]:
    """The latest issues of the mode, the newest last; ``on_their_way``: those alone that are not over.

    Quick however many their readers are.
    """
    wanted = issue.c.mode == mode
    if on_their_way:
        wanted &= issue.c.state.in_(["open", "paused"])
    with reading(engine) as connection:
        query = select(issue).where(wanted).order_by(issue.c.id.desc()).limit(limit)
        rows = connection.execute(query).all()
        return [_standing(connection, row, publication) for row in reversed(rows)]


def _standing(connection: Connection, row: Row[Any], publication: str) -> Standing:
    unknown = letter.c.state == State.UNKNOWN.value
    counts, leased_until = _counts(connection, row.id)
    return Standing(
        id=row.id,
        subject=row.subject,
        channel=row.channel,
        scopes=read_mailing(connection, row.id, publication).scopes,
        progress=Progress(state=row.state, note=row.note, total=row.total, counts=counts),
        leased_until=leased_until,
        unanswered=_named(connection, row.id, unknown),
        doubted=_named(connection, row.id, ~unknown),
    )


def _counts(connection: Connection, number: int) -> tuple[Mapping[State, int], datetime | None]:
    """By state, and until when who has claimed letters has them."""
    sums = (func.coalesce(func.sum(chunk.c[state.value]), 0).label(state.value) for state in State)
    lease = func.max(case((chunk.c.claimed > 0, chunk.c.lease_until))).label("lease")
    found = connection.execute(select(*sums, lease).where(chunk.c.issue == number)).one()._mapping
    return {state: int(found[state.value]) for state in State}, found["lease"]


def _named(connection: Connection, number: int, which: ColumnElement[bool]) -> Named:
    of_issue = (letter.c.issue == number) & _DOUBTFUL & which
    places, count = select(letter.c.number), select(func.count(letter.c.number))
    first = connection.scalars(places.where(of_issue).order_by(_IN_ORDER).limit(SHOWN)).all()
    whole = connection.scalar(count.where(of_issue))
    return Named(count=whole or 0, first=tuple(short_name(number, place) for place in first))
