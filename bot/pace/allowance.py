"""The local side of a reservation: which message may go this moment."""

from __future__ import annotations

from collections import deque

from bot.pace.slots import Grant


class Allowance:
    """Slots in hand, by a clock that never jumps (``time.monotonic`` or the event loop's).

    A slot not used in time is dropped, never made up for: a burst of late ones is what limits forbid.
    """

    def __init__(self) -> None:
        self._slots: dict[str, deque[float]] = {}
        self._grace = 0.0
        self.dropped = 0

    def add(self, grant: Grant, received: float) -> None:
        """Put in what was granted; ``received`` is the moment the answer came, not that of the question."""
        self._grace = grant.grace
        for offset, domain in grant.slots:
            self._slots.setdefault(domain, deque()).append(received + offset)

    def take(self, now: float, domain: str = "") -> bool:
        """Use one slot if there is one for this moment. The message must leave now."""
        slots = self._slots.get(domain)
        if slots is None or not self._fresh(slots, now) or slots[0] > now:
            return False
        slots.popleft()
        return True

    def wait(self, now: float) -> float | None:
        """Seconds until the next slot of any domain; None when there is nothing left: reserve again."""
        firsts = [slots[0] for slots in self._slots.values() if self._fresh(slots, now)]
        return max(min(firsts) - now, 0.0) if firsts else None

    def left(self, now: float, domain: str | None = None) -> int:
        """How many slots are in hand, for one domain or for all. Reserve again when few are left."""
        chosen = self._slots.values() if domain is None else [self._slots.get(domain, deque())]
        return sum(len(slots) for slots in chosen if self._fresh(slots, now))

    def soon(self, now: float, within: float) -> int:
        """How many slots come within so many seconds."""
        return sum(
            slot <= now + within
            for slots in self._slots.values()
            if self._fresh(slots, now)
            for slot in slots
        )

    def clear(self) -> None:
        """Give up what is in hand: somebody paused or held it."""
        self._slots.clear()

    def _fresh(self, slots: deque[float], now: float) -> bool:
        """Whether any slot is left once the late ones are gone."""
        oldest = now - self._grace
        while slots and slots[0] < oldest:
            slots.popleft()
            self.dropped += 1
        return bool(slots)
