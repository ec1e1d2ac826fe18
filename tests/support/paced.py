"""An issue at its account's pace by the real program: workers, or one run, counted at the mail server."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from bot.app.workspace import Workspace
from bot.store.engine import reading
from bot.store.recording import CHUNK
from bot.store.schema import chunk
from tests.support.pacing import fullest, seconds_of
from tests.support.plug import Machine, Trial, machine, plan, sink, subscribe, toll
from tests.support.standstill import loop_standstill, waited


@dataclass(frozen=True, kw_only=True)
class Paced:
    """What the mail server counted within so many seconds in which all of them were at work."""

    senders: int
    seconds: float
    letters: int
    fullest: int  # of any second, also before and after
    crowd: int  # the same without those that the mail server was late in counting
    stood: float  # seconds in which the machine, or the mail server, stood still
    waited: float  # seconds that one of the senders at most waited for its turn on the machine
    repeats: int
    lost: int  # taken by the mail server, and not sent in the ledger; or the other way round

    @property
    def average(self) -> float:
        return self.letters / self.seconds


async def paced(folder: Path, *, url: str, rate: float, seconds: float, workers: int) -> Paced:
    """Without ``url`` one ``bot run --once`` on SQLite, else so many workers; each has a chunk of its own."""
    command = ("worker",) if url else ("run", "--once")
    async with sink() as mail, loop_standstill() as still:
        machines = [
            machine(folder / f"machine{n}", mail.port, url=url, connections=2, command=command)
            for n in range(workers)
        ]
        for each in machines:
            with (each.here / "bot.toml").open("a") as file:
                file.write(f"[channels.mail.pace]\nper_second = {rate:g}\n")
        subscribe(machines[0].here, workers * CHUNK)
        await plan(machines[0].here)
        trial = Trial(machines, mail)
        await trial.start()
        await _all_at_work(machines)
        start = time.monotonic()
        before = [waited(each.process.pid) for each in machines]
        await asyncio.sleep(seconds)
        delays = [waited(each.process.pid) - b for each, b in zip(machines, before, strict=True)]
        stood = still.since(start)
        within = [moment for moment in mail.moments if start <= moment < start + seconds]
        for each in machines:
            each.process.terminate()
        for each in machines:
            assert await each.end() == 0 or each.complaint.startswith("Stopped."), each.complaint
        found = toll(machines[0].here, mail, kills=0, seconds=seconds)
        return Paced(
            senders=workers,
            seconds=seconds,
            letters=len(within),
            fullest=fullest(mail.moments, 1),
            crowd=max(
                count - math.ceil(rate * still.since(moment - 1, moment))
                for moment, count in seconds_of(mail.moments)
            ),
            stood=stood,
            waited=max(delays),
            repeats=found.repeats,
            lost=abs(found.readers - found.unsettled - len(mail.copies)),
        )


async def _all_at_work(machines: list[Machine]) -> None:
    """Until each has a part of the issue, and a second more for its first slots."""
    ledger = Workspace(machines[0].here)

    def owners() -> int:
        with reading(ledger.engine) as connection:
            return int(connection.execute(select(func.count(chunk.c.owner.distinct()))).scalar_one())

    try:
        async with asyncio.timeout(60):
            while await asyncio.to_thread(owners) < len(machines):  # noqa: ASYNC110 - it is in a database
                await asyncio.sleep(0.1)
    finally:
        ledger.engine.dispose()
    await asyncio.sleep(1)
