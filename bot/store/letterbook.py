"""The letters of large issues as people look at them: counted, listed, found by name, decided about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Executable, Row, Select, and_, func, or_, select, update

from bot.model import Delivery, Receipt, Recipient, State
from bot.store import letters
from bot.store.chunks import Mailing, keys_of, read_short_name, short_name
from bot.store.schema import chunk, issue, letter, printed, variant

EVERYTHING = "*"  # the scope of STOP
PLENTY = 12  # digits of a key that no two deliveries share


def read_mailing(connection: Connection, number: int, publication: str) -> Mailing:
    """The issue of that number, as its workers need to know it."""
    row = connection.execute(select(issue).where(issue.c.id == number)).one()
    words = select(variant.c.message).where(variant.c.issue == number).order_by(variant.c.number)
    items = select(printed.c.item).where(
        printed.c.mode == row.mode, printed.c.newsletter == row.newsletter, printed.c.subject == row.subject
    )
    return Mailing(
        id=row.id,
        newsletter=row.newsletter,
        subject=row.subject,
        channel=row.channel,
        slot=row.slot,
        audience=row.audience,
        total=row.total,
        words=tuple(connection.scalars(words)),
        scopes=frozenset((EVERYTHING, row.channel, row.newsletter, *connection.scalars(items))),
        key=keys_of(publication=publication, mode=row.mode, subject=row.subject, channel=row.channel),
    )


class Letterbook:
    """The letters of one mode, within the caller's transaction."""

    def __init__(self, connection: Connection, *, mode: str, publication: str) -> None:
        self.connection, self.mode, self.publication = connection, mode, publication
        self._known: dict[int, Mailing] = {}

    def counts(self) -> Mapping[tuple[str, State], int]:
        """How many letters are in each state, for each channel: from the chunks, whatever their number."""
        found: Counter[tuple[str, State]] = Counter()
        for row in self.connection.execute(_sums(issue.c.channel).where(issue.c.mode == self.mode)):
            found.update({(row.channel, state): row._mapping[state.value] or 0 for state in State})
        return {place: count for place, count in found.items() if count}

    def next_due(self) -> datetime | None:
        """When an open issue has something to do."""
        query = select(func.min(chunk.c.due)).join(issue, issue.c.id == chunk.c.issue)
        found: datetime | None = self.connection.scalar(
            query.where(issue.c.mode == self.mode, issue.c.state == "open")
        )
        return found

    def deliveries(
        self, states: Sequence[State], channel: str | None, subject: str | None, limit: int
    ) -> list[Delivery]:
        """At most ``limit`` letters in these states, in their order; only chunks that have some are read."""
        found: list[Delivery] = []
        for place in self.connection.execute(self._chunks(states, channel, subject)).all():
            if len(found) >= limit:
                break
            query = select(letter).where(_within(place), letter.c.state.in_([s.value for s in states]))
            rows = self.connection.execute(query.order_by(letter.c.number).limit(limit - len(found)))
            found += [self._delivery(row) for row in rows.all()]
        return found

    def named(self, name: str) -> Delivery | None:
        """The letter with that short name."""
        place = read_short_name(name)
        if place is None:
            return None
        query = select(letter).join(issue, issue.c.id == letter.c.issue).where(issue.c.mode == self.mode)
        row = self.connection.execute(query.where(_is(*place))).one_or_none()
        return self._delivery(row) if row else None

    def with_key(self, prefix: str) -> list[Delivery]:
        """Up to two letters whose key begins so. Keys are not stored: this takes a while, a name does not."""
        found: list[Delivery] = []
        for number, reader in self._readers():
            if self._mailing(number[0]).key(reader).startswith(prefix):
                found.append(
                    self._delivery(self.connection.execute(select(letter).where(_is(*number))).one())
                )
                if len(found) == 2 or len(prefix) >= PLENTY:
                    break
        return found

    def revise(self, delivery: Delivery, *, was: Sequence[State]) -> bool:
        """Write a person's decision on a letter; False when it is no longer what they saw.

        Whoever says that it went out, or lets it go, has answered the doubt: it is told no more.
        """
        place = read_short_name(delivery.name) or (0, 0)
        of = (chunk.c.issue == place[0]) & (chunk.c.first <= place[1]) & (chunk.c.last >= place[1])
        # The chunk first: a worker that has it waits for us, or we for it.
        row = self.connection.execute(select(chunk).where(of).with_for_update()).one_or_none()
        mine = (*self._mine(place), letter.c.state.in_([state.value for state in was]))
        answered = {"doubts": 0} if delivery.state in (State.SENT, State.CANCELLED) else {}
        change = update(letter).where(*mine).values({**_values(delivery), **answered})
        if row is None or self.connection.execute(change).rowcount != 1:
            return False
        letters.count_again(self.connection, row.issue, row.number, delivery.due)
        return True

    def _mine(self, place: tuple[int, int]) -> tuple[ColumnElement[bool], ...]:
        of_mode = select(issue.c.id).where(issue.c.mode == self.mode)
        return (_is(*place), letter.c.issue.in_(of_mode))

    def _chunks(self, states: Sequence[State], channel: str | None, subject: str | None) -> Executable:
        query = select(chunk).join(issue, issue.c.id == chunk.c.issue)
        query = query.where(issue.c.mode == self.mode).where(
            or_(*(chunk.c[state.value] > 0 for state in states))
        )
        if channel is not None:
            query = query.where(issue.c.channel == channel)
        if subject is not None:
            query = query.where(issue.c.subject == subject)
        return query.order_by(chunk.c.issue, chunk.c.number)

    def _readers(self) -> Iterator[tuple[tuple[int, int], str]]:
        newest = select(chunk).join(issue, issue.c.id == chunk.c.issue).where(issue.c.mode == self.mode)
        for place in self.connection.execute(newest.order_by(chunk.c.issue.desc(), chunk.c.number)).all():
            rows = select(letter.c.number, letter.c.reader).where(_within(place)).order_by(letter.c.number)
            for number, reader in self.connection.execute(rows).all():
                yield (place.issue, number), reader

    def _mailing(self, number: int) -> Mailing:
        if number not in self._known:
            self._known[number] = read_mailing(self.connection, number, self.publication)
        return self._known[number]

    def _delivery(self, row: Row[Any]) -> Delivery:
        mailing, state = self._mailing(row.issue), State(row.state)
        said = row.said or ""
        return Delivery(
            key=mailing.key(row.reader),
            name=short_name(row.issue, row.number),
            kind="issue",
            subject=mailing.subject,
            channel=mailing.channel,
            recipient=Recipient(id=row.reader),
            message=mailing.words[row.variant],
            due=row.due or mailing.slot,
            state=state,
            attempts=row.attempts,
            claimed_at=row.at if state is State.CLAIMED else None,
            settled_at=row.at if state not in (State.PLANNED, State.CLAIMED, State.DEFERRED) else None,
            receipt=Receipt(remote_id=said) if state is State.SENT else None,
            error="" if state is State.SENT else said,
            code=row.code,
        )


def _values(delivery: Delivery) -> dict[str, object]:
    receipt = delivery.receipt
    return {
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "due": delivery.due if delivery.state is State.DEFERRED else None,
        "at": delivery.settled_at or delivery.claimed_at,
        "code": delivery.code,
        "said": (receipt.remote_id or receipt.note) if receipt else delivery.error or None,
    }


def _sums(by: ColumnElement[str]) -> Select[*tuple[Any, ...]]:
    sums = (func.sum(chunk.c[state.value]).label(state.value) for state in State)
    return select(by, *sums).join(chunk, chunk.c.issue == issue.c.id).group_by(by)


def _is(number: int, place: int) -> ColumnElement[bool]:
    return (letter.c.issue == number) & (letter.c.number == place)


def _within(place: Row[Any]) -> ColumnElement[bool]:
    return and_(letter.c.issue == place.issue, letter.c.number.between(place.first, place.last))
