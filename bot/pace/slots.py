"""Giving out slots: as many as the account and each recipient domain allow together, shared fairly.

A letter to a limited domain needs a slot of the account and one of its domain at nearly the same time.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from heapq import heappop, heappush

from bot.pace.account import AHEAD, Account, ask_again, lead, room, spaced, taken
from bot.pace.quota import PaceRules, Quota


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """Slots in the order of time. Without any, ``wait`` says when to ask again and ``reason`` why."""

    now: datetime
    slots: tuple[tuple[float, str], ...] = ()  # seconds from now, recipient domain ("": any)
    wait: timedelta = timedelta(0)  # until the first slot, or until it is worth asking again
    grace: float = 0.0  # seconds; a slot later than that is lost
    reason: str = ""
    person: bool = False  # it waits until a person says go
    later: Mapping[str, float] = field(default_factory=dict)  # domains that got none -> seconds to wait

    @property
    def count(self) -> int:
        """How many may go."""
        return len(self.slots)

    @property
    def at(self) -> datetime:
        """The moment of the first slot, or when to ask again."""
        return self.now + self.wait


@dataclass(frozen=True, kw_only=True, slots=True)
class Reservation:
    """A grant, and the rows as they are afterwards."""

    grant: Grant
    account: Account
    domains: Mapping[str, Account]


def reserve(
    account: Account,
    domains: Mapping[str, Account],
    rules: PaceRules,
    wants: Mapping[str, int],
    now: datetime,
    zone: tzinfo = UTC,
    *,
    ahead: float = AHEAD,
    kept: float = 0.0,
) -> Reservation:
    """Up to so many slots for each domain, "" for any; ``domains`` are the rows of those with limits.

    None is further ``ahead`` than so many seconds: AHEAD, or FRONT for what goes before an issue. Of hours,
    days and the warm-up the share ``kept`` is left to others: KEPT by an issue.
    """
    now = now.astimezone(UTC)
    whole = room(account, rules, rules.ramp, now, zone, kept)
    own = spaced(account, rules, min(sum(wants.values()), whole.left), now, ahead) if whole.left > 0 else ()
    if not own:
        wait, reason = (ask_again(account, rules, now, ahead), _BUSY) if whole.left > 0 else whole[1:]
        none = Grant(now=now, wait=timedelta(seconds=wait), reason=reason, person=bool(account.paused))
        return Reservation(grant=none, account=account, domains=dict(domains))
    lines = [
        _line(domain, want, domains.get(domain), rules, now, zone, kept) for domain, want in wants.items()
    ]
    _Queue(account.used).serve(own, lines, rules.grace, ahead)
    grace = min([rules.grace, *(line.quota.grace for line in lines if line.quota)])
    return Reservation(
        grant=_grant(now, lines, grace, {row.paused for row in domains.values() if row.paused}),
        account=_after(account, rules, lines, grace, now, zone),
        domains={
            line.domain: taken(domains[line.domain], line.used, line.tat, grace, now, zone)
            for line in lines
            if line.domain in domains
        },
    )


_BUSY = "per_second is given out"


def _after(
    account: Account, rules: PaceRules, lines: list[_Line], grace: float, now: datetime, zone: tzinfo
) -> Account:
    used = [offset for line in lines for offset in line.used]
    tat = lead(account, rules, now) + len(used) * rules.interval
    return taken(account, used, tat, grace, now, zone)


def _grant(now: datetime, lines: list[_Line], grace: float, pauses: Collection[str]) -> Grant:
    slots = tuple(sorted((offset, line.domain) for line in lines for offset in line.used))
    later = {line.domain: line.ready or line.wait for line in lines if not line.used}
    wait = slots[0][0] if slots else min(later.values())
    reason = "" if slots else next((line.reason for line in lines if line.reason), _BUSY)
    return Grant(
        now=now,
        slots=slots,
        wait=timedelta(seconds=wait),
        grace=grace,
        reason=reason,
        person=reason in pauses,
        later=later,
    )


# --------------------------------------------------------------------------- between the domains


@dataclass(kw_only=True, slots=True)
class _Line:
    """The letters to one domain, waiting for slots."""

    domain: str
    want: int
    quota: Quota | None
    left: int
    tat: float  # seconds from now, like all times here
    wait: float = 0.0
    reason: str = ""
    place: float = 0.0  # whose is lower goes first
    used: list[float] = field(default_factory=list)

    @property
    def ready(self) -> float:
        """When the domain takes its next letter."""
        return max(self.tat - (self.quota.burst - 1) * self.quota.interval, 0.0) if self.quota else 0.0

    def take(self, moment: float) -> None:
        """One letter goes then, or as soon as the domain takes it."""
        moment = max(moment, self.ready)
        self.used.append(moment)
        self.left -= 1
        self.tat = max(self.tat, moment) + (self.quota.interval if self.quota else 0.0)


def _line(
    domain: str, want: int, row: Account | None, rules: PaceRules, now: datetime, zone: tzinfo, kept: float
) -> _Line:
    quota = rules.quota_for(domain)
    if quota is None or row is None:
        return _Line(domain=domain, want=want, quota=None, left=want, tat=0.0)
    left, wait, reason = room(row, quota, None, now, zone, kept)
    return _Line(
        domain=domain,
        want=want,
        quota=quota,
        left=min(left, want),
        tat=lead(row, quota, now),
        wait=wait if left <= 0 else 0.0,
        reason=reason if left <= 0 else "",
    )


class _Queue:
    """Serves the lines in proportion to what they want.

    Each slot is a race of its own between all letters that still wait, and each of them has the same chance:
    so a single letter gets its part of the slots also where few are given out at a time.
    """

    def __init__(self, turn: int) -> None:
        self._turn = turn
        self._runnable: list[tuple[float, int, _Line]] = []
        self._waiting: list[tuple[float, int, _Line]] = []

    def serve(self, own: tuple[float, ...], lines: list[_Line], grace: float, ahead: float) -> None:
        """Give the account's slots, one after the other, until one finds no line that is ready for it.

        A domain's slot may be a little later than the account's, but never beyond what is given out ahead.
        """
        for number, line in enumerate(lines):
            if line.left > 0:
                self._line_up(number, line)
        for moment in own:
            while self._waiting and self._waiting[0][0] <= min(moment + grace, ahead):
                _, number, line = heappop(self._waiting)
                heappush(self._runnable, (line.place, number, line))
            if not self._runnable:
                return
            _, number, line = heappop(self._runnable)
            line.take(moment)
            if line.left > 0:
                self._line_up(number, line)

    def _line_up(self, number: int, line: _Line) -> None:
        had = len(line.used)
        line.place += _drawn(f"{self._turn} {had} {line.domain}") / (line.want - had)
        heappush(self._waiting, (line.ready, number, line))


def _drawn(name: str) -> float:
    """An exponential draw: the least of several, each divided by a weight, falls by the weights."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return -math.log((int.from_bytes(digest) + 1) / 2**64)
