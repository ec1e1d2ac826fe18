"""Several lines to several relays: who is used, who is rested, what stops, and what comes back."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import uvloop
from pydantic import SecretStr
from support.listening import free_port
from support.mailings import Clock, Mailing, letter, letters, relay, until
from support.pipelining_server import DROP, SILENT, Fault, pipelining_server

from bot.channels.email.mime import Letter
from bot.channels.email.relays import LONGEST_REST, Desk, Health, choose
from bot.errors import DeliveryError, PermanentFailure, TemporaryFailure, UnknownOutcome

# --------------------------------------------------------------------------- one relay


async def test_connections_are_opened_only_for_letters() -> None:
    """As many as allowed, and no more than there is work for."""
    async with pipelining_server() as server:
        await (few := Mailing(letters(2))).over(relay(server.port), connections=10).run()
        assert server.most_at_once <= 2
        await (many := Mailing(letters(200))).over(relay(server.port), connections=4).run()

        assert len(few.sent) + len(many.sent) == 202
        assert server.most_at_once == 4


async def test_letters_that_come_later_are_sent_when_woken() -> None:
    """Over the connection that is open already, even from within a callback."""
    mailing = Mailing(letters(1))
    mailing.expected = 5

    def done(one: Letter, outcome: str | DeliveryError) -> None:
        number = len(mailing.outcomes) + 1
        if number < 5:
            mailing.waiting.append(letter(number))
            mailing.lines.wake()
        mailing.done(one, outcome)

    async with pipelining_server() as server:
        lines = mailing.over(relay(server.port))
        lines._done = done
        await lines.run()

        assert len(mailing.sent) == 5
        assert server.connections == 1


async def test_a_callback_may_wake_the_lines_at_any_time() -> None:
    """Also while a wire is looking for its next letter, or is about to hand one over: nobody is lost."""
    mail = [letter(n, recipient="用户@example.com" if n % 3 == 1 else "") for n in range(30)]
    mailing = Mailing(mail)
    done, begin = mailing.done, mailing.begin

    def done_and_wake(one: Letter, outcome: str | DeliveryError) -> None:
        done(one, outcome)
        mailing.lines.wake()

    def begin_and_wake(one: Letter) -> None:
        begin(one)
        mailing.lines.wake()

    mailing.done, mailing.begin = done_and_wake, begin_and_wake  # type: ignore[method-assign]
    async with pipelining_server(extensions=["PIPELINING"]) as server:
        assert await asyncio.wait_for(mailing.over(relay(server.port)).run(), 30) == []

        assert len(mailing.outcomes) == 30
        assert mailing.sent == set(server.accepted)
        assert len(mailing.sent) == 20


async def test_stop_finishes_what_is_in_flight() -> None:
    """And pulls no more: the rest stays with whoever has it."""
    mailing = Mailing(letters(100))
    mailing.expected = 10
    async with pipelining_server() as server:
        rest = await mailing.over(relay(server.port), connections=3).run()

        assert mailing.sent == set(server.accepted)
        assert len(mailing.sent) + len(mailing.waiting) + len(rest) == 100
        assert 10 <= len(mailing.sent) <= 16
        assert server.commands.count("QUIT") == server.connections


async def test_a_cancelled_run_leaves_only_what_was_past_its_dot_uncertain() -> None:
    """The announced letter comes back, the one without an answer is unknown."""
    mailing = Mailing(letters(5))
    async with pipelining_server([None, Fault(step="DOT", answer=SILENT)]) as server:
        lines = mailing.over(relay(server.port))
        run = asyncio.ensure_future(lines.run())
        await until(lambda: server.finished[letter(1).id])
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

        assert mailing.unknown == {letter(1).id}
        assert [one.id for one in lines.unsent()] == [letter(2).id]
        assert lines.open == 0


@pytest.mark.parametrize("callback", ["pull", "began", "done"])
async def test_a_broken_callback_ends_the_run_with_its_own_words(callback: str) -> None:
    """It is our fault, so no relay and no letter is blamed for it."""
    mailing = Mailing(letters(10))
    calls = 0

    def broken(*_: object) -> Letter | None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise RuntimeError("the ledger is gone")
        return mailing.pull() if callback == "pull" else None

    async with pipelining_server() as server:
        lines = mailing.over(relay(server.port), connections=2)
        setattr(lines, f"_{callback}", broken)
        with pytest.raises(RuntimeError, match="the ledger is gone"):
            await asyncio.wait_for(lines.run(), 30)

        assert lines.open == 0
        assert mailing.troubles == []


def test_uvloop_does_as_well() -> None:
    """The same lines on the other loop, with faults."""
    script = [None, Fault(step="RCPT", answer="550 5.1.1 no"), None, Fault(step="DOT", answer=DROP)]
    mailing = Mailing(letters(30))

    async def main() -> None:
        async with pipelining_server(script) as server:
            await mailing.over(relay(server.port), connections=2).run()
            assert mailing.sent == set(server.accepted)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())

    assert len(mailing.sent) == 28
    assert len(mailing.unknown) == 1


# --------------------------------------------------------------------------- several relays


async def test_a_relay_that_cannot_be_opened_gives_way_to_the_next() -> None:
    """No letter is blamed, and the trouble is told once."""
    mailing = Mailing(letters(20))
    async with pipelining_server() as server:
        first, second = relay(free_port(), "first"), relay(server.port, "second")
        await mailing.over(first, second, connections=3).run()

        assert len(mailing.sent) == 20
        assert [name for name, _ in mailing.troubles] == ["first"]


@pytest.mark.parametrize("greeting", ["421 4.3.2 busy", "451 4.3.0 later", DROP])
async def test_a_relay_that_greets_badly_is_rested_and_tried_again(greeting: str) -> None:
    """Each rest is twice as long; one line tries; then all use it."""
    mailing, clock = Mailing(letters(20)), Clock()
    async with pipelining_server() as server:
        server.greetings.extend([greeting] * 6)
        lines = mailing.over(relay(server.port), connections=3, clock=clock)
        run = asyncio.ensure_future(lines.run())
        waits = []
        await until(lambda: mailing.troubles)
        while lines.health["relay"].failures:
            known = len(mailing.troubles)
            for _ in range(300):
                await asyncio.sleep(0)
            waits.append(lines.health["relay"].rested_until - clock.now)
            clock.now = lines.health["relay"].rested_until
            lines.look()
            await until(lambda: len(mailing.troubles) > known or mailing.outcomes)  # noqa: B023
            if mailing.outcomes:
                break
        await run

        assert len(mailing.sent) == 20
        assert waits[0] == 1
        assert all(later == 2 * earlier for earlier, later in pairwise(waits))


async def test_a_letter_never_goes_to_a_second_relay_after_its_dot() -> None:
    """Unknown is unknown; the announced one may."""
    mailing = Mailing(letters(4))
    async with pipelining_server([Fault(step="DOT", answer=DROP)]) as one, pipelining_server() as two:
        one.greetings.extend(["220 hello", "421 4.3.2 bye", "421 4.3.2 bye"])
        await mailing.over(relay(one.port, "one"), relay(two.port, "two")).run()

        assert mailing.unknown == {letter(0).id}
        assert set(one.finished) == {letter(0).id}
        assert set(two.accepted) == mailing.sent == {letter(n).id for n in (1, 2, 3)}


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_a_relay_that_always_closes_is_rested(step: str) -> None:
    """421 at any step: it has done no work, so the other one goes on, and not every letter is tried on it."""
    mailing = Mailing(letters(20))
    faults = [Fault(step=step, answer="421 4.3.2 closing")] * 40
    async with pipelining_server(faults) as first, pipelining_server() as second:
        lines = mailing.over(relay(first.port, "first"), relay(second.port, "second"), clock=Clock())
        assert await asyncio.wait_for(lines.run(), 20) == []

        assert first.connections == 1
        assert len(mailing.sent) >= 19
        assert mailing.sent == set(second.accepted)


async def test_lines_go_home_when_the_first_relay_is_back() -> None:
    """Failover is for the time of need."""
    mailing, clock = Mailing(letters(1)), Clock()
    mailing.expected = 2
    async with pipelining_server() as one, pipelining_server() as two:
        one.greetings.append("421 4.3.2 busy")
        lines = mailing.over(relay(one.port, "one"), relay(two.port, "two"), clock=clock)
        run = asyncio.ensure_future(lines.run())
        await until(lambda: mailing.outcomes)
        clock.now += 2
        lines.look()
        mailing.waiting.append(letter(1))
        lines.wake()
        await run

        assert set(two.accepted) == {letter(0).id}
        assert set(one.accepted) == {letter(1).id}


async def test_weights_share_the_connections() -> None:
    """Three to one."""
    mailing = Mailing(letters(400))
    async with pipelining_server() as one, pipelining_server() as two:
        relays = relay(one.port, "one", weight=3), relay(two.port, "two", weight=1)
        await mailing.over(*relays, connections=8, by_weight=True).run()

        assert len(mailing.sent) == 400
        assert (one.most_at_once, two.most_at_once) == (6, 2)


async def test_a_relay_that_needs_a_person_is_not_tried_again() -> None:
    """A wrong password twice may lock the account; the other relay goes on."""
    mailing = Mailing(letters(5))
    login = {"username": "news", "password": SecretStr("")}
    async with pipelining_server() as server:
        await mailing.over(relay(server.port, "first", **login), relay(server.port, "second")).run()

        assert len(mailing.sent) == 5
        assert [name for name, _ in mailing.troubles] == ["first"]
        assert mailing.lines.health["first"].is_out


async def test_without_any_relay_the_run_ends() -> None:
    """With the reason; every letter comes back and none is blamed."""
    mailing = Mailing(letters(5))
    async with pipelining_server() as server:
        lines = mailing.over(relay(server.port, username="news", password=SecretStr("")), connections=3)
        with pytest.raises(PermanentFailure, match="password"):
            await lines.run()

        returned = [one.id for one in lines.unsent()]
        assert mailing.outcomes == {}
        assert len(returned) + len(mailing.waiting) == 5


def test_the_rest_doubles_and_has_an_end() -> None:
    """One second at first, five minutes at most."""
    health, rests = Health(), []
    for _ in range(12):
        health = health.failed(100)
        rests.append(health.rested_until - 100)

    assert rests[:4] == [1, 2, 4, 8]
    assert rests[-1] == LONGEST_REST


def test_in_order_the_first_that_may_be_opened_is_chosen() -> None:
    """A rested one is passed over; after a rest one line tries."""
    first, second = Desk(relay=relay(1, "first")), Desk(relay=relay(2, "second"))

    assert choose([first, second], 0, by_weight=False) is first
    first.health = Health(failures=1, rested_until=10)
    assert choose([first, second], 9, by_weight=False) is second
    assert choose([first, second], 10, by_weight=False) is first
    first.opening = 1
    assert choose([first, second], 10, by_weight=False) is second
    second.health = Health(failures=1, rested_until=20)
    assert choose([first, second], 10, by_weight=False) is None


# --------------------------------------------------------------------------- Debian's smtp-sink


@asynccontextmanager
async def smtp_sink(*options: str) -> AsyncIterator[int]:
    """Postfix's own sink on a free port."""
    port = free_port()
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    command = ["smtp-sink", *user, *options, f"127.0.0.1:{port}", "50"]
    process = await asyncio.create_subprocess_exec(*command)
    try:
        await until(lambda: _listens(port))
        yield port
    finally:
        process.terminate()
        await process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.server
@pytest.mark.parametrize("options", [(), ("-p",), ("-8",)], ids=["pipelining", "without", "without 8bitmime"])
async def test_smtp_sink_takes_them(options: tuple[str, ...]) -> None:
    """With and without PIPELINING."""
    mailing = Mailing(letters(300))
    async with smtp_sink(*options) as port:
        await mailing.over(relay(port), connections=5).run()

        assert len(mailing.sent) == 300


@pytest.mark.server
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (("-f", "RCPT"), DeliveryError),
        (("-r", "MAIL"), DeliveryError),
        (("-f", "DATA"), DeliveryError),
        (("-r", "."), DeliveryError),
    ],
)
async def test_smtp_sink_refuses_them(options: tuple[str, ...], kind: type) -> None:
    """At each step; every letter has its refusal."""
    mailing = Mailing(letters(20))
    async with smtp_sink(*options) as port:
        await mailing.over(relay(port), connections=2).run()

        assert len(mailing.those(kind)) == 20
        assert mailing.those(UnknownOutcome) == set()


@pytest.mark.server
async def test_smtp_sink_hangs_up_after_the_dot() -> None:
    """Who was past the dot is unknown and never sent twice; who was only announced is certainly not sent."""
    mailing, clock = Mailing(letters(10)), Clock()
    async with smtp_sink("-q", ".") as port:
        lines = mailing.over(relay(port), connections=2, clock=clock, idle=1e9)

        def rested() -> None:
            clock.now += LONGEST_REST
            asyncio.get_running_loop().call_soon(lines.look)

        mailing.on_trouble = rested
        await lines.run()

        assert mailing.unknown | mailing.those(TemporaryFailure) == {one.id for one in letters(10)}
        assert sorted(mailing.began) == sorted(mailing.unknown)
