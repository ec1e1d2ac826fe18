"""Signing people up in batches: what is new, what differs, who is suppressed."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from bot.store.rows import Values, add_missing
from bot.store.schema import subscriber, subscription, suppression


@dataclass(frozen=True, kw_only=True, slots=True)
class Signup:
    """One person who shall get these newsletters. An empty name or language leaves a known one alone."""

    address: str
    name: str = ""
    lang: str = ""
    newsletters: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportReport:
    """What an import did, or with ``dry`` would do. ``refused`` is for rows that never came this far."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    suppressed: int = 0
    refused: tuple[str, ...] = ()


def address_key(address: str) -> str:
    """One spelling for all spellings of an address: case, composed letters and the domain's script aside."""
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


@dataclass(kw_only=True, slots=True)
class _Page:
    """What the store knows about the addresses of one batch, and what is to be written."""

    people: dict[str, Values]  # address_key -> id, name, lang
    letters: set[tuple[str, str]]  # newsletter, subscriber id
    barred: frozenset[str]
    new: dict[str, Values] = field(default_factory=dict)  # address_key -> row
    differing: dict[str, Values] = field(default_factory=dict)
    wanted: list[tuple[str, str]] = field(default_factory=list)


class Import:
    """One import within the caller's transaction; ``dry`` reads only and counts the same."""

    def __init__(self, connection: Connection, *, now: datetime, source: str, dry: bool) -> None:
        self.connection, self.now, self.source, self.dry = connection, now, source, dry
        self.report = ImportReport()
        # A dry import has to remember what it would have written, to see a second row for the same person.
        self._people: dict[str, Values] = {}
        self._letters: set[tuple[str, str]] = set()

    def add(self, signups: Sequence[Signup]) -> None:
        """Sign these up, at most ``BATCH`` at a time."""
        keys = [address_key(signup.address) for signup in signups]
        page = self._page(keys)
        for key, signup in zip(keys, signups, strict=True):
            self._count(self._judge(page, key, signup))
        if self.dry:
            self._people |= page.people
            self._letters |= page.letters
        else:
            self._write(page)

    def _judge(self, page: _Page, key: str, signup: Signup) -> str:
        """What becomes of this row: the name of a count of the report."""
        if key in page.barred:
            return "suppressed"
        is_new = key not in page.people
        if is_new:
            page.people[key] = page.new[key] = self._person(key, signup)
        person = page.people[key]
        given = {"name": signup.name, "lang": signup.lang}
        differing = {name: value for name, value in given.items() if value and value != person[name]}
        if differing:
            person |= differing
            page.differing[key] = person
        wanted = [(letter, person["id"]) for letter in dict.fromkeys(signup.newsletters)]
        wanted = [each for each in wanted if each not in page.letters]
        page.letters.update(wanted)
        page.wanted += wanted
        return "added" if is_new else "changed" if differing or wanted else "unchanged"

    def _count(self, outcome: str) -> None:
        self.report = replace(self.report, **{outcome: getattr(self.report, outcome) + 1})

    def _person(self, key: str, signup: Signup) -> Values:
        return {
            "id": secrets.token_hex(16),
            "address": signup.address,
            "address_key": key,
            "name": signup.name,
            "lang": signup.lang,
            "created_at": self.now,
            "source": self.source,
        }

    def _page(self, keys: Sequence[str]) -> _Page:
        table = subscriber.c
        query = select(table.address_key, table.id, table.name, table.lang).where(table.address_key.in_(keys))
        people: dict[str, Values] = {row.address_key: row._asdict() for row in self._rows(query)}
        people |= {key: self._people[key] for key in keys if key in self._people}
        ids = [person["id"] for person in people.values()]
        letters = select(subscription.c.newsletter, subscription.c.subscriber_id)
        barred = select(suppression.c.address_key).where(suppression.c.address_key.in_(keys))
        return _Page(
            people=people,
            letters={
                (row[0], row[1]) for row in self._rows(letters.where(subscription.c.subscriber_id.in_(ids)))
            }
            | self._letters,
            barred=frozenset(row[0] for row in self._rows(barred)),
        )

    def _rows(self, query: Any) -> Any:
        return self.connection.execute(query)

    def _write(self, page: _Page) -> None:
        add_missing(self.connection, subscriber, list(page.new.values()))
        rows = [
            {"of": person["id"], "new_name": person["name"], "new_lang": person["lang"]}
            for key, person in page.differing.items()
            if key not in page.new
        ]
        if rows:
            change = update(subscriber).where(subscriber.c.id == bindparam("of"))
            self.connection.execute(
                change.values(name=bindparam("new_name"), lang=bindparam("new_lang")), rows
            )
        letters = [{"newsletter": each, "subscriber_id": of, "since": self.now} for each, of in page.wanted]
        add_missing(self.connection, subscription, letters)
