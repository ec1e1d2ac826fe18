"""Double opt-in: somebody asks, one mail goes out, they confirm. What they agreed to is kept as a proof.

Two steps, by two processes. Who serves the pages records what was asked, and looks at nothing that is known
of the address: the same statements for everybody. Who sends the mail decides, a random moment later, whether
there is one to send. So neither an answer nor its time can tell who reads us.
What a stranger typed is forgotten after a week; only who confirms leaves a record that stays.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from ipaddress import ip_network
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bot.store.engine import changing_readers, reading, writing
from bot.store.hooks import SIGNUPS_LIMITED, Event, Tell, nobody
from bot.store.importing import address_key
from bot.store.proof import note_proof
from bot.store.rows import add_missing
from bot.store.schema import knock, signup, subscriber, subscription, used_stamp, wording
from bot.store.suppression import Hasher, lift

WAITS = timedelta(days=7)  # for a confirmation; then the address is forgotten
REST = timedelta(days=1)  # between two confirmation mails to one address
_SOME = 100  # mails that are caught up on at once
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ALL, _REFUSED = "all", "refused"  # what is counted for the whole site


class Recorded(Enum):
    """What became of a form; it depends on its stamp and on how many were sent, never on the address."""

    YES = "somebody looks at it soon"
    USED = "not recorded: this very form was sent before"
    NETWORK = "not recorded: too many came from this network"
    SITE = "not recorded: too many came from everywhere"
    SITE_FIRST = "the same, for the first time in this hour: tell somebody"


class Asked(Enum):
    """What is decided about what was asked."""

    MAIL = "send the confirmation mail"
    QUIET = "send nothing: one is on its way, or they read it all already"
    LIMITED = "send nothing: this mailbox got enough today"


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
    """How much may happen in an hour or a day of the clock.

    Those of networks come first: who has one, or a block of them, cannot use up what there is for all.
    """

    per_ip_hour: int = 60  # forms
    per_block_hour: int = 250  # forms from a /16 or a /32; never fewer than from one network in it
    total_hour: int = 1_000  # forms
    per_mailbox_day: int = 5  # mails, however its owner's name is written: "ann+1", "a.n.n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """An hour in which the limit for all was reached, and how many forms were refused because of it."""

    since: datetime
    forms: int


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

    def record(
        self, request: SignupRequest, *, stamp: str, until: datetime, due: datetime, limits: Limits
    ) -> Recorded:
        """Keep what was asked until somebody decides on it, from ``due`` on.

        ``stamp`` names the form, and is good once; ``until`` it is too old anyway.
        """
        now = request.asked_at
        with writing(self.engine) as connection:
            if self._is_over(connection, request.ip, now, limits):
                return Recorded.NETWORK
            if _count(connection, _ALL, now, _HOUR, more=False) >= limits.total_hour:
                return self._refused(connection, now)
            if not add_missing(connection, used_stamp, [{"stamp": stamp, "until": until}]):
                return Recorded.USED
            _count(connection, _ALL, now, _HOUR)
            self._remember(connection, request, due)
            return Recorded.YES

    def _is_over(self, connection: Connection, ip: str, now: datetime, limits: Limits) -> bool:
        """Whether too many forms came from this network, or from its block."""
        network, block = self.hasher.knocks("ip", ip)[0], self.hasher.knocks("block", block_of(ip))[0]
        if _count(connection, network, now, _HOUR) > limits.per_ip_hour:
            return True  # and what it sends does not count for its block
        return _count(connection, block, now, _HOUR) > max(limits.per_block_hour, limits.per_ip_hour)

    def _refused(self, connection: Connection, now: datetime) -> Recorded:
        if _count(connection, _REFUSED, now, _HOUR) > 1:
            return Recorded.SITE
        self.tell(connection, Event(kind=SIGNUPS_LIMITED, at=now))
        return Recorded.SITE_FIRST

    def refused(self, *, since: datetime) -> list[Refused]:
        """The hours in which the limit for all was reached, the latest first."""
        of = knock.c
        query = select(of.period, of["count"]).where(of.scope == _REFUSED, of.period >= _period(since, _HOUR))
        with reading(self.engine) as connection:
            return [
                Refused(since=_EPOCH + period * _HOUR, forms=forms)
                for period, forms in connection.execute(query.order_by(of.period.desc()))
            ]

    def decide(self, signup_id: str, *, now: datetime, limits: Limits) -> Asked:
        """Whether a mail goes out for what was recorded; where none does, nothing of it stays.

        Asked again it says the same, and QUIET of what it does not know.
        """
        with writing(self.engine) as connection:
            row = _waiting(connection, signup_id, now, lock=True)
            if row is None:
                return Asked.QUIET
            if row.decided_at is not None:
                return Asked.MAIL
            asked = self._decided(connection, _request(row), row.address_key, now, limits)
            one = signup.c.id == signup_id
            if asked is Asked.MAIL:
                connection.execute(update(signup).where(one).values(decided_at=now))
            else:
                connection.execute(delete(signup).where(one))
            return asked

    def _decided(
        self, connection: Connection, request: SignupRequest, key: str, now: datetime, limits: Limits
    ) -> Asked:
        mailbox = self.hasher.knocks("mailbox", mailbox_of(key))[0]
        # The mailbox first: of two that are decided on at once the second waits here for the first.
        mailed = _count(connection, mailbox, now, _DAY, more=False)
        recent = select(signup.c.id).where(
            signup.c.address_key == key,
            signup.c.id != request.id,
            signup.c.decided_at.is_not(None),
            signup.c.asked_at > request.asked_at - REST,
        )
        rests = connection.execute(recent.limit(1)).first() is not None
        if rests or _read_by(connection, key).issuperset(request.newsletters):
            return Asked.QUIET
        if mailed >= limits.per_mailbox_day:
            return Asked.LIMITED
        _count(connection, mailbox, now, _DAY)
        return Asked.MAIL

    def take(self, signup_id: str, *, now: datetime) -> bool:
        """Before the mail goes out; False when somebody else sends it, or nobody waits for it any more."""
        unsent = signup.c.mailed_at.is_(None) & signup.c.confirmed_at.is_(None)
        with writing(self.engine) as connection:
            change = update(signup).where(signup.c.id == signup_id, unsent)
            return connection.execute(change.values(mailed_at=now)).rowcount == 1

    def give_back(self, signup_id: str, *, due: datetime | None = None) -> None:
        """The mail certainly did not go out, and is tried again: by others not before it is ``due``."""
        values = {"mailed_at": None} | ({"due_at": due} if due else {})
        with writing(self.engine) as connection:
            connection.execute(update(signup).where(signup.c.id == signup_id).values(values))

    def unsent(self, *, before: datetime, besides: Collection[str] = ()) -> list[SignupRequest]:
        """Who asked and was due by then, and got neither a mail nor a try: the first of them.

        ``besides`` are newsletters that cannot be asked back for now: those who named one of them first.
        """
        waits = signup.c.mailed_at.is_(None) & signup.c.confirmed_at.is_(None)
        query = _with_words().where(waits, signup.c.due_at <= before, signup.c.asked_at > before - WAITS)
        for name in besides:
            query = query.where(~(signup.c.newsletters + " ").startswith(f"{name} ", autoescape=True))
        with reading(self.engine) as connection:
            return [_request(row) for row in connection.execute(query.order_by(signup.c.due_at).limit(_SOME))]

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
            connection.execute(delete(used_stamp).where(used_stamp.c.until <= now))
            gone = connection.execute(delete(signup).where(signup.c.asked_at <= now - WAITS))
            return gone.rowcount

    def _remember(self, connection: Connection, request: SignupRequest, due: datetime) -> None:
        words = request.wording
        row = {"digest": words.digest, "version": words.version, "lang": words.lang, "body": words.body}
        add_missing(connection, wording, [row])
        connection.execute(
            insert(signup),
            {
                "id": request.id,
                "address": request.address,
                "address_key": address_key(request.address),
                "newsletters": " ".join(request.newsletters),
                "lang": request.lang,
                "form_url": request.form_url,
                "wording": words.digest,
                "ip": request.ip,
                "asked_at": request.asked_at,
                "confirmed_at": None,
                "mailed_at": None,
                "due_at": due,
                "decided_at": None,
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


def block_of(network: str) -> str:
    """The block of addresses that a network lies in, a /16 or a /32; itself where that cannot be said."""
    try:
        found = ip_network(network, strict=False)
    except ValueError:
        return network
    return str(found.supernet(new_prefix=min(found.prefixlen, 16 if found.version == 4 else 32)))


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
