"""The channels of a running bot at work: each in a task of its own, over as many ticks as it needs.

    ticks      |lock, recover, plan, record        |plan, record     |plan, record
                 |                                   |                 |
    mail         +--- an issue to 50,000 readers ------------------------------------ ... ---+ told
    mastodon     +- a post -+ told                   |                 +- a post -+ told
    telegram     +-+                                 +- a post -+ told +-+

A tick begins the work of every channel that rests. One that works finds what is new by itself; should it be
about to end just then, ``news`` asks for another tick. So no channel waits for another, and none works twice
at once. The lock of the workspace is held from a tick until the last channel rests. A fault in one channel's
work is told and ends no other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from bot.app.publish import (
    Clock,
    Tick,
    prepare,
    recover_letters,
    recover_strangers,
    run_lock,
    work_channel,
)
from bot.app.workspace import Workspace
from bot.errors import StoreError, fault_of
from bot.model import Plan
from bot.sender import Report

T = TypeVar("T")
log = logging.getLogger(__name__)


class Crew:
    """Ticks, and the work of the channels beside them. ``told`` hears of both, each when it has ended."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        clock: Clock,
        stopping: Callable[[], bool],
        told: Callable[[datetime, Tick], None],
    ) -> None:
        self._workspace, self._clock, self._stopping, self._told = workspace, clock, stopping, told
        self.news = asyncio.Event()  # a channel came to its end, and there may be more for it
        self._at_work: dict[str, asyncio.Task[None]] = {}
        self._asked: set[str] = set()  # those at work that a tick would have begun
        self._ticking = False
        self._last: dict[str, Report] = {}
        self._waiting: list[Report] = []  # what is told after the tick
        self._lock = ExitStack()
        self._holds: Callable[[], bool] = _never
        # One thread of its own: the default ones may all be waiting for a slow channel.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tick")

    @property
    def at_work(self) -> bool:
        """Whether any channel is."""
        return bool(self._at_work)

    async def tick(self, now: datetime) -> None:
        """Plan what is due, and begin the work of the channels. BusyError when another run has the lock."""
        self.news.clear()
        self._ticking = True  # first: who comes to its end while we look at the lock keeps it
        try:
            await self.off_loop(self._take_lock)
            self._told(now, await self._prepared(now))
        finally:
            self._ticking = False
            self._let_go()
        while self._waiting:
            self._tell(self._waiting.pop(0))

    async def _prepared(self, now: datetime) -> Tick:
        workspace, begun = self._workspace, set[str]()

        def begin(name: str) -> None:
            begun.add(name)
            self._begin(name)

        recovered = await self.off_loop(lambda: recover_letters(workspace, now))
        recovered += await recover_strangers(workspace, self._clock, self.off_loop)
        ticked = await prepare(workspace, now, off_loop=self.off_loop, ready=begin)
        for name in workspace.channels.keys() - begun:
            self._begin(name)
        return replace(ticked, report=recovered)

    async def finish(self) -> None:
        """Wait for all that are at work; say ``stopping`` first."""
        await asyncio.gather(*self._at_work.values())
        self._thread.shutdown()

    async def off_loop(self, call: Callable[[], T], /) -> T:
        """The call's result, without holding up what is sent meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    # ----------------------------------------------------------------- one channel

    def _begin(self, name: str) -> None:
        if name in self._at_work:
            self._asked.add(name)
        elif not self._stopping():
            self._at_work[name] = asyncio.create_task(self._work(name))

    async def _work(self, name: str) -> None:
        try:
            report = await self._worked(name)
        finally:
            del self._at_work[name]
            self._let_go()
        # Who sent something may have ended for a hold that has gone meanwhile: a look costs little.
        if name in self._asked or report.sent:
            self._asked.discard(name)
            self.news.set()
        if report != self._last.get(name, Report()):  # the same trouble every minute is told once
            self._tell(report)
        self._last[name] = Report() if report.sent else report

    async def _worked(self, name: str) -> Report:
        """What became of it, whatever happens."""
        try:
            return await work_channel(self._workspace, name, clock=self._clock, stopping=self._stopping)
        except StoreError as error:
            return Report(problems=(f"{name}: {error}",))
        except Exception as error:
            fault = f"{name}: stopped by {fault_of(error)}"
            log.error("%s; please report it", fault)
            return Report(problems=(f"{fault}; what is left is tried again with the next tick",))

    def _tell(self, report: Report) -> None:
        if self._ticking:
            self._waiting.append(report)
            return
        try:
            self._told(self._clock(), Tick(plan=Plan(), report=report))
        except Exception as error:
            log.error("what became of a channel could not be told: %s", fault_of(error))

    # ----------------------------------------------------------------- the lock

    def _take_lock(self) -> None:
        """From now on; what is held from before holds on, unless the database has forgotten it."""
        if self._holds():
            return
        self._holds = _never
        self._lock.close()
        with ExitStack() as stack:
            self._holds = stack.enter_context(run_lock(self._workspace))
            self._lock = stack.pop_all()

    def _let_go(self) -> None:
        """Others may run while nobody is at work."""
        if not self._ticking and not self._at_work:
            self._lock.close()
            self._holds = _never


def _never() -> bool:
    return False
