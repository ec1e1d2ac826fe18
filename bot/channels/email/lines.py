"""Several open conversations with one or more mail servers, each pulling for itself.

``Lines`` opens connections only while there are letters, and a slow relay never holds a fast one up. A relay
that cannot be opened, or ends a conversation before it did a single letter's work (421 is none), is rested,
each time twice as long; then one line tries it again. A letter whose dot went out never goes to a second
relay; one that was only announced may, once.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence

from bot.channels.email.calls import Burst, Calls
from bot.channels.email.mime import Mail
from bot.channels.email.pipeline import Wire
from bot.channels.email.relays import Desk, Health, Relay, choose
from bot.channels.email.terms import Terms
from bot.errors import Blame, DeliveryError, PermanentFailure

DOWN = 2  # failures in a row of every relay


class Lines:
    """A pool of up to ``connections`` conversations that pull, send and report until ``stop``.

    ``trouble`` hears a relay's name and what befell its connection; a letter is never blamed for that.
    ``clock`` counts seconds and is asked for rests and time-outs.
    """

    def __init__(
        self,
        relays: Sequence[Relay],
        *,
        pull: Callable[[], Mail | None],
        done: Callable[[Mail, str | DeliveryError], None],
        began: Callable[[Mail], bool | None],
        connections: int,
        trouble: Callable[[str, DeliveryError], None] = lambda _name, _failure: None,
        by_weight: bool = False,
        idle: float = 30,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._desks = [Desk(relay=relay) for relay in relays]
        self._pull, self._done, self._began, self._trouble = pull, done, began, trouble
        self._connections, self._by_weight, self._idle, self._clock = connections, by_weight, idle, clock
        self._back: deque[Mail] = deque()  # pulled and certainly not sent
        self._second: set[str] = set()  # ids of those that are tried a second time
        self._burst = Burst()
        self._news = asyncio.Event()
        self._stopping = False
        self._hopeless: PermanentFailure | None = None

    @property
    def open(self) -> int:
        """Conversations that are open now."""
        return sum(len(desk.wires) for desk in self._desks)

    @property
    def health(self) -> dict[str, Health]:
        """How each relay has done lately, by its name."""
        return {desk.relay.name: desk.health for desk in self._desks}

    @property
    def down(self) -> bool:
        """Every relay has failed twice in a row, and none does its work now."""
        return all(desk.health.failures >= DOWN and not desk.does_its_work for desk in self._desks)

    @property
    def has_another(self) -> bool:
        """One of several relays does not rest: what another does not take now may go over that one."""
        now = self._clock()
        return len(self._desks) > 1 and any(now >= desk.health.rested_until for desk in self._desks)

    def stands_in(self, name: str) -> str:
        """The relay that is used while this one rests; "" when it does not rest, or all do."""
        now = self._clock()
        awake = [desk.relay.name for desk in self._desks if now >= desk.health.rested_until]
        return awake[0] if awake and name not in awake else ""

    def wake(self) -> None:
        """There may be letters again, or it is time to look at the clock again."""
        for wire in self._wires():
            wire.wake()
        self._tell()

    def stop(self) -> None:
        """Pull no more; ``run`` returns when everything in flight is answered."""
        self._stopping = True
        for wire in self._wires():
            wire.leave()
        self._tell()

    def unsent(self) -> list[Mail]:
        """Take back the letters that were pulled and are certainly not sent, while no line has them."""
        letters = list(self._back)
        self._back.clear()
        self._second.difference_update(letter.id for letter in letters)
        return letters

    async def run(self) -> list[Mail]:
        """Send until ``stop``; returns the letters that were pulled and certainly not sent.

        Raises PermanentFailure when no relay is left that a rest could help, and what a callback raised;
        ``unsent`` has the letters then. Cancelling ends every conversation at once: what was past its dot
        is reported as UnknownOutcome.
        """
        lines = [asyncio.create_task(self._line()) for _ in range(self._connections)]
        glance = asyncio.create_task(self._watch())
        try:
            await asyncio.gather(*lines)
        finally:
            await self._end([*lines, glance])
        if self._hopeless is not None:
            raise self._hopeless
        return self.unsent()

    # ----------------------------------------------------------------- one line

    async def _line(self) -> None:
        """Open, talk, open again; wait where there is nothing to do."""
        while not self._stopping:
            news = self._news
            desk = choose(self._desks, self._clock(), by_weight=self._by_weight)
            letter = self._take() if desk is not None else None
            if desk is None or letter is None:
                await news.wait()
            else:
                await self._talk(desk, letter)

    async def _talk(self, desk: Desk, letter: Mail) -> None:
        """One conversation that begins with this letter."""
        opened = await self._open(desk, letter)
        if opened is None:
            return
        terms, transport = opened
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def ended(failure: DeliveryError | None) -> None:
            if not over.done():  # judged at once: no other line may take up what this one gave back before
                self._judge(desk, wire, failure)
                over.set_result(None)

        wire = Wire(desk.relay.rules(terms, idle=self._idle), self._calls(over, ended), clock=self._clock)
        desk.wires[wire] = self._clock()
        try:
            wire.start(transport, letter)
            await over
        finally:
            wire.abort()
            del desk.wires[wire]

    async def _open(self, desk: Desk, letter: Mail) -> tuple[Terms, asyncio.Transport] | None:
        """A new connection, or None; the letter waits with us meanwhile and is nobody's failure."""
        desk.opening += 1
        try:
            session = await desk.open()
            if not self._stopping:
                return session.terms, session.take_over()
            await session.close()
        except DeliveryError as failure:
            self._rest(desk, failure)
        except BaseException:
            self._back.append(letter)
            raise
        finally:
            desk.opening -= 1
            self._tell()
        self._hold(letter)
        return None

    def _calls(self, over: asyncio.Future[None], ended: Callable[[DeliveryError | None], None]) -> Calls:
        def crashed(error: BaseException) -> None:
            if not over.done():
                over.set_exception(error)

        return Calls(
            pull=self._take,
            began=self._began,
            done=self._settle,
            back=self._returned,
            ended=ended,
            crashed=crashed,
            soon=self._burst.add,
        )

    # ----------------------------------------------------------------- letters

    def _take(self) -> Mail | None:
        if self._stopping:
            return None
        return self._back.popleft() if self._back else self._pull()

    def _settle(self, letter: Mail, outcome: str | DeliveryError) -> None:
        if self._second:
            self._second.discard(letter.id)
        self._done(letter, outcome)

    def _hold(self, letter: Mail) -> None:
        self._back.append(letter)
        self._tell()

    def _returned(self, letter: Mail, failure: DeliveryError) -> None:
        """Announced and not sent: another line tries once; who is unlucky twice comes back later."""
        if letter.id in self._second:
            self._settle(letter, failure)
        else:
            self._second.add(letter.id)
            self._hold(letter)

    # ----------------------------------------------------------------- relays

    def _judge(self, desk: Desk, wire: Wire, failure: DeliveryError | None) -> None:
        """A conversation is over: did this relay do its work?"""
        if desk.does_its_work:
            desk.health = Health()
        if failure is None or self._stopping:
            return
        if wire.answers:
            self._trouble(desk.relay.name, failure)
        else:
            self._rest(desk, failure)

    def _rest(self, desk: Desk, failure: DeliveryError) -> None:
        for_good = isinstance(failure, PermanentFailure) and not desk.wires
        if desk.rest(self._clock(), for_good=for_good):
            self._trouble(desk.relay.name, failure)
        if all(desk.health.is_out for desk in self._desks):
            self._hopeless = PermanentFailure(str(failure), code=failure.code, blame=Blame.SENDER)
            self.stop()

    def _wires(self) -> list[Wire]:
        return [wire for desk in self._desks for wire in desk.wires]

    def _tell(self) -> None:
        """Everyone who waits looks again."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _watch(self) -> None:
        """Now and then: time-outs, idle conversations, relays that have rested."""
        while True:
            await asyncio.sleep(min(desk.relay.glance for desk in self._desks))
            self.look()

    def look(self) -> None:
        """What time brings: ends waits that took too long, wakes lines whose relay has rested."""
        now = self._clock()
        for desk in self._desks:
            for wire in list(desk.wires):
                wire.expire(now)
            if desk.does_its_work:
                desk.health = Health()
        if not self._by_weight:
            self._go_home(now)
        self._tell()

    def _go_home(self, now: float) -> None:
        """In order: lines of a later relay leave it once an earlier one may be opened again."""
        best = choose(self._desks, now, by_weight=False)
        if best is None:
            return
        later = [wire for desk in self._desks[self._desks.index(best) + 1 :] for wire in desk.wires]
        for wire in later[:1] if best.health.failures else later:
            wire.leave()

    async def _end(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        self._stopping = True
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
