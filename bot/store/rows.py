"""Deliveries as rows and back; rows in batches, and only those that are missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, Table
from sqlalchemy.dialects import postgresql, sqlite

from bot.model import Delivery, Receipt, Recipient, State

T = TypeVar("T")
Values = dict[str, Any]

BATCH = 500  # rows per statement: past this it gets no faster, and memory stays small


def add_missing(connection: Connection, table: Table, rows: Sequence[Values]) -> int:
    """Insert the rows whose key is not there yet; how many were new."""
    if not rows:
        return 0
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    # preserve_rowcount: SQLAlchemy would not ask PostgreSQL's driver how many rows an INSERT made.
    query = dialect.insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)
    added: int = connection.execute(query, list(rows)).rowcount
    return added


def put(connection: Connection, table: Table, row: Values) -> None:
    """Insert the row, or put it in place of the one with its key; of two at once the later one stays."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    key = [column.name for column in table.primary_key]
    rest = {name: value for name, value in row.items() if name not in key}
    query = dialect.insert(table).values(row)
    connection.execute(query.on_conflict_do_update(index_elements=key, set_=rest))


def batches(things: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """The things in lists of at most ``size``, read as they are needed."""
    rest = iter(things)
    while batch := list(islice(rest, size)):
        yield batch


def planned_values(delivery: Delivery, mode: str) -> Values:
    """The row of a new delivery."""
    return {
        "key": delivery.key,
        "mode": mode,
        "kind": delivery.kind,
        "subject": delivery.subject,
        "channel": delivery.channel,
        "recipient": delivery.recipient.id,
        "message": delivery.message,
        **changing_values(delivery),
    }


def changing_values(delivery: Delivery) -> Values:
    """What an outcome or a person may change; all else about a delivery is fixed for ever."""
    receipt = delivery.receipt
    return {
        "state": delivery.state.value,
        "due": delivery.due,
        "attempts": delivery.attempts,
        "claimed_at": delivery.claimed_at,
        "settled_at": delivery.settled_at,
        "remote_id": receipt.remote_id if receipt else None,
        "url": receipt.url if receipt else None,
        "note": receipt.note if receipt else None,
        "error": delivery.error,
        "code": delivery.code,
    }


def to_delivery(row: Row[Any]) -> Delivery:
    """The delivery of a row. Its recipient is only an id: the address is looked up when it is sent."""
    receipt = None
    if row.remote_id is not None:
        receipt = Receipt(remote_id=row.remote_id, url=row.url or "", note=row.note or "")
    return Delivery(
        key=row.key,
        kind=row.kind,
        subject=row.subject,
        channel=row.channel,
        recipient=Recipient(id=row.recipient),
        message=row.message,
        due=row.due,
        state=State(row.state),
        attempts=row.attempts,
        claimed_at=row.claimed_at,
        settled_at=row.settled_at,
        receipt=receipt,
        error=row.error,
        code=row.code,
    )
