"""Single letters that somebody waits for: a test, a confirmation, a post to one address.

They go over the same wires and relays as an issue (``pipeline``, ``relays``). A letter of an issue may wait
until a relay has rested; here the caller hears at once what became of theirs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from bot.channels.email.calls import Burst, Calls
from bot.channels.email.mime import Mail
from bot.channels.email.pipeline import Wire
from bot.channels.email.relays import Desk, Health, Relay, choose
from bot.channels.email.smtp import Session
from bot.errors import DeliveryError, TemporaryFailure

T = TypeVar("T")


class Courier:
    """Carries up to ``connections`` letters at a time, and keeps the conversations for the next ones."""

    def __init__(
        self, relays: Sequence[Relay], *, connections: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._desks = [Desk(relay=relay) for relay in relays]
        self._slots = asyncio.Semaphore(connections)
        self._kept: list[Talk] = []
        self._clock = clock

    async def deliver(self, letter: Mail) -> str:
        """The server's answer; raises one of the three failures.

        Servers end idle conversations: a letter that was at most announced in such a one gets a new one.
        """
        async with self._slots:
            self._kept = [talk for talk in self._kept if talk.is_open]
            talk = self._kept.pop() if self._kept else None
            if talk is not None:
                try:
                    return await self._carry(talk, letter)
                except TemporaryFailure:
                    if not talk.gave_back:
                        raise
            desk, talk, remark = await self._open()
            try:
                answer = await self._carry(talk, letter)
            except TemporaryFailure as failure:
                if talk.gave_back or failure.code == 421:
                    desk.rest(self._clock())  # so that the next letter goes over another one
                raise
            desk.health = Health()
            return answer + remark

    async def close(self) -> None:
        """Say goodbye in the conversations that are kept."""
        kept, self._kept = self._kept, []
        await asyncio.gather(*(talk.close() for talk in kept))

    async def _carry(self, talk: Talk, letter: Mail) -> str:
        try:
            return await talk.carry(letter)
        finally:
            if talk.is_open:
                self._kept.append(talk)

    async def _open(self) -> tuple[Desk, Talk, str]:
        """With the first relay that can be opened, and a remark where that is a second choice.

        Those that failed lately come last, and none is left out. A failure that time may heal is raised
        rather than one that a person must mend.
        """
        failures: list[DeliveryError] = []
        best = choose(self._desks, self._clock(), by_weight=False)
        for desk in sorted(self._desks, key=lambda desk: desk is not best):
            try:
                talk = Talk(desk.relay, await desk.open(), clock=self._clock)
            except DeliveryError as failure:
                desk.rest(self._clock())
                failures.append(failure)
            else:
                why = f" (over {desk.relay.name}, because {failures[0]})" if failures else ""
                return desk, talk, why
        raise next((one for one in failures if isinstance(one, TemporaryFailure)), failures[0])


class Talk:
    """One open conversation. Carries one letter at a time."""

    def __init__(self, relay: Relay, session: Session, *, clock: Callable[[], float]) -> None:
        self.gave_back = False  # the last letter: at most announced when the conversation ended
        self._relay, self._clock = relay, clock
        self._transport = session.take_over()
        self._wire = Wire(relay.rules(session.terms), self._calls(), clock=clock)
        self._is_new = True
        self._waiting: Mail | None = None
        self._outcome: asyncio.Future[str | DeliveryError]
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_open(self) -> bool:
        return not self._over.done()

    async def carry(self, letter: Mail) -> str:
        """One attempt. Cancelling it ends the conversation: no answer may be taken for the next letter's."""
        self._outcome = asyncio.get_running_loop().create_future()
        try:
            self._say(letter)
            outcome = await self._until(self._outcome)
        except BaseException:
            self._wire.abort()
            raise
        if isinstance(outcome, DeliveryError):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Say goodbye where somebody listens."""
        try:
            self._wire.leave()
            await self._until(self._over)
        finally:
            self._wire.abort()

    def _say(self, letter: Mail) -> None:
        if self._is_new:
            self._is_new = False
            self._wire.start(self._transport, letter)
        else:
            self._waiting = letter
            self._wire.wake()

    async def _until(self, known: asyncio.Future[T]) -> T:
        """Wait for it, with an eye on the clock."""
        while not known.done():
            await asyncio.wait([known], timeout=self._relay.glance)
            self._wire.expire(self._clock())
        return known.result()

    # ----------------------------------------------------------------- what the wire asks and tells

    def _calls(self) -> Calls:
        return Calls(
            pull=self._pull,
            began=lambda _letter: None,
            done=lambda _letter, outcome: self._settle(outcome),
            back=lambda _letter, failure: self._returned(failure),
            ended=self._ended,
            crashed=self._crashed,
            soon=Burst().add,
        )

    def _pull(self) -> Mail | None:
        letter, self._waiting = self._waiting, None
        return letter

    def _returned(self, failure: DeliveryError) -> None:
        if not self._outcome.done():
            self.gave_back = True
            self._outcome.set_result(failure)

    def _settle(self, outcome: str | DeliveryError) -> None:
        if not self._outcome.done():
            self._outcome.set_result(outcome)

    def _ended(self, _failure: DeliveryError | None) -> None:
        """The letter may not even have been pulled by then."""
        self._returned(TemporaryFailure(f"{self._relay.server} ended the connection; nothing was sent"))
        if not self._over.done():
            self._over.set_result(None)

    def _crashed(self, error: BaseException) -> None:
        if not self._outcome.done():
            self._outcome.set_exception(error)
