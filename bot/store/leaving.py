"""Changing one's mind: wishes, leaving one newsletter, being forgotten. And what we hold of one person."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Select,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from bot.model import Form
from bot.store import schema
from bot.store.engine import changing_readers, reading
from bot.store.hooks import Event, Tell, nobody
from bot.store.importing import address_key
from bot.store.joining import mailbox_of
from bot.store.proof import note_proof
from bot.store.received import letters_to
from bot.store.rows import add_missing
from bot.store.suppression import ALL, Hasher, suppress
from bot.store.traces import small_letters, wipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Preferences:
    """How somebody wants a newsletter. Neither address nor name: a forwarded link must show nobody's."""

    newsletter: str
    lang: str = ""
    form: Form = Form.FULL
    paused_until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Erased:
    """What there was of an erased person."""

    subscriber: str = ""  # the opaque id, "" for somebody who was no reader
    rows: int = 0
    clean: bool = True  # False: other programs still use old pages of the database, which hold the address


class Leaving:
    """What readers decide about themselves, by the id in their signed link or by their address."""

    def __init__(self, engine: Engine, hasher: Hasher, *, tell: Tell = nobody) -> None:
        self.engine, self.hasher, self.tell = engine, hasher, tell

    def unsubscribe(
        self, subscriber_id: str, newsletter: str, *, now: datetime, means: str, ip: str = ""
    ) -> bool:
        """Effective with this call, also for an issue that is being sent. False when it was so already.

        No list brings them back to this newsletter. Who reads nothing else is not kept as a reader.
        """
        person, mine = schema.subscriber, schema.subscription
        with changing_readers(self.engine) as connection:
            # The person first: two calls at once come one after the other.
            query = select(person).where(person.c.id == subscriber_id).with_for_update()
            row = connection.execute(query).one_or_none()
            if row is None:
                return False
            of_letter = (mine.c.subscriber_id == subscriber_id) & (mine.c.newsletter == newsletter)
            left = connection.execute(delete(mine).where(of_letter)).rowcount == 1
            if left:
                wish = schema.preference
                connection.execute(
                    delete(wish).where(wish.c.subscriber_id == subscriber_id, wish.c.newsletter == newsletter)
                )
                suppress(connection, row.address_key, newsletter=newsletter, reason="left", now=now)
                note_proof(
                    connection,
                    "left",
                    [newsletter],
                    address=row.address,
                    address_key=row.address_key,
                    means=means,
                    at=now,
                    ip=ip,
                )
                event = Event(
                    kind="left", at=now, newsletter=newsletter, subscriber=row.id, address=row.address
                )
                self.tell(connection, event)
                _forget_who_reads_nothing(connection, subscriber_id)
            return left

    def preferences(self, subscriber_id: str, newsletter: str) -> Preferences | None:
        """The wishes of a reader; None for somebody who does not get this newsletter."""
        person, mine, wish = schema.subscriber.c, schema.subscription.c, schema.preference.c
        query = (
            select(person.lang, wish.form, wish.paused_until)
            .join(schema.subscription, mine.subscriber_id == person.id)
            .outerjoin(
                schema.preference, (wish.newsletter == mine.newsletter) & (wish.subscriber_id == person.id)
            )
            .where(person.id == subscriber_id, mine.newsletter == newsletter)
        )
        with reading(self.engine) as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return Preferences(
            newsletter=newsletter, lang=row.lang, form=Form(row.form or ""), paused_until=row.paused_until
        )

    def prefer(self, subscriber_id: str, newsletter: str, wanted: Preferences, now: datetime) -> bool:
        """From the next issue on; False for somebody who does not get this newsletter."""
        awake = wanted.paused_until is None or wanted.paused_until <= now
        wish, person, reads = schema.preference, schema.subscriber, schema.subscription.c
        mine = (wish.c.newsletter == newsletter) & (wish.c.subscriber_id == subscriber_id)
        gets = (reads.newsletter == newsletter) & (reads.subscriber_id == subscriber_id)
        with changing_readers(self.engine) as connection:
            # The person first, as for leaving: whoever does that at the same time leaves no wish behind.
            connection.execute(select(person.c.id).where(person.c.id == subscriber_id).with_for_update())
            if connection.execute(select(reads.since).where(gets)).first() is None:
                return False
            connection.execute(update(person).where(person.c.id == subscriber_id).values(lang=wanted.lang))
            connection.execute(delete(wish).where(mine))
            if wanted.form is not Form.FULL or not awake:
                row = {"newsletter": newsletter, "subscriber_id": subscriber_id}
                rest = {"form": wanted.form.value, "paused_until": None if awake else wanted.paused_until}
                add_missing(connection, wish, [row | rest])
        return True

    # ----------------------------------------------------------------------- one person, whole

    def person(self, address: str) -> dict[str, list[dict[str, Any]]]:
        """Everything we hold of this person, by table; an empty dictionary for somebody we do not know."""
        key = address_key(address)
        with reading(self.engine) as connection:
            ids = _ids(connection, key)
            words = _spellings(connection, key, address)
            queries = self._about(key, ids, words)
            found = {name: _rows(connection, query) for name, query in queries.items()}
            found["deliveries"] = [asdict(one) for of in ids for one in letters_to(connection, of)]
        return {name: rows for name, rows in found.items() if rows}

    def spellings(self, address: str) -> frozenset[str]:
        """The address in every form in which it may stand somewhere."""
        key = address_key(address)
        with reading(self.engine) as connection:
            return _spellings(connection, key, address)

    def _about(self, key: str, ids: Sequence[str], words: Collection[str]) -> dict[str, Select[Any]]:
        s = schema
        return {
            "subscriber": select(s.subscriber).where(s.subscriber.c.address_key == key),
            "subscriptions": select(s.subscription).where(s.subscription.c.subscriber_id.in_(ids)),
            "preferences": select(s.preference).where(s.preference.c.subscriber_id.in_(ids)),
            "suppressions": select(s.suppression).where(
                s.suppression.c.address_key.in_(self.hasher.names(key))
            ),
            "signups": select(s.signup).where(s.signup.c.address_key == key),
            "consent": select(s.consent, s.wording.c.version, s.wording.c.body)
            .outerjoin(s.wording, s.wording.c.digest == s.consent.c.wording)
            .where(s.consent.c.address_key == key)
            .order_by(s.consent.c.id),
            "bounces": select(s.bounce).where(s.bounce.c.subscriber_id.in_(ids)),
            "hook_calls": select(s.hook_call).where(_told_of((*ids, *words))),
        }

    def erase(self, address: str, now: datetime) -> Erased:
        """Nothing of this person stays but a keyed hash that keeps lists from bringing them back."""
        key = address_key(address)
        with changing_readers(self.engine) as connection:  # an import may be bringing them just now
            _wait_for_others(connection, key)
            ids, words = _ids(connection, key), _spellings(connection, key, address)
            rows = self._erase(connection, key, ids, words)
            suppress(connection, self.hasher.name(key), newsletter=ALL, reason="erased", now=now)
        clean = wipe(self.engine, words)
        return Erased(subscriber=ids[0] if ids else "", rows=rows, clean=clean)

    def _erase(self, connection: Connection, key: str, ids: Sequence[str], words: Collection[str]) -> int:
        s = schema
        connection.execute(insert(s.erasing), {"address_key": key})
        counted = [
            delete(s.consent).where(s.consent.c.address_key == key),
            delete(s.signup).where(s.signup.c.address_key == key),
            delete(s.suppression).where(s.suppression.c.address_key == key),
            delete(s.bounce).where(s.bounce.c.subscriber_id.in_(ids)),
            delete(s.hook_call).where(_told_of((*ids, *words))),
            delete(s.preference).where(s.preference.c.subscriber_id.in_(ids)),
            delete(s.subscription).where(s.subscription.c.subscriber_id.in_(ids)),
            delete(s.subscriber).where(s.subscriber.c.address_key == key),
        ]
        rows = sum(connection.execute(query).rowcount for query in counted)
        knocks = (*self.hasher.knocks("address", key), *self.hasher.knocks("mailbox", mailbox_of(key)))
        connection.execute(delete(s.knock).where(s.knock.c.scope.in_(knocks)))
        connection.execute(delete(s.erasing))
        _forget_files(connection, words)
        return rows


# --------------------------------------------------------------------------- within a transaction


def _forget_who_reads_nothing(connection: Connection, subscriber_id: str) -> None:
    person, mine = schema.subscriber, schema.subscription
    reads = select(mine.c.newsletter).where(mine.c.subscriber_id == subscriber_id).exists()
    gone = connection.execute(delete(person).where(person.c.id == subscriber_id, ~reads))
    if gone.rowcount:
        connection.execute(delete(schema.bounce).where(schema.bounce.c.subscriber_id == subscriber_id))


def _wait_for_others(connection: Connection, key: str) -> None:
    """Who confirms or leaves just now writes a proof: it must be there before we look for what there is."""
    for table in (schema.signup, schema.subscriber):  # in the order in which confirming takes them
        query = select(table.c.id).where(table.c.address_key == key).order_by(table.c.id)
        connection.execute(query.with_for_update()).all()


def _ids(connection: Connection, key: str) -> Sequence[str]:
    person = schema.subscriber.c
    return connection.scalars(select(person.id).where(person.address_key == key)).all()


def _spellings(connection: Connection, key: str, address: str) -> frozenset[str]:
    """As it was typed now and before, and as it is compared; a domain in both its scripts."""
    s, found = schema, {address.strip(), key}
    for table in (s.subscriber, s.signup, s.consent):
        found.update(connection.scalars(select(table.c.address).where(table.c.address_key == key)))
    return frozenset(found | {_as_read(word) for word in found})


def _as_read(address: str) -> str:
    """Its domain in the script that people read; the same where it has no other."""
    local, at, domain = address.rpartition("@")
    if "xn--" not in domain.lower():
        return address
    import idna  # its tables take a while to load, and few domains need them

    try:
        return f"{local}{at}{idna.decode(domain.lower())}"
    except idna.IDNAError:
        return address


def _told_of(words: Collection[str]) -> ColumnElement[bool]:
    """Calls of other programs that speak of a person, in whatever case; as a whole value of their JSON."""
    body = func.lower(schema.hook_call.c.body)
    return or_(*(body.contains(f'"{word}"', autoescape=True) for word in sorted(small_letters(words))))


def _forget_files(connection: Connection, words: Collection[str]) -> None:
    """A rehearsal's receipts are names of files, and those tell whom a mail is for."""
    letter, delivery, issue = schema.letter, schema.delivery, schema.issue.c
    rehearsed = select(issue.id).where(issue.mode == "rehearsal")
    for word in words:
        of_letter = letter.c.issue.in_(rehearsed) & letter.c.said.icontains(word, autoescape=True)
        connection.execute(update(letter).where(of_letter).values(said=""))
        of_mail = delivery.c.remote_id.icontains(word, autoescape=True)
        of_mail = (delivery.c.mode == "rehearsal") & of_mail
        connection.execute(update(delivery).where(of_mail).values(remote_id=""))


def _rows(connection: Connection, query: Select[Any]) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in connection.execute(query)]
