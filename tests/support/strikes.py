"""What can be struck while an issue goes out, but for the sending process itself: see ``plug``.

Each strikes so many times at random moments, spread over ``of`` letters.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select

from bot.app.workspace import Workspace
from bot.store.engine import reading
from bot.store.schema import chunk
from tests.support.plug import Machine, Trial
from tests.support.postgres import Cluster

PATIENCE, TRIES = 6.0, 10  # seconds to wait for letters, so often
FULL, QUIET = 2.0, 1.0  # seconds that a disk stays full, and then until no letter counts as none


async def mail_server(trial: Trial, times: int, *, of: int) -> None:
    """It dies in the middle of its answers, and comes back after a moment."""
    for strike in range(times):
        if not await _after(trial, times - strike, trial.sink.hang_up, of=of):
            return
        await trial.sink.kill()
        await asyncio.sleep(trial.chance.choice((0, 0, 0.1)))
        await trial.sink.open()
        trial.kills += 1


async def database(trial: Trial, server: Cluster, times: int, *, of: int) -> None:
    """PostgreSQL dies without a goodbye, and is started again."""
    for strike in range(times):
        if not await _after(trial, times - strike, server.kill, of=of):
            return
        server.start()
        trial.kills += 1


async def disk(trial: Trial, place: Path, times: int, *, of: int, server: Cluster | None = None) -> int:
    """It is full for some seconds, and then has room again; how often nothing more went out meanwhile.

    With ``server`` it is the disk of that PostgreSQL, which may die of it and is started again.
    """
    filler, stalled = place / "filler", 0
    for strike in range(times):
        if not await _after(trial, times - strike, lambda: fill(filler), of=of):
            break
        await asyncio.sleep(FULL)
        stalled += not await trial.sink.after(1, lambda: None, patience=QUIET)
        filler.unlink()
        trial.kills += 1
        if server is not None:
            await asyncio.to_thread(revive, server)
        for each in trial.machines:
            if each.process.returncode is not None:  # it gave up, and must have said so
                assert await each.end() != 0, "it said that all was well"
                assert "Traceback" not in each.complaint, each.complaint
                await each.start(trial.moment)
    return stalled


async def sleep(trial: Trial, times: int, *, of: int) -> int:
    """A worker is stopped until others have all that it had, and wakes; how many chunks they took over."""
    taken = 0
    for strike in range(times):
        victim = trial.chance.choice(trial.machines)
        if not await _after(trial, times - strike, lambda: victim.stop(), of=of):  # noqa: B023
            return taken
        taken += await overtaken(victim)
        victim.wake()
        trial.kills += 1
    return taken


async def overtaken(victim: Machine, *, patience: float = 20) -> int:
    """Wait until nothing is leased to this process any more; how many chunks it has lost.

    Fewer where it was stopped in the middle of a transaction: what that has locked, nobody takes from it.
    """
    workspace = Workspace(victim.here)
    mine = chunk.c.owner.like(f"%/{victim.process.pid}-%")

    def leased() -> int:
        with reading(workspace.engine) as connection:
            return len(connection.execute(select(chunk.c.number).where(mine)).all())

    try:
        before = left = await asyncio.to_thread(leased)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while left := await asyncio.to_thread(leased):  # noqa: ASYNC110 - it is in a database
                    await asyncio.sleep(0.1)
        return before - left
    finally:
        workspace.engine.dispose()


async def _after(trial: Trial, strikes: int, strike: Callable[[], None], *, of: int) -> bool:
    """Strike after some letters; False when nothing is left."""
    count, tries = trial.some(strikes, of=of), 0
    while tries < TRIES:
        before = trial.sink.copies.total()
        if await trial.sink.after(count, strike, patience=PATIENCE):
            return True
        came = trial.sink.copies.total() - before
        count -= came
        tries = 0 if came else tries + 1
        if not came and not await trial.go_on():
            return False
    raise AssertionError("no letter comes any more")


# --------------------------------------------------------------------------- disks


@contextmanager
def small_disk(place: Path, *, megabytes: int) -> Iterator[None]:
    """A disk in memory, of that size."""
    place.mkdir(exist_ok=True)
    as_root = [] if os.getuid() == 0 else ["sudo", "-n"]
    options = f"size={megabytes}m,uid={os.getuid()}"
    command = [*as_root, "mount", "-t", "tmpfs", "-o", options, "tmpfs", place]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a disk may be mounted by root only")
    try:
        yield
    finally:
        subprocess.run([*as_root, "umount", "-l", place], check=True)


def fill(file: Path) -> None:
    """Until nothing more fits."""
    with file.open("wb", buffering=0) as out:
        for size in (2**20, 4096):
            with suppress(OSError):
                while out.write(bytes(size)) == size:
                    pass


def revive(server: Cluster) -> None:
    """Start it where it is down; one that recovers by itself is left to it."""
    for _ in range(50):
        with suppress(psycopg.OperationalError), psycopg.connect(server.url("postgres"), connect_timeout=5):
            return
        with suppress(RuntimeError):
            server.start()
    raise RuntimeError("PostgreSQL does not come back")
