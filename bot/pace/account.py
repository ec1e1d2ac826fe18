"""What one row, an account's or a domain's, has used and what it leaves.

The rate is kept by GCRA: one moment, ``tat``, says until when slots are given out. Hours and days slide; they
are counted in buckets, and a bucket counts until its last moment is that old, so no window ever holds more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from typing import NamedTuple

from bot.errors import LONGEST_WAIT
from bot.pace.quota import Quota, Ramp, next_midnight

AHEAD = 1.0  # seconds: no slot further away is given out, so that a pause or a new limit acts soon
FRONT = 2.0  # seconds, for a single message that somebody waits for: it finds a slot before an issue does
BATCH = 0.5  # seconds of quota that one asker gets at most; a crash wastes no more
KEPT = 0.02  # the share of an hour, a day and a warm-up that an issue leaves to single messages
PAUSED_WAIT = timedelta(seconds=30)  # a paused account waits for a person; look again now and then
UNLIMITED = 1 << 62
_ROUNDING = 0.001  # seconds
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
    old_seen: int = 0
    old_refused: int = 0
    mailed_since: datetime | None = None  # a second sample, whose halves are weeks of sending
    mailed: int = 0
    returned: int = 0  # bounces that came back later
    complained: int = 0
    old_mailed: int = 0
    old_returned: int = 0
    old_complained: int = 0
    paused: str = ""  # why, for people
    paused_at: datetime | None = None


class Room(NamedTuple):
    """How many one row allows apart from the limit per second; when there is none, for how long and why."""

    left: int
    wait: float = 0.0  # seconds
    reason: str = ""


def room(
    row: Account, quota: Quota, ramp: Ramp | None, now: datetime, zone: tzinfo, kept: float = 0.0
) -> Room:
    """What pause, rest, hour, day and warm-up leave, apart from the share that is ``kept`` for others."""
    if row.paused:
        return Room(0, PAUSED_WAIT.total_seconds(), row.paused)
    if row.rest_until is not None and now < row.rest_until <= now + LONGEST_WAIT:  # none is longer
        return Room(0, (row.rest_until - now).total_seconds(), "the remote asked for a rest")
    rooms = (
        _in_window(row.hour, quota.per_hour, _HOUR, now, "per_hour", kept),
        _in_window(row.day, quota.per_day, _DAY, now, "per_day", kept),
        _in_ramp(row, ramp, now, zone, kept),
    )
    full = [each for each in rooms if each.left <= 0]
    return max(full, key=lambda each: each.wait) if full else min(rooms)


def spaced(row: Account, quota: Quota, want: int, now: datetime, ahead: float = AHEAD) -> tuple[float, ...]:
    """The next slots by the limit per second, in seconds from now; none further ``ahead``."""
    if not quota.per_second:
        return (0.0,) * want
    step = quota.interval
    first = lead(row, quota, now) - (quota.burst - 1) * step
    most = min(want, max(quota.burst, int(quota.per_second * BATCH), 1))
    return tuple(o for k in range(most) if (o := max(0.0, first + k * step)) <= ahead)


def ask_again(row: Account, quota: Quota, now: datetime, ahead: float = AHEAD) -> float:
    """Seconds to wait when no slot was in sight; a little longer, so that then there are some."""
    return max(lead(row, quota, now) - (quota.burst - 1) * quota.interval - ahead / 2, 0.0)


def lead(row: Account, quota: Quota, now: datetime) -> float:
    """Seconds until the first moment that is not given out yet; never negative.

    Nothing beyond the bound was ever given out: a ``tat`` there means that the clock was set back. Then there
    is a slot where the next asker finds it, whoever that is.
    """
    if row.tat is None:
        return 0.0
    found = max((row.tat - now).total_seconds(), 0.0)
    rest = (quota.burst - 1) * quota.interval
    return found if found <= FRONT + rest + quota.interval + _ROUNDING else AHEAD + rest


def taken(
    row: Account, used: Sequence[float], tat: float, grace: float, now: datetime, zone: tzinfo
) -> Account:
    """The row after these slots, in seconds from now, were given out; ``tat`` likewise."""
    if not used:
        return row
    today = now.astimezone(zone).date()
    # Counted where the last slot may be used at the latest, so that none leaves a window too early.
    latest = int(now.timestamp() + max(used) + grace)
    return replace(
        row,
        last=now,
        tat=now + timedelta(microseconds=math.ceil(tat * 1e6)),
        hour=_counted(row.hour, _HOUR, latest, len(used), now),
        day=_counted(row.day, _DAY, latest, len(used), now),
        first_day=_first_day(row, today),
        used_day=today,
        used=len(used) + (row.used if row.used_day == today else 0),
    )


# --------------------------------------------------------------------------- windows


def _in_window(
    tally: Tally, limit: int | None, window: tuple[int, int], now: datetime, name: str, kept: float
) -> Room:
    if limit is None:
        return Room(UNLIMITED)
    length, grain = window
    recent = _recent(tally, window, now)
    left = limit - int(limit * kept) - sum(count for _, count in recent)
    wait, then = 0.0, left
    for bucket, count in recent:  # more becomes free when the oldest ones are out of the window
        if then > 0:
            break
        then += count
        wait = (bucket + 1) * grain + length - now.timestamp()
    return Room(left, wait, f"{name} = {limit} is used up")


def _recent(tally: Tally, window: tuple[int, int], now: datetime) -> Tally:
    """Buckets that still count. One far in the future was written by a clock that was wrong."""
    length, grain = window
    moment = now.timestamp()
    return tuple(
        (bucket, count)
        for bucket, count in tally
        if moment - length < (bucket + 1) * grain and bucket * grain <= moment + length
    )


def _counted(tally: Tally, window: tuple[int, int], moment: int, count: int, now: datetime) -> Tally:
    counts = dict(_recent(tally, window, now))
    bucket = moment // window[1]
    counts[bucket] = counts.get(bucket, 0) + count
    return tuple(sorted(counts.items()))


def _in_ramp(row: Account, ramp: Ramp | None, now: datetime, zone: tzinfo, kept: float) -> Room:
    today = now.astimezone(zone).date()
    cap = ramp.cap(_first_day(row, today), today) if ramp else None
    if cap is None:
        return Room(UNLIMITED)
    left = cap - int(cap * kept) - (row.used if row.used_day == today else 0)
    wait = (next_midnight(now, zone) - now).total_seconds()
    return Room(left, wait, f"the warm-up allows {cap} today")


def _first_day(row: Account, today: date) -> date:
    """A first day in the future was noted by a clock that was wrong."""
    return min(row.first_day or today, today)
