"""What becomes of the letters that a worker left claimed when it died, was stopped or lost its lease."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from bot.model import State
from bot.store import letters
from bot.store.chunks import Chunk, Mailing, Settled, doubted
from bot.store.flight import Wreck
from bot.store.schema import chunk as _chunk
from bot.store.schema import letter


@dataclass(frozen=True, kw_only=True, slots=True)
class Recovery:
    """How many letters of dead workers were put right, and which are in doubt."""

    settled: int = 0  # their answers had come
    returned: int = 0  # certainly not sent
    doubtful: tuple[tuple[Mailing, Settled], ...] = ()  # with their issue

    def __add__(self, other: Recovery) -> Recovery:
        return Recovery(
            settled=self.settled + other.settled,
            returned=self.returned + other.returned,
            doubtful=self.doubtful + other.doubtful,
        )


def take_over(
    connection: Connection,
    mailing: Mailing,
    row: Row[Any],
    now: datetime,
    *,
    resend: bool,
    wreck: Wreck | None = None,
) -> Recovery:
    """Settle what the chunk's owner before left claimed, by its flight recorder where there is one."""
    if not row.claimed:
        return Recovery()
    before = _as_it_was(mailing, row)
    found = _verdicts(connection, before, now, wreck, resend=resend)
    letters.settle(connection, before, [outcome for outcome, _ in found], now)
    letters.count_again(connection, mailing.id, row.number, now)
    return Recovery(
        settled=sum(kind == "settled" for _, kind in found),
        returned=sum(kind == "returned" for _, kind in found),
        doubtful=tuple((mailing, outcome) for outcome, kind in found if kind == "doubtful"),
    )


def free(connection: Connection, row: Row[Any]) -> None:
    """Take the lease from an owner that is dead; the fence keeps it out should it not be."""
    mine = (_chunk.c.issue == row.issue) & (_chunk.c.number == row.number)
    values = {"owner": None, "lease_until": None, "fence": row.fence + 1}
    connection.execute(update(_chunk).where(mine).values(values))


def _verdicts(
    connection: Connection, before: Chunk, now: datetime, wreck: Wreck | None, *, resend: bool
) -> list[tuple[Settled, str]]:
    claimed = select(letter.c.number, letter.c.attempts, letter.c.doubts).where(
        letter.c.issue == before.mailing.id,
        letter.c.number.between(before.first, before.last),
        letter.c.state == State.CLAIMED.value,
    )
    found: list[tuple[Settled, str]] = []
    for number, attempts, doubts in connection.execute(claimed):
        place = (before.mailing.id, number, before.fence)
        record = wreck.records.get(place) if wreck else None
        if record:
            found.append((record, "settled"))
        elif wreck and wreck.trusted and place not in wreck.records:
            found.append((Settled(number, State.PLANNED, attempts - 1, doubts), "returned"))
        else:
            found.append((doubted(number, attempts, doubts, now, resend=resend), "doubtful"))
    return found


def _as_it_was(mailing: Mailing, row: Row[Any]) -> Chunk:
    return Chunk(
        mailing=mailing,
        number=row.number,
        first=row.first,
        last=row.last,
        owner=row.owner or "",
        fence=row.fence,
        seconds=0,
    )
