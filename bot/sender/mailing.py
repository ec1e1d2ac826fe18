"""An issue on its way to many readers: lease a chunk, keep the lines busy, settle in groups.

The lines pull letters and report outcomes by plain calls on the event loop. Everything that waits for the
disk happens in one thread beside it: while one group is on the wire the outcomes of the last are written and
the next is claimed, in the same transaction. Others make it ready. What happens between two of these is in
the flight recorder.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from bot.channels.base import MassChannel, Parcel
from bot.errors import Blame, DeliveryError, Lost, PermanentFailure, StoreError, TemporaryFailure, fault_of
from bot.model import Message, State
from bot.sender.books import GLANCE, LEASE, Books
from bot.sender.hand import Hand, Values, later
from bot.sender.report import Report, without_addresses
from bot.sender.tally import Tally
from bot.sender.turnstile import Open, Turnstile
from bot.store.chunks import Chunk, Claimed, Mailing, Settled, put_back, put_off, sent, settled
from bot.store.mailing import Mailings

log = logging.getLogger(__name__)

LARGEST = 250  # letters claimed at once
FAST = 64  # a group from which on STOP is asked about every half a second, and not for each letter
GROUP_TIME = 0.25  # seconds that a group should last, so that STOP is heard within a second

# Counts on while the machine sleeps, where there is such a clock.
_age = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


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
        age: Callable[[], float] = _age,
    ) -> None:
        self._channel, self._words, self._values = channel, words, values
        self._clock, self._stopped, self._gate, self._age = clock, stopped, gate or Open(), age
        self._tally = Tally(channel.name)
        self._books = Books(mailings, flights, clock=clock, age=age, tell=self._tell, stopped=stopped)
        self._ready: deque[tuple[Hand, Claimed, Parcel | Exception]] = deque()
        self._hands: list[Hand] = []
        self._issues: dict[int, str] = {}  # that were in hand in this run
        self._stood_in: dict[str, str] = {}  # a sentence for each relay that another one stood in for
        self._news = asyncio.Event()
        self._halted = False
        self._waits = False  # a letter was not given out, because its lease must be renewed first
        self._why: Callable[[Claimed], Settled] = put_back  # what becomes of letters not begun
        self._group, self._ahead = channel.connections, 0
        self._since = time.monotonic()

    async def run(self) -> Report:
        """Work off what is due now; returns when nothing is left, is held, or the channel cannot go on."""
        with self._books as self._flight:
            first = await self._lease()
            if first is not None:
                await self._send(first)
            if self._tally.has_sent:
                for said in self._stood_in.values():
                    self._tally.mention(said)
            with suppress(StoreError):
                await self._mention_cancelled()
        return self._tally.report(tuple(self._gate.said))

    async def _send(self, first: Hand) -> None:
        self._lines = self._channel.lines(
            pull=self._pull, done=self._done, began=self._began, trouble=self._trouble
        )
        sending = asyncio.create_task(self._lines.run())
        sending.add_done_callback(lambda _: self._news.set())
        beside = [
            asyncio.create_task(self._listen()),
            asyncio.create_task(self._watch()),
            asyncio.create_task(
                self._gate.keep(
                    self._waiting,
                    wake=self._lines.wake,
                    closed=self._closed,
                    aside=self._aside,
                    call=self._books.off_loop,
                )
            ),
        ]
        try:
            await self._feed(first, sending, beside)
        finally:
            await self._finish(sending, beside)

    async def _mention_cancelled(self) -> None:
        """Of the issues that were in hand: a run that ends early says why."""
        for of in self._issues:
            progress = await self._books.progress(of)
            if progress.state == "cancelled":
                self._tally.mention(
                    f"{self._channel.name}: {self._issues[of]}: {progress.note or 'cancelled'};"
                    f" {progress.counts[State.SENT]:,} of {progress.total:,} letters were sent, and no others"
                    " go out"
                )

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
                await self._books.off_loop(self._gate.flush)

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
                async with asyncio.timeout(GLANCE):
                    await self._news.wait()

    async def _lease(self) -> Hand | None:
        """The next chunk, its words compiled."""
        if self._halted or self._stopped():
            return None
        leased = await self._books.lease(self._channel.name, resend=self._channel.resends)
        if leased is None:
            return None
        chunk, since = leased
        hand = Hand(chunk, self._values(chunk.mailing), since)
        self._hands.append(hand)
        self._issues[chunk.mailing.id] = chunk.mailing.subject
        for each in chunk.doubtful:
            self._tally.add(chunk.mailing.subject, each.state)
            self._tally.doubt(chunk.mailing, each)
        try:
            messages = await self._books.off_loop(
                lambda: [self._words(digest) for digest in chunk.mailing.words]
            )
            hand.compiled = tuple(self._channel.compiled(message) for message in messages)
        except PermanentFailure as failure:
            self._fail(failure)
        if self._halted:
            await self._release(hand)
            return None
        return hand

    async def _exchange(self, hand: Hand, *, want: int) -> None:
        """Outcomes against new letters."""
        told = hand.take_settled()
        self._measure(len(told))
        began = time.monotonic()
        try:
            made = await self._books.exchange(hand, told, want)
        except Lost:
            self._drop(hand, told)
            return
        if hand.lost:
            return  # while they were made
        hand.dry = len(made) < want
        hand.out |= {claimed.number: claimed for claimed, _ in made}
        if time.monotonic() - began > GLANCE and await self._stands_still(hand):
            hand.put_back(claimed for claimed, _ in made)
            hand.dry = True
            return
        self._ready.extend((hand, claimed, letter) for claimed, letter in made)
        if made:
            self._lines.wake()

    async def _stands_still(self, hand: Hand) -> bool:
        """Whether its issue was held, paused or cancelled while a group was made, which may take seconds."""
        with suppress(StoreError):  # the exchange says so
            return hand.chunk.mailing.id not in await self._books.going_on()
        return False

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
            hand, claimed, letter = ready.popleft()
            if len(ready) == self._ahead:
                self._news.set()
            if claimed.number not in hand.out:
                continue  # given back, or lost, while it waited
            if not hand.is_ours(self._age()):
                ready.appendleft((hand, claimed, letter))
                self._waits = True
                return None
            if not isinstance(letter, Exception):
                return letter
            self._note(hand, claimed, self._not_made(hand, letter))
        self._news.set()
        return None

    def _not_made(self, hand: Hand, error: Exception) -> DeliveryError:
        if isinstance(error, DeliveryError):
            return error
        failure = TemporaryFailure(f"could not be prepared: {fault_of(error)}")
        self._tell(f"{hand.chunk.mailing.subject} {failure}")
        return failure

    def _began(self, letter: Parcel) -> bool:
        """Into the recorder; False when it is not ours any more, or may not be."""
        hand, claimed = letter.tag
        if not hand.is_ours(self._age()):
            hand.put_back([claimed])  # so that it has its outcome, should the lease still be renewed
        if claimed.number not in hand.out:
            return False
        hand.begun.add(claimed.number)
        self._flight.began(hand.chunk.mailing.id, claimed.number, hand.chunk.fence)
        return True

    def _done(self, letter: Parcel, outcome: str | DeliveryError) -> None:
        hand, claimed = letter.tag
        hand.begun.discard(claimed.number)
        self._gate.note(claimed.address, outcome)
        self._note(hand, claimed, outcome)

    def _note(self, hand: Hand, claimed: Claimed, outcome: str | DeliveryError) -> None:
        """What became of a letter: into the recorder at once, into the ledger with its group."""
        if hand.out.pop(claimed.number, None) is None:
            return
        chunk = hand.chunk
        what = sent(claimed, outcome) if isinstance(outcome, str) else self._failed(chunk, claimed, outcome)
        self._flight.ended(chunk.mailing.id, chunk.fence, what)
        hand.settled.append(what)
        self._tally.add(chunk.mailing.subject, what.state)
        if len(hand.settled) >= self._group:
            self._news.set()

    def _failed(self, chunk: Chunk, claimed: Claimed, failure: DeliveryError) -> Settled:
        if isinstance(failure, PermanentFailure) and failure.blame is Blame.SENDER:
            self._fail(failure)
        what = settled(claimed, failure, self._clock(), resend=self._channel.resends)
        if what.doubts > claimed.doubts:
            self._tally.doubt(chunk.mailing, what)
        return what._replace(said=without_addresses(what.said)) if what.said else what

    def _trouble(self, relay: str, failure: DeliveryError) -> None:
        log.warning("%s: %s", self._channel.name, without_addresses(failure.problem))
        if other := self._lines.stands_in(relay):
            said = f"{self._channel.name}: {failure.problem}; {other} stood in for {relay}"
            self._stood_in.setdefault(relay, said)
        if not self._lines.has_another and self._gate.slows(failure):
            self._ready.extendleft((*letter.tag, letter) for letter in self._lines.unsent())
        if self._lines.down and not isinstance(failure, PermanentFailure):  # that ends the lines by itself
            self._fail(failure)

    # ----------------------------------------------------------------- people, and time

    async def _listen(self) -> None:
        """Hear STOP, also while the thread waits for a database that is slow."""
        while True:
            await asyncio.sleep(GLANCE)
            if self._stopped():
                self._halt()

    async def _watch(self) -> None:
        """Hear holds and cancellations also while nothing is exchanged; keep what we have."""
        while True:
            await asyncio.sleep(GLANCE)
            with suppress(StoreError):  # the exchange says so
                await self._renew()
                await self._recall()
            if self._waits:
                self._waits = False
                self._lines.wake()

    async def _renew(self) -> None:
        for hand in [hand for hand in self._hands if self._age() - hand.renewed > LEASE / 4]:
            try:
                await self._books.renew(hand)
            except Lost:
                self._drop(hand, [])

    async def _recall(self) -> None:
        """Letters that wait for a line go back when their issue was held, paused or cancelled.

        One that has waited for a while does not go to a reader who left in that time.
        """
        if not self._ready:
            return
        goes_on = await self._books.going_on()
        for hand in [hand for hand in self._hands if hand.chunk.mailing.id not in goes_on]:
            hand.put_back(self._waits_in(hand))
            hand.dry = True
        self._forget_put_back()  # before anybody can claim the same again
        for hand in list(self._hands):
            before, hand.waited = hand.waited, {claimed.number for claimed in self._waits_in(hand)}
            if before & hand.waited:
                hand.let_leave(await self._books.left(hand.chunk), self._waits_in(hand))
        self._forget_put_back()

    def _waits_in(self, hand: Hand) -> list[Claimed]:
        return [claimed for owner, claimed, _ in self._ready if owner is hand]

    def _forget_put_back(self) -> None:
        """They fill the room of those who could go, and would use up their slots."""
        still = deque(entry for entry in self._ready if entry[1].number in entry[0].out)
        if len(still) < len(self._ready):
            self._ready = still
            self._news.set()

    def _waiting(self) -> list[str]:
        """The addresses that wait for their turn."""
        return [claimed.address for hand, claimed, _ in self._ready if claimed.number in hand.out]

    def _closed(self, why: str, *, person: bool) -> None:
        """The account must rest for longer than a run should wait."""
        if person:
            self._tally.tell(why)
        else:
            log.info("%s: %s", self._channel.name, why)
        self._halt()

    def _aside(self, domains: Collection[str], wait: timedelta, why: str) -> None:
        """Letters to these domains come again when their domain may take some; the others go on."""
        due = self._clock() + wait
        for hand in self._hands:
            theirs = [
                claimed for claimed in self._waits_in(hand) if self._gate.domain(claimed.address) in domains
            ]
            count = hand.put_back(theirs, partial(put_off, due=due, said=why))
            self._tally.add(hand.chunk.mailing.subject, State.DEFERRED, count)
        self._forget_put_back()

    # ----------------------------------------------------------------- ending

    def _halt(self) -> None:
        """No further letter in this run; what is on the wire is finished."""
        self._halted = True
        self._news.set()

    def _fail(self, failure: DeliveryError) -> None:
        """The same, because the channel cannot go on: what is in hand waits some minutes."""
        self._why = later(failure, self._clock())
        self._tell(f"stopped for this run: {failure.problem}")
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
                self._tally.add(hand.chunk.mailing.subject, State.DEFERRED, count)
            await self._release(hand)

    async def _release(self, hand: Hand) -> None:
        self._hands.remove(hand)
        await self._books.release(hand)

    def _drop(self, hand: Hand, told: list[Settled]) -> None:
        self._books.drop(hand, told)
        if hand in self._hands:
            self._hands.remove(hand)

    def _tell(self, problem: str) -> None:
        self._tally.tell(f"{self._channel.name}: {problem}")
