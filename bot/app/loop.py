"""When the next tick is: the loop of a running bot, and a rehearsal that plays a week in one go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from bot.app.brakes import brakes
from bot.app.crew import Crew
from bot.app.periodic import PERIODIC_TASKS, Done, run_periodic_tasks
from bot.app.publish import Tick, tick
from bot.app.workspace import Workspace
from bot.errors import BusyError, StoreError
from bot.model import Plan
from bot.schedule import next_slot, parse_slots
from bot.sender import Report

SHORTEST_NAP = timedelta(seconds=1)
LONGEST_NAP = timedelta(seconds=60)  # so that a new item or a changed clock is noticed
GLANCE = 0.5  # seconds between two looks at what people hold and let go
RETRY = 5.0  # seconds until a database that is gone is asked again


def next_moment(workspace: Workspace, after: datetime) -> datetime | None:
    """The next slot of any newsletter or channel."""
    settings = workspace.settings
    texts = [slots for m in settings.mailings for slots in m.slots]
    texts += [slots for p in settings.postings for slots in p.slots]
    return next_slot(parse_slots(texts), settings.publication.timezone, after)


async def play(
    workspace: Workspace,
    start: datetime,
    end: datetime,
    stop: asyncio.Event,
    *,
    dry_run: bool = False,
    beside: Callable[[Done], None] = lambda _: None,
) -> AsyncIterator[tuple[datetime, Tick]]:
    """A rehearsal of the time from ``start`` to ``end``: one tick at the start and one at each slot.

    In live mode, where there is one tick, the clock goes on while it sends. At the end, or when a person says
    stop, the periodic tasks run once each: ``beside`` hears of them.
    """
    clock = _now if workspace.mode == "live" and not dry_run else None
    now: datetime | None = start
    while now is not None and now <= end and not stop.is_set():
        ticked = await tick(workspace, now, dry_run=dry_run, clock=clock, stopping=stop.is_set)
        yield now, ticked
        now = next_moment(workspace, now)
    if not dry_run:
        for done in await run_periodic_tasks(workspace, stopping=stop.is_set):
            beside(done)


async def run_until_stopped(
    workspace: Workspace, stop: asyncio.Event, told: Callable[[datetime, Tick], None]
) -> None:
    """Tick now and whenever something may be due, until ``stop`` is set; what is on the wire is finished.

    ``told`` hears of each tick when it has planned, and of each channel when it has sent what there was.
    """
    beside = [asyncio.create_task(task.until_stopped(workspace, stop)) for task in PERIODIC_TASKS]
    try:
        await _tick_until_stopped(workspace, stop, told)
    finally:
        stop.set()
        await asyncio.gather(*beside)


async def _tick_until_stopped(
    workspace: Workspace, stop: asyncio.Event, told: Callable[[datetime, Tick], None]
) -> None:
    crew = Crew(workspace, clock=_now, stopping=stop.is_set, told=told)
    ticked, wrong = False, ""
    try:
        while not stop.is_set():
            since = _now()
            try:
                held = await crew.off_loop(lambda: brakes(workspace))
                with suppress(BusyError):  # another run does the work; look again after the nap
                    await crew.tick(since)
                ticked, wrong = True, ""
                await _rest(workspace, crew, stop, since=since, held=held)
            except StoreError as error:
                if not ticked and not crew.at_work:  # wrong from the start; what goes later may come back
                    raise
                if str(error) != wrong:
                    wrong = str(error)
                    told(since, Tick(plan=Plan(), report=Report(problems=(wrong,))))
                await _until(stop, crew.news, seconds=RETRY)
    finally:
        stop.set()
        await crew.finish()


async def _rest(
    workspace: Workspace, crew: Crew, stop: asyncio.Event, *, since: datetime, held: frozenset[str]
) -> None:
    """The nap after the tick of ``since``, which found this held; over when somebody lets a thing go on."""
    pause = await crew.off_loop(lambda: nap(workspace, _now(), since=since))
    end = time.monotonic() + pause.total_seconds()
    while (left := end - time.monotonic()) > 0:
        before, held = held, await crew.off_loop(lambda: brakes(workspace))
        if before - held or await _until(stop, crew.news, seconds=min(left, GLANCE)):
            return


async def _until(*events: asyncio.Event, seconds: float) -> bool:
    """Whether one of them was set within this time."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        done, _ = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()
    return bool(done)


def nap(workspace: Workspace, now: datetime, *, since: datetime | None = None) -> timedelta:
    """Until the next slot or delivery; a slot that passed since the last tick began is due at once.

    What is still overdue after a tick was held or its channel stopped: it waits for the longest nap, or a
    wrong password would be tried every second.
    """
    slot, due = next_moment(workspace, since or now), workspace.ledger.next_due(now)
    moments = [moment for moment in (slot, due if due and due > now else None) if moment]
    return max(SHORTEST_NAP, min([m - now for m in moments] + [LONGEST_NAP]))


def _now() -> datetime:
    return datetime.now(UTC)
