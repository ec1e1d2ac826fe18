"""What went out, as far as the archive cares: which items, in which issues and posts, and when."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Select, func, select

from bot.model import State
from bot.store.engine import reading
from bot.store.schema import chunk, delivery, issue, printed, words
from bot.store.words import from_text


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedIssue:
    """An issue that at least one reader was sent, or that was finished before there was a reader."""

    newsletter: str
    number: int
    slot: datetime
    items: tuple[str, ...]  # ids, in the order in which they were printed


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedPost:
    """An item that was posted."""

    item: str
    channel: str
    at: datetime
    url: str  # of the post; empty where the service gives none


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """Everything that went out in one mode, the oldest first."""

    issues: tuple[PublishedIssue, ...] = ()
    posts: tuple[PublishedPost, ...] = ()


def read_published(engine: Engine, mode: str) -> Published:
    """What is recorded, planned, held back, cancelled or failed before anybody got it is not among it."""
    with reading(engine) as connection:
        return Published(issues=_issues(connection, mode), posts=_posts(connection, mode))


def posted_addresses(engine: Engine, mode: str) -> dict[str, str]:
    """Each item that was posted, with the address that its post led to."""
    query = select(delivery.c.subject, words.c.body).join(words, words.c.digest == delivery.c.message)
    with reading(engine) as connection:
        rows = connection.execute(query.where(*_sent_posts(mode)))
        return {row.subject: from_text(row.body).url for row in rows}


def latest_number(engine: Engine, mode: str, newsletter: str) -> int | None:
    """The number of the newsletter's newest issue that went out; None before the first."""
    query = _out(mode).where(issue.c.newsletter == newsletter).order_by(None).order_by(issue.c.slot.desc())
    with reading(engine) as connection:
        row = connection.execute(query.limit(1)).first()
    return None if row is None else row.number


def mark_of(engine: Engine, mode: str) -> tuple[object, ...]:
    """Something small that differs when ``read_published`` would: for whoever asks again and again."""
    posts = select(func.count(), func.max(delivery.c.settled_at)).where(*_sent_posts(mode))
    with reading(engine) as connection:
        sent = connection.execute(_out(mode)).all()
        return (tuple(row.id for row in sent), *connection.execute(posts).one())


def _issues(connection: Connection, mode: str) -> tuple[PublishedIssue, ...]:
    items: dict[str, list[str]] = defaultdict(list)
    query = select(printed.c.subject, printed.c.item).where(printed.c.mode == mode)
    for subject, item in connection.execute(query.order_by(printed.c.place, printed.c.item)):
        items[subject].append(item)
    return tuple(
        PublishedIssue(
            newsletter=row.newsletter, number=row.number, slot=row.slot, items=tuple(items[row.subject])
        )
        for row in connection.execute(_out(mode))
    )


def _out(mode: str) -> Select[Any]:
    """The issues that went out. The counters of the chunks say it; no letter is looked at."""
    sent = select(chunk.c.issue).where(chunk.c.issue == issue.c.id, chunk.c.sent > 0).exists()
    nobody_to_send_to = (issue.c.state == "done") & (issue.c.total == 0)
    return (
        select(issue)
        .where(issue.c.mode == mode, sent | nobody_to_send_to)
        .order_by(issue.c.slot, issue.c.newsletter)
    )


def _posts(connection: Connection, mode: str) -> tuple[PublishedPost, ...]:
    query = select(delivery).where(*_sent_posts(mode)).order_by(delivery.c.settled_at, delivery.c.id)
    return tuple(
        PublishedPost(item=row.subject, channel=row.channel, at=row.settled_at, url=row.url or "")
        for row in connection.execute(query)
    )


def _sent_posts(mode: str) -> tuple[Any, ...]:
    return (delivery.c.mode == mode, delivery.c.state == State.SENT.value, delivery.c.kind == "post")
