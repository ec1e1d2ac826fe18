"""How many visitors may change something at the same time, so that the others can go on reading.

A long import holds the database for a while. Whoever wants to write waits for it with a connection and a
thread of ours in hand, and those are few: so most wait outside, and not for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import ParamSpec, TypeVar

from starlette.concurrency import run_in_threadpool

from bot.errors import StoreError

AT_ONCE = 6  # of the 15 connections that SQLAlchemy gives to a process
PATIENCE = 20.0  # seconds until somebody is told to come back later

P = ParamSpec("P")
T = TypeVar("T")


class Places:
    """The places of those who write."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)

    async def run(self, change: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``change`` gives, made in a thread in its turn. StoreError when that does not come."""
        async with self._taken():
            return await run_in_threadpool(change, *args, **kwargs)

    @asynccontextmanager
    async def _taken(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._free.acquire()
        except TimeoutError:
            raise StoreError(
                f"the database was held for {PATIENCE:g} seconds; it is free again when an import has ended"
            ) from None
        try:
            yield
        finally:
            self._free.release()
