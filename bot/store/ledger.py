"""The ledger: what should go to whom, and what became of it.

A delivery is claimed on disk before the call and settled after it. Every change of state names the state
it comes from, so two workers, or a worker and a person, can never both be right.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Engine, Row, delete, func, select, update

from bot.errors import ChangedError, NotFoundError
from bot.model import Delivery, Firing, History, Message, Post, State
from bot.store import schema, words
from bot.store.engine import reading, writing
from bot.store.history import APPROVED, SCHEDULE, note_seen, read_history, read_holds, unseen
from bot.store.letterbook import EVERYTHING, PLENTY, Letterbook
from bot.store.recording import Recorder
from bot.store.rows import batches, changing_values, put, to_delivery

_OPEN = (State.PLANNED, State.DEFERRED)
_IN_DOUBT = (State.CLAIMED, State.UNKNOWN)
_table = schema.delivery


class Ledger:
    """The rows of one mode: a rehearsal never counts for live."""

    def __init__(self, engine: Engine, *, mode: str, publication: str) -> None:
        self.engine, self.mode, self.publication = engine, mode, publication

    # ----------------------------------------------------------------------- planning

    def history(self, schedules: Sequence[str]) -> History:
        """What planning may depend on, for these newsletters and channels."""
        with reading(self.engine) as connection:
            return read_history(connection, self.mode, schedules)

    def note_schedules(self, names: Iterable[str], now: datetime) -> None:
        """Remember when each newsletter or channel was first seen."""
        self._note(SCHEDULE, names, now)

    def note_approved(self, item_ids: Iterable[str], now: datetime) -> None:
        """Remember when each item was first seen approved. Writes only when one is new."""
        self._note(APPROVED, item_ids, now)

    def _note(self, kind: str, names: Iterable[str], now: datetime) -> None:
        with reading(self.engine) as connection:
            new = unseen(connection, self.mode, kind, names)
        if new:
            with writing(self.engine) as connection:
                note_seen(connection, self.mode, kind, new, now)

    def record_post(self, post: Post, message: Message, channel: str, now: datetime) -> int:
        """Plan the post; 0 when its slot or its item was dealt with before."""
        with writing(self.engine) as connection:
            return self._recorder(connection).post(post, message, channel, now)

    def record_skipped(self, firing: Firing) -> bool:
        """Remember a slot that was given up; False when it was dealt with before."""
        with writing(self.engine) as connection:
            return self._recorder(connection).firing(firing)

    def _recorder(self, connection: Connection) -> Recorder:
        return Recorder(connection=connection, mode=self.mode, publication=self.publication)

    # ----------------------------------------------------------------------- sending

    def due(self, channel: str, now: datetime, limit: int) -> list[Delivery]:
        """What may be sent on the channel now, the longest due first; nothing that somebody holds."""
        with reading(self.engine) as connection:
            return self._due(connection, channel, now, limit)

    def next_due(self, now: datetime) -> datetime | None:
        """The moment of the next open delivery, ``now`` if it is overdue; None when all is done."""
        query = select(func.min(_table.c.due)).where(self._in(_OPEN))
        with reading(self.engine) as connection:
            found = (connection.scalar(query), self._letters(connection).next_due())
        return min((max(first, now) for first in found if first is not None), default=None)

    def claim(self, keys: Sequence[str], now: datetime) -> list[Delivery]:
        """Take these for sending, on disk before this returns. Who comes second gets nothing."""
        with writing(self.engine) as connection:
            return self._claim(connection, keys, now)

    def take(self, channel: str, now: datetime, limit: int) -> list[Delivery]:
        """``due`` and ``claim`` in one step: no hold and no other worker can come in between.

        What another worker takes at this moment is passed over, not waited for: nothing means nothing left.
        """
        with writing(self.engine) as connection:
            keys = [delivery.key for delivery in self._due(connection, channel, now, limit, ours=True)]
            return self._claim(connection, keys, now) if keys else []

    def settle(self, delivery: Delivery) -> None:
        """Write what became of a claimed or unknown delivery. ChangedError if it is no longer that."""
        self.settle_many([delivery])

    def settle_many(self, deliveries: Iterable[Delivery]) -> None:
        """The same for several, all or nothing."""
        with writing(self.engine) as connection:
            for delivery in deliveries:
                if delivery.name:  # a claimed letter is its worker's
                    self._decide(connection, delivery, [State.UNKNOWN])
                    continue
                # Whoever claimed it anew has another claimed_at: a late worker cannot overwrite that.
                mine = _table.c.claimed_at == delivery.claimed_at
                self._change(connection, delivery, self._in(_IN_DOUBT), mine)

    def revise(self, delivery: Delivery, *, was: State) -> None:
        """Write a person's decision on a delivery that is still as they saw it, else ChangedError."""
        with writing(self.engine) as connection:
            if delivery.name:
                self._decide(connection, delivery, [was])
            else:
                self._change(connection, delivery, self._in([was]))

    def reword(self, delivery: Delivery, message: Message, *, was: State) -> None:
        """The same as ``revise`` for a post that certainly did not go out, with other words from now on."""
        with writing(self.engine) as connection:
            self._change(connection, delivery, self._in([was]))
            digest = self._recorder(connection).words(message)
            connection.execute(update(_table).where(_table.c.key == delivery.key).values(message=digest))

    def bring_forward(self, channels: Collection[str], now: datetime) -> int:
        """Make what was deferred on these channels due now; how many those are."""
        late = (_table.c.channel.in_(list(channels)), _table.c.due > now)
        query = update(_table).where(self._in([State.DEFERRED]), *late).values(due=now)
        with writing(self.engine) as connection:
            return connection.execute(query).rowcount

    def recover(self, now: datetime, channel: str | None = None) -> list[Delivery]:
        """After a crash: what was claimed may have gone out. Only under the lock, before any claim there."""
        wanted = [self._in([State.CLAIMED])] + ([_table.c.channel == channel] if channel else [])
        reason = "the program stopped during the call"
        query = (
            update(_table)
            .where(*wanted)
            .values(state=State.UNKNOWN.value, settled_at=now, error=reason)
            .returning(_table)
        )
        with writing(self.engine) as connection:
            return _in_order(connection.execute(query))

    def _due(
        self, connection: Connection, channel: str, now: datetime, limit: int, *, ours: bool = False
    ) -> list[Delivery]:
        held = read_holds(connection)
        if EVERYTHING in held or channel in held:
            return []
        wanted = [_table.c.channel == channel, _table.c.due <= now]
        if held:
            wanted.append(_table.c.subject.not_in(list(held)))
        # One query for each state: the index gives each in order, both together would have to be sorted.
        rows: list[Row[tuple[object, ...]]] = []
        for state in _OPEN:
            query = select(_table).where(self._in([state]), *wanted)
            if ours:  # PostgreSQL: locked by us; SQLite has one writer anyway
                query = query.with_for_update(skip_locked=True)
            rows += connection.execute(query.order_by(_table.c.due, _table.c.id).limit(limit))
        return _in_order(rows)[:limit]

    def _claim(self, connection: Connection, keys: Sequence[str], now: datetime) -> list[Delivery]:
        rows: list[Row[tuple[object, ...]]] = []
        for batch in batches(keys):
            query = (
                update(_table)
                .where(self._in(_OPEN), _table.c.key.in_(batch))
                .values(state=State.CLAIMED.value, attempts=_table.c.attempts + 1, claimed_at=now)
                .returning(_table)
            )
            rows += connection.execute(query)
        return _in_order(rows)

    def _change(self, connection: Connection, delivery: Delivery, *wanted: ColumnElement[bool]) -> None:
        query = update(_table).where(_table.c.key == delivery.key, *wanted).values(changing_values(delivery))
        if connection.execute(query).rowcount != 1:
            raise _changed(delivery)

    def _decide(self, connection: Connection, delivery: Delivery, was: Sequence[State]) -> None:
        if not self._letters(connection).revise(delivery, was=was):
            raise _changed(delivery)

    def _letters(self, connection: Connection) -> Letterbook:
        return Letterbook(connection, mode=self.mode, publication=self.publication)

    def _in(self, states: Iterable[State]) -> ColumnElement[bool]:
        return (_table.c.mode == self.mode) & _table.c.state.in_([state.value for state in states])

    # ----------------------------------------------------------------------- looking

    def message(self, digest: str) -> Message:
        """The stored words of that digest."""
        with reading(self.engine) as connection:
            body = connection.scalar(select(schema.words.c.body).where(schema.words.c.digest == digest))
        if body is None:
            raise NotFoundError(
                f"no words are stored as '{digest[:12]}'; the database is not the one of this run"
            )
        return words.from_text(body)

    def deliveries(
        self,
        states: Sequence[State] = (),
        channel: str | None = None,
        subject: str | None = None,
        limit: int = 100,
    ) -> list[Delivery]:
        """Deliveries in the order of planning, at most ``limit``; no states: all of them."""
        query = select(_table).where(self._in(states or State))
        if channel is not None:
            query = query.where(_table.c.channel == channel)
        if subject is not None:
            query = query.where(_table.c.subject == subject)
        with reading(self.engine) as connection:
            found = [to_delivery(row) for row in connection.execute(query.order_by(_table.c.id).limit(limit))]
            states = tuple(states or State)
            return found + self._letters(connection).deliveries(states, channel, subject, limit - len(found))

    def get(self, key_prefix: str) -> Delivery:
        """The one delivery whose key begins so, or the letter of that name: "i12.345" is found at once.

        NotFoundError for none or several.
        """
        prefix = key_prefix.casefold()
        key = _table.c.key
        query = select(_table).where(_table.c.mode == self.mode, key >= prefix, key < prefix + "g").limit(2)
        with reading(self.engine) as connection:
            letters = self._letters(connection)
            named = letters.named(prefix)
            found = [to_delivery(row) for row in connection.execute(query)] if prefix and not named else []
            if named:
                found = [named]
            elif prefix and len(found) < 2 and not (found and len(prefix) >= PLENTY):
                found += letters.with_key(prefix)
        if len(found) == 1:
            return found[0]
        problem = "several deliveries begin" if found else "no delivery begins"
        raise NotFoundError(f"{problem} with '{key_prefix}'; bot status --json shows their whole keys")

    def published(self, channel: str, limit: int = 40) -> tuple[str, ...]:
        """The service's ids of the last posts on the channel, the newest first."""
        column = _table.c.remote_id
        wanted = (self._in([State.SENT]), _table.c.channel == channel, column != "")
        query = select(column).where(*wanted).order_by(_table.c.settled_at.desc()).limit(limit)
        with reading(self.engine) as connection:
            return tuple(connection.scalars(query))

    def with_note(self, channel: str, note: str) -> int:
        """How many posts on the channel were taken with these words in the receipt's note."""
        wanted = (self._in([State.SENT]), _table.c.channel == channel, _table.c.note.contains(note))
        with reading(self.engine) as connection:
            return connection.scalar(select(func.count()).where(*wanted)) or 0

    def noted(self, since: datetime, limit: int) -> list[Delivery]:
        """Posts that the service took since then, and told something about; the newest first."""
        has_note = (_table.c.note != "", _table.c.remote_id != "", _table.c.settled_at >= since)
        query = select(_table).where(self._in([State.SENT]), _table.c.kind == "post", *has_note)
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(_table.c.settled_at.desc()).limit(limit))
            return [to_delivery(row) for row in rows]

    def counts(self) -> Mapping[tuple[str, State], int]:
        """How many deliveries are in each state, for each channel."""
        group = (_table.c.channel, _table.c.state)
        query = select(*group, func.count()).where(_table.c.mode == self.mode).group_by(*group)
        with reading(self.engine) as connection:
            found = Counter(self._letters(connection).counts())
            for channel, state, count in connection.execute(query):
                found[channel, State(state)] += count
        return dict(found)

    # ----------------------------------------------------------------------- people's brakes, and the clock

    def hold(self, scope: str, reason: str, now: datetime) -> None:
        """Stop "*", a channel, a newsletter or an item at once, in every mode."""
        with writing(self.engine) as connection:
            put(connection, schema.hold, {"scope": scope, "reason": reason, "at": now})

    def release(self, scope: str) -> bool:
        """Let it go on; False when it was not held."""
        with writing(self.engine) as connection:
            return connection.execute(delete(schema.hold).where(schema.hold.c.scope == scope)).rowcount == 1

    def holds(self) -> Mapping[str, str]:
        """What is held, and why."""
        with reading(self.engine) as connection:
            return read_holds(connection)

    def note_tick(self, now: datetime) -> None:
        """Remember that a run came to its end."""
        with writing(self.engine) as connection:
            put(connection, schema.tick, {"mode": self.mode, "at": now})

    def last_tick(self) -> datetime | None:
        """When the last run came to its end."""
        with reading(self.engine) as connection:
            at: datetime | None = connection.scalar(
                select(schema.tick.c.at).where(schema.tick.c.mode == self.mode)
            )
        return at


def _changed(delivery: Delivery) -> ChangedError:
    return ChangedError(
        f"delivery {delivery.short} ({delivery.subject} on {delivery.channel}): somebody else has "
        "changed it meanwhile; look at it again with bot status"
    )


def _in_order(rows: Iterable[Row[tuple[object, ...]]]) -> list[Delivery]:
    return [to_delivery(row) for row in sorted(rows, key=lambda row: (row.due, row.id))]
