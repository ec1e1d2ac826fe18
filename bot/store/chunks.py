"""A large issue as values: the mailing, the chunk of it that one worker has, and what became of a letter.

``Claimed`` and ``Settled`` are made once or twice for every reader, so they are plain tuples with names: a
frozen dataclass takes four times as long to make.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from bot.errors import Blame, DeliveryError, PermanentFailure, TemporaryFailure
from bot.model import FIRST_RETRY, MAX_ATTEMPTS, Delivery, Recipient, State

STOPPED = "the program stopped during the call"
NO_READER = "no longer subscribed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mailing:
    """An issue on its way to many readers; nothing of this changes while it is sent."""

    id: int
    newsletter: str
    subject: str  # Issue.id
    channel: str
    slot: datetime
    audience: str  # "subscribers" | "given"
    total: int
    words: tuple[str, ...]  # digests; a letter's variant is the place of its words here
    scopes: frozenset[str]  # whatever may hold it: "*", its channel, its newsletter, its items
    key: Callable[[str], str]  # of the delivery to a reader: model.delivery_key, prepared


class Claimed(NamedTuple):
    """A letter to be sent now, its reader looked up in the same transaction."""

    number: int  # its place in the issue
    reader: str
    address: str
    name: str
    lang: str
    variant: int
    attempts: int  # this one included
    doubts: int  # how many of them may have gone out

    @property
    def id(self) -> str:
        """The reader's."""
        return self.reader


class Settled(NamedTuple):
    """What became of a claimed letter. ``said`` must hold no address."""

    number: int
    state: State
    attempts: int
    doubts: int
    due: datetime | None = None
    code: int | None = None
    said: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """A range of letters that is one worker's until its lease ends; each exchange renews the lease."""

    mailing: Mailing
    number: int
    first: int
    last: int
    owner: str
    fence: int
    seconds: float
    doubtful: tuple[Settled, ...] = ()  # what an owner before left in flight, as it stands now

    def __str__(self) -> str:
        return f"{self.mailing.subject}, chunk {self.number}"

    def key(self, claimed: Claimed) -> str:
        """The name of the delivery, for ever."""
        return self.mailing.key(claimed.reader)

    def delivery(self, claimed: Claimed, now: datetime) -> Delivery:
        """The claimed letter as the delivery that it is."""
        mailing = self.mailing
        return Delivery(
            key=mailing.key(claimed.reader),
            name=short_name(mailing.id, claimed.number),
            kind="issue",
            subject=mailing.subject,
            channel=mailing.channel,
            recipient=Recipient(
                id=claimed.reader, address=claimed.address, name=claimed.name, lang=claimed.lang
            ),
            message=mailing.words[claimed.variant],
            due=mailing.slot,
            state=State.CLAIMED,
            attempts=claimed.attempts,
            claimed_at=now,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far an issue has come."""

    state: str  # "open" | "paused" | "cancelled" | "done"
    note: str
    total: int
    counts: Mapping[State, int]

    @property
    def left(self) -> int:
        """How many are still to be sent."""
        return sum(self.counts.get(state, 0) for state in (State.PLANNED, State.CLAIMED, State.DEFERRED))


# --------------------------------------------------------------------------- names


def keys_of(*, publication: str, mode: str, subject: str, channel: str) -> Callable[[str], str]:
    """``model.delivery_key`` for many readers of one issue, at half its price."""
    start = hashlib.sha256("\x1f".join((publication, mode, subject, channel, "")).encode())

    def key(reader: str) -> str:
        whole = start.copy()
        whole.update(f"{reader}\x1f1\x1f1".encode())
        return whole.hexdigest()

    return key


def short_name(issue: int, number: int) -> str:
    """What people call a letter: "i12.345" is the 345th of the ledger's 12th issue."""
    return f"i{issue}.{number}"


def read_short_name(name: str) -> tuple[int, int] | None:
    """Issue and number; None for what is no short name."""
    issue, dot, number = name.removeprefix("i").partition(".")
    plain = name.startswith("i") and dot and f"{issue}{number}".isascii()
    return (int(issue), int(number)) if plain and issue.isdigit() and number.isdigit() else None


# --------------------------------------------------------------------------- outcomes


def sent(claimed: Claimed, answer: str) -> Settled:
    """The server took it."""
    number, _, _, _, _, _, attempts, doubts = claimed
    # Not Settled(...): tuple's own way is three times as quick, and this is done for every letter.
    return tuple.__new__(Settled, (number, State.SENT, attempts, doubts, None, None, answer))


def settled(claimed: Claimed, outcome: str | DeliveryError, now: datetime, *, resend: bool = True) -> Settled:
    """What an answer, or one of the three failures, makes of a letter; ``resend`` as for ``doubted``."""
    if isinstance(outcome, str):
        return sent(claimed, outcome)
    if isinstance(outcome, TemporaryFailure):
        return _deferred(claimed, outcome, now)
    if not isinstance(outcome, PermanentFailure):
        return doubted(
            claimed.number, claimed.attempts, claimed.doubts, now, said=outcome.problem, resend=resend
        )
    if outcome.blame is Blame.SENDER:  # for a reason that is ours: the attempt does not count
        return _told(put_back(claimed), outcome)._replace(state=State.DEFERRED, due=now + FIRST_RETRY)
    return _told(put_back(claimed), outcome)._replace(state=State.FAILED, attempts=claimed.attempts)


def put_back(claimed: Claimed) -> Settled:
    """Claimed, but certainly not begun: in line again as if nothing had been."""
    return Settled(claimed.number, State.PLANNED, claimed.attempts - 1, claimed.doubts)


def put_off(claimed: Claimed, *, due: datetime, said: str) -> Settled:
    """The same, for later."""
    return put_back(claimed)._replace(state=State.DEFERRED, due=due, said=said)


def doubted(
    number: int, attempts: int, doubts: int, now: datetime, *, said: str = STOPPED, resend: bool
) -> Settled:
    """May have gone out: the doubt is counted, and with ``resend`` it goes out again, later each time.

    Without, and after MAX_ATTEMPTS, it is unknown until a person answers: an answer that is always lost
    must not become a mail every minute.
    """
    doubt = Settled(number, State.UNKNOWN, attempts, doubts + 1, said=said)
    if not resend or attempts >= MAX_ATTEMPTS:
        return doubt
    if attempts <= 1:
        return doubt._replace(state=State.PLANNED)
    return doubt._replace(state=State.DEFERRED, due=now + FIRST_RETRY * 2 ** (attempts - 2))


def _deferred(claimed: Claimed, failure: TemporaryFailure, now: datetime) -> Settled:
    if claimed.attempts >= MAX_ATTEMPTS:
        return _told(put_back(claimed), failure)._replace(state=State.FAILED, attempts=claimed.attempts)
    wait: timedelta = failure.retry_after or FIRST_RETRY * 2 ** max(claimed.attempts - 1, 0)
    return Settled(
        claimed.number,
        State.DEFERRED,
        claimed.attempts,
        claimed.doubts,
        due=now + wait,
        code=failure.code,
        said=failure.problem,
    )


def _told(outcome: Settled, failure: DeliveryError) -> Settled:
    return outcome._replace(code=failure.code, said=failure.problem)
