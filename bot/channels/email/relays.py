"""Which mail server is used: in order or by weight; one that fails is rested and tried again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from bot.channels.email.calls import Rules
from bot.channels.email.pipeline import Wire
from bot.channels.email.smtp import Server, Session
from bot.channels.email.terms import Terms

GLANCE = 0.5  # seconds between two looks at the clock
FIRST_REST = 1.0  # seconds
LONGEST_REST = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Relay:
    """One mail server with its share of the connections."""

    name: str
    server: Server
    weight: int = 1
    letters: int = 0  # after so many a new connection; 0: no limit

    def rules(self, terms: Terms, *, idle: float = 30) -> Rules:
        """How a conversation with this server behaves."""
        server = self.server
        return Rules(
            place=str(server),
            terms=terms,
            timeout=server.timeout,
            patience=server.patience,
            idle=idle,
            letters=self.letters,
            clear=server.security == "none",
        )

    @property
    def glance(self) -> float:
        """Seconds between two looks at the clock that are close enough for this server's time limits."""
        return min(GLANCE, self.server.timeout / 4, self.server.patience / 4)


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """How a relay has done lately. Times are seconds of the caller's clock."""

    failures: int = 0  # in a row
    rested_until: float = 0

    def failed(self, now: float, *, for_good: bool = False) -> Health:
        """Rest twice as long as last time; for ever when only a person can mend it."""
        if for_good:
            return Health(failures=self.failures + 1, rested_until=inf)
        rest = min(LONGEST_REST, FIRST_REST * 2**self.failures)
        return Health(failures=self.failures + 1, rested_until=now + rest)

    @property
    def is_out(self) -> bool:
        """True when no rest will help."""
        return self.rested_until == inf


@dataclass(kw_only=True, slots=True)
class Desk:
    """A relay in use."""

    relay: Relay
    health: Health = field(default_factory=Health)
    trust: ssl.SSLContext | None = None
    opening: int = 0
    wires: dict[Wire, float] = field(default_factory=dict)  # with the moment of their opening

    @property
    def lines(self) -> int:
        return self.opening + len(self.wires)

    @property
    def does_its_work(self) -> bool:
        """A conversation that was opened after the last rest has come to something."""
        since = self.health.rested_until
        return any(wire.answers and opened >= since for wire, opened in self.wires.items())

    def may_open(self, now: float) -> bool:
        """After a failure one line tries; the others wait for what it finds."""
        return now >= self.health.rested_until and not (self.health.failures and self.opening)

    async def open(self) -> Session:
        """A new conversation, encrypted and logged in."""
        server = self.relay.server
        if self.trust is None and server.security != "none":
            self.trust = await asyncio.to_thread(server.trust)
        return await Session.open(server, self.trust)

    def rest(self, now: float, *, for_good: bool = False) -> bool:
        """After a failure; False where several saw the same one, and it rests already."""
        if now < self.health.rested_until:
            return False
        self.health = self.health.failed(now, for_good=for_good)
        return True


def choose(desks: Sequence[Desk], now: float, *, by_weight: bool) -> Desk | None:
    """The first that may be opened, or by weight the one that is furthest below its share."""
    free = [desk for desk in desks if desk.may_open(now)]
    if by_weight and free:
        return min(free, key=lambda desk: (desk.lines + 1) / desk.relay.weight)
    return free[0] if free else None
