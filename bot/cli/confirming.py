"""The process beside `bot serve` that sends confirmations: what it runs, and how it is kept running.

It is a process of its own, and a patient one, so that its work cannot be seen in the time of a page.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.fast import run_fast
from bot.cli.opening import opened
from bot.cli.publishing import stop_on_signals

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from bot.app.workspace import Workspace

COMMAND = "send-confirmations"
NICE = 15  # whoever waits for a page comes first
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before it is started again
PATIENCE = 20.0  # seconds that it has to finish what is on the wire


@click.command(COMMAND, hidden=True)
@click.pass_obj
def send_confirmations_command(workspace: Path) -> None:
    """Send what readers must confirm. `bot serve` starts this, and it ends when its standard input does."""
    os.nice(NICE)
    run_fast(_send(opened(workspace)))


async def _send(here: Workspace) -> None:
    import logging

    from bot.app.confirmations import send_due_until_stopped

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    stop = stop_on_signals()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _stop_at_the_end, stop)
    try:
        await send_due_until_stopped(here, stop)
    finally:
        await here.close()


def _stop_at_the_end(stop: asyncio.Event) -> None:
    """Also when `bot serve` died without a word: its end of the pipe is closed then."""
    if not os.read(sys.stdin.fileno(), 1024):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        stop.set()


async def keep_sending_confirmations(root: Path, stop: asyncio.Event) -> None:
    """Run that process until ``stop`` is set; one that ends is told and started again."""
    import logging

    log, pause = logging.getLogger(__name__), FIRST_PAUSE
    while not stop.is_set():
        process = await _started(root)
        if await _ends_before(process, stop):
            if await _is_set_within(pause, stop):  # all of us were told to stop, and it heard that first
                return
            log.error(
                "the process that sends confirmations ended (%s); it is started again", process.returncode
            )
            pause = min(2 * pause, LONGEST_PAUSE)


async def _started(root: Path) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # a folder of the workspace is no module of ours
        "-m",
        "bot",
        "--workspace",
        str(root),
        COMMAND,
        stdin=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for `bot serve`, which then closes the pipe
    )


async def _ends_before(process: Process, stop: asyncio.Event) -> bool:
    """Whether it ended by itself; told to stop, it finishes what is on the wire."""
    ended, stopped = asyncio.create_task(process.wait()), asyncio.create_task(stop.wait())
    await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not stop.is_set():
        return True
    assert process.stdin  # noqa: S101 - only narrows the type
    process.stdin.close()
    try:
        await asyncio.wait_for(asyncio.shield(ended), PATIENCE)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await ended
    return False


async def _is_set_within(seconds: float, event: asyncio.Event) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
