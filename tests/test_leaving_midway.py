"""Leaving while the issue is on its way: who has left does not get it, whatever else goes wrong."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, func, select

from bot.app.publish import tick
from bot.app.workspace import Workspace
from bot.model import State
from bot.store.importing import Signup
from bot.store.schema import letter, subscription
from tests.support.live_workspace import NOW, deliveries, mail_only
from tests.support.pipelining_server import Server, pipelining_server
from tests.support.plug import machine, subscribe
from tests.support.slow_sink import slow_sink
from tests.support.standstill import loop_standstill

READERS, LEAVERS = 2_000, 100
FAULTS = [("DATA", "451 4.3.0 later"), ("BODY", "drop"), ("RCPT", "550 5.1.1 no such user")]


@pytest.mark.slow
async def test_who_leaves_while_the_issue_is_sent_does_not_get_it(tmp_path: Path) -> None:
    """Servers refuse, put off and cut off on the way; each of the others gets it, and no leaver does."""
    async with pipelining_server() as mail:
        here = with_readers(tmp_path, mail)
        for step, fault in 3 * FAULTS:
            mail.script.extend([None] * 20)
            mail.fail(step, fault)
        workspace = Workspace(here)
        leavers = late_readers(workspace)
        sending = asyncio.create_task(ticked(workspace, NOW))
        while len(mail.accepted) < 50:  # noqa: ASYNC110 - the server knows nothing of events
            await asyncio.sleep(0.001)
        reached = len(mail.accepted)
        await asyncio.to_thread(leave, workspace, leavers)
        left_at = len(mail.accepted)
        await sending
        for hour in (1, 2, 3):  # a 451 makes the account rest, and its letter wait
            await ticked(workspace, NOW + hour * timedelta(hours=1))
        workspace.release()

    got = takers(mail)
    states = Counter(delivery.state for delivery in deliveries(here, *State))
    assert reached < left_at < READERS - LEAVERS
    assert not got.keys() & leavers.keys()
    assert states[State.CANCELLED] == LEAVERS
    assert (states[State.FAILED], states[State.SENT]) == (3, READERS - LEAVERS - 3)
    assert len(got) == states[State.SENT]


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_who_leaves_while_their_letter_waits_for_its_turn_does_not_get_it(tmp_path: Path) -> None:
    """It was claimed, far ahead of a server that had been quick: within a second no more of them go."""
    async with slow_sink(0.25) as mail:
        mail.hurry(1_500)
        one = machine(tmp_path, mail.port, connections=1, command=("run",))
        subscribe(one.here, 3_000)
        await one.start(NOW)
        await mail.until_slow(patience=60)
        await mail.reach(len(mail) + 1, patience=30)
        workspace = Workspace(one.here)
        with workspace.engine.begin() as connection:
            waiting = claimed_letters(connection)
            connection.execute(delete(subscription))
        async with loop_standstill() as still:
            moment = time.monotonic()
            await asyncio.sleep(4)
        late = [each for each in mail.since(moment) if each > 2.5 + still.since(moment)]
        one.process.send_signal(signal.SIGTERM)
        assert await one.end() == 0, one.complaint
        progress = workspace.mailings.progress(1)
        workspace.release()

    assert waiting > 100
    assert not late
    assert progress.counts[State.SENT] == len(mail)
    assert progress.counts[State.CANCELLED] == 3_000 - len(mail)


def claimed_letters(connection: Connection) -> int:
    mine = letter.c.state == State.CLAIMED.value
    return connection.scalar(select(func.count()).select_from(letter).where(mine)) or 0


async def ticked(workspace: Workspace, moment: datetime) -> None:
    """From that moment on. By a clock that stood still each letter's slot would be further away."""
    began = time.monotonic()
    await tick(workspace, moment, clock=lambda: moment + timedelta(seconds=time.monotonic() - began))


def with_readers(folder: Path, mail: Server) -> Path:
    here = mail_only(folder, mail.port, readers=0)
    with (here / "bot.toml").open("a") as file:
        file.write("[channels.mail.pace]\nper_second = 500\n")  # so that there is a while to leave in
    workspace = Workspace(here)
    rows = [Signup(address=f"reader{n}@inbox{n % 7}.ngo", newsletters=("weekly",)) for n in range(READERS)]
    workspace.audience.add_many(rows, now=NOW, source="test")
    workspace.release()
    return here


def late_readers(workspace: Workspace) -> dict[str, str]:
    """Ids by address of those whose turn comes last: letters stand in the order of ids."""
    everybody = [(reader.id, reader.address) for reader in workspace.audience.subscribers("weekly")]
    return {address: of for of, address in sorted(everybody)[-LEAVERS:]}


def leave(workspace: Workspace, people: dict[str, str]) -> None:
    for of in people.values():
        assert workspace.leaving.unsubscribe(of, "weekly", now=NOW, means="one click")


def takers(mail: Server) -> Counter[str]:
    """Who got it, by the To field of what was accepted."""
    found = (re.search(rb"(?m)^To: (\S+)\r$", mail.bodies[name]) for name in mail.accepted)
    return Counter(to[1].decode() for to in found if to)
