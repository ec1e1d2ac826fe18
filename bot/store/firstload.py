"""The first long list: into an empty table of readers, whose index of addresses is built at the end.

A million addresses in no order, put one by one into an index, cost more than all the rest together. So the
rows are written as they come and the index is made from them in one go. What that needs is that no address
comes twice. A small map of bits says who may have been here before, now and then wrongly; those rows wait
until the index stands and then go the ordinary way, which looks everybody up.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from sqlalchemy import Connection, Index, select, text

from bot.store.importing import ROWS, Import, ImportReport, Signup, Writer, address_key, barred
from bot.store.rows import batches
from bot.store.schema import subscriber, suppression

_BITS = 1 << 27  # 16 MiB; of a million readers 4,000 wait without need
_MOST_WAITING = 50_000


def nobody_yet(connection: Connection) -> bool:
    """Whether there is no reader at all. Nobody else can add one before this transaction ends."""
    return connection.execute(select(subscriber.c.id).limit(1)).first() is None


class FirstLoad:
    """The same as ``Import`` for a table of readers that is empty."""

    def __init__(self, writer: Writer) -> None:
        self.connection, self.writer, self.ordinary = writer.connection, writer, Import(writer)
        self._met = bytearray(_BITS // 8)
        self._waiting: list[Signup] = []
        self._indexed = False
        self._somebody_left = self.connection.execute(select(suppression).limit(1)).first() is not None
        if self.connection.dialect.name == "sqlite":
            self.connection.execute(text("PRAGMA threads = 1"))  # sort the index on the other core
        _addresses().drop(self.connection)

    def add(self, signups: Sequence[Signup]) -> None:
        """Sign these up, at most ``ROWS`` at a time."""
        if self._indexed:
            self.ordinary.add(signups)
            return
        signups, keys = self._fresh(self._welcome(signups))
        for newsletters, run in groupby(range(len(signups)), lambda place: signups[place].newsletters):
            places = list(run)
            part = slice(places[0], places[-1] + 1)
            self._write(keys[part], signups[part], newsletters)
        if len(self._waiting) > _MOST_WAITING:  # a list with so many repeats is no quick one
            self._finish()

    def report(self) -> ImportReport:
        """The counts, with all rows in."""
        if not self._indexed:
            self._finish()
        return self.ordinary.report()

    def _finish(self) -> None:
        """Build the index, then sign up those who had to wait."""
        _addresses().create(self.connection)
        self._indexed = True
        for batch in batches(self._waiting, ROWS):
            self.ordinary.add(batch)
        self._waiting = []

    def _welcome(self, signups: Sequence[Signup]) -> Sequence[Signup]:
        """Those who are not suppressed."""
        if not self._somebody_left:
            return signups
        keys = [address_key(signup.address) for signup in signups]
        away = barred(self.connection, keys)
        self.ordinary.counts["suppressed"] += sum(key in away for key in keys)
        return [signup for key, signup in zip(keys, signups, strict=True) if key not in away]

    def _fresh(self, signups: Sequence[Signup]) -> tuple[list[Signup], list[str]]:
        """Those whose bit is not set yet, with their keys; the others wait."""
        met, fresh, fresh_keys = self._met, [], []
        for signup in signups:
            key = address_key(signup.address)
            place = hash(key) % _BITS
            byte, bit = place >> 3, 1 << (place & 7)
            if met[byte] & bit:
                self._waiting.append(signup)
                continue
            met[byte] |= bit
            fresh.append(signup)
            fresh_keys.append(key)
        return fresh, fresh_keys

    def _write(self, keys: Sequence[str], signups: Sequence[Signup], newsletters: tuple[str, ...]) -> None:
        ids = self.writer.new_ids(len(keys))
        self.writer.people(ids, keys, signups)
        for letter in dict.fromkeys(newsletters):
            self.writer.subscribe(letter, ids[0], ids[-1])
        self.ordinary.counts["added"] += len(keys)


def _addresses() -> Index:
    """The index that keeps every address unique."""
    return next(index for index in subscriber.indexes if index.unique)
