"""How long the machine, or this process, stood still: a limit of time may be exceeded by that, and no more.

A virtual machine is at times not run for a second or two, and a busy one gives a process its turn late.
"""

from __future__ import annotations

import asyncio
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

NAP, USUAL = 0.01, 0.01  # seconds; it is usual to wake that much late


@dataclass(kw_only=True)
class Standstill:
    """Naps that lasted too long: when each ended, and how much too long it was."""

    ends: list[float] = field(default_factory=list)
    lengths: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """All of it until now."""
        return self.since(float("-inf"))

    def since(self, moment: float, until: float = float("inf")) -> float:
        """What ended after that moment of the monotonic clock, and before that one."""
        return sum(self.lengths[bisect_left(self.ends, moment) : bisect_right(self.ends, until)])

    def woke(self, now: float, before: float) -> None:
        """From a nap that began then."""
        if (late := now - before - NAP) > USUAL:
            self.lengths.append(late)
            self.ends.append(now)


@contextmanager
def standstill() -> Iterator[Standstill]:
    """Watched for as long as the block lasts."""
    found, over = Standstill(), threading.Event()

    def watch() -> None:
        before = time.monotonic()
        while not over.wait(NAP):
            found.woke(now := time.monotonic(), before)
            before = now

    thread = threading.Thread(target=watch, name="standstill")
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


@asynccontextmanager
async def loop_standstill() -> AsyncIterator[Standstill]:
    """That of this event loop, which also stands still while it is busy with one thing."""
    found = Standstill()

    async def watch() -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(NAP)
            found.woke(now := time.monotonic(), before)
            before = now

    task = asyncio.create_task(watch())
    try:
        yield found
    finally:
        task.cancel()


def waited(pid: int) -> float:
    """How many seconds the threads of this process have waited for their turn, by the system's count."""
    seconds = 0.0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # it may end at this moment
            seconds += int((thread / "schedstat").read_text().split()[1]) / 1e9
    return seconds
