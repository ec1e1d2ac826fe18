"""What came back: bounces and complaints of each reader, and what the ledger knows of refusals.

No address is kept here: a bounce belongs to a reader's opaque id.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, func, select, update

from bot.model import State, message_name
from bot.store import schema
from bot.store.chunks import keys_of, short_name
from bot.store.engine import changing_readers, reading, writing
from bot.store.hooks import Event, Tell, nobody
from bot.store.proof import note_proof
from bot.store.received import letters_to
from bot.store.rows import add_missing
from bot.store.suppression import ALL, suppress

_EVENTS = {"dead": "bounced", "full": "bounced", "complaint": "complained"}  # "sender" is our own fault


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounce:
    """One message about one reader. ``digest`` names the mail or the letter: the same one counts once."""

    digest: str
    at: datetime
    subscriber: str
    kind: str  # "dead" | "full" | "complaint" | "sender"
    source: str  # "smtp" | "dsn" | "arf" | "notice" | "text"
    code: str = ""
    said: str = ""  # without addresses
    signed: bool = False  # a token of ours, or what a server said to us; else anybody may have written it
    heard_at: datetime | None = None  # when it was read here; None: nobody knows any more
    issue: int | None = None  # which one came back: its number in the ledger; None: nothing tells it


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A letter that the reader's server refused for good while we were talking to it."""

    name: str  # of the letter
    subscriber: str
    at: datetime
    code: int
    said: str
    issue: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Carried:
    """When a letter was accepted, and by which channel it went."""

    channel: str
    newsletter: str
    at: datetime


class Bounces:
    """The log of what came back."""

    def __init__(self, engine: Engine, *, tell: Tell = nobody) -> None:
        self.engine, self.tell = engine, tell

    def record(self, bounce: Bounce) -> bool:
        """Note it; False when this very one was noted before."""
        row = {
            "digest": bounce.digest,
            "at": bounce.at,
            "subscriber_id": bounce.subscriber,
            "kind": bounce.kind,
            "source": bounce.source,
            "code": bounce.code,
            "said": bounce.said,
            "signed": int(bounce.signed),
            "heard_at": bounce.heard_at,
            "led_to": "",
            "issue": bounce.issue,
        }
        with writing(self.engine) as connection:
            if add_missing(connection, schema.bounce, [row]) == 0:
                return False
            kind = _EVENTS.get(bounce.kind)
            if kind and bounce.signed:  # other programs act on it; what anybody can write is for people
                data = {"kind": bounce.kind, "source": bounce.source, "code": bounce.code}
                of = bounce.subscriber
                address = _address(connection, of)
                self.tell(
                    connection, Event(kind=kind, at=bounce.at, subscriber=of, address=address, data=data)
                )
            return True

    def history(self, subscriber: str) -> list[Bounce]:
        """All about one reader, the oldest first."""
        of = schema.bounce.c
        query = select(schema.bounce).where(of.subscriber_id == subscriber).order_by(of.at, of.id)
        with reading(self.engine) as connection:
            return [
                Bounce(
                    digest=row.digest,
                    at=row.at,
                    subscriber=row.subscriber_id,
                    kind=row.kind,
                    source=row.source,
                    code=row.code,
                    said=row.said,
                    signed=bool(row.signed),
                    heard_at=row.heard_at,
                    issue=row.issue,
                )
                for row in connection.execute(query)
            ]

    def led_to(self, digests: Sequence[str], what: str, now: datetime) -> None:
        """Note what these reports led to: "hold", "removal", "waiting"."""
        mine = schema.bounce.c.digest.in_(digests)
        with writing(self.engine) as connection:
            connection.execute(update(schema.bounce).where(mine).values(led_to=what, led_at=now))

    def subscriptions(self, subscriber: str) -> dict[str, datetime]:
        """Which newsletters they get, and since when."""
        of = schema.subscription.c
        query = select(of.newsletter, of.since).where(of.subscriber_id == subscriber)
        with reading(self.engine) as connection:
            return {row.newsletter: row.since for row in connection.execute(query)}

    def knows(self, subscriber: str) -> bool:
        """Whether this is a reader of ours."""
        person = schema.subscriber.c
        with reading(self.engine) as connection:
            return connection.execute(select(person.id).where(person.id == subscriber)).first() is not None

    def readers(self) -> int:
        """How many there are, of all newsletters."""
        with reading(self.engine) as connection:
            return connection.scalar(select(func.count()).select_from(schema.subscriber)) or 0

    def reader_of(self, address_key: str) -> str | None:
        """The reader's id, by the key of their address."""
        person = schema.subscriber.c
        with reading(self.engine) as connection:
            found: str | None = connection.scalar(select(person.id).where(person.address_key == address_key))
        return found

    def suppress(self, subscriber: str, *, reason: str, now: datetime) -> bool:
        """Never write to them again, and keep them no longer as a reader; False when they were none."""
        person = schema.subscriber
        with changing_readers(self.engine) as connection:
            row = connection.execute(
                select(person).where(person.c.id == subscriber).with_for_update()
            ).one_or_none()
            if row is None:
                return False
            suppress(connection, row.address_key, newsletter=ALL, reason=reason, now=now)
            note_proof(
                connection,
                "suppressed",
                [ALL],
                address=row.address,
                address_key=row.address_key,
                means=reason,
                at=now,
            )
            connection.execute(delete(person).where(person.c.id == subscriber))
            data = {"reason": reason}
            event = Event(kind="left", at=now, subscriber=row.id, address=row.address, data=data)
            self.tell(connection, event)
        return True

    def letters_refused(self, mode: str, since: datetime) -> list[Refused]:
        """Letters that failed with a 5xx after that moment, of readers that are still here."""
        letter, issue, person = schema.letter.c, schema.issue.c, schema.subscriber.c
        chunk = schema.chunk.c
        with reading(self.engine) as connection:
            places = connection.execute(
                select(chunk.issue, chunk.first, chunk.last)
                .join(schema.issue, issue.id == chunk.issue)
                .where(issue.mode == mode, chunk.failed > 0)
            ).all()
            found: list[Refused] = []
            for place in places:
                query = (
                    select(schema.letter)
                    .join(schema.subscriber, person.id == letter.reader)
                    .where(
                        letter.issue == place.issue,
                        letter.number.between(place.first, place.last),
                        letter.state == State.FAILED.value,
                        letter.code.between(500, 599),
                        letter.at > since,
                    )
                )
                found += [
                    Refused(
                        name=short_name(row.issue, row.number),
                        subscriber=row.reader,
                        at=row.at,
                        code=row.code,
                        said=row.said or "",
                        issue=row.issue,
                    )
                    for row in connection.execute(query)
                ]
        return found

    def issue_by_message(
        self, names: Collection[str], subscriber: str, mode: str, publication: str, *, since: datetime
    ) -> int | None:
        """Which issue after that moment one of these is the Message-ID of, in its letter to this reader."""
        issue = schema.issue
        query = select(issue.c.id, issue.c.subject, issue.c.channel).where(
            issue.c.mode == mode, issue.c.recorded_at > since
        )
        with reading(self.engine) as connection:
            recent = connection.execute(query).all()
        for row in recent:
            key = keys_of(publication=publication, mode=mode, subject=row.subject, channel=row.channel)
            if message_name(key(subscriber)) in names:
                found: int = row.id
                return found
        return None

    def sent(self, subscriber: str, mode: str, *, since: datetime) -> list[datetime]:
        """When letters to this reader were accepted after that moment, the oldest first."""
        with reading(self.engine) as connection:
            issue = schema.issue.c
            recent = (issue.mode == mode) & (issue.recorded_at > since)
            found = letters_to(connection, subscriber, recent)
            return sorted(one.at for one in found if one.state is State.SENT and one.at and one.at > since)

    def latest_letter(
        self,
        subscriber: str,
        mode: str,
        *,
        since: datetime,
        until: datetime,
        states: Collection[State] = (State.SENT,),
    ) -> Carried | None:
        """The latest letter to this reader that came to this until then, of the issues after ``since``."""
        issue = schema.issue.c
        with reading(self.engine) as connection:
            recent = (issue.mode == mode) & (issue.recorded_at > since)
            times = {
                one.at: one
                for one in letters_to(connection, subscriber, recent)
                if one.state in states and one.at and one.at <= until
            }
            if not times:
                return None
            latest = times[max(times)]
            of = select(issue.channel).where(issue.mode == mode, issue.subject == latest.subject)
            channel = connection.execute(of).scalar_one()
            return Carried(channel=channel, newsletter=latest.newsletter, at=max(times))


def _address(connection: Connection, subscriber: str) -> str:
    person = schema.subscriber.c
    return connection.scalar(select(person.address).where(person.id == subscriber)) or ""
