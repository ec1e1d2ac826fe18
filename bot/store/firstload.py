"""The first long list: into an empty table of readers, whose index of addresses is built at the end.

A million addresses in no order, put one by one into an index, cost more than all the rest together. So the
rows are written as they come and the index is made from them in one go. When that fails, some addresses came
more than once: all their rows but the first are taken out again and go the ordinary way, which looks
everybody up, once the index stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from sqlalchemy import Connection, Index, select, text
from sqlalchemy.exc import IntegrityError

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

_MOST_WAITING = 50_000
_ID, _KEY = 0, 2  # columns of subscriber

# Ids go up in the order of the list, so that the first of several rows is the one that stays.
_REPEATED = """
CREATE TEMPORARY TABLE repeated AS
SELECT again.id, again.address, again.name, again.lang, subscription.newsletter
FROM (
  SELECT id, address, name, lang, row_number() OVER (PARTITION BY address_key ORDER BY id) AS time
  FROM subscriber
  WHERE address_key IN (SELECT address_key FROM subscriber GROUP BY address_key HAVING count(*) > 1)
) AS again LEFT JOIN subscription ON subscription.subscriber_id = again.id
WHERE again.time > 1
"""
_EACH = "SELECT id, address, name, lang, newsletter FROM repeated ORDER BY id"


def nobody_yet(connection: Connection) -> bool:
    """Whether there is no reader at all. Nobody else can add one before this transaction ends."""
    return connection.execute(select(subscriber.c.id).limit(1)).first() is None


class Prepared(NamedTuple):
    """A batch, and its rows by newsletters; none once the index stands."""

    signups: Sequence[Signup]
    rows: Sequence[tuple[tuple[str, ...], list[Values]]] = ()


class FirstLoad:
    """The same as ``Import`` for a table of readers that is empty."""

    def __init__(self, writer: Writer) -> None:
        self.connection, self.writer, self.ordinary = writer.connection, writer, Import(writer)
        self._waiting: list[Signup] = []
        self._indexed = False
        self._somebody_left = self.connection.execute(select(suppression).limit(1)).first() is not None
        if self.connection.dialect.name == "sqlite":
            self.connection.execute(text("PRAGMA threads = 1"))  # sort the index on the other core
        _addresses().drop(self.connection)

    def prepare(self, signups: Sequence[Signup]) -> Prepared:
        """What can be done without the database, in whatever thread, but in order."""
        if self._indexed:
            return Prepared(signups)
        runs = groupby(signups, attrgetter("newsletters"))
        return Prepared(signups, [(newsletters, self._rows(list(run))) for newsletters, run in runs])

    def write(self, batch: Prepared) -> None:
        """Sign these up. A list with very many who left goes on in the ordinary way."""
        if self._indexed:  # perhaps only since this one was prepared
            self._ordinarily(iter(batch.signups))
            return
        for newsletters, rows in batch.rows:
            self._insert(self._welcome(rows, newsletters), newsletters)
        if len(self._waiting) > _MOST_WAITING:
            self._finish()

    def report(self) -> ImportReport:
        """The counts, with all rows in."""
        self._finish()
        return self.ordinary.report()

    def _finish(self) -> None:
        """Build the index, then sign up those who had to wait."""
        if not self._indexed:
            self._indexed = True
            if not self._index():
                self._repeat()
        self._ordinarily(iter(self._waiting))
        self._waiting = []

    def _index(self) -> bool:
        """Build it; False when an address came twice."""
        try:
            with self.connection.begin_nested():
                _addresses().create(self.connection)
        except IntegrityError:
            return False
        return True

    def _repeat(self) -> None:
        """Take out who came before, build the index, and let them come again."""
        self.connection.execute(text(_REPEATED))
        again = self.connection.execute(text("DELETE FROM subscriber WHERE id IN (SELECT id FROM repeated)"))
        self.ordinary.counts["added"] -= again.rowcount
        _addresses().create(self.connection)
        rows = groupby(self.connection.execute(text(_EACH)), lambda row: row[:4])
        self._ordinarily(
            Signup(address, name, lang, tuple(row.newsletter for row in each if row.newsletter is not None))
            for (_, address, name, lang), each in rows
        )
        self.connection.execute(text("DROP TABLE repeated"))

    def _ordinarily(self, signups: Iterator[Signup]) -> None:
        for batch in batches(signups, ROWS):
            self.ordinary.write(self.ordinary.prepare(batch))

    def _rows(self, signups: Sequence[Signup]) -> list[Values]:
        keys = [address_key(signup.address) for signup in signups]
        return self.writer.people(self.writer.new_ids(len(keys)), keys, signups)

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
