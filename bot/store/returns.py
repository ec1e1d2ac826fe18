"""Sums over what came back, for people: no reader is named, and no address was ever kept here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Engine, desc, func, select

from bot.model import State
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


@dataclass(frozen=True, kw_only=True, slots=True)
class ReturnedIssue:
    """Of how many readers an issue came back, by what it meant."""

    newsletter: str
    number: int
    slot: datetime
    total: int  # letters
    readers: Mapping[str, int]  # by kind


def returned_issues(engine: Engine, since: datetime) -> list[ReturnedIssue]:
    """The issues of which something came back after that moment, the latest first."""
    issue = schema.issue.c
    query = (
        select(
            issue.newsletter,
            issue.number,
            issue.slot,
            issue.total,
            _bounce.kind,
            func.count(_bounce.subscriber_id.distinct()).label("readers"),
        )
        .join(schema.issue, issue.id == _bounce.issue)
        .where(_bounce.at > since)
        .group_by(issue.id, issue.newsletter, issue.number, issue.slot, issue.total, _bounce.kind)
        .order_by(desc(issue.slot), issue.newsletter, _bounce.kind)
    )
    with reading(engine) as connection:
        rows = connection.execute(query).all()
    kinds: dict[tuple[str, int, datetime, int], dict[str, int]] = {}
    for row in rows:
        of = kinds.setdefault((row.newsletter, row.number, row.slot, row.total), {})
        of[row.kind] = row.readers
    return [
        ReturnedIssue(newsletter=newsletter, number=number, slot=slot, total=total, readers=readers)
        for (newsletter, number, slot, total), readers in kinds.items()
    ]


def signed_reports(engine: Engine, kind: str, since: datetime) -> dict[str, list[str]]:
    """Of which readers something of this kind, signed, was read after that moment: the reports' digests."""
    query = select(_bounce.subscriber_id, _bounce.digest).where(
        _bounce.kind == kind, _bounce.heard_at > since, _bounce.signed == 1
    )
    found: dict[str, list[str]] = {}
    with reading(engine) as connection:
        for reader, digest in connection.execute(query):
            found.setdefault(reader, []).append(digest)
    return found


def readers_led(engine: Engine, to: str, since: datetime) -> frozenset[str]:
    """Whose reports led to this after that moment."""
    query = select(_bounce.subscriber_id).where(_bounce.led_to == to, _bounce.led_at > since)
    with reading(engine) as connection:
        return frozenset(connection.scalars(query))


@dataclass(frozen=True, kw_only=True, slots=True)
class Unsigned:
    """A report that anybody may have written. The address is for the organiser's eyes, and in no repr."""

    heard_at: datetime
    address: str = field(repr=False)
    kind: str
    code: str
    waits: bool  # the reader would have been removed, had there not been too many at once


def unsigned(engine: Engine, since: datetime) -> list[Unsigned]:
    """The unsigned reports that were read after that moment, of readers who are still here; oldest first."""
    person = schema.subscriber.c
    query = (
        select(_bounce.heard_at, person.address, _bounce.kind, _bounce.code, _bounce.led_to)
        .join(schema.subscriber, person.id == _bounce.subscriber_id)
        .where(_bounce.signed == 0, _bounce.heard_at > since)
        .order_by(_bounce.heard_at, _bounce.id)
    )
    with reading(engine) as connection:
        return [
            Unsigned(
                heard_at=row.heard_at,
                address=row.address,
                kind=row.kind,
                code=row.code,
                waits=row.led_to == "waiting",
            )
            for row in connection.execute(query)
        ]


def written_to(
    engine: Engine, mode: str, newsletter: str, *, since: datetime, before: datetime
) -> tuple[int, int]:
    """Of the fullest issue of this newsletter after ``since``: how many of its readers it was taken to a
    mail server for, and how many of these subscribed before that moment.
    """
    issue, chunk, letter, of = schema.issue.c, schema.chunk.c, schema.letter.c, schema.subscription.c
    tried = func.sum(chunk.sent + chunk.failed)
    fullest = (
        select(issue.id)
        .join(schema.chunk, chunk.issue == issue.id)
        .where(issue.mode == mode, issue.newsletter == newsletter, issue.recorded_at > since)
        .group_by(issue.id)
        .order_by(desc(tried), desc(issue.id))
        .limit(1)
    )
    with reading(engine) as connection:
        number = connection.scalar(fullest)
        if number is None:
            return 0, 0
        mine = (of.newsletter == newsletter) & (of.subscriber_id == letter.reader)
        query = (
            select(func.count(), func.count().filter(of.since <= before))
            .select_from(schema.letter)
            .join(schema.subscription, mine)
            .where(letter.issue == number, letter.state.in_((State.SENT.value, State.FAILED.value)))
        )
        everybody, settled = connection.execute(query).one()
        return everybody, settled


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
