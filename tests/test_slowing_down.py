"""A server that asks us to slow down is heard at once: nobody else is sent to it until it has rested."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bot.app.publish import tick
from bot.app.workspace import Workspace
from bot.errors import TemporaryFailure
from bot.pace import Account, PaceRules
from bot.sender import Turnstile
from bot.sender.turnstile import Ready
from bot.store.chunks import Claimed
from bot.store.engine import open_store
from bot.store.pace import Pace
from tests.support.live_workspace import NOW, addresses, mail_only
from tests.support.smtp_server import Server, Taken, smtp_server

READERS, FIRST, LINES = 200, 50, 4
ASKS = [
    ("MAIL", "421 4.7.0 Try again later, closing connection"),
    ("RCPT", "421 4.7.0 Try again later, closing connection"),
    ("DOT", "421 4.7.0 Try again later, closing connection"),
    ("MAIL", "452 4.3.1 Insufficient system storage"),
    ("RCPT", "452 4.5.3 Too many recipients"),
    ("DOT", "452 4.3.1 Insufficient system storage"),
]


async def ticked(here: Path, minutes: int = 0) -> Account:
    """The account after one tick at that time."""
    workspace = Workspace(here)
    try:
        await tick(workspace, NOW + timedelta(minutes=minutes))
        return workspace.pace.accounts()["mail"]
    finally:
        await workspace.close()
        workspace.release()


def asks_from_the(first: int, mail: Server, step: str, answer: str) -> None:
    """That many letters are taken; then, at that step, it asks us forty times to slow down."""

    async def look(_: Taken) -> None:
        if len(mail.taken) == first:
            mail.fail(step, answer, times=40)

    mail.when_taken = look


@pytest.mark.parametrize(("step", "answer"), ASKS, ids=lambda text: text[:4])
async def test_asked_in_the_middle_of_an_issue_the_run_stops_at_once(
    tmp_path: Path, step: str, answer: str
) -> None:
    """What was announced may still be told so; nobody else is tried, and later all get theirs, once."""
    async with smtp_server() as mail:
        here = made(tmp_path, mail, readers=READERS)
        asks_from_the(FIRST, mail, step, answer)
        account = await ticked(here)
        told, connections, taken = 40 - mail.faults[0].times, mail.connections, accepted(mail, step)
        mail.faults.clear()
        mail.when_taken = None
        calm = await ticked(here, 10)
        await ticked(here, 60)

    assert account.rest_until == NOW + timedelta(seconds=5)
    assert account.strikes == 1
    # Each line may hear it twice, of what is on its way and of what was announced; but no letter is
    # announced anew after a 421 to MAIL.
    most = LINES if (step, answer[:3]) == ("MAIL", "421") else 2 * LINES
    assert 1 <= told <= most
    assert connections <= most
    assert taken <= FIRST + 2 * LINES
    assert calm.paused == ""
    refused = told if step == "DOT" else 0
    assert Counter(name for one in mail.taken for name in one.recipients).total() == READERS + refused
    assert {one.recipients[0] for one in mail.taken} == set(addresses(READERS))


async def test_a_relay_that_asks_us_to_go_leaves_the_rest_to_another(tmp_path: Path) -> None:
    """One that greets with 421 rests by itself; the account goes on over the second one."""
    async with smtp_server() as one, smtp_server() as two:
        here = made(tmp_path, one, readers=30)
        with (here / "bot.toml").open("a") as toml:
            toml.write(f'[channels.mail.relays.second]\nhost = "localhost"\nport = {two.port}\n')
        one.fail("GREETING", "421 4.3.2 closing for the night", times=999)
        account = await ticked(here)

        assert sorted(taken.recipients[0] for taken in two.taken) == sorted(addresses(30))
        assert account.rest_until is None


async def test_a_full_mailbox_is_no_haste(tmp_path: Path) -> None:
    """452 with 4.2.2 speaks of one reader: that letter waits, the others go."""
    async with smtp_server() as mail:
        here = made(tmp_path, mail, readers=30)
        mail.fail("RCPT", "452 4.2.2 The mailbox is over quota", times=2)
        account = await ticked(here)

        assert len(mail.taken) == 28
        assert account.rest_until is None


async def test_nobody_passes_until_the_store_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the next letter, though the account has no limits; the store knows long before the next look."""
    monkeypatch.setattr("bot.sender.turnstile.LOOK", 120.0)
    store, woken = Pace(open_store("sqlite://")), asyncio.Event()
    gate = Turnstile(store, "mail", PaceRules())
    ready: Ready = deque([(None, cast(Claimed, SimpleNamespace(address="a@inbox.ngo")), None)])

    async def call(what: Callable[[], object]) -> object:
        return what()

    keeping = asyncio.create_task(
        gate.keep(
            lambda: ["a@inbox.ngo"],
            wake=woken.set,
            closed=lambda why, *, person: None,
            aside=lambda domains, wait, why: None,
            call=call,
        )
    )
    await woken.wait()
    woken.clear()
    before = gate.lets(ready)

    gate.note("a@inbox.ngo", TemporaryFailure("too fast", code=421))
    at_once = gate.lets(ready)
    await asyncio.wait_for(woken.wait(), 60)
    keeping.cancel()

    assert (before, at_once, gate.lets(ready)) == (True, False, False)
    assert store.accounts()["mail"].strikes == 1


def made(folder: Path, mail: Server, *, readers: int) -> Path:
    here = mail_only(folder, mail.port, readers=readers)
    with (here / "bot.toml").open("a") as toml:
        toml.write(f"connections = {LINES}\n")
    return here


def accepted(mail: Server, step: str) -> int:
    """Letters that were taken for good; at DOT the server has them and says no."""
    refused = 40 - mail.faults[0].times if step == "DOT" else 0
    return len(mail.taken) - refused
