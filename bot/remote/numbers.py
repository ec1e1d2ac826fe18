"""Numbers and moments that another machine names: ASCII digits only, and never further than they make sense.

A header that cannot be read counts as one that is not there.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from bot.errors import LONGEST_WAIT

_DAY = LONGEST_WAIT // timedelta(seconds=1)
_LAST_SECOND = 253_402_300_799  # of the year 9999
_MOST_DIGITS = 18  # Python refuses to read some thousands; these fit any bound
_LONGEST_DATE = 64  # characters


def whole_number(value: object, *, least: int = 0, most: int) -> int | None:
    """A JSON number, or text of ASCII digits; ``most`` for anything larger, None for anything else."""
    if isinstance(value, str):
        digits = value.strip(" \t")
        if not (digits.isascii() and digits.isdigit()):
            return None
        significant = digits.lstrip("0") or "0"
        value = int(significant) if len(significant) <= _MOST_DIGITS else most
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        return None
    return min(value, most)


def wait(seconds: object) -> timedelta | None:
    """So many seconds from now, a day at most."""
    if isinstance(seconds, float):
        return timedelta(seconds=min(seconds, _DAY)) if math.isfinite(seconds) and seconds >= 0 else None
    number = whole_number(seconds, most=_DAY)
    return None if number is None else timedelta(seconds=number)


def retry_after(header: str, *, now: datetime) -> timedelta | None:
    """The wait of a Retry-After (RFC 9110, 10.2.3): seconds, or a date by the clock that ``now`` is of."""
    return wait(header) or until(http_date(header), now=now)


def rate_limit_reset(header: str, *, now: datetime) -> timedelta | None:
    """The wait of an X-RateLimit-Reset: unix seconds, or a moment in ISO 8601."""
    seconds = whole_number(header, most=_LAST_SECOND)
    if seconds is not None:
        return _bounded(timedelta(seconds=seconds - now.timestamp()))
    return until(_iso_moment(header), now=now)


def until(moment: datetime | None, *, now: datetime) -> timedelta | None:
    """How long until then; a day at most, and nothing when it is over."""
    return None if moment is None else _bounded(moment - now)


def http_date(header: str) -> datetime | None:
    """The moment of a Date, or of a Retry-After that is one."""
    if not header.isascii() or len(header) > _LONGEST_DATE:
        return None
    try:
        moment = parsedate_to_datetime(header)
    except (TypeError, ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _iso_moment(text: str) -> datetime | None:
    if not text.isascii() or len(text) > _LONGEST_DATE:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _bounded(gap: timedelta) -> timedelta:
    return min(max(gap, timedelta(0)), LONGEST_WAIT)
