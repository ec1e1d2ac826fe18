"""What is done beside the sending: a running bot does it again and again, cron once in each run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from bot.app.attending import attend_once, attend_until_stopped
from bot.app.chores import wrong_words
from bot.app.confirmations import HEAD_START, send_due_once, send_due_until_stopped
from bot.app.hooks import tell_once, tell_until_stopped
from bot.app.joining import forget_once, forget_until_stopped
from bot.app.workspace import Workspace

LONGEST = timedelta(minutes=2)  # for a run of cron: what is left then waits for the next one

Stopping = Callable[[], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class PeriodicTask:
    """One of them. ``once`` gives a line about what was done, empty for nothing."""

    once: Callable[[Workspace, Stopping], Awaitable[str]]
    until_stopped: Callable[[Workspace, asyncio.Event], Coroutine[None, None, None]]
    failed: str  # what is said when it does not work


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What one of them did in a run of cron, or why it could not."""

    said: str = ""
    problem: str = ""


async def _send_due_behind_the_pages(workspace: Workspace, stop: asyncio.Event) -> None:
    await send_due_until_stopped(workspace, stop, after=HEAD_START)


PERIODIC_TASKS = (
    PeriodicTask(once=tell_once, until_stopped=tell_until_stopped, failed="hooks were not told"),
    PeriodicTask(once=attend_once, until_stopped=attend_until_stopped, failed="bounces were not read"),
    PeriodicTask(
        once=forget_once, until_stopped=forget_until_stopped, failed="old sign-ups were not deleted"
    ),
    PeriodicTask(
        once=send_due_once, until_stopped=_send_due_behind_the_pages, failed="confirmations were not sent"
    ),
)


async def run_periodic_tasks(
    workspace: Workspace, *, stopping: Stopping = lambda: False, longest: timedelta = LONGEST
) -> tuple[Done, ...]:
    """Each of them once, side by side: none waits for another, and a failing one stops no other.

    After ``longest`` nothing new is begun: a step on the wire has its own, shorter patience.
    """
    end = monotonic() + longest.total_seconds()

    def over() -> bool:
        return stopping() or monotonic() > end

    return tuple(await asyncio.gather(*(_done(task, workspace, over) for task in PERIODIC_TASKS)))


async def _done(task: PeriodicTask, workspace: Workspace, over: Stopping) -> Done:
    try:
        return Done(said=await task.once(workspace, over))
    except Exception as error:  # the others go on, and its words may hold an address
        return Done(problem=f"{task.failed}: {wrong_words(error)}; the next run tries again")
