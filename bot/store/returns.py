"""Sums over what came back, for people: no reader is named, and no address was ever kept here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, desc, func, select

from bot.store import schema
from bot.store.engine import reading

_bounce = schema.bounce.c


@dataclass(frozen=True, kw_only=True, slots=True)
class Returned:
    """What came back with the same meaning and code: of how many readers, and one of the answers."""

    kind: str
    code: str
    readers: int
    mails: int
    said: str


def returned(engine: Engine, since: datetime) -> list[Returned]:
    """What came back after that moment, the most frequent first."""
    readers = func.count(_bounce.subscriber_id.distinct())
    query = (
        select(_bounce.kind, _bounce.code, readers, func.count(), func.max(_bounce.said))
        .where(_bounce.at > since)
        .group_by(_bounce.kind, _bounce.code)
        .order_by(desc(readers), _bounce.kind, _bounce.code)
    )
    with reading(engine) as connection:
        return [
            Returned(kind=kind, code=code, readers=count, mails=mails, said=said)
            for kind, code, count, mails, said in connection.execute(query)
        ]


def readers_with(engine: Engine, kind: str, since: datetime, *, besides: str) -> int:
    """How many readers something of this kind came back of after that moment, ``besides`` one source."""
    query = select(func.count(_bounce.subscriber_id.distinct())).where(
        _bounce.kind == kind, _bounce.at > since, _bounce.source != besides
    )
    with reading(engine) as connection:
        return connection.scalar(query) or 0


def latest(engine: Engine, source: str) -> datetime | None:
    """When the latest of this source came back."""
    query = select(_bounce.at).where(_bounce.source == source).order_by(desc(_bounce.at)).limit(1)
    with reading(engine) as connection:
        found: datetime | None = connection.scalar(query)
    return found


def stopped(engine: Engine, since: datetime) -> dict[str, int]:
    """Why readers were suppressed after that moment, and how many."""
    proof = schema.consent.c
    query = (
        select(proof.means, func.count().label("readers"))
        .where(proof.event == "suppressed", proof.at > since)
        .group_by(proof.means)
        .order_by(proof.means)
    )
    with reading(engine) as connection:
        return {row.means: row.readers for row in connection.execute(query)}
