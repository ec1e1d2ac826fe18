"""People who left elsewhere, brought along with a list of readers: suppressed here before anybody joins.

Somebody who confirmed to us in person stays: that is newer than what an old list says of them.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from bot.store.importing import ROWS, Signup, address_key, rows_in
from bot.store.listing import pairs_in
from bot.store.proof import note_proof
from bot.store.rows import add_missing, batches
from bot.store.schema import subscriber, subscription, suppression
from bot.store.suppression import ALL, Barrier, Hasher

_NOTHING: frozenset[str] = frozenset()


class Leaver(NamedTuple):
    """One person who must not be written to: the newsletters, or "" for all, and why.

    Of no newsletter: who only is not taken from this list, whatever another row of it says.
    """

    address: str
    newsletters: tuple[str, ...]
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DepartureReport:
    """What became of them; each person counts once for each row."""

    noted: int = 0
    known: int = 0  # suppressed already
    stayed: int = 0  # confirmed to us in person


class Departures:
    """The leavers of one import, within the caller's transaction."""

    def __init__(self, leavers: Iterable[Leaver], *, now: datetime, source: str, hasher: Hasher) -> None:
        self._leavers, self._now, self._source, self._hasher = leavers, now, source, hasher
        self._counts: Counter[str] = Counter()
        self._scratch: sqlite3.Connection | None = None
        self._aside: sqlite3.Connection | None = None
        self.met = 0  # rows of a dry import that would have found their person suppressed
        self.set_aside = 0  # rows of readers who stand in the list a second time, as somebody not to take

    def note(self, connection: Connection) -> None:
        """Suppress them and end their subscriptions."""
        for batch in batches(self._suppressed(), ROWS):
            wanted = self._judged(connection, batch)
            rows = [
                {"address_key": key, "newsletter": letter, "reason": reason, "since": self._now}
                for (key, letter), (_, reason) in wanted.items()
            ]
            add_missing(connection, suppression, rows)
            self._end(connection, {pair: address for pair, (address, _) in wanted.items()})

    def foresee(self, connection: Connection) -> None:
        """Only find out whom ``note`` would suppress."""
        # A file without a name, gone when it is closed. An import reads its rows in a thread of its own.
        self._scratch = sqlite3.connect("", check_same_thread=False)
        self._scratch.execute("CREATE TABLE away (key, letter, PRIMARY KEY (key, letter)) WITHOUT ROWID")
        for batch in batches(self._suppressed(), ROWS):
            pairs = self._judged(connection, batch)
            self._scratch.executemany("INSERT OR IGNORE INTO away VALUES (?, ?)", list(pairs))

    def joining(self, signups: Iterable[Signup]) -> Iterator[Signup]:
        """Those whom the import would still find welcome after ``note``; all of them after a real one."""
        welcome = self._not_set_aside(signups)
        if self._scratch is None:
            yield from welcome
            return
        for signup in welcome:
            away = {
                letter
                for (letter,) in self._scratch.execute(
                    "SELECT letter FROM away WHERE key = ?", (address_key(signup.address),)
                )
            }
            left = () if ALL in away else tuple(name for name in signup.newsletters if name not in away)
            if away and not left:
                self.met += 1
            else:
                yield signup._replace(newsletters=left) if away else signup

    def _suppressed(self) -> Iterator[Leaver]:
        """Those who left; whoever only is not taken is remembered until the end of this list."""
        for leaver in self._leavers:
            if leaver.newsletters:
                yield leaver
                continue
            if self._aside is None:
                self._aside = sqlite3.connect("", check_same_thread=False)
                self._aside.execute("CREATE TABLE aside (key PRIMARY KEY) WITHOUT ROWID")
            self._aside.execute("INSERT OR IGNORE INTO aside VALUES (?)", (address_key(leaver.address),))

    def _not_set_aside(self, signups: Iterable[Signup]) -> Iterator[Signup]:
        # Everybody who left is known here: the import asks for its first row after ``note``.
        if self._aside is None:
            yield from signups
            return
        query = "SELECT 1 FROM aside WHERE key = ?"
        for signup in signups:
            if self._aside.execute(query, (address_key(signup.address),)).fetchone():
                self.set_aside += 1
            else:
                yield signup

    def report(self) -> DepartureReport:
        """What became of them."""
        return DepartureReport(**self._counts)

    def close(self) -> None:
        """Forget what was only foreseen."""
        for scratch in filter(None, (self._scratch, self._aside)):
            scratch.close()

    def _judged(
        self, connection: Connection, batch: Sequence[Leaver]
    ) -> dict[tuple[str, str], tuple[str, str]]:
        """Who has to be suppressed: address and reason by key and newsletter."""
        keys = [address_key(leaver.address) for leaver in batch]
        some = list(dict.fromkeys(keys))
        known = Barrier(connection, self._hasher).barred(some)  # the erased too: their address stays away
        loyal = self._loyal(connection, some)
        wanted: dict[tuple[str, str], tuple[str, str]] = {}
        for key, leaver in zip(keys, batch, strict=True):
            if key in loyal:
                self._counts["stayed"] += 1
                continue
            new = [
                (key, letter)
                for letter in leaver.newsletters
                if not {letter, ALL} & known.get(key, _NOTHING)
                and not {(key, letter), (key, ALL)} & wanted.keys()
            ]
            self._counts["noted" if new else "known"] += 1
            wanted.update(dict.fromkeys(new, (leaver.address, leaver.reason)))
        return wanted

    def _loyal(self, connection: Connection, keys: Sequence[str]) -> frozenset[str]:
        """Those who confirmed to us in person, and read us now."""
        confirmed = "SELECT address_key FROM consent WHERE event = 'confirmed' AND address_key"
        found = [key for (key,) in rows_in(connection, confirmed, keys)]
        here = rows_in(connection, "SELECT address_key FROM subscriber WHERE address_key", found)
        return frozenset(key for (key,) in here)

    def _end(self, connection: Connection, pairs: dict[tuple[str, str], str]) -> None:
        """No subscription of theirs goes on; whoever has none left is forgotten."""
        keys = list({key for key, _ in pairs})
        ids = pairs_in(connection, "SELECT address_key, id FROM subscriber WHERE address_key", keys)
        if not ids:
            return
        letters: dict[str, list[str]] = {}
        for (key, letter), address in pairs.items():
            if key in ids:
                letters.setdefault(letter, []).append(ids[key])
                note_proof(
                    connection,
                    "left",
                    [letter],
                    address=address,
                    address_key=key,
                    means=self._source,
                    at=self._now,
                )
        for letter, people in letters.items():
            query = delete(subscription).where(subscription.c.subscriber_id.in_(people))
            connection.execute(query if letter == ALL else query.where(subscription.c.newsletter == letter))
        reading = select(subscription.c.subscriber_id)
        connection.execute(
            delete(subscriber).where(subscriber.c.id.in_(list(ids.values())), subscriber.c.id.not_in(reading))
        )
