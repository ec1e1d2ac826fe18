"""Sending what the ledger says is due: claim, call, settle; each channel by itself.

A claim is on disk before the call and the outcome after it. After a crash only the calls that were in
flight are in doubt, and ``recover`` asks their channels about them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

from bot.channels.base import CUT, Channel
from bot.errors import (
    Blame,
    ChangedError,
    DeliveryError,
    PermanentFailure,
    StoreError,
    TemporaryFailure,
    UnknownOutcome,
    fault_of,
)
from bot.model import FIRST_RETRY, MAX_ATTEMPTS, Delivery, State
from bot.sender.books import GLANCE
from bot.sender.doubts import Doubts
from bot.sender.outage import Outage
from bot.sender.report import Report, without_addresses
from bot.sender.wicket import Wicket
from bot.store.ledger import Ledger

log = logging.getLogger(__name__)
T = TypeVar("T")

MANY = 10_000  # deliveries in doubt that are asked about in one run; the rest waits for the next
SOME = 100  # that are counted when all of them wait
CUTS = 2  # posts that the server cut: one may be its whim, two are a rule
MOST_PROBLEMS = 20
_LEVELS = {State.SENT: logging.INFO, State.CANCELLED: logging.INFO, State.PLANNED: logging.INFO}


class Sender:
    """Works off the ledger.

    ``stopping`` is asked before each small group: once it is true, only the calls in flight are finished.
    ``gates`` hold the channels to their pace; one without a gate goes as fast as it can.
    """

    def __init__(
        self,
        ledger: Ledger,
        channels: Mapping[str, Channel],
        *,
        clock: Callable[[], datetime],
        stopping: Callable[[], bool] = lambda: False,
        concurrency: Mapping[str, int] | int = 2,
        gates: Mapping[str, Wicket] | None = None,
    ) -> None:
        self._gates = gates or {}
        self.ledger, self.channels, self.clock, self._stopping = ledger, channels, clock, stopping
        self._concurrency = concurrency
        self._words = lru_cache(maxsize=16)(ledger.message)

    async def run(self) -> Report:
        """Send all that is due and not held. A slow, failing or stopped channel holds up no other."""
        with _Desk(self.clock) as desk:
            await _all(self._work(desk, channel) for channel in self.channels.values())
            return desk.report()

    async def recover(self, channel: str | None = None) -> Report:
        """Settle what is in doubt. Call it first, under the lock, when nobody else sends on that channel.

        The channel's answer decides: a receipt settles it, a certain no puts it back in line, each time
        later; otherwise it stays unknown until a person answers.
        """
        with _Desk(self.clock) as desk:
            await desk.off_loop(self.ledger.recover, self.clock(), channel)
            doubtful = await desk.off_loop(self.ledger.deliveries, (State.UNKNOWN,), channel, None, MANY)
            by_channel: dict[str, list[Delivery]] = {}
            for delivery in doubtful:
                by_channel.setdefault(delivery.channel, []).append(delivery)
            await _all(self._ask(desk, name, each) for name, each in by_channel.items())
            return desk.report()

    # ----------------------------------------------------------------------- sending

    async def _work(self, desk: _Desk, channel: Channel) -> None:
        """Small groups until nothing is due; holds are read again with each of them."""
        name = channel.name
        limit = self._concurrency if isinstance(self._concurrency, int) else self._concurrency.get(name, 2)
        while (
            name not in desk.stopped
            and not self._stopping()
            and (room := await self._room(desk, name, limit))
            and (group := await desk.off_loop(self.ledger.take, name, self.clock(), room))
        ):
            await _all(self._deliver(desk, channel, delivery) for delivery in group)
        if gate := self._gates.get(name):
            await gate.flush(call=desk.off_loop)
            for said in gate.said:
                desk.tell(said)

    async def _room(self, desk: _Desk, name: str, limit: int) -> int:
        """How many may be claimed: no more than are due, and than the account's pace has slots for."""
        gate = self._gates.get(name)
        if gate is None:
            return limit
        due = await desk.off_loop(self.ledger.due, name, self.clock(), limit)
        if not due:
            return 0
        room = await gate.room(len(due), call=desk.off_loop, stopped=self._stopping)
        if gate.shut and gate.shut.person:
            desk.tell(str(gate.shut))
        elif gate.shut:
            waiting = len(await desk.off_loop(self.ledger.due, name, self.clock(), SOME))
            desk.mention(f"{name}: {_counted(waiting)} for the account's pace: {gate.shut}")
        return room

    async def _deliver(self, desk: _Desk, channel: Channel, delivery: Delivery) -> None:
        settled = await self._attempt(desk, channel, delivery)
        settled = replace(settled, error=without_addresses(settled.error))
        await self._settle(desk, settled)
        if settled.state is not State.PLANNED:
            desk.note(settled)
        await self._watch_cuts(desk, settled)

    async def _watch_cuts(self, desk: _Desk, settled: Delivery) -> None:
        """A post that the server cut is told; the second one on a channel holds it, once."""
        if settled.receipt is None or CUT not in settled.receipt.note:
            return
        name = settled.channel
        desk.tell(f"{_about(settled)} went out, but {settled.receipt.note}; look at it there")
        if await desk.off_loop(self.ledger.with_note, name, CUT) != CUTS:
            return
        reason = f"{CUT} of {CUTS} posts; see what they have in common, then run bot resume {name}"
        await desk.off_loop(self.ledger.hold, name, reason, self.clock())
        desk.stop(name, reason)

    async def _settle(self, desk: _Desk, settled: Delivery) -> None:
        """Again and again while the database is gone: nothing else knows the answer."""
        outage = Outage()
        while True:
            try:
                await desk.off_loop(self._settled, settled)
                break
            except ChangedError:
                raise
            except StoreError as error:
                outage.wait(error, hurried=self._stopping())
            await asyncio.sleep(GLANCE)
        if said := outage.over():
            desk.tell(f"{settled.channel}: {said}")

    def _settled(self, settled: Delivery) -> None:
        """Write it; fine, too, when that was done and only the database's word for it was lost."""
        try:
            self.ledger.settle(settled)
        except ChangedError:
            if self.ledger.get(settled.key) != settled:
                raise

    async def _attempt(self, desk: _Desk, channel: Channel, delivery: Delivery) -> Delivery:
        """The delivery with its outcome; whatever the channel does, there is one."""
        gate = self._gates.get(channel.name)
        try:
            message = await desk.off_loop(self._words, delivery.message)
        except StoreError:
            raise
        except Exception as error:
            desk.tell(f"{channel.name}: {delivery.subject} could not be prepared: {fault_of(error)}")
            return delivery.deferred(
                TemporaryFailure(f"could not be prepared: {fault_of(error)}"), self.clock()
            )
        try:
            goes = gate is None or await gate.turn(call=desk.off_loop, stopped=self._stopping)
        except StoreError as error:  # it waited for its turn, and certainly was not sent
            desk.stop(channel.name, str(error))
            goes = False
        if not goes:
            return _not_begun(delivery)
        try:
            receipt = await channel.send(message, delivery.recipient, key=delivery.key)
        except Exception as error:
            if gate and isinstance(error, DeliveryError):
                gate.note(error)
            return self._failed(desk, delivery, error)
        if gate:
            gate.note(receipt.note)
        return delivery.sent(receipt, self.clock())

    def _failed(self, desk: _Desk, delivery: Delivery, error: Exception) -> Delivery:
        now = self.clock()
        if isinstance(error, TemporaryFailure):
            return delivery.deferred(error, now)
        if isinstance(error, PermanentFailure) and error.blame is Blame.SENDER:
            desk.stop(delivery.channel, error.problem)
            return _not_its_fault(delivery, error, now)
        if isinstance(error, PermanentFailure):
            return delivery.failed(error, now)
        reason = error.problem if isinstance(error, UnknownOutcome) else f"unexpected {fault_of(error)}"
        return delivery.unknown(reason, now)

    # ----------------------------------------------------------------------- recovery

    async def _ask(self, desk: _Desk, name: str, doubtful: list[Delivery]) -> None:
        channel = self.channels.get(name)
        if channel is None:
            desk.tell(
                f"{name}: {len(doubtful)} in doubt, but no such channel is set up; add it to bot.toml again"
            )
            return
        gate = self._gates.get(name)
        if gate and await gate.is_at_rest(
            call=desk.off_loop
        ):  # told with the account; nothing is asked of it
            for delivery in doubtful:
                desk.remind(delivery)
            return
        for delivery in doubtful:
            answer = await self._answer(desk, channel, delivery)
            answer = replace(answer, error=without_addresses(answer.error))
            if (answer.state, answer.error) == (delivery.state, delivery.error):
                desk.remind(answer)
                continue
            await desk.off_loop(self.ledger.settle, answer)
            desk.note(answer)
            await self._watch_cuts(desk, answer)

    async def _answer(self, desk: _Desk, channel: Channel, delivery: Delivery) -> Delivery:
        try:
            message = await desk.off_loop(self._words, delivery.message)
            receipt = await channel.settle(delivery, message)
        except StoreError:
            raise
        except UnknownOutcome as error:
            return delivery.unknown(error.problem, self.clock())
        except Exception as error:
            return delivery.unknown(f"unexpected {fault_of(error)}", self.clock())
        if receipt is not None:
            return delivery.sent(receipt, self.clock())
        return _back_in_line(delivery, self.clock())


def _back_in_line(delivery: Delivery, now: datetime) -> Delivery:
    """Planned again: at once after the first attempt, then each time twice as late, and not for ever.

    The attempts stay counted: an answer that is always lost must not become a mail every minute.
    """
    if delivery.attempts >= MAX_ATTEMPTS:
        return delivery.unknown(f"the answer was lost, {delivery.attempts} attempts were made", now)
    wait = FIRST_RETRY * 2 ** (delivery.attempts - 2) if delivery.attempts > 1 else FIRST_RETRY * 0
    return replace(delivery.again(now + wait), attempts=delivery.attempts)


def _not_its_fault(delivery: Delivery, error: PermanentFailure, now: datetime) -> Delivery:
    """Certainly not sent, and for a reason that is ours: the attempt does not count."""
    return replace(
        delivery,
        state=State.DEFERRED,
        attempts=delivery.attempts - 1,
        due=now + FIRST_RETRY,
        error=error.problem,
        code=error.code,
    )


def _not_begun(delivery: Delivery) -> Delivery:
    """Claimed, but its slot did not come in time: as if it had not been claimed."""
    return replace(delivery, state=State.PLANNED, attempts=delivery.attempts - 1)


def _counted(waiting: int) -> str:
    if waiting == 1:
        return "1 post waits"
    return f"{waiting}{' or more' * (waiting == SOME)} posts wait"


async def _all(tasks: Iterable[Coroutine[object, object, None]]) -> None:
    """Wait for every one, also when one of them fails; then raise the first failure."""
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


class _Desk:
    """What one run needs at hand: a thread for the store, and the outcomes so far."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._outcomes: Counter[tuple[str, State]] = Counter()
        self._problems: dict[str, None] = {}  # in order, each once
        self._notices: dict[str, None] = {}
        self._doubts = Doubts()
        self.stopped: set[str] = set()
        # One thread of its own: the default ones may all be waiting for a slow channel.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")

    def __enter__(self) -> _Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    async def off_loop(self, call: Callable[..., T], *arguments: object) -> T:
        """The call's result, without holding up the event loop while the disk works."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def stop(self, channel: str, problem: str) -> None:
        """No further group on this channel in this run."""
        self.stopped.add(channel)
        self.tell(f"{channel}: stopped for this run: {problem}")

    def tell(self, problem: str) -> None:
        """A sentence for people, once."""
        self._problems[without_addresses(problem)] = None

    def mention(self, notice: str) -> None:
        """A sentence about what is as it should be, once."""
        self._notices[without_addresses(notice)] = None

    def count(self, delivery: Delivery) -> None:
        self._outcomes[delivery.channel, delivery.state] += 1

    def remind(self, delivery: Delivery) -> None:
        """Unknown since a run before: told again until a person answers, so that nobody forgets it."""
        self.count(delivery)
        self._tell_doubt(delivery)

    def _tell_doubt(self, delivery: Delivery) -> None:
        if delivery.name:
            self._doubts.add(delivery.channel, delivery.subject, delivery.name, delivery.state)
        elif delivery.state is State.UNKNOWN:
            look = f"look there, then run bot settle {delivery.short}"
            self.tell(f"{_about(delivery)} may have gone out{_reason(delivery)}; {look}")

    def note(self, delivery: Delivery) -> None:
        """One outcome: counted, logged, and told when a person must know."""
        self.count(delivery)
        if delivery.state in (State.UNKNOWN, State.PLANNED):  # in line again: of a letter no answer came
            self._tell_doubt(delivery)
        if delivery.state is State.FAILED and delivery.kind == "post":
            mend = f"mend it, then run bot retry {delivery.short}"
            self.tell(f"{_about(delivery)} was not sent{_reason(delivery)}; {mend}")
        log.log(
            _LEVELS.get(delivery.state, logging.WARNING),
            "%s is %s%s",
            _about(delivery),
            delivery.state,
            _reason(delivery),
            extra=_extra(delivery),
        )

    def report(self) -> Report:
        """The outcomes, and the first problems of them all."""
        problems = tuple(self._problems)
        more = len(problems) - MOST_PROBLEMS
        if more > 0:
            problems = (*problems[:MOST_PROBLEMS], f"and {more} more; bot status shows them")
        told = Report(outcomes=dict(self._outcomes), problems=problems, notices=tuple(self._notices))
        return told + self._doubts.report()


def _about(delivery: Delivery) -> str:
    return f"{delivery.channel}: {delivery.subject}"


def _reason(delivery: Delivery) -> str:
    return f": {delivery.error}" if delivery.error else ""


def _extra(delivery: Delivery) -> dict[str, object]:
    return {
        "delivery": delivery.key,
        "channel": delivery.channel,
        "subject": delivery.subject,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "code": delivery.code,
    }
