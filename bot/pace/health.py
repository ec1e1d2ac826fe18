"""What the answers say about an account: rest when it is asked to slow down, pause when too many refuse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from bot.errors import Blame, DeliveryError, PermanentFailure, TemporaryFailure
from bot.pace.account import Account
from bot.pace.quota import Guard, PaceRules

FIRST_REST, LONGEST_REST = timedelta(seconds=5), timedelta(minutes=15)
CALM = 100  # accepted ones in a row that take one strike away
_SLOW_DOWN = {421, 429, 452, 454}


class Outcome(StrEnum):
    """What one answer says about the account."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # for good, because of the recipient; also a bounce that came later
    COMPLAINT = "complaint"  # a reader called it spam
    THROTTLED = "throttled"


@dataclass(kw_only=True, slots=True)
class Noted:
    """Answers since the last look at the row; counts up in place."""

    accepted: int = 0
    refused: int = 0
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
        self.complaint += other.complaint
        self.throttled += other.throttled
        self.rest = max(self.rest, other.rest)


def outcome_of(answer: str | DeliveryError | None) -> Outcome | None:
    """What a channel's answer says about the account; None: nothing."""
    if answer is None or isinstance(answer, str):
        return Outcome.ACCEPTED
    if isinstance(answer, TemporaryFailure):
        slow = answer.code in _SLOW_DOWN or answer.retry_after is not None
        return Outcome.THROTTLED if slow else None
    refused = isinstance(answer, PermanentFailure) and answer.blame is Blame.RECIPIENT
    return Outcome.REFUSED if refused else None


def judged(
    row: Account, noted: Noted, rules: PaceRules, now: datetime, *, account: str, domain: str = ""
) -> Account:
    """The row after these answers; the names are for the sentence that says why it pauses."""
    row = _rested(row, noted, now)
    row = replace(
        row,
        seen=row.seen + noted.accepted + noted.refused,
        refused=row.refused + noted.refused,
        complained=row.complained + noted.complaint,
    )
    problem = _too_many(row, rules.pause)
    if problem and not row.paused:
        place = f"{account}, to {domain}" if domain else account
        advice = f"find out why, clean the list, then run: bot resume {account}"
        return replace(row, paused=f"{place}: paused, because {problem}; {advice}")
    return _rolled(row, rules.pause)


def resumed(row: Account) -> Account:
    """The row after a person said go: no pause, no rest, a fresh sample. What was used stays used."""
    return Account(
        last=row.last,
        tat=row.tat,
        hour=row.hour,
        day=row.day,
        first_day=row.first_day,
        used_day=row.used_day,
        used=row.used,
    )


def _rested(row: Account, noted: Noted, now: datetime) -> Account:
    """Each rest twice as long as the one before; many answers to the same haste are one strike."""
    if not noted.throttled:
        return _calmed(row, noted.accepted)
    resting = row.rest_until is not None and row.rest_until > now
    strikes = row.strikes if resting else row.strikes + 1
    wait = min(FIRST_REST * 2 ** min(strikes - 1, 20), LONGEST_REST)
    until = now + max(noted.rest, timedelta(0) if resting else wait)
    return replace(row, strikes=strikes, calm=0, rest_until=max(until, row.rest_until or until))


def _calmed(row: Account, accepted: int) -> Account:
    if not row.strikes or not accepted:
        return row
    off, calm = divmod(row.calm + accepted, CALM)
    return replace(row, strikes=max(row.strikes - off, 0), calm=calm)


def _too_many(row: Account, guard: Guard) -> str:
    """A sentence when a share is past its threshold. Fewer recipients than the sample count as a full one."""
    seen = row.seen + row.old_seen
    whole = max(seen, guard.of)
    refused, complained = row.refused + row.old_refused, row.complained + row.old_complained
    if refused > guard.refused * whole:
        return f"{refused} of the last {seen} recipients were refused (the limit is {guard.refused:.1%})"
    if complained > guard.complaints * whole:
        return f"{complained} of the last {seen} readers complained (the limit is {guard.complaints:.1%})"
    return ""


def _rolled(row: Account, guard: Guard) -> Account:
    """The sample in two halves: when the newer one is full the older one is forgotten."""
    if row.seen < guard.of // 2:
        return row
    return replace(
        row,
        old_seen=row.seen,
        old_refused=row.refused,
        old_complained=row.complained,
        seen=0,
        refused=0,
        complained=0,
    )
