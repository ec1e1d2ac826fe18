"""Double opt-in: somebody asks, one mail goes out, they confirm. What they agreed to is kept as a proof.

Whether a mail goes out is decided, and counted, in one transaction before it does. What a visitor sees must
not depend on the answer, nor how long it takes, the first time or the tenth: every address costs the same
statements, and uses up the same of the limits.
What a stranger typed is forgotten after a week; only who confirms leaves a record that stays.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bot.store.engine import changing_readers, reading, writing
from bot.store.hooks import Event, Tell, nobody
from bot.store.importing import address_key
from bot.store.proof import note_proof
from bot.store.rows import add_missing
from bot.store.schema import knock, signup, subscriber, subscription, wording
from bot.store.suppression import Hasher, lift

WAITS = timedelta(days=7)  # for a confirmation; then the address is forgotten
REST = timedelta(days=1)  # between two confirmation mails to one address
_SOME = 100  # mails that are caught up on at once
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Asked(Enum):
    """What to do after somebody asked; the visitor sees the same page each time."""

    MAIL = "send the confirmation mail"
    QUIET = "send nothing: one is on its way, or they read it all already"
    LIMITED = "send nothing: too many asked"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wording:
    """What the form said, word for word."""

    version: str
    lang: str
    body: str

    @property
    def digest(self) -> str:
        """Its name in the store."""
        return hashlib.sha256("\x1f".join((self.version, self.lang, self.body)).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class SignupRequest:
    """Somebody typed an address into the form. ``ip`` is truncated before it comes here."""

    id: str  # 32 hex digits: secrets.token_hex(16)
    address: str = field(repr=False)
    newsletters: tuple[str, ...]
    lang: str
    form_url: str
    wording: Wording
    ip: str = field(repr=False)
    asked_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How much may happen in an hour or a day of the clock before nobody gets a mail any more."""

    per_ip_hour: int = 60  # questions
    per_mailbox_day: int = 5  # mails, however its owner's name is written: "ann+1", "a.n.n"
    total_hour: int = 1_000  # mails


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmed:
    """Who confirmed; ``new`` newsletters are those that they did not read before."""

    subscriber: str
    address: str = field(repr=False)
    lang: str
    newsletters: tuple[str, ...]
    new: tuple[str, ...]


class Joining:
    """Signups on their way to becoming readers."""

    def __init__(
        self, engine: Engine, hasher: Hasher, newsletters: Collection[str] = (), *, tell: Tell = nobody
    ) -> None:
        """``newsletters`` are all there are: whoever left them all and comes back to one left the others."""
        self.engine, self.hasher, self.newsletters = engine, hasher, frozenset(newsletters)
        self.tell = tell

    def ask(self, request: SignupRequest, *, now: datetime, limits: Limits) -> Asked:
        """Count it, decide, and remember the request when a mail is to go out."""
        key = address_key(request.address)
        with writing(self.engine) as connection:
            visitor = self.hasher.knocks("ip", request.ip)[0]
            if _count(connection, visitor, now, _HOUR) > limits.per_ip_hour:
                return Asked.LIMITED
            asked = self._decided(connection, request, key, now, limits)
            # It is written down in any case, and taken back at once where nobody gets a mail: whoever asks
            # again and again, and measures, learns nothing.
            self._remember(connection, request, key)
            unwanted = "" if asked is Asked.MAIL else request.id
            connection.execute(delete(signup).where(signup.c.id == unwanted))
            return asked

    def _decided(
        self, connection: Connection, request: SignupRequest, key: str, now: datetime, limits: Limits
    ) -> Asked:
        # The address first: of two that ask for it at once the second waits here for the first.
        today = _count(connection, self.hasher.knocks("address", key)[0], now, _DAY)
        recent = select(signup.c.id).where(signup.c.address_key == key, signup.c.asked_at > now - REST)
        rests = connection.execute(recent.limit(1)).first() is not None
        reads_it_all = _read_by(connection, key).issuperset(request.newsletters)
        # Only what could become a mail: else one visitor could use up what there is for all. A reader's
        # address counts once a day, too: else the limit would tell who reads us.
        counts = not rests and (today == 1 or not reads_it_all)
        mailbox = self.hasher.knocks("mailbox", mailbox_of(key))[0]
        over = _count(connection, mailbox, now, _DAY, more=counts) > limits.per_mailbox_day
        over |= _count(connection, "all", now, _HOUR, more=counts) > limits.total_hour
        if rests or (reads_it_all and not over):
            return Asked.QUIET
        return Asked.LIMITED if over else Asked.MAIL

    def take(self, signup_id: str, *, now: datetime) -> bool:
        """Before the mail goes out; False when somebody else sends it, or nobody waits for it any more."""
        unsent = signup.c.mailed_at.is_(None) & signup.c.confirmed_at.is_(None)
        with writing(self.engine) as connection:
            change = update(signup).where(signup.c.id == signup_id, unsent)
            return connection.execute(change.values(mailed_at=now)).rowcount == 1

    def give_back(self, signup_id: str) -> None:
        """The mail certainly did not go out, and is tried again."""
        with writing(self.engine) as connection:
            connection.execute(update(signup).where(signup.c.id == signup_id).values(mailed_at=None))

    def unsent(self, *, before: datetime, besides: Collection[str] = ()) -> list[SignupRequest]:
        """Whose mail was decided on before that moment, and never tried: the first of them.

        ``besides`` are newsletters that cannot be asked back for now: those who named one of them first.
        """
        waits = signup.c.mailed_at.is_(None) & signup.c.confirmed_at.is_(None)
        query = _with_words().where(waits, signup.c.asked_at <= before, signup.c.asked_at > before - WAITS)
        for name in besides:
            query = query.where(~(signup.c.newsletters + " ").startswith(f"{name} ", autoescape=True))
        with reading(self.engine) as connection:
            return [
                _request(row) for row in connection.execute(query.order_by(signup.c.asked_at).limit(_SOME))
            ]

    def not_sent(self, signup_id: str, *, now: datetime) -> None:
        """The mail certainly did not go out: they may ask again at once, and the old link opens nothing."""
        with writing(self.engine) as connection:
            connection.execute(
                delete(signup).where(signup.c.id == signup_id, signup.c.confirmed_at.is_(None))
            )

    def pending(self, signup_id: str, now: datetime) -> SignupRequest | None:
        """What was asked for; None for what is unknown or too old."""
        with reading(self.engine) as connection:
            row = _waiting(connection, signup_id, now)
            return None if row is None else _request(row)

    def confirm(self, signup_id: str, *, now: datetime, means: str, ip: str) -> Confirmed | None:
        """They meant it: a reader from now on, whatever was suppressed. A second time changes nothing."""
        with changing_readers(self.engine) as connection:
            row = _waiting(connection, signup_id, now, lock=True)
            if row is None:
                return None
            request = _request(row)
            person, new = self._welcome(connection, request, row.address_key, now, once=row.confirmed_at)
            if row.confirmed_at is None:
                done = update(signup).where(signup.c.id == signup_id)
                connection.execute(done.values(confirmed_at=now))
                _note(connection, request, "asked", means="form", ip=request.ip, now=request.asked_at)
                _note(connection, request, "confirmed", means=means, ip=ip, now=now)
                self._tell(connection, request, person, new, now)
            return Confirmed(
                subscriber=person,
                address=request.address,
                lang=request.lang,
                newsletters=request.newsletters,
                new=new,
            )

    def _tell(
        self, connection: Connection, request: SignupRequest, person: str, new: Sequence[str], now: datetime
    ) -> None:
        happened = [*(("confirmed", n) for n in request.newsletters), *(("subscribed", n) for n in new)]
        for kind, newsletter in happened:
            event = Event(
                kind=kind, at=now, newsletter=newsletter, subscriber=person, address=request.address
            )
            self.tell(connection, event)

    def sweep(self, now: datetime) -> int:
        """Forget who never confirmed, and counts that are past; how many people that were."""
        with writing(self.engine) as connection:
            connection.execute(delete(knock).where(knock.c.period < _period(now - 2 * REST, _HOUR)))
            gone = connection.execute(delete(signup).where(signup.c.asked_at <= now - WAITS))
            return gone.rowcount

    def _remember(self, connection: Connection, request: SignupRequest, key: str) -> None:
        words = request.wording
        row = {"digest": words.digest, "version": words.version, "lang": words.lang, "body": words.body}
        add_missing(connection, wording, [row])
        connection.execute(
            insert(signup),
            {
                "id": request.id,
                "address": request.address,
                "address_key": key,
                "newsletters": " ".join(request.newsletters),
                "lang": request.lang,
                "form_url": request.form_url,
                "wording": words.digest,
                "ip": request.ip,
                "asked_at": request.asked_at,
                "confirmed_at": None,
                "mailed_at": None,
            },
        )

    def _welcome(
        self,
        connection: Connection,
        request: SignupRequest,
        key: str,
        now: datetime,
        *,
        once: datetime | None,
    ) -> tuple[str, tuple[str, ...]]:
        """The reader's id, and the newsletters that are new to them. Nothing is done ``once`` it was."""
        known = select(subscriber.c.id).where(subscriber.c.address_key == key)
        if once is not None:
            return connection.scalar(known) or "", ()
        row = {"id": secrets.token_hex(16), "address": request.address, "address_key": key, "name": ""}
        rest = {"lang": request.lang, "created_at": now, "source": request.form_url}
        # Not "look, then insert": two links of one person may be followed at once. And who is there may be
        # leaving: then the change waits for that, and finds nobody.
        change = update(subscriber).where(subscriber.c.address_key == key)
        while not add_missing(connection, subscriber, [row | rest]):
            if connection.execute(change.values(lang=request.lang or subscriber.c.lang)).rowcount:
                break
        person = str(connection.scalar(known))
        lift(connection, self.hasher.names(key), request.newsletters, besides=self.newsletters)
        new = tuple(
            name
            for name in request.newsletters
            if add_missing(
                connection, subscription, [{"newsletter": name, "subscriber_id": person, "since": now}]
            )
        )
        return person, new


def _note(
    connection: Connection, request: SignupRequest, event: str, *, means: str, ip: str, now: datetime
) -> None:
    note_proof(
        connection,
        event,
        request.newsletters,
        address=request.address,
        address_key=address_key(request.address),
        means=means,
        at=now,
        wording=request.wording.digest,
        form_url=request.form_url,
        ip=ip,
    )


def _waiting(connection: Connection, signup_id: str, now: datetime, *, lock: bool = False) -> Row | None:  # type: ignore[type-arg]
    query = _with_words().where(signup.c.id == signup_id, signup.c.asked_at > now - WAITS)
    return connection.execute(query.with_for_update(of=signup) if lock else query).one_or_none()


def _with_words() -> Select[Any]:
    spoken = (wording.c.version, wording.c.lang.label("spoken"), wording.c.body)
    return select(signup, *spoken).join(wording, wording.c.digest == signup.c.wording)


def _request(row: Row) -> SignupRequest:  # type: ignore[type-arg]
    return SignupRequest(
        id=row.id,
        address=row.address,
        newsletters=tuple(row.newsletters.split()),
        lang=row.lang,
        form_url=row.form_url,
        wording=Wording(version=row.version, lang=row.spoken, body=row.body),
        ip=row.ip,
        asked_at=row.asked_at,
    )


def _read_by(connection: Connection, key: str) -> frozenset[str]:
    """The newsletters that this address gets already."""
    query = select(subscription.c.newsletter).join(
        subscriber, subscriber.c.id == subscription.c.subscriber_id
    )
    found: Sequence[str] = connection.scalars(query.where(subscriber.c.address_key == key)).all()
    return frozenset(found)


def mailbox_of(address_key: str) -> str:
    """Where its mail most likely ends up: what follows a plus, and dots, mean nothing to many servers."""
    local, _, domain = address_key.rpartition("@")
    return f"{local.partition('+')[0].replace('.', '')}@{domain}"


def _count(connection: Connection, scope: str, now: datetime, length: timedelta, *, more: bool = True) -> int:
    """One more in this period, or none; how many that makes."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    query = dialect.insert(knock).values(scope=scope, period=_period(now, length), count=int(more))
    one_more = query.on_conflict_do_update(
        index_elements=[knock.c.scope, knock.c.period],
        set_={"count": knock.c.count + query.excluded.count},
    )
    counted: int = connection.execute(one_more.returning(knock.c.count)).scalar_one()
    return counted


def _period(now: datetime, length: timedelta) -> int:
    """The hour since 1970 in which a period of this length began."""
    return (now - _EPOCH) // length * (length // _HOUR)
