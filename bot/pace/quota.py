"""What a person allows one account: per second, hour and day, per recipient domain, and a warm-up.

These are the keys of ``[channels.<name>.pace]`` in bot.toml; each table checks itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, ClassVar

EVERY_OTHER = "*"  # the limits of each domain that has none of its own
_ACCOUNT = re.compile(r"[a-z][a-z0-9_]{0,39}")
_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
_FASTEST = 1_000_000
_SHORTEST_GRACE, _LONGEST_GRACE = 0.05, 5.0  # seconds
_GRACE = 1.5  # slots
_STRICT: Mapping[str, Any] = {"extra": "forbid", "allow_inf_nan": False}  # for pydantic, which reads these


@dataclass(frozen=True, kw_only=True)
class Quota:
    """How much an account, or one domain, takes; every limit that is given holds, all at once."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    per_second: float | None = None
    per_hour: int | None = None  # in any 60 minutes
    per_day: int | None = None  # in any 24 hours
    burst: int = 1  # how many may go at once after a rest

    def __post_init__(self) -> None:
        for name in ("per_second", "per_hour", "per_day"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= _FASTEST * 86_400:
                raise ValueError(f"{name} must be more than 0; leave it out for no limit")
        if self.per_second is not None and self.per_second > _FASTEST:
            raise ValueError(f"per_second is more than {_FASTEST}; leave it out for no limit")
        if self.burst < 1:
            raise ValueError("burst must be at least 1: how many may go at once after a rest")

    @property
    def interval(self) -> float:
        """Seconds from one slot to the next; 0 without a limit per second."""
        return 1 / self.per_second if self.per_second else 0.0

    @property
    def grace(self) -> float:
        """How many seconds late a slot may still be used.

        A slot that is used late comes nearer to the ones behind it. With one and a half slots of grace no
        second holds more than its quota and two.
        """
        if not self.per_second:
            return _LONGEST_GRACE
        return min(max(_GRACE * self.interval, _SHORTEST_GRACE), _LONGEST_GRACE)


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """A warm-up: so many on an account's first day, each day ``factor`` times as many, until it is known."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    first_day: int = 200
    factor: float = 1.5
    until: int = 50_000  # from the day that would allow this many the ramp is over

    def __post_init__(self) -> None:
        if self.first_day < 1:
            raise ValueError("first_day must be at least 1")
        if self.factor <= 1:
            raise ValueError("factor must be more than 1; 1.5 is a usual one")
        if self.until < self.first_day:
            raise ValueError("until must not be less than first_day")

    def cap(self, first: date, today: date) -> int | None:
        """How many on this day when the account was first used on ``first``; None: the ramp is over."""
        days = max((today - first).days, 0)
        # By logarithms, because the power of a long time would not fit into a number.
        if days * math.log(self.factor) >= math.log(self.until / self.first_day):
            return None
        return int(self.first_day * self.factor**days)


@dataclass(frozen=True, kw_only=True)
class Guard:
    """When an account pauses by itself: shares of the last ``of`` recipients."""

    __pydantic_config__: ClassVar[Mapping[str, Any]] = _STRICT

    refused: float = 0.05
    complaints: float = 0.003
    of: int = 500

    def __post_init__(self) -> None:
        for name in ("refused", "complaints"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a share like 0.05; 1 never pauses")
        if self.of < 10:
            raise ValueError("of must be at least 10 recipients")


@dataclass(frozen=True, kw_only=True)
class PaceRules(Quota):
    """``[channels.<name>.pace]``: everything about one account's pace."""

    account: str = ""  # shared by every channel that names it; "" for the channel's own
    ramp: Ramp | None = None
    domains: Mapping[str, Quota] = field(default_factory=dict)
    pause: Guard = field(default_factory=Guard)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.account and not _ACCOUNT.fullmatch(self.account):
            raise ValueError(
                f"the account {self.account!r} may hold only a-z, 0-9 and _, and begins with a letter"
            )
        for name in self.domains:
            if name != EVERY_OTHER and not _DOMAIN.fullmatch(name):
                raise ValueError(
                    f"{name!r} is not a domain as mail servers know it; write 'gmail.com' in small letters, "
                    "'xn--...' for other scripts, or '*' for every other domain"
                )

    @property
    def is_unlimited(self) -> bool:
        """Whether there is nothing to space out.

        The account may still have to rest or pause: one slot asked for now and then tells.
        """
        limits = (self.per_second, self.per_hour, self.per_day, self.ramp)
        return limits == (None, None, None, None) and not self.domains

    def named(self, channel: str) -> PaceRules:
        """With the account's name also where that is the channel's."""
        return replace(self, account=self.account or channel)

    @property
    def is_silent(self) -> bool:
        """Whether it says nothing but the account's name."""
        return self == PaceRules(account=self.account)

    def quota_for(self, domain: str) -> Quota | None:
        """The limits of one recipient domain; None when it has none of its own."""
        return self.domains.get(domain) or (self.domains.get(EVERY_OTHER) if domain else None)


def next_midnight(now: datetime, zone: tzinfo) -> datetime:
    """The first moment of the next day in that zone, also where clocks change at midnight."""
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), zone).astimezone(UTC)
