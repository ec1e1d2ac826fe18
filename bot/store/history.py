"""What the ledger knows that planning cares about: first meetings, slots, what was printed and posted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, Select, Table, func, select

from bot.model import History
from bot.store.rows import add_missing, batches
from bot.store.schema import firing, hold, issue, posted, printed, seen

SCHEDULE, APPROVED = "schedule", "approved"


def read_history(connection: Connection, mode: str, schedules: Sequence[str]) -> History:
    """All that a plan for these schedules may depend on."""
    last_slot = _by_name(firing, firing.c.schedule, func.max(firing.c.slot), mode, schedules)
    last_post = _by_name(posted, posted.c.channel, func.max(posted.c.at), mode, schedules)
    number = _by_name(issue, issue.c.newsletter, func.max(issue.c.number) + 1, mode, schedules)
    added = _first_seen(connection, mode, SCHEDULE)
    return History(
        added_at={name: added[name] for name in schedules if name in added},
        approved_at=_first_seen(connection, mode, APPROVED),
        printed=_items(connection, printed, printed.c.newsletter, mode, schedules),
        posted=_items(connection, posted, posted.c.channel, mode, schedules),
        last_slot=_pairs(connection, last_slot),
        last_post=_pairs(connection, last_post),
        next_number=_pairs(connection, number),
        holds=read_holds(connection),
    )


def read_holds(connection: Connection) -> dict[str, str]:
    """What is held, and why."""
    return _pairs(connection, select(hold.c.scope, hold.c.reason).order_by(hold.c.at, hold.c.scope))


def unseen(connection: Connection, mode: str, kind: str, names: Iterable[str]) -> list[str]:
    """Those of the names that were never noted, each once."""
    known = _first_seen(connection, mode, kind)
    return [name for name in dict.fromkeys(names) if name not in known]


def note_seen(connection: Connection, mode: str, kind: str, names: Collection[str], now: datetime) -> None:
    """Stamp the names; a stamp that is there already stays."""
    for batch in batches(names):
        add_missing(connection, seen, [{"mode": mode, "kind": kind, "name": n, "at": now} for n in batch])


def _first_seen(connection: Connection, mode: str, kind: str) -> dict[str, datetime]:
    query = select(seen.c.name, seen.c.at).where(seen.c.mode == mode, seen.c.kind == kind)
    return _pairs(connection, query)


def _by_name(
    table: Table, name: Column[Any], value: Any, mode: str, names: Sequence[str]
) -> Select[tuple[str, Any]]:
    return select(name, value).where(table.c.mode == mode, name.in_(names)).group_by(name)


def _pairs(connection: Connection, query: Select[Any]) -> dict[str, Any]:
    return {row[0]: row[1] for row in connection.execute(query)}


def _items(
    connection: Connection, table: Table, name: Column[Any], mode: str, names: Sequence[str]
) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    query = select(name, table.c.item).where(table.c.mode == mode, name.in_(names))
    for owner, item in connection.execute(query):
        found[owner].add(item)
    return {owner: frozenset(items) for owner, items in found.items()}
