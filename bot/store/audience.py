"""Who reads, and who must never be written to again. Suppression wins over everything.

Whether an address is well-formed was decided above; here it is only compared, by its ``address_key``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import Protocol, TypeVar

from sqlalchemy import Connection, Engine, Select, delete, exists, func, select, text

from bot.errors import AudienceError
from bot.model import Recipient, speaks
from bot.store.engine import changing_readers, reading, writing
from bot.store.firstload import FirstLoad, nobody_yet
from bot.store.importing import ROWS, Import, ImportReport, Scratch, Signup, Writer, address_key
from bot.store.proof import note_proof
from bot.store.rows import BATCH, batches
from bot.store.schema import preference, subscriber, subscription, suppression
from bot.store.suppression import ALL, Hasher, is_erased, suppress

T = TypeVar("T")

EXPORTED = 5_000  # readers of a page of an export

__all__ = ["AudienceStore", "ImportReport", "Signup", "Subscriber", "address_key"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscriber:
    """A reader as stored."""

    id: str
    address: str
    name: str
    lang: str
    newsletters: tuple[str, ...]
    created_at: datetime
    source: str


class AudienceStore:
    """Subscribers, their subscriptions, and the suppressed."""

    def __init__(self, engine: Engine, hasher: Hasher | None = None) -> None:
        self.engine, self.hasher = engine, hasher

    def add(
        self, address: str, name: str, lang: str, newsletters: Sequence[str], now: datetime, source: str
    ) -> bool:
        """Subscribe somebody; False when that was so already. AudienceError for a suppressed address."""
        signup = Signup(address=address, name=name, lang=lang, newsletters=tuple(newsletters))
        report = self.add_many([signup], now=now, source=source)
        if report.suppressed:
            raise AudienceError(
                f"{address}: is suppressed ({self._reason(address)}); only this person can sign up again"
            )
        return bool(report.added or report.changed)

    def add_many(
        self,
        rows: Iterable[Signup],
        *,
        now: datetime,
        source: str,
        dry: bool = False,
        before: Callable[[Connection], None] = lambda _: None,
        after: Callable[[Connection], None] = lambda _: None,
    ) -> ImportReport:
        """Subscribe many, all or nothing, reading them as they come; ``dry`` only says what would happen.

        ``before`` and ``after`` do what belongs to the same list, in the same transaction.
        """
        if dry:
            with reading(self.engine) as connection, closing(Scratch()) as scratch:
                before(connection)
                return _imported(Import(self._writer(connection, now, source), scratch), rows)
        with writing(self.engine) as connection:
            if connection.dialect.name == "postgresql":  # one writer of readers at a time, as in SQLite
                connection.execute(text("LOCK TABLE subscriber IN SHARE ROW EXCLUSIVE MODE"))
            before(connection)
            writer, rest = self._writer(connection, now, source), iter(rows)
            first = list(islice(rest, ROWS))
            is_long = len(first) == ROWS and nobody_yet(connection)
            everybody = chain(first, rest)
            report = (
                _imported(FirstLoad(writer), everybody) if is_long else _imported(Import(writer), everybody)
            )
            after(connection)
            return report

    def _writer(self, connection: Connection, now: datetime, source: str) -> Writer:
        return Writer(connection, now=now, source=source, hasher=self.hasher)

    def remove(self, address: str, *, now: datetime, reason: str = "asked to leave") -> bool:
        """Forget the reader and never write again; True when there was one. Suppressed in any case."""
        key = address_key(address)
        with changing_readers(self.engine) as connection:
            # Of somebody erased nothing is written in clear again.
            if self.hasher is None or not is_erased(connection, self.hasher, key):
                suppress(connection, key, reason=reason, now=now)
            person = subscriber.c.address_key == key
            row = connection.execute(select(subscriber).where(person).with_for_update()).one_or_none()
            if row is not None:
                note_proof(
                    connection, "left", [ALL], address=row.address, address_key=key, means=reason, at=now
                )
            return connection.execute(delete(subscriber).where(person)).rowcount == 1

    def find(self, address: str) -> Subscriber | None:
        """The subscriber of that address, however it is spelled."""
        query = select(subscriber).where(subscriber.c.address_key == address_key(address))
        of = select(subscription.c.newsletter).order_by(subscription.c.newsletter)
        with reading(self.engine) as connection:
            row = connection.execute(query).one_or_none()
            if row is None:
                return None
            letters = connection.scalars(of.where(subscription.c.subscriber_id == row.id)).all()
        return Subscriber(
            id=row.id,
            address=row.address,
            name=row.name,
            lang=row.lang,
            newsletters=tuple(letters),
            created_at=row.created_at,
            source=row.source,
        )

    def addresses(self, ids: Iterable[str]) -> dict[str, str]:
        """By id, of those who are still known."""
        with reading(self.engine) as connection:
            return {
                row.id: row.address
                for batch in batches(ids)
                for row in connection.execute(
                    select(subscriber.c.id, subscriber.c.address).where(subscriber.c.id.in_(batch))
                )
            }

    def subscribers(self, newsletter: str, langs: Sequence[str] | None = None) -> Iterator[Recipient]:
        """The readers of a newsletter, page by page: memory does not grow with the list.

        With ``langs`` only those who read one of these, or who never named a language.
        """
        last = ""
        while True:
            page = self._page(newsletter, last, BATCH)
            for of, address, name, lang in page:
                if langs is None or not lang or speaks(lang, tuple(langs)):
                    yield Recipient(id=of, address=address, name=name, lang=lang)
            if len(page) < BATCH:
                return
            last = page[-1][0]

    def export(self, newsletter: str) -> Iterator[Sequence[tuple[str, str, str]]]:
        """The same readers as address, name and language, in the pages in which they are read."""
        last = ""
        while True:
            page = self._page(newsletter, last, EXPORTED)
            yield [(address, name, lang) for _, address, name, lang in page]
            if len(page) < EXPORTED:
                return
            last = page[-1][0]

    def count(self, newsletter: str) -> int:
        """How many would get the newsletter now."""
        with reading(self.engine) as connection:
            return connection.scalar(select(func.count()).select_from(_readers(newsletter).subquery())) or 0

    def wishes(self, newsletter: str) -> frozenset[tuple[str, str]]:
        """In which languages and forms its readers want the newsletter; "" where they said nothing."""
        wanted = preference.c.form
        mine = (preference.c.newsletter == newsletter) & (preference.c.subscriber_id == subscriber.c.id)
        readers = _readers(newsletter).outerjoin(preference, mine)
        query = readers.with_only_columns(subscriber.c.lang, func.coalesce(wanted, "")).distinct()
        with reading(self.engine) as connection:
            return frozenset((lang, form) for lang, form in connection.execute(query))

    def _page(self, newsletter: str, last: str, size: int) -> Sequence[tuple[str, str, str, str]]:
        query = _readers(newsletter).where(subscription.c.subscriber_id > last)
        with reading(self.engine) as connection:
            result = connection.execute(query.order_by(subscription.c.subscriber_id).limit(size))
            # As the driver gives them: texts need no conversion, and making Row objects doubles the time.
            page: Sequence[tuple[str, str, str, str]] = result.cursor.fetchall() if result.cursor else ()
            result.close()
            return page

    def _reason(self, address: str) -> str:
        key = address_key(address)
        names = (key,) if self.hasher is None else self.hasher.names(key)
        query = select(suppression.c.reason).where(suppression.c.address_key.in_(names)).limit(1)
        with reading(self.engine) as connection:
            return connection.scalar(query) or ""


class _Work(Protocol[T]):
    """An import in two steps: ``prepare`` without the database and two batches ahead, then ``write``."""

    def prepare(self, signups: Sequence[Signup]) -> T: ...

    def write(self, batch: T) -> None: ...

    def report(self) -> ImportReport: ...


def _imported(work: _Work[T], rows: Iterable[Signup]) -> ImportReport:
    for batch in _ahead(map(work.prepare, batches(rows, ROWS))):
        work.write(batch)
    return work.report()


def _ahead(things: Iterator[T]) -> Iterator[T]:
    """The same, two of them made while one is in use: the database does not need Python's lock."""
    with ThreadPoolExecutor(1, "import") as maker:
        coming = deque(maker.submit(next, things, None) for _ in range(2))
        while (thing := coming.popleft().result()) is not None:
            coming.append(maker.submit(next, things, None))
            yield thing


def _readers(newsletter: str) -> Select[tuple[str, str, str, str]]:
    suppressed = exists().where(
        suppression.c.address_key == subscriber.c.address_key,
        suppression.c.newsletter.in_(("", newsletter)),
    )
    return (
        select(subscriber.c.id, subscriber.c.address, subscriber.c.name, subscriber.c.lang)
        .join(subscription, subscription.c.subscriber_id == subscriber.c.id)
        .where(subscription.c.newsletter == newsletter, ~suppressed)
    )
