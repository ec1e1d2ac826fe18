"""Use cases of readers who left by mistake: for a minute it can be taken back.

What a reader had is kept in memory only. It is found under a name that was drawn for this one departure, and
only who pressed the button has it.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.app.workspace import Workspace
from bot.store.returning import Returning, Subscribed

WITHIN = timedelta(minutes=1)
MOST = 1_000  # departures in memory; the oldest go first


@dataclass(frozen=True, kw_only=True, slots=True)
class _Departure:
    at: datetime
    before: Subscribed


@dataclass(frozen=True)
class Departures:
    """The departures of the last minute."""

    workspace: Workspace
    _kept: dict[str, _Departure] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def _returning(self) -> Returning:
        here = self.workspace
        return Returning(here.engine, here.hasher, tell=here.teller)

    def leave(self, reader: str, newsletter: str, *, now: datetime, means: str, ip: str) -> str:
        """End it, at once; the name of this departure, which looks the same for whoever had left before."""
        name = secrets.token_hex(16)
        before = self._returning.subscribed(reader, newsletter)
        left = self.workspace.leaving.unsubscribe(reader, newsletter, now=now, means=means, ip=ip)
        if left and before is not None:
            self._keep(name, _Departure(at=now, before=before))
        return name

    def take_back(self, name: str, newsletter: str, *, now: datetime, ip: str) -> bool:
        """Everything as it was. False when the minute is over, or more has happened since."""
        self._forget(now)
        with self._lock:
            found = self._kept.get(name)
            if found is None or found.before.newsletter != newsletter:
                return False
            del self._kept[name]
        return self._returning.bring_back(found.before, left_at=found.at, now=now, ip=ip)

    def _keep(self, name: str, departure: _Departure) -> None:
        self._forget(departure.at)
        with self._lock:
            self._kept[name] = departure
            while len(self._kept) > MOST:
                del self._kept[next(iter(self._kept))]

    def _forget(self, now: datetime) -> None:
        with self._lock:
            for name in [name for name, each in self._kept.items() if now - each.at > WITHIN]:
                del self._kept[name]
