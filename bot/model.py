"""The words of the trade as frozen values, with their legal changes (docs/developers.md, "Words").

Nothing here reads a file, a clock or the environment. Times are aware datetimes; a plain ``date`` in an
item means that whole day in the publication's time zone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from bot.errors import DeliveryError, TemporaryFailure

Moment = date | datetime


# --------------------------------------------------------------------------- what organisers write


class Status(StrEnum):
    """Where an item stands. Only an approved item is ever planned."""

    DRAFT = "draft"
    APPROVED = "approved"
    HELD = "held"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """One entry of "More literature"."""

    title: str
    author: str = ""
    url: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Credit:
    """Another outlet that reported the same story."""

    source: str
    url: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One curated story: a file in ``queue/``; ``id`` is the file's name without ``.md``, for ever."""

    id: str
    path: Path
    title: str
    url: str
    source: str
    published: date
    region: str = ""
    tags: tuple[str, ...] = ()
    lang: str = "en"  # BCP 47
    summary: str = ""  # plain text
    further_reading: tuple[Reading, ...] = ()
    content_warning: str = ""
    image: str = ""  # relative to the item's folder
    alt: str = ""
    status: Status = Status.DRAFT
    channels: tuple[str, ...] = ()  # names of newsletters or channels; empty: all of them
    not_before: Moment | None = None
    expires: Moment | None = None
    priority: int = 0  # higher goes first
    also_reported_by: tuple[Credit, ...] = ()
    added_by: str = ""
    approved_by: tuple[str, ...] = ()
    body: str = ""  # Markdown

    @property
    def image_path(self) -> Path | None:
        """The picture's place on disk, if the item names one."""
        return self.path.parent / self.image if self.image else None

    def is_for(self, channel: str) -> bool:
        """Whether the item may go to this newsletter or channel."""
        return not self.channels or channel in self.channels


class Level(StrEnum):
    """What a finding means for sending."""

    BLOCK = "block"  # must not go out
    WARN = "warn"  # a person should look
    INFO = "info"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a check has to say: ``rule`` is a stable id such as ``image.alt.missing``."""

    level: Level
    rule: str
    message: str
    path: Path | None = None
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}: " if self.path and self.line else ""
        place = place or (f"{self.path}: " if self.path else "")
        return f"{place}{self.message} [{self.rule}]"


# --------------------------------------------------------------------------- what bot.toml describes


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """What readers subscribe to."""

    title: str
    tagline: str
    lang: str
    zone: ZoneInfo
    postal_address: str
    site_url: str  # no slash at the end
    reason: str = ""  # why the reader gets this; empty: the template's own sentence
    color: str = ""  # "#00bb55"; empty: the templates' own
    logo: Path | None = None  # a picture file


def hex_color(text: str) -> str:
    """``#0b5`` and ``#00BB55`` as ``#00bb55``. ValueError for anything else."""
    found = re.fullmatch(r"#([0-9a-f]{3}|[0-9a-f]{6})", text.lower())
    if found is None:
        raise ValueError(f"{text!r} is not a colour; write '#' and six digits 0-9 or a-f, like '#1b5265'")
    digits = found[1] if len(found[1]) == 6 else "".join(digit * 2 for digit in found[1])
    return f"#{digits}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Newsletter:
    """One mailing of the publication, with its schedule."""

    name: str  # its key in bot.toml; part of every delivery key
    title: str
    tagline: str
    lang: str  # of masthead, dates and footer
    langs: tuple[str, ...]  # of the items it takes; empty: all
    channel: str  # the email channel that carries it
    slots: tuple[str, ...]  # "Fri 09:00"
    sender: str  # RFC 5322 mailbox: "Name <address>"
    reply_to: str
    list_id: str  # RFC 2919, e.g. "weekly.example.org"
    min_items: int = 1
    max_items: int = 20
    max_lateness: timedelta = timedelta(hours=6)
    greets: bool = False  # begins with a greeting, by name where there is one


@dataclass(frozen=True, kw_only=True, slots=True)
class Posting:
    """The schedule of a channel that takes one item at a time."""

    channel: str
    kind: str  # the channel's type: "mastodon", "telegram"
    slots: tuple[str, ...]
    langs: tuple[str, ...] = ()  # of the items it takes; empty: all
    tags: tuple[str, ...] = ()  # only items with one of these tags; empty: all
    spacing: timedelta = timedelta(minutes=30)  # at least this long between two posts
    max_lateness: timedelta = timedelta(hours=2)
    backfill: bool = False  # also items that were approved before the channel was added


def speaks(lang: str, wanted: tuple[str, ...]) -> bool:
    """Whether an item in ``lang`` suits a channel that takes ``wanted``: "en" takes "en-GB" too."""
    tag = lang.casefold()
    return not wanted or any(tag == w.casefold() or tag.startswith(w.casefold() + "-") for w in wanted)


# --------------------------------------------------------------------------- what the planner says


@dataclass(frozen=True, kw_only=True, slots=True)
class Firing:
    """A slot that came: what was made of it. One row for each, for ever; it makes planning idempotent."""

    schedule: str  # newsletter or channel
    slot: datetime
    outcome: str  # "issued" | "posted" | "skipped"
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """What the ledger knows, as far as planning cares. Pure data; the planner never sees a database."""

    added_at: Mapping[str, datetime] = field(default_factory=dict)  # newsletter or channel -> first seen
    approved_at: Mapping[str, datetime] = field(default_factory=dict)  # item -> first seen approved
    printed: Mapping[str, frozenset[str]] = field(default_factory=dict)  # newsletter -> item ids
    posted: Mapping[str, frozenset[str]] = field(default_factory=dict)  # channel -> item ids
    last_slot: Mapping[str, datetime] = field(default_factory=dict)  # schedule -> last slot dealt with
    last_post: Mapping[str, datetime] = field(default_factory=dict)  # channel -> when it last posted
    next_number: Mapping[str, int] = field(default_factory=dict)  # newsletter -> number of its next issue
    holds: Mapping[str, str] = field(default_factory=dict)  # "*", channel or item id -> why, by whom
    settings_written: datetime | None = (
        None  # a schedule that no run has seen counts from here; None: from now
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Issue:
    """One edition of a newsletter. ``id`` is made of newsletter and slot, so planning twice plans once."""

    newsletter: str
    number: int
    slot: datetime
    items: tuple[Item, ...]

    @property
    def id(self) -> str:
        return f"{self.newsletter}@{self.slot.isoformat(timespec='minutes')}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Post:
    """One item for one channel at one slot."""

    channel: str
    slot: datetime
    item: Item

    @property
    def id(self) -> str:
        return self.item.id


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """Why an item does not go out now."""

    item: str
    schedule: str
    reason: str
    until: datetime | None = None
    ahead: int = 0  # how many items take their turn before it, where it waits for nothing else


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is due at one moment, and what is not and why."""

    issues: tuple[Issue, ...] = ()
    posts: tuple[Post, ...] = ()
    skipped: tuple[Firing, ...] = ()  # slots given up, to be recorded and told once
    missed: tuple[str, ...] = ()  # a sentence for each schedule that gave slots up
    notices: tuple[str, ...] = ()  # sentences for people: an issue held, a channel stopped
    waiting: tuple[Waiting, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.issues or self.posts)


# --------------------------------------------------------------------------- final words


@dataclass(frozen=True, kw_only=True, slots=True)
class Media:
    """A picture that goes along."""

    path: Path
    mime_type: str
    alt: str
    cid: str = ""  # its Content-ID within an email, without angle brackets
    covered: bool = False  # shown only when touched: it belongs to an item with a content note


class Form(StrEnum):
    """How a reader wants an issue."""

    FULL = ""
    PLAIN = "plain"  # the text part alone
    HEADLINES = "headlines"  # headline, source and link of each item


class Variant(NamedTuple):
    """For whom words of an issue are: a language ("": any other), a form, and readers with a name.

    Its name is "th", "th/plain", "/headlines" or "//named"; "" are the words for everybody else.
    """

    lang: str = ""
    form: Form = Form.FULL
    named: bool = False

    @property
    def name(self) -> str:
        return f"{self.lang}/{self.form}/{'named' * self.named}".rstrip("/")

    @classmethod
    def read(cls, name: str) -> Variant:
        lang, form, named = (*name.split("/"), "", "")[:3]
        return cls(lang, Form(form), bool(named))


@dataclass(frozen=True, kw_only=True, slots=True)
class ListFields:
    """The mailing-list side of an email (RFC 2369, 2919, 5064, 8058)."""

    sender: str  # the From mailbox
    reply_to: str
    list_id: str
    list_name: str
    archive_url: str  # this issue's permalink
    help_url: str
    unsubscribe_url: str  # holds the placeholder of the personal token until it is personalised


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """Final words for one channel: what will be sent.

    ``text`` is the email's plain-text part, the Mastodon status or Telegram's HTML. Personal pieces of an
    email stand as placeholders (``placeholder("name")``) until ``personalised``.
    """

    kind: str  # "issue" | "post" | "test"
    lang: str
    text: str
    html: str = ""
    subject: str = ""
    content_note: str = ""  # Mastodon's spoiler_text
    url: str = ""  # the canonical link of a post
    media: tuple[Media, ...] = ()
    mailing: ListFields | None = None
    date: datetime | None = None  # the Date header of an email: the slot, never the clock
    shortened: tuple[str, ...] = ()  # what was shortened to fit, for people


# Unicode noncharacters: the reader refuses them in items, so no item can contain a placeholder.
_OPEN, _CLOSE = "\ufdd0", "\ufdd1"
PLACEHOLDER = re.compile(f"{_OPEN}([a-z_]+){_CLOSE}")


def placeholder(name: str) -> str:
    """Where a personal piece stands in a message's text, HTML or URL."""
    return f"{_OPEN}{name}{_CLOSE}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipient:
    """Whom a delivery is for. A social channel has one: ``id`` is the channel's name."""

    id: str  # opaque and stable; never the address
    address: str = ""  # a mail address; empty for a social channel
    name: str = ""
    lang: str = ""


# --------------------------------------------------------------------------- the ledger's row


class State(StrEnum):
    """A delivery is ``planned -> claimed -> sent | deferred | failed | unknown``, or ``cancelled``."""

    PLANNED = "planned"
    CLAIMED = "claimed"
    SENT = "sent"
    DEFERRED = "deferred"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """The remote's answer."""

    remote_id: str = ""
    url: str = ""
    note: str = ""  # e.g. "the server made it unlisted"


MAX_ATTEMPTS = 8
FIRST_RETRY = timedelta(minutes=5)


def delivery_key(
    *,
    publication: str,
    mode: str,
    subject: str,
    channel: str,
    recipient: str,
    part: int = 1,
    revision: int = 1,
) -> str:
    """The name of a delivery, unique for ever: made from what it is, never drawn.

    It becomes the Message-ID of the email and the Idempotency-Key of the Mastodon status.
    """
    pieces = (publication, mode, subject, channel, recipient, str(part), str(revision))
    return hashlib.sha256("\x1f".join(pieces).encode()).hexdigest()


def message_name(key: str) -> str:
    """What stands before the @ of the Message-ID of that delivery."""
    plain = key.isalnum() and key.isascii() and len(key) >= 16
    return (key if plain else hashlib.sha256(key.encode()).hexdigest())[:32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """One message to one recipient."""

    key: str
    kind: str  # "issue" | "post"
    subject: str  # Issue.id or Item.id
    channel: str
    recipient: Recipient
    message: str  # digest of the stored words
    due: datetime
    state: State = State.PLANNED
    attempts: int = 0
    claimed_at: datetime | None = None
    settled_at: datetime | None = None
    receipt: Receipt | None = None
    error: str = ""
    code: int | None = None
    name: str = ""  # of a letter of a large issue: "i12.345", short and found at once

    @property
    def short(self) -> str:
        """What people type to mean this delivery."""
        return self.name or self.key[:12]

    def sent(self, receipt: Receipt, now: datetime) -> Delivery:
        """The remote took it."""
        return replace(self, state=State.SENT, receipt=receipt, settled_at=now, error="", code=None)

    def deferred(self, error: TemporaryFailure, now: datetime) -> Delivery:
        """Back in line, each time twice as late; FAILED after MAX_ATTEMPTS."""
        if self.attempts >= MAX_ATTEMPTS:
            return self.failed(error, now)
        wait = error.retry_after or FIRST_RETRY * 2 ** max(self.attempts - 1, 0)
        return replace(self, state=State.DEFERRED, due=now + wait, error=error.problem, code=error.code)

    def failed(self, error: DeliveryError, now: datetime) -> Delivery:
        """Never sent, and it will not be tried again."""
        return replace(self, state=State.FAILED, settled_at=now, error=error.problem, code=error.code)

    def unknown(self, reason: str, now: datetime) -> Delivery:
        """It may have gone out; only an answer or a person can tell."""
        return replace(self, state=State.UNKNOWN, settled_at=now, error=reason)

    def cancelled(self, reason: str, now: datetime) -> Delivery:
        """A person decided that it does not go out."""
        return replace(self, state=State.CANCELLED, settled_at=now, error=reason)

    def again(self, now: datetime) -> Delivery:
        """A person, or proof that it did not go out, puts it back in line."""
        return replace(self, state=State.PLANNED, due=now, attempts=0, settled_at=None, error="", code=None)
