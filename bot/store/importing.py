"""Signing people up in batches: what is new, what differs, who is suppressed.

An id is 16 bytes, drawn by chance for an import and counted up from there: so the people of one file are
neighbours in every table and index, and writing and reading a long list goes from front to back. An id
is no secret: what it opens is signed.
"""

from __future__ import annotations

import secrets
import sqlite3
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, Table, bindparam, insert, literal, select, update

from bot.store.rows import batches
from bot.store.schema import moment, subscriber, subscription
from bot.store.suppression import ALL, Barrier, Hasher

ROWS = 4_000  # of one batch; past this it gets no faster, and memory stays small
_MOST_VALUES = 32_000  # of one statement, in SQLite

Values = tuple[Any, ...]  # a row as the database stores it


class Signup(NamedTuple):
    """One person who shall get these newsletters. An empty name or language leaves a known one alone.

    A plain tuple, because there may be millions: a frozen dataclass takes three times as long to make.
    """

    address: str
    name: str = ""
    lang: str = ""
    newsletters: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportReport:
    """What an import did, or with ``dry`` would do: each row counts once."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    suppressed: int = 0
    names: int = 0  # of the changed: another name, another language, a newsletter more
    langs: int = 0
    letters: int = 0


@dataclass(kw_only=True, slots=True)
class Known:
    """A reader as the import sees them; ``letters`` grows while rows are judged."""

    id: str
    name: str = ""
    lang: str = ""
    letters: set[str] = field(default_factory=set)

    def take(self, signup: Signup) -> bool:
        """Follow the row; whether it said anything new about the person."""
        new = (signup.name or self.name, signup.lang or self.lang)
        differs = new != (self.name, self.lang)
        self.name, self.lang = new
        return differs


def address_key(address: str) -> str:
    """One spelling for all spellings of an address: case, composed letters and the domain's script aside."""
    if address.isascii() and "@" in address:
        return address.strip().lower().rstrip(".")
    local, _, domain = unicodedata.normalize("NFC", address.strip()).rpartition("@")
    folded = unicodedata.normalize("NFC", local.casefold())
    return f"{folded}@{_ascii_domain(domain)}"


def _ascii_domain(domain: str) -> str:
    name = domain.casefold().rstrip(".")
    if name.isascii():
        return name
    import idna  # its tables take a while to load, and few domains need them

    try:
        return idna.encode(domain, uts46=True).decode().rstrip(".")
    except idna.IDNAError:
        return unicodedata.normalize("NFC", name)


class Writer:
    """The rows of new people and their subscriptions, all of one moment and source."""

    def __init__(
        self, connection: Connection, *, now: datetime, source: str, hasher: Hasher | None = None
    ) -> None:
        self.connection, self.source = connection, source
        self.barred = Barrier(connection, hasher).barred
        self.moment = moment(now)
        self._ids, self._next_id = secrets.token_hex(8), secrets.randbits(63)

    def new_ids(self, count: int) -> list[str]:
        """The next ``count`` ids, in order."""
        first, beginning = self._next_id, self._ids
        self._next_id += count
        return [f"{beginning}{number:016x}" for number in range(first, first + count)]

    def made(self, of: str) -> bool:
        """Whether this id is one of ours, and the person came with this very import."""
        return of.startswith(self._ids)

    def people(self, ids: Sequence[str], keys: Sequence[str], signups: Sequence[Signup]) -> list[Values]:
        """The rows of these, for ``insert_rows``."""
        at, source = self.moment, self.source
        return [
            (of, address, key, name, lang, at, source)
            for of, key, (address, name, lang, _) in zip(ids, keys, signups, strict=True)
        ]

    def letters(self, wanted: Sequence[tuple[str, str]]) -> None:
        """Subscribe: newsletter and reader's id."""
        insert_rows(self.connection, subscription, [(letter, of, self.moment) for letter, of in wanted])

    def subscribe(self, letter: str, first: str, last: str) -> None:
        """Subscribe all whose ids lie between these two; cheaper than to name each."""
        at = literal(self.moment, BigInteger)
        people = select(literal(letter), subscriber.c.id, at).where(subscriber.c.id.between(first, last))
        self.connection.execute(
            insert(subscription).from_select(["newsletter", "subscriber_id", "since"], people)
        )


@dataclass(kw_only=True, slots=True)
class _Page:
    """What is known about the addresses of one batch, and what is to be written."""

    people: dict[str, Known]  # by address_key
    barred: Mapping[str, frozenset[str]]  # newsletters that a person must not get
    new: dict[str, Signup] = field(default_factory=dict)
    changed: dict[str, Known] = field(default_factory=dict)
    wanted: list[tuple[str, str]] = field(default_factory=list)
    # Of who changed: name and language before, and what was counted.
    counted: dict[str, tuple[tuple[str, str], Counter[str]]] = field(default_factory=dict)


class Batch(NamedTuple):
    """Some rows with the keys of their addresses."""

    signups: Sequence[Signup]
    keys: Sequence[str]


class Import:
    """One import within the caller's transaction, batch by batch.

    With ``scratch`` the store is only read; what would have been written is remembered there, so that a
    second row for the same person counts as in a real import.
    """

    def __init__(self, writer: Writer, scratch: Scratch | None = None) -> None:
        self.writer, self.scratch = writer, scratch
        self.counts: Counter[str] = Counter()

    def prepare(self, signups: Sequence[Signup]) -> Batch:
        """What can be done without the database, in whatever thread."""
        return Batch(signups, [address_key(signup.address) for signup in signups])

    def write(self, batch: Batch) -> None:
        """Sign these up, at most ``ROWS`` at a time."""
        signups, keys = batch
        page = _Page(people=self._known(keys), barred=self.writer.barred(keys))
        self.counts.update(self._judge(page, key, signup) for key, signup in zip(keys, signups, strict=True))
        if self.scratch:
            self.scratch.keep({key: page.people[key] for key in page.changed.keys() | page.new.keys()})
        else:
            self._write(page)

    def report(self) -> ImportReport:
        """The counts so far."""
        return ImportReport(**self.counts)

    def _judge(self, page: _Page, key: str, signup: Signup) -> str:
        """What becomes of this row: the name of a count of the report."""
        away = page.barred.get(key, frozenset())
        if away and (ALL in away or away.issuperset(signup.newsletters)):
            return "suppressed"
        person = page.people.get(key)
        is_new = person is None
        if person is None:
            person = page.people[key] = Known(id=self.writer.new_ids(1)[0])
            page.new[key] = signup
        name, lang = person.name, person.lang
        differs = person.take(signup)
        new = dict.fromkeys(signup.newsletters)
        wanted = [letter for letter in new if letter not in person.letters and letter not in away]
        person.letters.update(wanted)
        page.wanted += [(letter, person.id) for letter in wanted]
        if is_new:
            return "added"
        if not (differs or wanted):
            return "unchanged"
        what = {"names": person.name != name, "langs": person.lang != lang, "letters": bool(wanted)}
        before, counted = page.counted.setdefault(key, ((name, lang), Counter()))
        is_back = (person.name, person.lang) == before and not (wanted or counted["letters"])
        if is_back and not self.writer.made(person.id):
            # Two rows for one person, and the last one says what is known: nothing changes.
            self.counts.subtract(counted)
            self.counts["unchanged"] += counted["changed"]
            del page.changed[key], page.counted[key]
            return "unchanged"
        page.changed[key] = person
        self.counts.update(what)
        counted.update(what, changed=1)
        return "changed"

    def _known(self, keys: Sequence[str]) -> dict[str, Known]:
        connection = self.writer.connection
        found = rows_in(
            connection, "SELECT address_key, id, name, lang FROM subscriber WHERE address_key", keys
        )
        people = {key: Known(id=of, name=name, lang=lang) for key, of, name, lang in found}
        by_id = {person.id: person for person in people.values()}
        letters = "SELECT subscriber_id, newsletter FROM subscription WHERE subscriber_id"
        for of, letter in rows_in(connection, letters, list(by_id)):
            by_id[of].letters.add(letter)
        return people | self.scratch.find(keys) if self.scratch else people

    def _write(self, page: _Page) -> None:
        news = [page.people[key] for key in page.new]
        rows = [
            Signup(row.address, who.name, who.lang) for row, who in zip(page.new.values(), news, strict=True)
        ]
        people = self.writer.people([person.id for person in news], list(page.new), rows)
        insert_rows(self.writer.connection, subscriber, people)
        self._update([person for key, person in page.changed.items() if key not in page.new])
        self.writer.letters(page.wanted)

    def _update(self, people: Sequence[Known]) -> None:
        if not people:
            return
        change = update(subscriber).where(subscriber.c.id == bindparam("of"))
        self.writer.connection.execute(
            change.values(name=bindparam("new_name"), lang=bindparam("new_lang")),
            [{"of": person.id, "new_name": person.name, "new_lang": person.lang} for person in people],
        )


def rows_in(connection: Connection, query: str, values: Sequence[str]) -> Sequence[tuple[str, ...]]:
    """The rows whose last named column is one of the values, as the driver gives them."""
    if not values:
        return ()
    marks = ", ".join([_mark(connection)] * len(values))
    result = connection.exec_driver_sql(f"{query} IN ({marks})", tuple(values))
    rows: Sequence[tuple[str, ...]] = result.cursor.fetchall() if result.cursor else ()
    result.close()
    return rows


def insert_rows(connection: Connection, table: Table, rows: Sequence[Values]) -> None:
    """Insert rows that give every column in its order, as the database stores it.

    One statement for as many as it takes, passed straight to the driver: the way through SQLAlchemy's
    values costs three times as much for a row.
    """
    row = f"({', '.join([_mark(connection)] * len(table.columns))})"
    columns = ", ".join(column.name for column in table.columns)
    for some in batches(rows, _MOST_VALUES // len(table.columns)):
        sql = f"INSERT INTO {table.name} ({columns}) VALUES {', '.join([row] * len(some))}"  # noqa: S608
        connection.exec_driver_sql(sql, tuple(chain.from_iterable(some)))


def _mark(connection: Connection) -> str:
    return "?" if connection.dialect.paramstyle == "qmark" else "%s"


class Scratch:
    """People as a dry import would leave them, in a temporary database: memory stays small."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("")  # a file without a name, gone when it is closed
        self._database.execute("PRAGMA cache_size = -16384")  # KiB: a tenth of the writing for a long list
        self._database.execute("CREATE TABLE person (key PRIMARY KEY, id, name, lang, letters) WITHOUT ROWID")

    def keep(self, people: Mapping[str, Known]) -> None:
        """Remember them by their address_key."""
        rows = [(key, who.id, who.name, who.lang, "\n".join(who.letters)) for key, who in people.items()]
        self._database.executemany("INSERT OR REPLACE INTO person VALUES (?, ?, ?, ?, ?)", rows)

    def find(self, keys: Sequence[str]) -> dict[str, Known]:
        """Those of the keys that were kept."""
        marks = ", ".join("?" * len(keys))
        rows = self._database.execute(f"SELECT * FROM person WHERE key IN ({marks})", keys)  # noqa: S608
        return {
            key: Known(id=of, name=name, lang=lang, letters=set(letters.split("\n")) - {""})
            for key, of, name, lang, letters in rows
        }

    def close(self) -> None:
        """Forget them."""
        self._database.close()
