"""The ledger's side of a run: what waits for the disk, and the making of letters, in threads by the loop.

Whatever the ledger knows, the flight recorder may forget.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TypeVar

from bot.channels.base import Parcel
from bot.errors import Lost, StoreError
from bot.sender.hand import Hand
from bot.sender.outage import Outage
from bot.store.chunks import Chunk, Claimed, Progress, Settled
from bot.store.flight import Flight
from bot.store.mailing import Mailings
from bot.store.rows import batches

LEASE = 60.0  # seconds; renewed long before it ends
GLANCE = 0.5  # seconds between two looks at what people said
MAKERS = min(os.cpu_count() or 1, 4)  # threads in which letters are made; only signing fills more than one

T = TypeVar("T")
Made = tuple[Claimed, Parcel | Exception]  # a letter, or why it could not be made


class Books:
    """Leases and exchanges for one run. ``tell`` hears that the database was gone; ``stopped`` is in a hurry.

    ``age`` counts seconds, those too during which the machine slept or the process was stopped.
    """

    def __init__(
        self,
        mailings: Mailings,
        flights: Path,
        *,
        clock: Callable[[], datetime],
        age: Callable[[], float],
        tell: Callable[[str], None],
        stopped: Callable[[], bool],
    ) -> None:
        self._mailings, self._flights, self._clock = mailings, flights, clock
        self._age, self._tell, self._stopped = age, tell, stopped
        self._leased: set[tuple[int, int, int]] = set()  # chunks that the ledger takes for ours
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._makers = ThreadPoolExecutor(max_workers=MAKERS, thread_name_prefix="makers")

    def __enter__(self) -> Flight:
        self._flight = Flight(self._flights)
        return self._flight

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        self._makers.shutdown()
        self._flight.close(keep=bool(self._leased))

    async def lease(self, channel: str, *, resend: bool) -> tuple[Chunk, float] | None:
        """The next chunk, and when its lease began."""
        since = self._age()
        chunk = await self.off_loop(
            lambda: self._mailings.lease(
                self._flight.owner, self._clock(), seconds=LEASE, channel=channel, resend=resend
            )
        )
        if chunk is None:
            return None
        self._leased.add(_place(chunk))
        return chunk, since

    async def exchange(self, hand: Hand, told: list[Settled], want: int) -> list[Made]:
        """Outcomes against new letters, again and again while the database is gone.

        Nothing is claimed twice by that. Raises Lost; StoreError when it stays away.
        """
        holding: list[int] | None = None
        outage = Outage()
        while True:
            try:
                made = await self._exchange(hand, told, want, holding)
                break
            except StoreError as error:
                try:
                    outage.wait(error, hurried=self._stopped())
                except StoreError:
                    hand.settled = told + hand.settled
                    raise
            await asyncio.sleep(GLANCE)
            # Letters answered meanwhile are not out any more, and still ours: they must not come again.
            holding = [*hand.out, *(each.number for each in hand.settled)]
        if said := outage.over():
            self._tell(said)
        self._flight.settled(hand.chunk.mailing.id, [each.number for each in told])
        return made

    async def renew(self, hand: Hand) -> None:
        """The lease goes on. Raises Lost."""
        await self._exchange(hand, [], 0, None)

    async def _exchange(
        self, hand: Hand, told: list[Settled], want: int, holding: list[int] | None
    ) -> list[Made]:
        since = self._age()
        claimed = await self.off_loop(
            lambda: self._mailings.exchange(hand.chunk, told, want=want, holding=holding, now=self._clock())
        )
        hand.renewed = since
        return await self._made(hand, claimed)

    async def _made(self, hand: Hand, claimed: list[Claimed]) -> list[Made]:
        """Not one by one on the loop: in a row it is quicker, no line waits, and signing takes every core.

        Nor in the ledger's thread: who looks at holds and leases waits for nothing but the ledger.
        """
        share = -(-len(claimed) // MAKERS) or 1
        loop = asyncio.get_running_loop()

        def some(part: list[Claimed]) -> list[Made]:
            return [(each, hand.made(each)) for each in part]

        parts = [loop.run_in_executor(self._makers, some, part) for part in batches(claimed, share)]
        return list(chain.from_iterable(await asyncio.gather(*parts)))

    async def release(self, hand: Hand) -> None:
        """Give the chunk back, with what became of its last letters."""
        told = hand.take_settled()
        with suppress(Lost):
            await self.off_loop(lambda: self._mailings.release(hand.chunk, told, now=self._clock()))
        self._leased.discard(_place(hand.chunk))
        self._flight.settled(hand.chunk.mailing.id, [each.number for each in told])

    def drop(self, hand: Hand, told: list[Settled]) -> None:
        """Somebody else has the chunk, and settles what is in our hand."""
        self._leased.discard(_place(hand.chunk))
        self._flight.settled(hand.chunk.mailing.id, [*hand.lose(), *(each.number for each in told)])

    async def going_on(self) -> set[int]:
        """The issues that nobody holds, has paused or cancelled."""
        found = await self.off_loop(lambda: self._mailings.open_issues(self._clock()))
        return {mailing.id for mailing in found}

    async def progress(self, issue: int) -> Progress:
        """How far an issue has come, and whether somebody cancelled it."""
        return await self.off_loop(lambda: self._mailings.progress(issue))

    async def left(self, chunk: Chunk) -> dict[int, Settled]:
        """What becomes of claimed letters whose reader has left since; those that are on the wire, too."""
        found = await self.off_loop(lambda: self._mailings.left(chunk))
        return {each.number: each for each in found}

    async def off_loop(self, call: Callable[[], T]) -> T:
        """The call's result, without holding up the event loop while the disk works."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


def _place(chunk: Chunk) -> tuple[int, int, int]:
    return chunk.mailing.id, chunk.number, chunk.fence
