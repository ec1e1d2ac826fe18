"""An issue on its way to many readers: lease a chunk, keep the lines busy, settle in groups.

The lines pull letters and report outcomes by plain calls on the event loop. Everything that waits for the
disk happens in one thread beside it: while one group is on the wire the next is claimed, and the outcomes of
the last are written, in the same transaction. What happens between two of these is in the flight recorder.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path, PurePath
from typing import TypeVar

from bot.channels.base import MassChannel, Parcel
from bot.errors import Blame, DeliveryError, Lost, PermanentFailure, StoreError, TemporaryFailure
from bot.model import Message, State
from bot.sender.hand import Hand, Values, later
from bot.sender.report import Report, without_addresses
from bot.sender.turnstile import Open, Turnstile
from bot.store.chunks import Chunk, Claimed, Mailing, Settled, put_back, settled
from bot.store.flight import Flight
from bot.store.mailing import Mailings

log = logging.getLogger(__name__)

LEASE = 60.0  # seconds; renewed long before it ends
LARGEST = 250  # letters claimed at once
FAST = 64  # a group from which on STOP is asked about every half a second, and not for each letter
GROUP_TIME = 0.25  # seconds that a group should last, so that STOP is heard within a second
GLANCE = 0.5  # seconds between two looks at what people said
PATIENCE = 120  # seconds to wait for a database that is gone
_SAID = {
    State.SENT: "sent to",
    State.FAILED: "failed for",
    State.DEFERRED: "deferred for",
    State.UNKNOWN: "in doubt for",
    State.PLANNED: "to be sent again to",
}

T = TypeVar("T")


class MailingSender:
    """Sends what the issues of one channel still owe their readers. One run at a time."""

    def __init__(
        self,
        mailings: Mailings,
        channel: MassChannel,
        *,
        words: Callable[[str], Message],
        values: Callable[[Mailing], Values],
        flights: Path,
        clock: Callable[[], datetime],
        stopped: Callable[[], bool] = lambda: False,
        gate: Turnstile | Open | None = None,
    ) -> None:
        self._mailings, self._channel, self._words, self._values = mailings, channel, words, values
        self._flights, self._clock, self._stopped, self._gate = flights, clock, stopped, gate or Open()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="letters")
        self._ready: deque[tuple[Hand, Claimed]] = deque()
        self._hands: list[Hand] = []
        self._news = asyncio.Event()
        self._outcomes: Counter[tuple[str, State]] = Counter()  # by issue
        self._problems: dict[str, None] = {}
        self._halted = False
        self._why: Callable[[Claimed], Settled] = put_back  # what becomes of letters not begun
        self._group, self._ahead = channel.connections, 0
        self._since = time.monotonic()

    async def run(self) -> Report:
        """Work off what is due now; returns when nothing is left, is held, or the channel cannot go on."""
        with Flight(self._flights) as flight, self._thread:
            self._flight = flight
            first = await self._lease()
            if first is not None:
                await self._send(first)
        return self._report()

    async def _send(self, first: Hand) -> None:
        self._lines = self._channel.lines(
            pull=self._pull, done=self._done, began=self._began, trouble=self._trouble
        )
        sending = asyncio.create_task(self._lines.run())
        sending.add_done_callback(lambda _: self._news.set())
        beside = [
            asyncio.create_task(self._watch()),
            asyncio.create_task(
                self._gate.keep(
                    self._waiting, wake=self._lines.wake, closed=self._closed, call=self._off_loop
                )
            ),
        ]
        try:
            await self._feed(first, sending, beside)
        finally:
            await self._finish(sending, beside)

    async def _finish(self, sending: asyncio.Task[object], beside: list[asyncio.Task[None]]) -> None:
        """What is on the wire is finished; the rest goes back in line, whatever happened."""
        self._lines.stop()
        try:
            with suppress(PermanentFailure):
                try:
                    await sending
                except PermanentFailure as failure:
                    self._fail(failure)
                    raise
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await self._give_back()
            with suppress(StoreError):
                await self._off_loop(self._gate.flush)

    # ----------------------------------------------------------------- feeding

    async def _feed(
        self, current: Hand | None, sending: asyncio.Task[object], beside: list[asyncio.Task[None]]
    ) -> None:
        """Claim ahead of the lines, one chunk after the other, until there is no more."""
        while not self._halted and not sending.done():
            for task in beside:
                if task.done():
                    task.result()  # its failure is ours
            if current is None or current.dry or current.lost:
                current = await self._lease()
            if current is not None and (want := self._wanted()):
                await self._exchange(current, want=want)
            elif current is not None or self._hands:
                await self._wait()
            else:
                return
            await self._release_finished()

    def _wanted(self) -> int:
        """How many letters to claim now."""
        if len(self._ready) > self._ahead:
            return 0
        return max(self._group + self._ahead - sum(len(hand.out) for hand in self._hands), 0)

    async def _wait(self) -> None:
        """Until the lines want more, or have something to tell."""
        self._news.clear()
        if len(self._ready) > self._ahead or any(hand.out for hand in self._hands):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), GLANCE)

    async def _lease(self) -> Hand | None:
        """The next chunk, its words compiled."""
        if self._halted or self._stopped():
            return None
        chunk = await self._off_loop(self._next_chunk)
        if chunk is None:
            return None
        hand = Hand(chunk, self._values(chunk.mailing), time.monotonic())
        self._hands.append(hand)
        self._outcomes.update((chunk.mailing.subject, each.state) for each in chunk.doubtful)
        try:
            messages = await self._off_loop(lambda: [self._words(digest) for digest in chunk.mailing.words])
            hand.compiled = tuple(self._channel.compiled(message) for message in messages)
        except PermanentFailure as failure:
            self._fail(failure)
        if self._halted:
            await self._release(hand)
            return None
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
            self._drop(hand, told)
            return
        hand.renewed = time.monotonic()
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
                    hand.settled = told + hand.settled
                    raise
                self._tell(f"{self._channel.name}: the database does not answer, waiting for it: {error}")
            await asyncio.sleep(GLANCE)
            # Letters answered meanwhile are not out any more, and still ours: they must not come again.
            holding = [*hand.out, *(each.number for each in hand.settled)]

    def _measure(self, count: int) -> None:
        """A group is what goes out in a moment: small when it is slow, so that little is in doubt.

        It begins as small as can be, and while it is, nothing is claimed ahead: a hold is seen before the
        next letter.
        """
        now = time.monotonic()
        rate = count / max(now - self._since, 0.001)
        self._since = now
        if count:
            least = self._channel.connections
            self._group = max(least, min(int(rate * GROUP_TIME), 2 * self._group, LARGEST))
            self._ahead = self._group if self._group > least else 0

    # ----------------------------------------------------------------- what the lines call

    def _pull(self) -> Parcel | None:
        ready = self._ready
        if self._group < FAST and self._stopped():
            self._halt()
        while ready and not self._halted:
            if not self._gate.lets(ready):
                return None
            hand, claimed = ready.popleft()
            if len(ready) == self._ahead:
                self._news.set()
            if claimed.number not in hand.out:
                continue  # given back, or lost, while it waited
            try:
                return self._parcel(hand, claimed)
            except DeliveryError as error:
                self._note(hand, claimed, error)
            except Exception as error:
                failure = TemporaryFailure(f"could not be prepared: {_where(error)}")
                self._tell(f"{self._channel.name}: {hand.chunk.mailing.subject} {failure}")
                self._note(hand, claimed, failure)
        self._news.set()
        return None

    def _parcel(self, hand: Hand, claimed: Claimed) -> Parcel:
        mailing = hand.chunk.mailing
        return hand.compiled[claimed.variant].letter(
            claimed,
            key=mailing.key(claimed.reader),
            values=hand.values(claimed.reader),
            tag=(hand, claimed),
        )

    def _began(self, letter: Parcel) -> None:
        hand, claimed = letter.tag
        hand.begun.add(claimed.number)
        self._flight.began(hand.chunk.mailing.id, claimed.number, hand.chunk.fence)

    def _done(self, letter: Parcel, outcome: str | DeliveryError) -> None:
        hand, claimed = letter.tag
        hand.begun.discard(claimed.number)
        self._gate.note(claimed.address, outcome)
        self._note(hand, claimed, outcome)

    def _note(self, hand: Hand, claimed: Claimed, outcome: str | DeliveryError) -> None:
        """What became of a letter: into the recorder at once, into the ledger with its group."""
        if hand.out.pop(claimed.number, None) is None:
            return
        what = settled(claimed, outcome, self._clock(), resend=self._channel.resends)
        if what.said and not isinstance(outcome, str):
            what = what._replace(said=without_addresses(what.said))
        self._flight.ended(hand.chunk.mailing.id, hand.chunk.fence, what)
        hand.settled.append(what)
        self._outcomes[hand.chunk.mailing.subject, what.state] += 1
        if isinstance(outcome, PermanentFailure) and outcome.blame is Blame.SENDER:
            self._fail(outcome)
        elif len(hand.settled) >= self._group:
            self._news.set()

    def _trouble(self, relay: str, failure: DeliveryError) -> None:
        log.warning("%s: %s", self._channel.name, without_addresses(failure.problem))
        if self._lines.down and not isinstance(failure, PermanentFailure):  # that ends the lines by itself
            self._fail(failure)

    # ----------------------------------------------------------------- people, and time

    async def _watch(self) -> None:
        """Hear STOP, holds and cancellations also while nothing is exchanged; keep what we have."""
        while True:
            await asyncio.sleep(GLANCE)
            if self._stopped():
                self._halt()
            with suppress(StoreError):  # the exchange says so
                await self._renew()
                await self._recall()

    async def _renew(self) -> None:
        for hand in [hand for hand in self._hands if time.monotonic() - hand.renewed > LEASE / 4]:
            hand.renewed = time.monotonic()
            try:
                call = partial(self._mailings.exchange, hand.chunk, [], want=0)
                await self._off_loop(lambda: call(now=self._clock()))  # noqa: B023 - awaited here
            except Lost:
                self._drop(hand, [])

    async def _recall(self) -> None:
        """Letters that wait for a line and whose issue was held, paused or cancelled go back."""
        if not self._ready:
            return
        goes_on = {m.id for m in await self._off_loop(lambda: self._mailings.open_issues(self._clock()))}
        for hand in [hand for hand in self._hands if hand.chunk.mailing.id not in goes_on]:
            hand.put_back([claimed for owner, claimed in self._ready if owner is hand])
            hand.dry = True
            self._news.set()

    def _waiting(self) -> list[str]:
        """The addresses that wait for their turn."""
        return [claimed.address for hand, claimed in self._ready if claimed.number in hand.out]

    def _closed(self, why: str, *, person: bool) -> None:
        """The account must rest for longer than a run should wait."""
        if person:
            self._tell(why)
        else:
            log.info("%s: %s", self._channel.name, why)
        self._halt()

    # ----------------------------------------------------------------- ending

    def _halt(self) -> None:
        """No further letter in this run; what is on the wire is finished."""
        self._halted = True
        self._news.set()

    def _fail(self, failure: DeliveryError) -> None:
        """The same, because the channel cannot go on: what is in hand waits some minutes."""
        self._why = later(failure, self._clock())
        self._tell(f"{self._channel.name}: stopped for this run: {failure.problem}")
        self._halt()

    async def _release_finished(self) -> None:
        for hand in [hand for hand in self._hands if hand.dry and not hand.out]:
            await self._release(hand)

    async def _give_back(self) -> None:
        """At the end: whatever was claimed and not begun goes back in line."""
        self._ready.clear()
        for hand in list(self._hands):
            count = hand.let_go(self._why, self._clock(), resend=self._channel.resends)
            if self._why is not put_back and count:
                self._outcomes[hand.chunk.mailing.subject, State.DEFERRED] += count
            await self._release(hand)

    async def _release(self, hand: Hand) -> None:
        told = hand.take_settled()
        self._hands.remove(hand)
        with suppress(Lost):
            await self._off_loop(lambda: self._mailings.release(hand.chunk, told, now=self._clock()))
        self._flight.settled(hand.chunk.mailing.id, [each.number for each in told])

    def _drop(self, hand: Hand, told: list[Settled]) -> None:
        self._flight.settled(hand.chunk.mailing.id, [*hand.lose(), *(each.number for each in told)])
        if hand in self._hands:
            self._hands.remove(hand)

    def _report(self) -> Report:
        """Counts by state; one line for each issue in the log, and a sentence where a person must look."""
        name = self._channel.name
        for subject in dict.fromkeys(subject for subject, _ in self._outcomes):
            counts = {state: self._outcomes[subject, state] for state in _SAID}
            said = ", ".join(f"{_SAID[state]} {count:,}" for state, count in counts.items() if count)
            log.info("%s: %s is %s", name, subject, said)
            if doubtful := counts[State.UNKNOWN]:
                look = "look into the mail server's log, then run bot settle for those that bot status names"
                self._tell(f"{name}: {subject} may have gone out to {doubtful:,} more; {look}")
        states: Counter[State] = Counter()
        for (_, state), count in self._outcomes.items():
            states[state] += count
        outcomes = {(name, state): count for state, count in states.items() if count}
        return Report(outcomes=outcomes, problems=(*self._problems, *self._gate.said))

    def _tell(self, problem: str) -> None:
        self._problems[without_addresses(problem)] = None

    async def _off_loop(self, call: Callable[[], T]) -> T:
        """The call's result, without holding up the event loop while the disk works."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


def _where(error: Exception) -> str:
    """An unexpected error's type and place. Never its text, which may hold an address or a token."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return type(error).__name__ + place
