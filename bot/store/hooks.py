"""What other programs have to be told: each call is on the disk before it is made, until it was answered.

Taking a call lends it out for a while: whoever dies in between leaves it to be made again, with the same id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from bot.store.engine import reading, writing
from bot.store.rows import add_missing
from bot.store.schema import chunk, hook_call, issue, seen

PLANNED, SENT, FAILED = "planned", "sent", "failed"
SIGNUPS_LIMITED = "signups.limited"
_NOTED = "issue.sent"  # a kind of "seen"
_EMPTY = ("", "{}")  # of a call that was made, or whose person was erased
_FORGET_SENT, _FORGET_OTHERS = timedelta(days=7), timedelta(days=30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened."""

    kind: str  # "subscribed" | "confirmed" | "left" | "bounced" | "complained" | "issue.sent" ...
    at: datetime
    newsletter: str = ""  # "" for all
    subscriber: str = ""  # an opaque id
    address: str = field(default="", repr=False)
    data: Mapping[str, Any] = field(default_factory=dict)
    once: bool = False  # it happens once, whenever that is noticed


Tell = Callable[[Connection, Event], None]


def nobody(_: Connection, __: Event) -> None:
    """A ``Tell`` for whoever has nobody to tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SentIssue:
    """An issue whose last letter is settled."""

    subject: str
    newsletter: str
    number: int
    total: int
    sent: int
    failed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class HookCall:
    """One event for one hook."""

    id: int
    hook: str
    event: str
    body: str  # empty when it was made: what it held is the other side's now
    at: datetime
    due: datetime | None
    attempts: int
    state: str
    said: str  # by the other side, the last time


@dataclass(frozen=True, kw_only=True, slots=True)
class HookCount:
    """How things stand with one hook."""

    planned: int = 0
    sent: int = 0
    failed: int = 0
    oldest: datetime | None = None  # of the planned ones


class Hooks:
    """The calls of all hooks."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def add(self, connection: Connection, hook: str, event: str, body: str, now: datetime) -> None:
        """Plan a call, within the transaction in which the event happened."""
        row = {"hook": hook, "event": event, "body": body, "at": now, "due": now, "attempts": 0}
        connection.execute(insert(hook_call), row | {"state": PLANNED, "said": ""})

    def take(self, hook: str, now: datetime, *, lease: timedelta) -> HookCall | None:
        """The oldest call that is due, lent out until the lease ends; on disk before this returns."""
        mine = (hook_call.c.hook == hook, hook_call.c.due <= now, hook_call.c.state == PLANNED)
        first = select(hook_call).where(*mine).order_by(hook_call.c.due, hook_call.c.id).limit(1)
        while True:
            with writing(self.engine) as connection:
                row = connection.execute(first).one_or_none()
                if row is None:
                    return None
                taken = connection.execute(
                    update(hook_call)
                    .where(hook_call.c.id == row.id, hook_call.c.due == row.due, hook_call.c.state == PLANNED)
                    .values(due=now + lease, attempts=row.attempts + 1)
                )
            if taken.rowcount == 1:  # else another process was quicker
                return HookCall(**{**row._mapping, "due": now + lease, "attempts": row.attempts + 1})

    def settle(self, call: HookCall, *, state: str, due: datetime | None, said: str) -> None:
        """What became of an attempt. Of a call that was made only that is kept."""
        values = {"state": state, "due": due, "said": said} | ({"body": ""} if state == SENT else {})
        # Whoever took it in the meantime settles it; and what was erased meanwhile stays so.
        same = (hook_call.c.attempts == call.attempts, hook_call.c.body == call.body)
        with writing(self.engine) as connection:
            connection.execute(update(hook_call).where(hook_call.c.id == call.id, *same).values(**values))

    def again(self, hook: str, now: datetime) -> int:
        """Put the failed ones of a hook back in line, and call at once whatever waits; how many that is."""
        waits = (hook_call.c.state.in_((FAILED, PLANNED)), hook_call.c.body.not_in(_EMPTY))
        change = update(hook_call).where(hook_call.c.hook == hook, *waits)
        with writing(self.engine) as connection:
            return connection.execute(change.values(state=PLANNED, due=now, attempts=0)).rowcount

    def counts(self) -> dict[str, HookCount]:
        """How things stand with each hook that was ever called."""
        of = (hook_call.c.hook, hook_call.c.state)
        what = (*of, func.count().label("count"), func.min(hook_call.c.at).label("oldest"))
        erased = (hook_call.c.state != SENT) & hook_call.c.body.in_(_EMPTY)
        query = select(*what).where(~erased).group_by(*of)
        found: dict[str, dict[str, object]] = {}
        with reading(self.engine) as connection:
            for row in connection.execute(query):
                values = found.setdefault(row.hook, {})
                values[row.state] = row._mapping["count"]
                if row.state == PLANNED:
                    values["oldest"] = row.oldest
        return {hook: HookCount(**values) for hook, values in found.items()}  # type: ignore[arg-type]

    def calls(self, *, hook: str | None = None, states: Sequence[str], limit: int) -> list[HookCall]:
        """The newest calls first."""
        query = select(hook_call).where(hook_call.c.state.in_(states))
        if hook is not None:
            query = query.where(hook_call.c.hook == hook)
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(hook_call.c.id.desc()).limit(limit)).all()
        return [HookCall(**row._mapping) for row in rows]

    def finished_issues(self, mode: str, *, since: datetime) -> list[SentIssue]:
        """The issues recorded after that moment with nothing left to send, that nobody was told of yet."""
        left = func.sum(chunk.c.planned + chunk.c.claimed + chunk.c.deferred)
        sums = (func.sum(chunk.c.sent).label("sent"), func.sum(chunk.c.failed).label("failed"))
        named = select(seen.c.name).where(seen.c.mode == mode, seen.c.kind == _NOTED)
        of = (issue.c.subject, issue.c.newsletter, issue.c.number, issue.c.total)
        query = (
            select(*of, *sums)
            .join(chunk, chunk.c.issue == issue.c.id)
            .where(issue.c.mode == mode, issue.c.recorded_at > since, issue.c.state != "cancelled")
            .where(issue.c.subject.not_in(named))
            .group_by(issue.c.id, *of)
            .having(left == 0)
            .order_by(issue.c.id)
        )
        with reading(self.engine) as connection:
            return [SentIssue(**row._mapping) for row in connection.execute(query)]

    def first_time(self, connection: Connection, mode: str, of: SentIssue, now: datetime) -> bool:
        """Remember that this issue is told about; False when it was before."""
        row = {"mode": mode, "kind": _NOTED, "name": of.subject, "at": now}
        return add_missing(connection, seen, [row]) == 1

    def sweep(self, now: datetime) -> None:
        """Forget what was told a week ago, and what nobody took for a month."""
        old = hook_call.c.at < now - _FORGET_OTHERS
        told = (hook_call.c.state == SENT) & (hook_call.c.at < now - _FORGET_SENT)
        with writing(self.engine) as connection:
            connection.execute(delete(hook_call).where(old | told))
