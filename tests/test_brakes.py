"""Stop and go, by the commands that people type, against a bot and workers that are sending: within a second.

The mail server is quick at first, so that many letters are claimed ahead, and then slow: who asks the ledger
only when those are gone would go on for minutes.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.commands import bot
from tests.support.live_workspace import NOW
from tests.support.plug import Machine, machine, plan, subscribe, toll
from tests.support.postgres import Cluster
from tests.support.slow_sink import SlowSink, slow_sink
from tests.support.standstill import loop_standstill

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

READERS = 9_000
QUICK = 1_500  # letters, so that the groups have grown to their full size
DELAY = 0.25  # seconds for each letter after that
ALLOWED = 1.0  # seconds: what we promise
SLACK = 1.5  # for two letters on the wire, the command's own end, and a machine that is busy
WATCHED = 4.0


@pytest.fixture
async def mail() -> AsyncIterator[SlowSink]:
    async with slow_sink(DELAY) as running:
        running.hurry(QUICK)
        yield running


@pytest.fixture
def url(postgres: Cluster) -> Iterator[str]:
    """A database of this test's own."""
    name = postgres.database("t1")
    yield name
    postgres.drop(name)


async def person(here: Path, what: str) -> float:
    """Does it; when that was done."""
    if what == "STOP":
        (here / "STOP").touch()
    elif what == "go":
        (here / "STOP").unlink()
    else:
        ran = await asyncio.to_thread(bot, *what.split(), workspace=here)
        assert ran.code == 0, ran.err
    return time.monotonic()


async def stops(mail: SlowSink, here: Path, what: str) -> None:
    """While it sends slowly, and far more was claimed than is on the wire."""
    await mail.until_slow(patience=60)
    await mail.reach(len(mail) + 1, patience=30)
    async with loop_standstill() as still:
        moment = await person(here, what)
        await asyncio.sleep(WATCHED)
    late = [each for each in mail.since(moment) if each > ALLOWED + SLACK + still.since(moment)]

    assert not late, f"{what}: letters came {late} s later"


async def goes_on(mail: SlowSink, here: Path, what: str) -> None:
    before = len(mail)
    mail.hurry(QUICK)
    async with loop_standstill() as still:
        moment = await person(here, what)
        await mail.reach(before + 1, patience=30)
    first = mail.since(moment)[0] if mail.since(moment) else 0.0

    assert first < ALLOWED + SLACK + still.since(moment), f"{what}: the first letter came {first:.1f} s later"


async def ends_well(machines: list[Machine]) -> None:
    for each in machines:
        each.process.send_signal(signal.SIGTERM)
    for each in machines:
        assert await each.end() == 0, each.complaint


@pytest.mark.parametrize(
    ("stop", "go"), [("hold", "resume"), ("hold weekly", "resume weekly"), ("STOP", "go")]
)
async def test_a_running_bot_stops_and_goes_on_within_a_second(
    tmp_path: Path, mail: SlowSink, stop: str, go: str
) -> None:
    """Twice: the second time it has been asleep between the two."""
    one = machine(tmp_path / "news", mail.port, connections=1, command=("run",))
    subscribe(one.here, READERS)
    await one.start(NOW)
    for _ in range(2):
        await stops(mail, one.here, stop)
        await goes_on(mail, one.here, go)
    await ends_well([one])

    assert toll(one.here, mail.counted, kills=0, seconds=0).repeats == 0


async def test_a_running_bot_hears_a_cancellation_within_a_second(tmp_path: Path, mail: SlowSink) -> None:
    """What had not begun never goes out."""
    one = machine(tmp_path / "news", mail.port, connections=1, command=("run",))
    subscribe(one.here, READERS)
    await one.start(NOW)
    await stops(mail, one.here, "cancel weekly")
    taken = len(mail)
    await ends_well([one])

    found = toll(one.here, mail.counted, kills=0, seconds=0)
    assert found.unsettled == READERS - taken
    assert len(mail) == taken < READERS
    assert found.doubts == 0


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
async def test_workers_stop_go_on_and_hear_a_cancellation_within_a_second(
    tmp_path: Path, mail: SlowSink, url: str
) -> None:
    """The command is given on the one machine, and the other hears it as soon."""
    two = [
        machine(tmp_path / str(n), mail.port, url=url, connections=1, command=("worker",)) for n in range(2)
    ]
    here = two[0].here
    subscribe(here, READERS)
    await plan(here)
    for each in two:
        await each.start(NOW)
    await stops(mail, here, "hold")
    await goes_on(mail, here, "resume")
    await stops(mail, here, "hold mail")
    await goes_on(mail, here, "resume mail")
    await stops(mail, here, "cancel weekly")
    taken = len(mail)
    await ends_well(two)

    found = toll(here, mail.counted, kills=0, seconds=0)
    assert (found.repeats, found.doubts) == (0, 0)
    assert found.unsettled == READERS - taken
