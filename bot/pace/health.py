"""What the answers say about an account: rest when it is asked to slow down, pause when too many refuse.

What is refused is counted among the last recipients. Bounces and complaints come days later, when those are
long forgotten: they are counted among all that was taken in this week of sending and the one before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from bot.errors import LONGEST_WAIT, Blame, DeliveryError, PermanentFailure, TemporaryFailure
from bot.pace.account import Account
from bot.pace.quota import Guard, PaceRules

FIRST_REST, LONGEST_REST = timedelta(seconds=5), timedelta(minutes=15)
COMPLAINTS = 5  # at least, however small the list: two strangers with addresses of their own pause nothing
CALM = 100  # accepted ones in a row that take one strike away
WEEK = timedelta(days=7)
_SLOW_DOWN = {421, 429, 452, 454}
_MAILBOX = re.compile(r"\b452 4\.[12]\.")  # of RFC 3463: that one is full, or not there; it is not our haste


class Outcome(StrEnum):
    """What one answer says about the account."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # for good, because of the recipient
    RETURNED = "returned"  # taken, and a bounce for good came later
    COMPLAINT = "complaint"  # a reader called it spam
    THROTTLED = "throttled"


@dataclass(kw_only=True, slots=True)
class Noted:
    """Answers since the last look at the row; counts up in place."""

    accepted: int = 0
    refused: int = 0
    returned: int = 0
    complaint: int = 0
    throttled: int = 0
    rest: timedelta = timedelta(0)  # the longest that the remote asked for

    def add(self, outcome: Outcome, retry_after: timedelta | None = None, count: int = 1) -> None:
        """So many more."""
        setattr(self, outcome.value, getattr(self, outcome.value) + count)
        if retry_after is not None and retry_after > self.rest:
            self.rest = retry_after

    def merge(self, other: Noted) -> None:
        """All of the other's, too."""
        self.accepted += other.accepted
        self.refused += other.refused
        self.returned += other.returned
        self.complaint += other.complaint
        self.throttled += other.throttled
        self.rest = max(self.rest, other.rest)


def outcome_of(answer: str | DeliveryError | None) -> Outcome | None:
    """What a channel's answer says about the account; None: nothing."""
    if answer is None or isinstance(answer, str):
        return Outcome.ACCEPTED
    if isinstance(answer, TemporaryFailure):
        slow = answer.code in _SLOW_DOWN and not _MAILBOX.search(answer.problem)
        slow = slow or answer.retry_after is not None
        return Outcome.THROTTLED if slow else None
    refused = isinstance(answer, PermanentFailure) and answer.blame is Blame.RECIPIENT
    return Outcome.REFUSED if refused else None


def judged(
    row: Account, noted: Noted, rules: PaceRules, now: datetime, *, account: str, domain: str = ""
) -> Account:
    """The row after these answers; the names are for the sentence that says why it pauses."""
    row = _another_week(_rested(row, noted, now), noted, now)
    row = replace(
        row,
        seen=row.seen + noted.accepted + noted.refused,
        refused=row.refused + noted.refused,
        mailed=row.mailed + noted.accepted,
        returned=row.returned + noted.returned,
        complained=row.complained + noted.complaint,
    )
    problem = _too_many(row, rules.pause)
    if problem and not row.paused:
        place = f"{account}, to {domain}" if domain else account
        advice = f"find out why, clean the list, then run: bot resume {account}"
        return replace(row, paused=f"{place}: paused, because {problem}; {advice}", paused_at=now)
    return _rolled(row, rules.pause)


def resumed(row: Account) -> Account:
    """The row after a person said go: no pause, no rest, a fresh sample. What was used stays used.

    What was taken stays known, too: more of it may still come back.
    """
    return Account(
        last=row.last,
        tat=row.tat,
        hour=row.hour,
        day=row.day,
        first_day=row.first_day,
        used_day=row.used_day,
        used=row.used,
        mailed_since=row.mailed_since,
        mailed=row.mailed,
        old_mailed=row.old_mailed,
    )


def _rested(row: Account, noted: Noted, now: datetime) -> Account:
    """Each rest twice as long as the one before; many answers to the same haste are one strike."""
    if not noted.throttled:
        return _calmed(row, noted.accepted)
    resting = row.rest_until is not None and row.rest_until > now
    strikes = row.strikes if resting else row.strikes + 1
    wait = min(FIRST_REST * 2 ** min(strikes - 1, 20), LONGEST_REST)
    until = now + max(noted.rest, timedelta(0) if resting else wait)
    rest_until = min(max(until, row.rest_until or until), now + LONGEST_WAIT)
    return replace(row, strikes=strikes, calm=0, rest_until=rest_until)


def _calmed(row: Account, accepted: int) -> Account:
    if not row.strikes or not accepted:
        return row
    off, calm = divmod(row.calm + accepted, CALM)
    return replace(row, strikes=max(row.strikes - off, 0), calm=calm)


def _too_many(row: Account, guard: Guard) -> str:
    """A sentence when a share is past its threshold. A sample of fewer counts as a full one."""
    seen, mailed = row.seen + row.old_seen, row.mailed + row.old_mailed
    shares = (
        (row.refused + row.old_refused, seen, guard.refused, 1, "recipients were refused"),
        (row.returned + row.old_returned, mailed, guard.refused, 1, "letters came back"),
        (row.complained + row.old_complained, mailed, guard.complaints, COMPLAINTS, "readers complained"),
    )
    for count, of, limit, fewest, what in shares:
        if count >= fewest and count > limit * max(of, guard.of):
            which = f"{count} of the last {of}" if count <= of else f"{count}"
            return f"{which} {what} (the limit is {limit:.1%})"
    return ""


def _rolled(row: Account, guard: Guard) -> Account:
    """The sample in two halves: when the newer one is full the older one is forgotten."""
    if row.seen < guard.of // 2:
        return row
    return replace(row, old_seen=row.seen, old_refused=row.refused, seen=0, refused=0)


def _another_week(row: Account, noted: Noted, now: datetime) -> Account:
    """The weeks likewise; a new one begins with something that was taken, however long after the last."""
    if not noted.accepted or (row.mailed_since is not None and now - row.mailed_since < WEEK):
        return row
    return replace(
        row,
        mailed_since=now,
        old_mailed=row.mailed,
        old_returned=row.returned,
        old_complained=row.complained,
        mailed=0,
        returned=0,
        complained=0,
    )
