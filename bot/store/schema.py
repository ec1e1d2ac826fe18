"""The tables. Everything that says what went out belongs to a mode: a rehearsal never counts for live.

Portable between SQLite and PostgreSQL: no type, default or function that only one of them has. A change
here needs a revision in ``migrations/versions`` and a new ``HEAD``; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

HEAD = "0009"  # the newest revision in migrations/versions

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Moment(TypeDecorator[datetime]):
    """An aware datetime, kept as whole microseconds since 1970 in UTC: exact and sortable."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Refuses a naive time: nobody could say when it was."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; the store keeps moments, not wall clocks")
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else from_moment(int(value))


# SQLite numbers rows by itself only for a column that is spelled exactly INTEGER.
_Number = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def moment(at: datetime) -> int:
    """What ``Moment`` writes, for statements that go to the driver as they are."""
    return (at - _EPOCH) // _MICROSECOND


def from_moment(value: int) -> datetime:
    """And back. What not every zone could show (years have four digits) is the nearest that it can."""
    return _EPOCH + min(max(value, _FIRST), _LAST) * _MICROSECOND


EARLIEST, LATEST = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)
_FIRST, _LAST = moment(EARLIEST), moment(LATEST)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


def _moment(name: str, *, nullable: bool = False) -> Column[datetime]:
    return Column(name, Moment, nullable=nullable)


# --------------------------------------------------------------------------- what planning needs to know

seen = Table(  # when a schedule or an approved item was first met
    "seen",
    metadata,
    _text("mode"),
    _text("kind"),  # "schedule" | "approved"
    _text("name"),
    _moment("at"),
    PrimaryKeyConstraint("mode", "kind", "name"),
)

firing = Table(  # a slot that was dealt with; its key makes planning idempotent
    "firing",
    metadata,
    _text("mode"),
    _text("schedule"),
    _moment("slot"),
    _text("outcome"),
    _text("detail"),
    PrimaryKeyConstraint("mode", "schedule", "slot"),
)

issue = Table(
    "issue",
    metadata,
    Column("id", _Number, primary_key=True),
    _text("mode"),
    _text("newsletter"),
    _count("number"),
    _moment("slot"),
    _text("subject"),  # Issue.id; what its deliveries are about
    _text("channel"),
    _text("audience"),  # "subscribers": checked again at each claim; "given": readers the caller knows
    _text("state"),  # "open" | "paused" | "cancelled" | "done"
    _text("note"),  # why it is paused or cancelled
    _count("total"),  # letters; the audience is frozen when the issue is recorded
    _moment("recorded_at"),
    UniqueConstraint("mode", "newsletter", "number"),
    UniqueConstraint("mode", "subject"),
)

printed = Table(  # which item stood in which issue
    "printed",
    metadata,
    _text("mode"),
    _text("newsletter"),
    _text("item"),
    _text("subject"),
    _count("place"),  # in the order of the issue
    PrimaryKeyConstraint("mode", "newsletter", "item"),
)

posted = Table(
    "posted",
    metadata,
    _text("mode"),
    _text("channel"),
    _text("item"),
    _moment("at"),
    PrimaryKeyConstraint("mode", "channel", "item"),
)

# A hold has no mode: STOP means stop, also when somebody said it in a rehearsal.
hold = Table(
    "hold",
    metadata,
    _text("scope"),  # "*", a channel, a newsletter or an item
    _text("reason"),
    _moment("at"),
    PrimaryKeyConstraint("scope"),
)

tick = Table("tick", metadata, _text("mode"), _moment("at"), PrimaryKeyConstraint("mode"))


# --------------------------------------------------------------------------- what goes to whom

words = Table(  # final words, stored once however many read them
    "words",
    metadata,
    _text("digest"),
    _text("body"),
    PrimaryKeyConstraint("digest"),
)

delivery = Table(
    "delivery",
    metadata,
    Column("id", _Number, primary_key=True),  # the order of planning
    _text("key"),
    _text("mode"),
    _text("kind"),
    _text("subject"),
    _text("channel"),
    _text("recipient"),  # an opaque id; never an address, so that a reader can be forgotten
    Column("message", Text, ForeignKey("words.digest"), nullable=False),
    _moment("due"),
    _text("state"),
    Column("attempts", Integer, nullable=False),
    _moment("claimed_at", nullable=True),
    _moment("settled_at", nullable=True),
    Column("remote_id", Text),
    Column("url", Text),
    Column("note", Text),
    _text("error"),
    Column("code", Integer),
    UniqueConstraint("key"),
    # What is due is read from this index in order; counts and recovery use its beginning.
    Index(None, "mode", "state", "channel", "due", "id"),
    Index(None, "mode", "subject"),
)


# --------------------------------------------------------------------------- one issue to many readers

# Each reader's delivery of an issue is a letter. A chunk is a range of letters that one worker has at a
# time; its fence tells the latest owner from those before. Letters have no second index, but for the few
# that were in doubt: they are found by range, and the counters of the chunks say where to look. So a change
# of state stays within its page.

variant = Table(  # the words of an issue for one language and form
    "variant",
    metadata,
    Column("issue", _Number, ForeignKey("issue.id"), nullable=False),
    _count("number"),
    _text("lang"),  # model.Variant.name; "" for everybody else
    Column("message", Text, ForeignKey("words.digest"), nullable=False),
    PrimaryKeyConstraint("issue", "number"),
)

chunk = Table(
    "chunk",
    metadata,
    Column("issue", _Number, ForeignKey("issue.id"), nullable=False),
    _count("number"),
    _count("first"),  # of its letters
    _count("last"),
    _moment("due", nullable=True),  # when there is something to do; NULL: all is done
    Column("owner", Text),
    _moment("lease_until", nullable=True),
    _count("fence"),
    *(
        _count(state)
        for state in ("planned", "claimed", "sent", "deferred", "failed", "unknown", "cancelled")
    ),
    PrimaryKeyConstraint("issue", "number"),
    postgresql_with={"fillfactor": 50},
)

letter = Table(
    "letter",
    metadata,
    Column("issue", _Number, nullable=False),
    _count("number"),  # its place in the issue's frozen audience, from 1
    _text("reader"),  # an opaque id; never an address
    _count("variant"),
    _text("state"),
    _count("attempts"),
    _count("doubts"),  # how often an attempt may have gone out without an answer
    _count("fence"),  # of the chunk when it was claimed
    _moment("due", nullable=True),  # of a deferred one
    _moment("at", nullable=True),  # of the latest change
    Column("code", Integer),
    Column("said", Text),  # the remote's answer
    PrimaryKeyConstraint("issue", "number"),
    Index(
        "ix_letter_doubtful",
        "issue",
        "doubts",
        sqlite_where=text("doubts > 0"),
        postgresql_where=text("doubts > 0"),
    ),
    sqlite_with_rowid=False,
    postgresql_with={"fillfactor": 70},  # room for the new version of a row beside the old one
)


# --------------------------------------------------------------------------- who reads

subscriber = Table(
    "subscriber",
    metadata,
    _text("id"),
    _text("address"),
    _text("address_key"),
    _text("name"),
    _text("lang"),
    _moment("created_at"),
    _text("source"),
    PrimaryKeyConstraint("id"),
    Index(None, "address_key", unique=True),  # an index, not a constraint: the first long list builds it last
)

subscription = Table(
    "subscription",
    metadata,
    _text("newsletter"),
    Column("subscriber_id", Text, ForeignKey("subscriber.id", ondelete="CASCADE"), nullable=False),
    _moment("since"),
    PrimaryKeyConstraint("newsletter", "subscriber_id"),  # in the order in which a mailing is read
    Index(None, "subscriber_id"),
    sqlite_with_rowid=False,  # the key is nearly the whole row
)

preference = Table(  # how somebody wants a newsletter, where that is not the ordinary way
    "preference",
    metadata,
    _text("newsletter"),
    Column("subscriber_id", Text, ForeignKey("subscriber.id", ondelete="CASCADE"), nullable=False),
    _text("form"),  # "" | "plain": the text part alone | "headlines"
    _moment("paused_until", nullable=True),
    PrimaryKeyConstraint("newsletter", "subscriber_id"),
    sqlite_with_rowid=False,
)

suppression = Table(
    "suppression",
    metadata,
    _text("address_key"),  # of an erased person only a keyed hash: "erased:" and 64 hex digits
    _text("newsletter"),  # "": every newsletter
    _text("reason"),
    _moment("since"),
    PrimaryKeyConstraint("address_key", "newsletter"),
)


# --------------------------------------------------------------------------- how readers come and go

signup = Table(  # somebody asked; nothing else is known or done until they confirm
    "signup",
    metadata,
    _text("id"),  # 32 hex digits, what the link in the confirmation mail is signed for
    _text("address"),
    _text("address_key"),
    _text("newsletters"),  # separated by blanks
    _text("lang"),
    _text("form_url"),
    Column("wording", Text, ForeignKey("wording.digest"), nullable=False),
    _text("ip"),  # truncated
    _moment("asked_at"),
    _moment("confirmed_at", nullable=True),
    _moment("mailed_at", nullable=True),  # when the confirmation mail was handed over, or last tried
    _moment("due_at", nullable=True),  # a random moment: earlier nobody looks at what was asked
    _moment("decided_at", nullable=True),  # since then a mail is promised; who gets none has no row any more
    PrimaryKeyConstraint("id"),
    Index(None, "address_key"),
    Index(None, "asked_at"),
    Index(None, "due_at"),
)

used_stamp = Table(  # the forms that were sent, so that none is sent twice; says nothing of who sent it
    "used_stamp",
    metadata,
    _text("stamp"),
    _moment("until"),  # then the stamp is too old by itself
    PrimaryKeyConstraint("stamp"),
    Index(None, "until"),
)

wording = Table(  # what people agreed to, word for word, once however many did
    "wording",
    metadata,
    _text("digest"),
    _text("version"),
    _text("lang"),
    _text("body"),
    PrimaryKeyConstraint("digest"),
)

# Append-only: triggers refuse every change, and a deletion unless the person is being erased.
consent = Table(
    "consent",
    metadata,
    Column("id", _Number, primary_key=True),
    _moment("at"),
    _text("address"),
    _text("address_key"),
    _text("newsletter"),  # "": all
    _text("event"),  # "asked" | "confirmed" | "imported" | "added" | "left" | "suppressed"
    _text(
        "means"
    ),  # "form", "confirmation page", "one click", "page", "taken back", "command line", "file ...", "bounce"
    Column("wording", Text, ForeignKey("wording.digest")),
    _text("form_url"),
    _text("ip"),  # truncated
    Index(None, "address_key"),
)

erasing = Table(  # whose records may be deleted just now; empty outside a transaction
    "erasing",
    metadata,
    _text("address_key"),
    PrimaryKeyConstraint("address_key"),
)

knock = Table(  # how often a form was sent, for the limits; holds hashes, never an address
    "knock",
    metadata,
    _text("scope"),  # "ip:...", "wide:...", "mailbox:...", "all", "refused"
    _count("period"),  # number of the hour or day since 1970
    _count("count"),
    PrimaryKeyConstraint("scope", "period"),
)

bounce = Table(
    "bounce",
    metadata,
    Column("id", _Number, primary_key=True),
    _text("digest"),  # of the mail, or the name of the letter: the same one counts once
    _moment("at"),
    _text("subscriber_id"),
    _text("kind"),  # "dead" | "full" | "complaint" | "sender"
    _text("source"),  # "smtp" | "dsn" | "arf" | "notice" | "text"
    _text("code"),
    _text("said"),  # without addresses
    _count("signed"),  # 1: it carries a token of ours, or it was said to us while we were sending; else 0
    _moment("heard_at", nullable=True),  # when it was read here; NULL: nobody knows any more
    _text("led_to"),  # "" | "hold" | "removal" | "waiting": of an unsigned one, kept back for a person
    _moment("led_at", nullable=True),
    Column("issue", BigInteger, nullable=True),  # which one came back; NULL: nothing in the report tells it
    UniqueConstraint("digest"),
    Index(None, "subscriber_id", "at"),
)


# --------------------------------------------------------------------------- what other programs are told

hook_call = Table(
    "hook_call",
    metadata,
    Column("id", _Number, primary_key=True),
    _text("hook"),
    _text("event"),
    _text("body"),
    _moment("at"),
    _moment("due", nullable=True),  # NULL: nothing is left to do
    _count("attempts"),
    _text("state"),  # "planned" | "sent" | "failed"
    _text("said"),
    Index(None, "due"),
)


# --------------------------------------------------------------------------- how fast it may go

# A row has no mode: a rehearsal sends nothing and so uses nothing up.
pace = Table(
    "pace",
    metadata,
    _text("account"),  # a channel or a relay
    _text("domain"),  # "" for the account itself, or a recipient domain that has limits of its own
    _moment("last", nullable=True),
    _moment("tat", nullable=True),  # until when slots are given out
    _text("hour"),  # "bucket:count ..." of the last 60 minutes
    _text("day"),
    _text("first_day"),  # a date, "" when never used
    _text("used_day"),
    Column("used", Integer, nullable=False),
    _moment("rest_until", nullable=True),
    Column("strikes", Integer, nullable=False),
    Column("calm", Integer, nullable=False),
    Column("seen", Integer, nullable=False),
    Column("refused", Integer, nullable=False),
    Column("complained", Integer, nullable=False),
    Column("old_seen", Integer, nullable=False),
    Column("old_refused", Integer, nullable=False),
    Column("old_complained", Integer, nullable=False),
    _text("paused"),  # why, for people; "" when it is not
    _moment("paused_at", nullable=True),
    _moment("mailed_since", nullable=True),  # what comes back is counted against what was taken in weeks
    _count("mailed"),
    _count("returned"),
    _count("old_mailed"),
    _count("old_returned"),
    PrimaryKeyConstraint("account", "domain"),
)
