"""When a reader is written to no longer. Pure: what came back and what arrived, in; a reason or nothing, out.

A complaint at once. A dead address after one report that leaves no doubt, or where only words said so after
two issues. A mailbox that is full or out of reach after four issues in a row over three weeks or more. What
is our own fault never counts, and a letter that arrived in between makes good what was before it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta

from bot.audience.bounces.codes import is_clear
from bot.audience.bounces.verdict import Kind, Source
from bot.store.bouncing import Bounce

ISSUES_OF_WORDS = 2
ISSUES_IN_A_ROW = 4
LONG_ENOUGH = timedelta(weeks=3)
ARRIVED = timedelta(days=5)  # mail servers try that long before they give up
STILL_SOON = timedelta(days=14)  # mail servers that give up, and a mailbox that is read once a week
UNSIGNED_A_DAY = 2
UNSIGNED_SHARE = 0.01
_COUNTING = (Kind.DEAD, Kind.FULL)


def reason_to_stop(history: Sequence[Bounce], sent: Sequence[datetime], now: datetime) -> str | None:
    """Why nothing more is sent to a reader; None: go on.

    ``history`` is all that came back, ``sent`` when letters to them were taken by a mail server, both the
    oldest first.
    """
    if any(bounce.kind == Kind.COMPLAINT for bounce in history):
        return "complained"
    since = _last_arrival(history, sent, now)
    bounces = [b for b in history if b.kind in _COUNTING and (since is None or b.at > since)]
    dead = [bounce for bounce in bounces if bounce.kind == Kind.DEAD]
    if any(leaves_no_doubt(bounce) for bounce in dead):
        return "the address does not exist"
    if len(_issues(dead, sent)) >= ISSUES_OF_WORDS:
        return f"the address does not exist, said after {ISSUES_OF_WORDS} issues"
    in_a_row = len(_issues(bounces, sent))
    if in_a_row >= ISSUES_IN_A_ROW and bounces[-1].at - bounces[0].at >= LONG_ENOUGH:
        return f"the mailbox took none of {in_a_row} issues in a row"
    return None


def evidence(history: Sequence[Bounce], sent: Sequence[datetime]) -> list[Bounce]:
    """What may count where no return path is signed: the signed ones, and of the others those that came
    soon after a letter. These count by the time at which they were read here, whatever date they claim.
    """
    return [b for b in history if b.signed or (b.heard_at is not None and _is_soon_after(b.at, sent))]


def most_unsigned(readers: int) -> int:
    """So many readers of a list may reports without a signature remove within a day."""
    return max(UNSIGNED_A_DAY, int(readers * UNSIGNED_SHARE))


def leaves_no_doubt(bounce: Bounce) -> bool:
    """A program said it, with a code that means nothing else."""
    return bounce.source != Source.TEXT and is_clear(bounce.code)


def _last_arrival(history: Sequence[Bounce], sent: Sequence[datetime], now: datetime) -> datetime | None:
    """When the latest letter went out that arrived: nothing came back, and the time for that is over."""
    came_back = {_letter(bounce.at, sent) for bounce in history if bounce.source != Source.SMTP}
    for number in range(len(sent) - 1, -1, -1):
        if number + 1 not in came_back and now - sent[number] >= ARRIVED:
            return sent[number]
    return None


def _is_soon_after(at: datetime, sent: Sequence[datetime]) -> bool:
    number = _letter(at, sent)
    return number > 0 and at - sent[number - 1] <= STILL_SOON


def _letter(at: datetime, sent: Sequence[datetime]) -> int:
    """Which letter a mail that came back at that time belongs to: the latest before it; 0 for none."""
    return bisect_right(sent, at)


def _issues(bounces: Sequence[Bounce], sent: Sequence[datetime]) -> set[object]:
    """The letters they belong to. One that was refused while we were sending is a letter of its own."""
    return {b.digest if b.source == Source.SMTP else _letter(b.at, sent) for b in bounces}
