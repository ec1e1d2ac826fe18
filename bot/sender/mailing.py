"""An issue on its way to many readers: lease a chunk, keep the lines busy, settle in groups.

The lines pull letters and report outcomes by plain calls on the event loop. Everything that waits for the
disk happens in one thread beside it: while one group is on the wire the next is claimed, and the outcomes of
the last are written, in the same transaction. What happens between two of these is in the flight recorder.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from bot.channels.base import Compiled, MassChannel, Parcel
from bot.errors import Blame, DeliveryError, Lost, PermanentFailure, StoreError
from bot.model import Message, Recipient, State
from bot.sender.report import Report, without_addresses
from bot.store.chunks import Chunk, Claimed, Mailing, Settled, put_back, settled
from bot.store.flight import Flight
from bot.store.mailing import Mailings

LEASE = 60.0  # seconds; longer than the slowest group
SMALLEST, LARGEST = 8, 250  # letters claimed at once
GROUP_TIME = 0.25  # seconds that a group should last, so that STOP is heard within a second
GLANCE = 0.5  # seconds between two looks at what people said
PATIENCE = 120  # seconds to wait for a database that is gone

T = TypeVar("T")
Values = Callable[[Mailing, Claimed], Mapping[str, str]]


class Hand:
    """A chunk that we have, and what became of its letters since the last exchange."""

    def __init__(self, chunk: Chunk, compiled: tuple[Compiled, ...]) -> None:
        self.chunk, self.compiled = chunk, compiled
        self.out: dict[int, Claimed] = {}  # claimed, and no outcome yet
        self.settled: list[Settled] = []
        self.dry = False  # nothing more to claim in it now
        self.lost = False  # somebody else has it

    def take_settled(self) -> list[Settled]:
        """The outcomes since the last time."""
        taken, self.settled = self.settled, []
        return taken


class MailingSender:
    """Sends what the issues of one channel still owe their readers. One run at a time."""

    def __init__(
        self,
        mailings: Mailings,
        channel: MassChannel,
        *,
        words: Callable[[str], Message],
        values: Values,
        flights: Path,
        clock: Callable[[], datetime],
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._mailings, self._channel, self._words, self._values = mailings, channel, words, values
        self._flights, self._clock, self._stopped = flights, clock, stopped
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="letters")
        self._ready: deque[tuple[Hand, Claimed]] = deque()
        self._hands: list[Hand] = []
        self._news = asyncio.Event()
        self._outcomes: Counter[State] = Counter()
        self._problems: dict[str, None] = {}
        self._halted = False
        self._group = max(SMALLEST, channel.connections)
        self._since = time.monotonic()

    async def run(self) -> Report:
        """Work off what is due now; returns when nothing is left, is held, or the channel cannot go on."""
        with Flight(self._flights) as flight, self._thread:
            self._flight = flight
            first = await self._lease()
            if first is not None:
                await self._send(first)
        outcomes = {(self._channel.name, state): n for state, n in self._outcomes.items()}
        return Report(outcomes=outcomes, problems=tuple(self._problems))

    async def _send(self, first: Hand) -> None:
        self._lines = self._channel.lines(
            pull=self._pull, done=self._done, began=self._began, trouble=self._trouble
        )
        sending = asyncio.create_task(self._lines.run())
        sending.add_done_callback(lambda _: self._news.set())
        watching = asyncio.create_task(self._watch())
        try:
            await self._feed(first, sending)
        finally:
            watching.cancel()
            self._lines.stop()
            with suppress(PermanentFailure):  # said already, by ``trouble``
                await sending
            await self._give_back()

    # ----------------------------------------------------------------- feeding

    async def _feed(self, current: Hand | None, sending: asyncio.Task[object]) -> None:
        """Claim ahead of the lines, one chunk after the other, until there is no more."""
        while not self._halted and not sending.done():
            if current is None:
                current = await self._lease()
            if current is not None and len(self._ready) <= self._group:
                await self._exchange(current, want=2 * self._group - len(self._ready))
                current = None if current.dry or current.lost else current
            elif current is not None or self._hands:
                await self._wait()
            else:
                return
            await self._release_finished()

    async def _wait(self) -> None:
        """Until the lines want more, or have something to tell."""
        self._news.clear()
        if len(self._ready) > self._group or any(hand.out for hand in self._hands):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), GLANCE)

    async def _lease(self) -> Hand | None:
        """The next chunk, its words compiled."""
        if self._halted or self._stopped():
            return None
        chunk = await self._off_loop(self._next_chunk)
        if chunk is None:
            return None
        messages = await self._off_loop(lambda: [self._words(digest) for digest in chunk.mailing.words])
        hand = Hand(chunk, tuple(self._channel.compiled(message) for message in messages))
        self._outcomes[State.UNKNOWN] += sum(each.state is State.UNKNOWN for each in chunk.doubtful)
        self._hands.append(hand)
        return hand

    def _next_chunk(self) -> Chunk | None:
        return self._mailings.lease(
            self._flight.owner,
            self._clock(),
            seconds=LEASE,
            channel=self._channel.name,
            resend=self._channel.resends,
        )

    async def _exchange(self, hand: Hand, *, want: int) -> None:
        """Outcomes against new letters."""
        told = hand.take_settled()
        self._measure(len(told))
        try:
            claimed = await self._durably(hand, told, want)
        except Lost:
            self._drop(hand)
            return
        self._flight.settled(hand.chunk.mailing.id, [each.number for each in told])
        hand.dry = not claimed
        for each in claimed:
            hand.out[each.number] = each
            self._ready.append((hand, each))
        if claimed:
            self._lines.wake()

    async def _durably(self, hand: Hand, told: list[Settled], want: int) -> list[Claimed]:
        """The exchange, again and again while the database is gone; nothing is claimed twice by that."""
        holding: list[int] | None = None
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                call = partial(self._mailings.exchange, hand.chunk, told, want=want, holding=holding)
                return await self._off_loop(lambda: call(now=self._clock()))  # noqa: B023 - awaited here
            except StoreError as error:
                if time.monotonic() > deadline:
                    raise
                self._tell(f"{self._channel.name}: the database does not answer, waiting for it: {error}")
            holding = [*hand.out]
            await asyncio.sleep(GLANCE)

    def _measure(self, count: int) -> None:
        """A group is what goes out in a moment: small when it is slow, so that little is in doubt."""
        now = time.monotonic()
        rate = count / max(now - self._since, 0.001)
        self._since = now
        if count:
            wished = int(rate * GROUP_TIME)
            self._group = max(SMALLEST, self._channel.connections, min(LARGEST, wished))

    # ----------------------------------------------------------------- what the lines call

    def _pull(self) -> Parcel | None:
        ready = self._ready
        while ready and not self._halted:
            hand, claimed = ready.popleft()
            if len(ready) == self._group:
                self._news.set()
            if hand.lost:
                continue
            try:
                return hand.compiled[claimed.variant].letter(
                    Recipient(
                        id=claimed.reader, address=claimed.address, name=claimed.name, lang=claimed.lang
                    ),
                    key=hand.chunk.mailing.key(claimed.reader),
                    values=self._values(hand.chunk.mailing, claimed),
                    tag=(hand, claimed),
                )
            except DeliveryError as error:
                self._note(hand, claimed, error)
        self._news.set()
        return None

    def _began(self, letter: Parcel) -> None:
        hand, claimed = letter.tag
        self._flight.began(hand.chunk.mailing.id, claimed.number, hand.chunk.fence)

    def _done(self, letter: Parcel, outcome: str | DeliveryError) -> None:
        hand, claimed = letter.tag
        self._note(hand, claimed, outcome)

    def _note(self, hand: Hand, claimed: Claimed, outcome: str | DeliveryError) -> None:
        """What became of a letter: into the recorder at once, into the ledger with its group."""
        if hand.lost or hand.out.pop(claimed.number, None) is None:
            return
        what = settled(claimed, outcome, self._clock(), resend=self._channel.resends)
        if what.said and not isinstance(outcome, str):
            what = what._replace(said=without_addresses(what.said))
        self._flight.ended(hand.chunk.mailing.id, hand.chunk.fence, what)
        hand.settled.append(what)
        self._outcomes[what.state] += 1
        if isinstance(outcome, PermanentFailure) and outcome.blame is Blame.SENDER:
            self._halt(f"{self._channel.name}: stopped for this run: {outcome.problem}")
        elif len(hand.settled) >= self._group:
            self._news.set()

    def _trouble(self, relay: str, failure: DeliveryError) -> None:
        self._tell(f"{self._channel.name}: {relay}: {failure}")

    # ----------------------------------------------------------------- ending

    async def _watch(self) -> None:
        """Hear STOP also while nothing is exchanged."""
        while True:
            await asyncio.sleep(GLANCE)
            if self._stopped():
                self._halt("")

    def _halt(self, why: str) -> None:
        """No further letter in this run; what is on the wire is finished."""
        if why:
            self._tell(why)
        self._halted = True
        self._news.set()

    async def _release_finished(self) -> None:
        for hand in [hand for hand in self._hands if hand.dry and not hand.out]:
            await self._release(hand)

    async def _give_back(self) -> None:
        """At the end: whatever was claimed and not begun goes back in line."""
        self._ready.clear()
        for hand in list(self._hands):
            hand.settled += [put_back(claimed) for claimed in hand.out.values()]
            hand.out.clear()
            await self._release(hand)

    async def _release(self, hand: Hand) -> None:
        told = hand.take_settled()
        self._hands.remove(hand)
        with suppress(Lost):
            await self._off_loop(lambda: self._mailings.release(hand.chunk, told, now=self._clock()))
        self._flight.settled(hand.chunk.mailing.id, [each.number for each in told])

    def _drop(self, hand: Hand) -> None:
        """Somebody else has the chunk: what we hold of it is theirs to settle."""
        hand.lost = True
        self._flight.settled(hand.chunk.mailing.id, [*hand.out])
        hand.out.clear()
        hand.settled.clear()
        self._hands.remove(hand)

    def _tell(self, problem: str) -> None:
        self._problems[without_addresses(problem)] = None

    async def _off_loop(self, call: Callable[[], T]) -> T:
        """The call's result, without holding up the event loop while the disk works."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
