"""Taking a departure back: what a reader had is remembered for a moment, and put back whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Table, delete, select

from bot.store.engine import changing_readers, reading
from bot.store.hooks import Event, Tell, nobody
from bot.store.proof import note_proof
from bot.store.rows import add_missing
from bot.store.schema import preference, subscriber, subscription, suppression
from bot.store.suppression import ALL, Hasher

MEANS = "taken back"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscribed:
    """A reader's rows for one newsletter. It knows the address: it is kept in memory only, and briefly."""

    newsletter: str
    person: Mapping[str, Any] = field(repr=False)
    reads: Mapping[str, Any]
    wish: Mapping[str, Any] | None


class Returning:
    """Remembers readers before they leave, and brings them back."""

    def __init__(self, engine: Engine, hasher: Hasher, *, tell: Tell = nobody) -> None:
        self.engine, self.hasher, self.tell = engine, hasher, tell

    def subscribed(self, subscriber_id: str, newsletter: str) -> Subscribed | None:
        """What this reader has now; None for somebody who does not get the newsletter."""
        with reading(self.engine) as connection:
            person = connection.execute(select(subscriber).where(subscriber.c.id == subscriber_id)).first()
            reads = _row_of(connection, subscription, subscriber_id, newsletter)
            wish = _row_of(connection, preference, subscriber_id, newsletter)
        if person is None or reads is None:
            return None
        return Subscribed(newsletter=newsletter, person=dict(person._mapping), reads=reads, wish=wish)

    def bring_back(self, before: Subscribed, *, left_at: datetime, now: datetime, ip: str = "") -> bool:
        """As it was before they left at ``left_at``. False when more happened since: erased, joined."""
        key = before.person["address_key"]
        names, theirs = self.hasher.names(key), suppression.c
        with changing_readers(self.engine) as connection:
            of_all = select(theirs.reason).where(theirs.address_key.in_(names), theirs.newsletter == ALL)
            if connection.execute(of_all).first() is not None:
                return False
            this = (theirs.address_key == key) & (theirs.newsletter == before.newsletter)
            this &= (theirs.reason == "left") & (theirs.since == left_at)
            if connection.execute(delete(suppression).where(this)).rowcount != 1:
                return False
            self._put_back(connection, before, now)
            note_proof(
                connection,
                "confirmed",
                [before.newsletter],
                address=before.person["address"],
                address_key=key,
                means=MEANS,
                at=now,
                ip=ip,
            )
        return True

    def _put_back(self, connection: Connection, before: Subscribed, now: datetime) -> None:
        add_missing(connection, subscriber, [dict(before.person)])
        same = select(subscriber.c.id).where(subscriber.c.address_key == before.person["address_key"])
        found = {"subscriber_id": connection.scalars(same).one()}
        add_missing(connection, subscription, [{**before.reads, **found}])
        if before.wish is not None:
            add_missing(connection, preference, [{**before.wish, **found}])
        event = Event(
            kind="subscribed",
            at=now,
            newsletter=before.newsletter,
            subscriber=found["subscriber_id"],
            address=before.person["address"],
        )
        self.tell(connection, event)


def _row_of(
    connection: Connection, table: Table, subscriber_id: str, newsletter: str
) -> Mapping[str, Any] | None:
    query = select(table).where(table.c.subscriber_id == subscriber_id, table.c.newsletter == newsletter)
    row = connection.execute(query).first()
    return None if row is None else dict(row._mapping)
