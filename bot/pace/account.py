"""What one account has used, and what it may have now: slots, given out in the order of asking.

The rate is kept by GCRA: one moment, ``tat``, says until when slots are given out. Hours and days slide; they
are counted in buckets, and a bucket counts until its last moment is that old, so no window ever holds more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, tzinfo

from bot.pace.quota import PaceRules, Quota, Ramp, next_midnight

AHEAD = 1.0  # seconds: no slot further away is given out, so that a pause or a new limit acts soon
BATCH = 0.5  # seconds of quota that one asker gets at most; a crash wastes no more
PAUSED_WAIT = timedelta(seconds=30)  # a paused account waits for a person; look again now and then
_GOLDEN = (5**0.5 - 1) / 2  # its multiples fall evenly between 0 and 1
_UNLIMITED = 1 << 62
_HOUR, _DAY = (3600, 60), (86_400, 900)  # a window's length and its bucket's, in seconds

Tally = tuple[tuple[int, int], ...]  # (bucket, how many), oldest first, no empty ones


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """The row of an account, or of one domain within it. A new one has used nothing."""

    last: datetime | None = None  # when something was reserved last
    tat: datetime | None = None
    hour: Tally = ()
    day: Tally = ()
    first_day: date | None = None  # in the publication's zone; where a warm-up begins
    used_day: date | None = None
    used: int = 0  # on that day
    rest_until: datetime | None = None  # the remote asked us to slow down
    strikes: int = 0
    calm: int = 0  # accepted since the last strike
    seen: int = 0  # recipients in the newer half of the sample, then those in the older half
    refused: int = 0
    complained: int = 0
    old_seen: int = 0
    old_refused: int = 0
    old_complained: int = 0
    paused: str = ""  # why, for people


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """Slots in the order of time. Without any, ``wait`` says when to ask again and ``reason`` why."""

    now: datetime
    slots: tuple[tuple[float, str], ...] = ()  # seconds from now, recipient domain ("": any)
    wait: timedelta = timedelta(0)  # until the first slot, or until it is worth asking again
    grace: float = 0.0  # seconds; a slot later than that is lost
    reason: str = ""
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Free:
    """What one row alone would allow."""

    offsets: tuple[float, ...] = ()
    wait: float = 0.0
    reason: str = ""


def reserve(
    account: Account,
    domains: Mapping[str, Account],
    rules: PaceRules,
    wants: Mapping[str, int],
    now: datetime,
    zone: tzinfo = UTC,
) -> Reservation:
    """Slots for so many per domain, as many as every limit allows together; "" stands for any domain.

    Both the account's slot and the domain's must be near in time, or one of them would have to be used late.
    """
    now = now.astimezone(UTC)
    whole = _free(account, rules, rules.ramp, sum(wants.values()), now, zone)
    if not whole.offsets:
        none = Grant(now=now, wait=timedelta(seconds=whole.wait), reason=whole.reason)
        return Reservation(grant=none, account=account, domains=dict(domains))
    free = {domain: _free_in(domains, domain, rules, want, now, zone) for domain, want in wants.items()}
    slots = _paired(whole.offsets, free, rules.grace, account.used)
    counts = {domain: sum(name == domain for _, name in slots) for domain in domains}
    return Reservation(
        grant=_grant(now, slots, free, rules.grace),
        account=_taken(account, rules, [offset for offset, _ in slots], now, zone),
        domains={
            domain: _taken(row, rules.quota_for(domain), free[domain].offsets[: counts[domain]], now, zone)
            for domain, row in domains.items()
            if domain in wants
        },
    )


def _grant(
    now: datetime, slots: tuple[tuple[float, str], ...], free: Mapping[str, _Free], grace: float
) -> Grant:
    given = {domain for _, domain in slots}
    later = {d: f.offsets[0] if f.offsets else f.wait for d, f in free.items() if d not in given}
    wait = slots[0][0] if slots else min(later.values())
    reason = "" if slots else next((f.reason for f in free.values() if f.reason), "too many in this second")
    return Grant(now=now, slots=slots, wait=timedelta(seconds=wait), grace=grace, reason=reason, later=later)


def _free_in(
    domains: Mapping[str, Account], domain: str, rules: PaceRules, want: int, now: datetime, zone: tzinfo
) -> _Free:
    quota = rules.quota_for(domain)
    if quota is None:
        return _Free(offsets=(0.0,) * want)
    return _free(domains.get(domain, Account()), quota, None, want, now, zone)


def _paired(
    own: tuple[float, ...], free: Mapping[str, _Free], grace: float, turn: int
) -> tuple[tuple[float, str], ...]:
    """The account's slots, each with a domain that has one of its own near it."""
    latest = own[-1] + grace
    near = {d: [offset for offset in f.offsets if offset <= latest] for d, f in free.items()}
    shares = _shares(len(own), {domain: len(offsets) for domain, offsets in near.items()}, turn)
    chosen = sorted((offset, d) for d, offsets in near.items() for offset in offsets[: shares[d]])
    pairs: list[tuple[float, str]] = []
    for mine, (theirs, domain) in zip(own, chosen, strict=False):
        if theirs > mine + grace:
            break
        pairs.append((max(mine, theirs), domain))
    return tuple(pairs)


def _shares(total: int, wants: Mapping[str, int], turn: int) -> dict[str, int]:
    """So many divided in proportion. What cannot be divided goes round with ``turn``: nobody starves."""
    wanted = sum(wants.values())
    if wanted <= total:
        return dict(wants)
    step = wanted / total
    start = step * (turn * _GOLDEN % 1)
    shares, below = {}, 0
    for name, want in wants.items():
        points = math.ceil((below + want - start) / step) - math.ceil((below - start) / step)
        shares[name] = min(points, want)
        below += want
    return shares


# --------------------------------------------------------------------------- one row


def _free(row: Account, quota: Quota, ramp: Ramp | None, want: int, now: datetime, zone: tzinfo) -> _Free:
    if row.paused:
        return _Free(wait=PAUSED_WAIT.total_seconds(), reason=row.paused)
    if row.rest_until is not None and row.rest_until > now:
        return _Free(wait=(row.rest_until - now).total_seconds(), reason="the remote asked for a rest")
    room = [
        _in_window(row.hour, quota.per_hour, _HOUR, now, "per_hour"),
        _in_window(row.day, quota.per_day, _DAY, now, "per_day"),
        _in_ramp(row, ramp, now, zone),
    ]
    full = [limit for limit in room if limit[0] <= 0]
    if full:
        _, wait, reason = max(full, key=lambda limit: limit[1])
        return _Free(wait=wait, reason=reason)
    return _spaced(row, quota, min(want, *(left for left, _, _ in room)), now)


def _spaced(row: Account, quota: Quota, want: int, now: datetime) -> _Free:
    """The next slots by the limit per second."""
    if not quota.per_second:
        return _Free(offsets=(0.0,) * want)
    step = quota.interval
    lead = _lead(row, quota, now) - (quota.burst - 1) * step
    most = min(want, max(quota.burst, int(quota.per_second * BATCH), 1))
    offsets = tuple(o for k in range(most) if (o := max(0.0, lead + k * step)) <= AHEAD)
    # Asking the very moment the first slot comes into sight would give it alone; half-way there are some.
    return _Free(offsets=offsets, wait=max(lead - AHEAD / 2, 0.0), reason="per_second is given out")


def _lead(row: Account, quota: Quota, now: datetime) -> float:
    """Seconds until the first moment that is not given out yet; never negative.

    Nothing beyond this bound was ever given out: a ``tat`` there means that the clock was set back.
    """
    if row.tat is None:
        return 0.0
    bound = AHEAD + quota.burst * quota.interval
    return min(max((row.tat - now).total_seconds(), 0.0), bound)


def _in_window(
    tally: Tally, limit: int | None, window: tuple[int, int], now: datetime, name: str
) -> tuple[int, float, str]:
    """How many are left, the seconds until the oldest bucket is out of the window, and the limit's name."""
    if limit is None:
        return _UNLIMITED, 0.0, ""
    length, grain = window
    recent = _recent(tally, window, now)
    left = limit - sum(count for _, count in recent)
    wait = (recent[0][0] + 1) * grain + length - now.timestamp() if recent else 0.0
    return left, wait, f"{name} = {limit} is used up"


def _recent(tally: Tally, window: tuple[int, int], now: datetime) -> Tally:
    """Buckets that still count. One far in the future was written by a clock that was wrong."""
    length, grain = window
    moment = now.timestamp()
    return tuple(
        (bucket, count)
        for bucket, count in tally
        if moment - length < (bucket + 1) * grain and bucket * grain <= moment + length
    )


def _in_ramp(row: Account, ramp: Ramp | None, now: datetime, zone: tzinfo) -> tuple[int, float, str]:
    today = now.astimezone(zone).date()
    cap = ramp.cap(_first_day(row, today), today) if ramp else None
    if cap is None:
        return _UNLIMITED, 0.0, ""
    left = cap - (row.used if row.used_day == today else 0)
    wait = (next_midnight(now, zone) - now).total_seconds()
    return left, wait, f"the warm-up allows {cap} today"


def _first_day(row: Account, today: date) -> date:
    """A first day in the future was noted by a clock that was wrong."""
    return min(row.first_day or today, today)


def _taken(
    row: Account, quota: Quota | None, offsets: list[float] | tuple[float, ...], now: datetime, zone: tzinfo
) -> Account:
    """The row after these slots were given out."""
    count = len(offsets)
    if quota is None or not count:
        return row
    today = now.astimezone(zone).date()
    # Counted where the last slot may be used at the latest, so that none leaves a window too early.
    latest = now.timestamp() + offsets[-1] + quota.grace
    busy = _lead(row, quota, now) + count * quota.interval
    return replace(
        row,
        last=now,
        tat=now + timedelta(microseconds=math.ceil(busy * 1e6)) if quota.per_second else row.tat,
        hour=_counted(_recent(row.hour, _HOUR, now), int(latest) // _HOUR[1], count),
        day=_counted(_recent(row.day, _DAY, now), int(latest) // _DAY[1], count),
        first_day=_first_day(row, today),
        used_day=today,
        used=count + (row.used if row.used_day == today else 0),
    )


def _counted(tally: Tally, bucket: int, count: int) -> Tally:
    counts = dict(tally)
    counts[bucket] = counts.get(bucket, 0) + count
    return tuple(sorted(counts.items()))
