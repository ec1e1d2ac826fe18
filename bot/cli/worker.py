"""The command of a worker on one of many machines."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.fast import run_fast
from bot.cli.opening import opened
from bot.cli.output import warn
from bot.cli.publishing import stop_on_signals
from bot.cli.waiting import waits_are_told
from bot.model import FIRST_RETRY, State

if TYPE_CHECKING:
    from bot.app.workspace import Workspace
    from bot.sender import Report

QUIET = 2 * FIRST_RETRY.total_seconds()  # longer than from one try of a letter to the next


@click.command("worker")
@click.option("--once", is_flag=True, help="End when nothing is free to be sent any more.")
@click.pass_obj
def worker_command(workspace: Path, once: bool) -> None:
    """Send what 'bot run' planned, beside as many other workers as you like.

    Needs a PostgreSQL database (BOT_DATABASE_URL) that all machines share. SIGTERM and Ctrl-C finish what is
    on the wire first. With --once the exit code is 1 when a delivery failed or needs a person's answer.
    """
    sys.exit(run_fast(_work(opened(workspace), once=once)))


async def _work(here: Workspace, *, once: bool) -> int:
    import logging

    from bot.app.confirmations import HEAD_START, send_due_until_stopped
    from bot.app.work import dispatcher

    for name in ("procrastinate", "psycopg"):  # what matters of their trouble is said in one line
        logging.getLogger(name).addHandler(logging.NullHandler())
    stop, wrong, tell = stop_on_signals(), False, Telling(time.monotonic)

    def told(report: Report) -> None:
        nonlocal wrong
        wrong = wrong or bool(report.failed or report.unknown or report.problems)
        tell(report)

    queue = dispatcher(here, lambda: datetime.now(UTC), stop.is_set, told=told)
    try:
        with waits_are_told():
            if once:
                await queue.run_until_idle()
            else:
                click.echo(
                    f"Working in {here.mode} mode; stop with Ctrl-C. What is on the wire is finished first."
                )
                await asyncio.gather(
                    queue.run_forever(stop), send_due_until_stopped(here, stop, after=HEAD_START)
                )
    finally:
        await here.close()
    return int(once and wrong)


class Telling:
    """Says what came of a piece of work; of a trouble that lasts, one line and not one every few seconds.

    What was not heard for ``QUIET`` seconds is news again.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._heard: dict[str, float] = {}

    def __call__(self, report: Report) -> None:
        now = self._clock()
        self._heard = {line: at for line, at in self._heard.items() if now - at < QUIET}
        for line in dict.fromkeys((*report.problems, *report.notices)):
            if line not in self._heard:
                warn(line)
            self._heard[line] = now
        outcomes = sorted((state, count) for (_, state), count in report.outcomes.items())
        # What is in line again after a crash was told above, letter by letter.
        if found := ", ".join(
            f"{count:,} {state}" for state, count in outcomes if state is not State.PLANNED
        ):
            click.echo(f"Done: {found}")
