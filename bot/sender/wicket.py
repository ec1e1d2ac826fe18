"""The pace of an account for what goes out one by one: posts, confirmations, tests.

They pass before the letters of an issue on the same account, because there are few of them and people wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.errors import DeliveryError
from bot.pace import FRONT, Allowance, Grant, Outcome, PaceRules, outcome_of
from bot.sender.turnstile import LOOK, SHORTEST, TOO_LONG, OffLoop
from bot.store.pace import Pace

GLANCE = 0.25  # seconds between two looks whether somebody said STOP


@dataclass(frozen=True, kw_only=True, slots=True)
class Shut:
    """Nothing goes for that long, and why; for a ``person`` it waits without end."""

    why: str
    wait: timedelta
    person: bool = False

    def __str__(self) -> str:
        return self.why if self.person else f"{self.why}; it goes on in {in_words(self.wait)}"


class Wicket:
    """Lets single messages of one account through. A ``clock`` stands in for the database's.

    Ask for ``room`` before anything is claimed, and wait for its ``turn`` just before each call.
    """

    def __init__(
        self,
        store: Pace,
        account: str,
        rules: PaceRules,
        *,
        address: str = "",
        patience: float = TOO_LONG,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        """``patience`` is in seconds; ``address`` is where all of them go, if that is known."""
        self._store, self._account, self._rules, self._clock = store, account, rules, clock
        domain = address.rpartition("@")[2].lower()
        self._domain = domain if rules.quota_for(domain) else ""
        self._patience = patience
        self._allowance = Allowance()
        self._free = 0.0  # until then an unlimited account neither rests nor pauses
        self._hurt = False  # an answer asked us to slow down, and the store does not know yet
        self.shut: Shut | None = None  # why there was no room
        self.said: list[str] = []

    async def room(self, want: int, *, call: OffLoop, stopped: Callable[[], bool] = lambda: False) -> int:
        """How many of these may be begun: their slots come within a moment, so that a hold is still heard.

        0 when somebody says STOP, or when it is ``shut`` for longer than the patience.
        """
        self.shut, end = None, time.monotonic() + self._patience
        while not stopped():
            if self._hurt:
                await self.flush(call=call)
            if time.monotonic() < self._free:
                return want
            now = time.monotonic()
            if slots := self._allowance.soon(now, GLANCE):
                return min(slots, want)
            if (slot := self._allowance.wait(now)) is not None:
                await _nap(slot - GLANCE / 2, stopped)
                continue
            grant = await self._reserve(want, call)
            wait = grant.wait.total_seconds()
            if not grant.count and (self._clock or grant.person or time.monotonic() + wait > end):
                self.shut = Shut(why=grant.reason, wait=grant.wait, person=grant.person)
                return 0
            if not grant.count:
                await _nap(wait, stopped)
        return 0

    async def turn(self, *, call: OffLoop, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Wait for the next slot and use it up: the message must leave now. False: there was no ``room``."""
        while await self.room(1, call=call, stopped=stopped):
            now = time.monotonic()
            if now < self._free or self._allowance.take(now, self._domain):
                return True
            await _nap(self._allowance.wait(now) or 0.0, stopped)
        return False

    async def is_at_rest(self, *, call: OffLoop) -> bool:
        """Whether the account is paused, or rests for now: then nothing is asked of it either."""
        now = self._now() or datetime.now(UTC)
        halts = await call(lambda: self._store.halts(now))
        return any(halt.account == self._account and not halt.domain for halt in halts)

    def note(self, answer: str | DeliveryError) -> None:
        """What an answer says about the account. If it asks us to slow down, that is written first."""
        self._store.note(self._account, answer)
        if self._domain:
            self._store.note(self._account, answer, domain=self._domain)
        if outcome_of(answer) is Outcome.THROTTLED:
            self._allowance.clear()
            self._free, self._hurt = 0.0, True

    async def flush(self, *, call: OffLoop) -> None:
        """Write what was heard; an account that pauses because of it says why."""
        rules = {self._account: self._rules}
        now = self._now()
        self._hurt = False
        self.said += await call(lambda: self._store.flush(rules, only=self._account, now=now))

    async def _reserve(self, want: int, call: OffLoop) -> Grant:
        wants = {self._domain: 1 if self._rules.is_unlimited else want}
        now = self._now()
        grant: Grant = await call(
            lambda: self._store.reserve(self._account, self._rules, wants, ahead=FRONT, now=now)
        )
        if grant.count and self._rules.is_unlimited:
            self._free = time.monotonic() + LOOK
        elif grant.count:
            self._allowance.add(grant, time.monotonic())
        return grant

    def _now(self) -> datetime | None:
        return self._clock() if self._clock else None


async def _nap(seconds: float, stopped: Callable[[], bool]) -> None:
    end = time.monotonic() + max(seconds, SHORTEST)
    while not stopped():
        left = end - time.monotonic()
        if left <= 0:
            return
        await asyncio.sleep(min(left, GLANCE))


def in_words(wait: timedelta) -> str:
    """ "about 20 seconds", "about 3 minutes", "about 5 hours": rounded up."""
    seconds = max(wait.total_seconds(), 1.0)
    for unit, length, most in (("second", 1, 90), ("minute", 60, 90), ("hour", 3600, 72)):
        if seconds <= most * length:
            count = -int(-seconds // length)
            return f"about {count} {unit}" + "s" * (count != 1)
    return f"about {-int(-seconds // 86_400)} days"
