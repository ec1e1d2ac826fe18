"""When the next tick is: the loop of a running bot, and a rehearsal that plays a week in one go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from bot.app.attending import attend_until_stopped
from bot.app.hooks import tell_due, tell_until_stopped
from bot.app.joining import forget, forget_until_stopped
from bot.app.publish import Tick, tick
from bot.app.workspace import Workspace
from bot.errors import BusyError
from bot.schedule import next_slot, parse_slots

LONGEST_NAP = timedelta(seconds=60)  # so that a new item, a STOP or a changed clock is noticed


def next_moment(workspace: Workspace, after: datetime) -> datetime | None:
    """The next slot of any newsletter or channel."""
    settings = workspace.settings
    texts = [slots for m in settings.mailings for slots in m.slots]
    texts += [slots for p in settings.postings for slots in p.slots]
    return next_slot(parse_slots(texts), settings.publication.timezone, after)


async def play(
    workspace: Workspace, start: datetime, end: datetime, stop: asyncio.Event, *, dry_run: bool = False
) -> AsyncIterator[tuple[datetime, Tick]]:
    """A rehearsal of the time from ``start`` to ``end``: one tick at the start and one at each slot.

    In live mode, where there is one tick, the clock goes on while it sends.
    """
    clock = _now if workspace.mode == "live" and not dry_run else None
    now: datetime | None = start
    while now is not None and now <= end and not stop.is_set():
        ticked = await tick(workspace, now, dry_run=dry_run, clock=clock, stopping=stop.is_set)
        if not dry_run:
            await tell_due(workspace, clock=_now, stopping=stop.is_set)
        yield now, ticked
        now = next_moment(workspace, now)
    if not dry_run:
        await asyncio.to_thread(forget, workspace, now=_now())


async def run_until_stopped(
    workspace: Workspace, stop: asyncio.Event, told: Callable[[datetime, Tick], None]
) -> None:
    """Tick now and whenever something may be due, until ``stop`` is set; what is on the wire is finished."""
    beside = [
        asyncio.create_task(tell_until_stopped(workspace, stop)),
        asyncio.create_task(attend_until_stopped(workspace, stop)),
        asyncio.create_task(forget_until_stopped(workspace, stop)),
    ]
    try:
        await _tick_until_stopped(workspace, stop, told)
    finally:
        stop.set()
        await asyncio.gather(*beside)


async def _tick_until_stopped(
    workspace: Workspace, stop: asyncio.Event, told: Callable[[datetime, Tick], None]
) -> None:
    while not stop.is_set():
        now = _now()
        with suppress(BusyError):  # another run does the work; look again after the nap
            told(now, await tick(workspace, now, clock=_now, stopping=stop.is_set))
        pause = nap(workspace, _now())
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause.total_seconds())


def nap(workspace: Workspace, now: datetime) -> timedelta:
    """Until the next slot or delivery. What is still overdue after a tick was held or its channel stopped:
    it waits for the longest nap, or a wrong password would be tried every second.
    """
    moments = [m for m in (next_moment(workspace, now), workspace.ledger.next_due(now)) if m and m > now]
    return max(timedelta(seconds=1), min([m - now for m in moments] + [LONGEST_NAP]))


def _now() -> datetime:
    return datetime.now(UTC)
