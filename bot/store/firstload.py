"""The first long list: into an empty table of readers, whose index of addresses is built at the end.

A million addresses in no order, put one by one into an index, cost more than all the rest together. So the
rows are written as they come and the index is made from them in one go. What that needs is that no address
comes twice. A small map of bits says who may have been here before, now and then wrongly; those rows wait
until the index stands and then go the ordinary way, which looks everybody up.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import Connection, Index, select, text

from bot.store.importing import (
    ROWS,
    Import,
    ImportReport,
    Signup,
    Values,
    Writer,
    address_key,
    insert_rows,
)
from bot.store.rows import batches
from bot.store.schema import subscriber, suppression

_BITS = 1 << 27  # 16 MiB; of a million readers 4,000 wait without need
_MOST_WAITING = 50_000
_ID, _KEY = 0, 2  # columns of subscriber


def nobody_yet(connection: Connection) -> bool:
    """Whether there is no reader at all. Nobody else can add one before this transaction ends."""
    return connection.execute(select(subscriber.c.id).limit(1)).first() is None


class Prepared(NamedTuple):
    """A batch, sorted out: the rows of those who are certainly new, by newsletters, and who has to wait."""

    rows: Sequence[tuple[tuple[str, ...], list[Values]]]
    waiting: Sequence[Signup]


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

    def prepare(self, signups: Sequence[Signup]) -> Prepared:
        """What can be done without the database, in whatever thread, but in order."""
        if self._indexed:
            return Prepared((), signups)
        fresh, waiting = self._sorted_out(signups)
        runs = groupby(fresh, lambda entry: entry[1].newsletters)
        return Prepared([(newsletters, self._rows(list(run))) for newsletters, run in runs], waiting)

    def write(self, batch: Prepared) -> None:
        """Sign these up. A list with very many repeats goes on in the ordinary way."""
        for newsletters, rows in batch.rows:
            self._insert(self._welcome(rows, newsletters), newsletters)
        self._waiting += batch.waiting
        if self._indexed or len(self._waiting) > _MOST_WAITING:
            self._finish()

    def report(self) -> ImportReport:
        """The counts, with all rows in."""
        self._finish()
        return self.ordinary.report()

    def _finish(self) -> None:
        """Build the index, then sign up those who had to wait."""
        if not self._indexed:
            _addresses().create(self.connection)
            self._indexed = True
        for batch in batches(self._waiting, ROWS):
            self.ordinary.write(self.ordinary.prepare(batch))
        self._waiting = []

    def _sorted_out(self, signups: Sequence[Signup]) -> tuple[list[tuple[str, Signup]], list[Signup]]:
        """Those whose bit is not set yet, with their keys; and the others, who wait."""
        met, fresh, waiting = self._met, [], []
        for signup in signups:
            key = address_key(signup.address)
            place = hash(key) % _BITS
            byte, bit = place >> 3, 1 << (place & 7)
            if met[byte] & bit:
                waiting.append(signup)
            else:
                met[byte] |= bit
                fresh.append((key, signup))
        return fresh, waiting

    def _rows(self, fresh: Sequence[tuple[str, Signup]]) -> list[Values]:
        keys, signups = zip(*fresh, strict=True)
        return self.writer.people(self.writer.new_ids(len(fresh)), keys, signups)

    def _welcome(self, rows: list[Values], newsletters: tuple[str, ...]) -> list[Values]:
        """Those who are not suppressed at all; for the others the ordinary way finds out for what."""
        if not self._somebody_left:
            return rows
        away = self.writer.barred([row[_KEY] for row in rows])
        self._waiting += [
            Signup(address, name, lang, newsletters)
            for _, address, key, name, lang, *_ in rows
            if key in away
        ]
        return [row for row in rows if row[_KEY] not in away]

    def _insert(self, rows: list[Values], newsletters: tuple[str, ...]) -> None:
        if not rows:
            return
        insert_rows(self.connection, subscriber, rows)
        for letter in dict.fromkeys(newsletters):
            self.writer.subscribe(letter, rows[0][_ID], rows[-1][_ID])
        self.ordinary.counts["added"] += len(rows)


def _addresses() -> Index:
    """The index that keeps every address unique."""
    return next(index for index in subscriber.indexes if index.unique)
