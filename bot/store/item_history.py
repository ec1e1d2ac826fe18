"""What became of each item: the issues that printed it, and its posts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Engine, case, func, select

from bot.model import State
from bot.store.engine import reading
from bot.store.schema import chunk, delivery, issue, printed


@dataclass(frozen=True, kw_only=True, slots=True)
class PrintedIn:
    """The issue that printed an item."""

    number: int
    slot: datetime
    state: str  # of the issue: "open" | "cancelled" | "done"
    sent: int  # readers who were sent it
    total: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PostedAs:
    """The newest post of an item on one channel."""

    state: State
    at: datetime  # when it was settled; before that, when it is due
    url: str
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemHistory:
    """By item and newsletter or channel, in one mode."""

    issues: Mapping[tuple[str, str], PrintedIn] = field(default_factory=dict)
    posts: Mapping[tuple[str, str], PostedAs] = field(default_factory=dict)


def read_item_history(engine: Engine, mode: str) -> ItemHistory:
    """Everything that was ever planned for an item."""
    with reading(engine) as connection:
        return ItemHistory(issues=_issues(connection, mode), posts=_posts(connection, mode))


def _issues(connection: Connection, mode: str) -> dict[tuple[str, str], PrintedIn]:
    sent = select(chunk.c.issue, func.sum(chunk.c.sent).label("sent")).group_by(chunk.c.issue).subquery()
    query = (
        select(printed.c.item, issue, func.coalesce(sent.c.sent, 0).label("sent"))
        .join(issue, (issue.c.mode == printed.c.mode) & (issue.c.subject == printed.c.subject))
        .outerjoin(sent, sent.c.issue == issue.c.id)
        .where(printed.c.mode == mode)
    )
    return {
        (row.item, row.newsletter): PrintedIn(
            number=row.number, slot=row.slot, state=row.state, sent=int(row.sent), total=row.total
        )
        for row in connection.execute(query)
    }


def _posts(connection: Connection, mode: str) -> dict[tuple[str, str], PostedAs]:
    at = case((delivery.c.settled_at.is_not(None), delivery.c.settled_at), else_=delivery.c.due).label("at")
    query = select(delivery, at).where(delivery.c.mode == mode, delivery.c.kind == "post")
    return {
        (row.subject, row.channel): PostedAs(
            state=State(row.state), at=row.at, url=row.url or "", error=row.error or ""
        )
        for row in connection.execute(query.order_by(delivery.c.id))
    }
