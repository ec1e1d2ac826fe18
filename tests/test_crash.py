"""The plug is pulled, again and again, while ``bot run --once`` sends for real."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path

import pytest

from bot.model import State
from bot.store.chunks import short_name
from bot.store.flight import wrecks
from tests.support.commands import Ran
from tests.support.live_workspace import NOW, addresses, deliveries, ended, mail_only, start
from tests.support.smtp_server import Server, Taken, smtp_server

pytestmark = pytest.mark.slow

READERS, KILLS, IN_FLIGHT = 600, 20, 2


@pytest.mark.timeout(400)
async def test_twenty_kills_lose_nobody_and_every_repeat_is_known(tmp_path: Path) -> None:
    """Repeats are at most the calls in flight at a kill; the ledger names each, and each is the same mail."""
    chance = random.Random(11)
    in_doubt: Counter[str] = Counter()
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=READERS)
        for life in range(KILLS):
            assert await killed(here, mail, life, chance), "it ended before it was killed"
            begun = on_the_wire(here)
            assert len(begun) <= IN_FLIGHT
            in_doubt.update(begun)
        life = KILLS
        while deliveries(here, State.PLANNED, State.DEFERRED, State.CLAIMED, State.UNKNOWN):
            assert life < KILLS + 12, "it does not come to an end"
            mail.when_taken = None
            last = await ended(await start(here, NOW + life * HOUR, "run", "--once"))
            assert last.code == 0, last.err
            life += 1

    bodies: dict[str, set[bytes]] = {}
    copies: Counter[str] = Counter()
    for taken in mail.taken:
        copies[taken.recipients[0]] += 1
        bodies.setdefault(taken.recipients[0], set()).add(taken.content)
    keys = {recipient: key_of(*contents) for recipient, contents in bodies.items()}
    rows = {delivery.key[:32]: delivery for delivery in deliveries(here)}
    doubts = {key: in_doubt[row.name] for key, row in rows.items()}
    assert sorted(bodies) == sorted(addresses(READERS)), "somebody was forgotten"
    assert len(rows) == READERS
    assert {row.state for row in rows.values()} == {State.SENT}
    assert all(copies[reader] <= 1 + doubts.get(key, 0) for reader, key in keys.items()), "an unknown repeat"
    assert copies.total() - READERS <= in_doubt.total() <= IN_FLIGHT * KILLS
    assert in_doubt.total() > 0, "no kill struck during a call"


HOUR = timedelta(hours=1)
ISSUE = "weekly@2026-11-27T09:00+07:00"


@pytest.mark.timeout(300)
async def test_what_may_have_gone_out_twice_is_named(tmp_path: Path) -> None:
    """By the run that comes after the kill, and by the status for ever; it asks nobody for anything."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=40)
        names = await struck(here, mail)
        ran = await ended(await start(here, NOW + HOUR, "run", "--once"))
        again = await ended(await start(here, NOW + 2 * HOUR, "run", "--once"))
        status = await ended(await start(here, NOW + 2 * HOUR, "status"))

    said = f"mail: {ISSUE}: {letters(names)} may have gone out twice: {', '.join(names)}; "
    assert said in ran.err
    assert (ran.code, again.code, status.code) == (0, 0, 0)
    assert again.err == ""
    assert f"{ISSUE}: {letters(names)} may have gone out twice: {', '.join(names)}" in status.out
    assert states(here) == {State.SENT: 40}
    nobody_is_named(ran, again, status)


@pytest.mark.timeout(300)
async def test_with_hold_every_run_says_what_a_person_must_answer(tmp_path: Path) -> None:
    """Which letters, and how to answer, until they did; the others go out."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=40)
        with (here / "bot.toml").open("a") as file:
            file.write('on_unknown = "hold"\n')
        names = await struck(here, mail)
        runs = [await ended(await start(here, NOW + n * HOUR, "run", "--once")) for n in (1, 2)]
        status = await ended(await start(here, NOW + 2 * HOUR, "status"))
        for name in names:
            assert (await ended(await start(here, NOW, "settle", name, "--sent"))).code == 0
        last = await ended(await start(here, NOW + 3 * HOUR, "run", "--once"))

    said = f"mail: {ISSUE}: {letters(names)} may have gone out: {', '.join(names)}; look into the mail"
    for ran in runs:
        assert ran.err.count(said) == 1
        assert ran.err.count("may have gone out") == 1
        assert f"bot settle {names[0]} --sent" in ran.err
        assert ran.code == 1
    found = re.findall(rf"server's log, {re.escape(names[0])} is Message-ID (\w+)@", status.out)
    assert sum(f"<{found[0]}@".encode() in each.content for each in mail.taken) == 1
    assert (last.code, last.err) == (0, "")
    assert len(mail.taken) == 40
    nobody_is_named(*runs, last)


async def struck(here: Path, mail: Server) -> list[str]:
    """A run that is killed when the server has taken its fifth mail and not said so; what was begun."""

    async def kill(_: Taken) -> None:
        if len(mail.taken) == 5:
            process.kill()
            await process.wait()

    mail.when_taken = kill
    process = await start(here, NOW, "run", "--once")
    assert (await ended(process)).code == -9
    mail.when_taken = None
    names = on_the_wire(here)
    assert names
    return sorted(names, key=lambda name: int(name.partition(".")[2]))


def letters(names: list[str]) -> str:
    return f"{len(names)} letter{'s' * (len(names) > 1)}"


def states(here: Path) -> Counter[State]:
    return Counter(delivery.state for delivery in deliveries(here))


def nobody_is_named(*ran: Ran) -> None:
    """No reader's address is in what was said."""
    assert not any(reader in each.out + each.err for each in ran for reader in addresses(40))


def on_the_wire(here: Path) -> list[str]:
    """The letters whose answer the killed process was waiting for, as its flight recorder tells."""
    found: list[str] = []
    for wreck in wrecks(here / "state" / "flights"):
        found += [
            short_name(issue, number)
            for (issue, number, _), answer in wreck.records.items()
            if answer is None
        ]
        wreck.file.close()  # left where it is, for the next run
    return found


def key_of(*contents: bytes) -> str:
    """The key in the Message-ID; all copies that a reader got are one and the same mail."""
    (content,) = contents
    return str(message_from_bytes(content)["Message-ID"]).strip("<>").partition("@")[0]


async def killed(here: Path, mail: Server, life: int, chance: random.Random) -> bool:
    """One run that is killed at some moment after some mail; whether it was the kill that ended it."""
    mail.when_taken = striking(lambda: process.kill(), chance)
    process = await start(here, NOW + life * HOUR, "run", "--once")
    ran = await ended(process)
    return ran.code == -9


def striking(kill: Callable[[], None], chance: random.Random) -> Callable[[Taken], Awaitable[None]]:
    """Kills after one of the next mails: before its answer, or a few milliseconds later."""
    left, before_the_answer = chance.randrange(1, 9), chance.random() < 0.4
    later = chance.uniform(0, 0.03)

    def strike() -> None:
        with contextlib.suppress(ProcessLookupError):
            kill()

    async def when_taken(_: Taken) -> None:
        nonlocal left
        left -= 1
        if left == 0 and before_the_answer:
            strike()
        elif left == 0:
            asyncio.get_running_loop().call_later(later, strike)

    return when_taken
