"""The pace of an account, where the lines pull: who may pass now, and when to look again."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Protocol

from bot.errors import DeliveryError, StoreError
from bot.pace import KEPT, Allowance, Grant, Outcome, PaceRules, outcome_of
from bot.store.chunks import Claimed
from bot.store.pace import Pace

LOOK = 1.0  # seconds between two looks at the account, and at what its answers said
SHORTEST = 0.005  # seconds: slots that are nearer are used together
TOO_LONG = 10.0  # seconds; a run does not wait longer than that, the next one goes on

Ready = deque[tuple[Any, Claimed, Any]]  # whose it is, the letter as claimed, and as made


class OffLoop(Protocol):
    """Makes a call that waits for the disk in a thread beside the event loop."""

    def __call__(self, call: Callable[[], Any], /) -> Awaitable[Any]: ...


class Closed(Protocol):
    """Hears that nothing goes for a long time, and whether a person must do something."""

    def __call__(self, why: str, *, person: bool) -> None: ...


class Aside(Protocol):
    """Hears that letters to these domains, which have limits of their own, must wait so long."""

    def __call__(self, domains: Collection[str], wait: timedelta, why: str) -> None: ...


class Open:
    """No pace: everybody passes, as in a rehearsal."""

    said: Sequence[str] = ()

    def lets(self, ready: Ready) -> bool:
        return True

    def note(self, address: str, outcome: str | DeliveryError) -> None:
        """Nobody asks."""

    def slows(self, failure: DeliveryError) -> bool:
        return False

    async def keep(
        self,
        waiting: Callable[[], list[str]],
        *,
        wake: Callable[[], None],
        closed: Closed,
        aside: Aside,
        call: OffLoop,
    ) -> None:
        """Nothing to do."""
        await asyncio.Event().wait()

    def domain(self, address: str) -> str:
        return ""

    def flush(self) -> None:
        """Nothing to write."""


class Turnstile:
    """Lets the letters of one account through at its pace. A ``clock`` stands in for the database's."""

    def __init__(
        self, store: Pace, account: str, rules: PaceRules, *, clock: Callable[[], datetime] | None = None
    ) -> None:
        self._store, self._account, self._rules, self._clock = store, account, rules, clock
        self._allowance = Allowance()
        self._free = False  # an unlimited account that neither rests nor pauses
        self._again = 0.0  # when it is worth asking the store
        self._hurt = False  # an answer asked us to slow down, and the store does not know yet
        self._asked_for = asyncio.Event()
        self._taken = self._told = 0  # letters, and those of them of which the store has heard
        self.said: list[str] = []

    def lets(self, ready: Ready) -> bool:
        """Whether a letter may go now; it is the first in line then, and uses up its slot."""
        if self._free:
            return True
        now = time.monotonic()
        for domain in dict.fromkeys(self.domain(claimed.address) for _, claimed, _ in ready):
            if self._allowance.take(now, domain):
                self._bring_forward(ready, domain)
                return True
        if self._allowance.wait(now) is None and now >= self._again:
            self._asked_for.set()
        return False

    def note(self, address: str, outcome: str | DeliveryError) -> None:
        """What an answer says about the account, and about a domain with limits of its own.

        If it asks us to slow down, nobody passes until that is written.
        """
        if isinstance(outcome, str):
            self._taken += 1
        elif not self.slows(outcome):
            self._store.note(self._account, outcome)
        if self._rules.domains and (domain := self.domain(address)):
            self._store.note(self._account, outcome, domain=domain)

    def slows(self, failure: DeliveryError) -> bool:
        """Whether it asks us to slow down; then that is noted, and nobody passes."""
        if outcome_of(failure) is not Outcome.THROTTLED:
            return False
        self._store.note(self._account, failure)
        self._allowance.clear()
        self._free, self._hurt = False, True
        self._asked_for.set()
        return True

    async def keep(
        self,
        waiting: Callable[[], list[str]],
        *,
        wake: Callable[[], None],
        closed: Closed,
        aside: Aside,
        call: OffLoop,
    ) -> None:
        """Reserve for those that wait, wake the lines at each slot, write what the answers said."""
        looked = time.monotonic()
        while True:
            with suppress(StoreError):  # whoever exchanges letters waits for the database, and says so
                if self._hurt or time.monotonic() - looked >= LOOK:
                    looked = time.monotonic()
                    await self._write(call)
                if self._needs_more() and (wants := Counter(map(self.domain, waiting()))):
                    self._again = time.monotonic() + LOOK
                    await self._reserve(wants, closed, aside, call)
            wake()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._nap()):
                    await self._asked_for.wait()
            self._asked_for.clear()

    async def _write(self, call: OffLoop) -> None:
        """What was noted; if that was a wish to slow down, nobody asks for slots until it is written."""
        hurt, self._hurt = self._hurt, False
        if hurt:
            self._again = time.monotonic() + LOOK
        await call(self.flush)
        if hurt:
            self._again = 0.0

    def flush(self) -> None:
        """Write what was noted; an account that pauses because of it says why."""
        new = self._taken - self._told  # more may come while we are here
        if new:
            self._told += new
            self._store.note(self._account, Outcome.ACCEPTED, count=new)
        rules = {self._account: self._rules}
        self.said += self._store.flush(rules, only=self._account, now=self._now())

    def _needs_more(self) -> bool:
        now = time.monotonic()
        return now >= self._again and self._allowance.wait(now) is None

    async def _reserve(self, wants: Mapping[str, int], closed: Closed, aside: Aside, call: OffLoop) -> None:
        want: int | Mapping[str, int] = 1 if self._rules.is_unlimited else wants
        grant: Grant = await call(
            lambda: self._store.reserve(self._account, self._rules, want, kept=KEPT, now=self._now())
        )
        if self._hurt:
            return  # it was granted before the answer that asked us to slow down; ask again
        wait = grant.wait.total_seconds()
        self._free = bool(grant.count) and self._rules.is_unlimited
        if self._free:
            self._again = time.monotonic() + LOOK
        elif grant.count:
            self._allowance.add(grant, time.monotonic())
        elif wait > TOO_LONG or self._clock:
            paused = (await call(self._store.accounts))[self._account].paused
            if "" in wants or paused:
                closed(paused or grant.reason, person=bool(paused))
            else:  # they fill the room of those who could go; the next ones show how it stands
                aside(wants.keys(), grant.wait, grant.reason)
                wait = 0
        if not self._free:
            self._again = time.monotonic() + (0 if grant.count else wait)

    def _nap(self) -> float:
        """Until the next slot, until it is worth asking again, or until the next look."""
        now = time.monotonic()
        slot = self._allowance.wait(now)
        until = slot if slot is not None else self._again - now
        return min(max(until, SHORTEST), LOOK) if slot is not None or until > 0 else LOOK

    def _now(self) -> datetime | None:
        return self._clock() if self._clock else None

    def domain(self, address: str) -> str:
        """The recipient's domain where it has limits of its own, else ""."""
        domain = address.rpartition("@")[2].lower() if self._rules.domains else ""
        return domain if self._rules.quota_for(domain) else ""

    def _bring_forward(self, ready: Ready, domain: str) -> None:
        for place, entry in enumerate(ready):
            if self.domain(entry[1].address) == domain:
                del ready[place]
                ready.appendleft(entry)
                return
