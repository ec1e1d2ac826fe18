"""Single letters over kept wires: which relay carries them, what is tried again, what the caller hears."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop
from pydantic import SecretStr
from support.listening import free_port
from support.mailings import Clock, letter, relay, until
from support.pipelining_server import DROP, SILENT, TAKE_AND_DROP, Fault, pipelining_server

from bot.channels.email.courier import Courier
from bot.channels.email.mime import Letter
from bot.channels.email.relays import Relay
from bot.errors import DeliveryError, PermanentFailure, TemporaryFailure, UnknownOutcome

GROUP = ["MAIL", "RCPT", "DATA"]
OK = "250 2.0.0 Ok: queued as 4Bx7"


@asynccontextmanager
async def courier_over(
    *relays: Relay, connections: int = 2, clock: Callable[[], float] | None = None
) -> AsyncIterator[Courier]:
    courier = Courier(relays, connections=connections, clock=clock or Clock())
    try:
        yield courier
    finally:
        await courier.close()


# --------------------------------------------------------------------------- one conversation


async def test_a_letter_takes_two_round_trips_and_the_next_one_no_greeting() -> None:
    """MAIL, RCPT and DATA go in one packet, for a single letter too; the conversation is kept, then ended."""
    async with pipelining_server() as server:
        async with courier_over(relay(server.port)) as courier:
            answers = [await courier.deliver(letter(number)) for number in range(3)]

        assert answers == [OK] * 3
        assert server.packets == [["EHLO"], *[GROUP, ["BODY"]] * 3, ["QUIT"]]
        assert server.connections == 1


@pytest.mark.parametrize("fault", [DROP, SILENT, "gibberish", "421 4.3.2 closing"])
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
async def test_a_letter_that_was_only_announced_in_a_kept_conversation_gets_a_new_one(
    step: str, fault: str
) -> None:
    """Nothing of it went out; a refusal with 421 is an answer and stands."""
    timeout = 1 if fault == SILENT else 20
    async with (
        pipelining_server([None, Fault(step=step, answer=fault)]) as server,
        courier_over(relay(server.port, timeout=timeout), clock=time.monotonic) as courier,
    ):
        await courier.deliver(letter(0))

        if fault.startswith("421") and step != "MAIL":
            with pytest.raises(TemporaryFailure) as caught:
                await courier.deliver(letter(1))
            assert caught.value.code == 421
            assert server.connections == 1
        else:
            assert await courier.deliver(letter(1)) == OK
            assert server.connections == 2
            assert server.accepted == {letter(0).id: 1, letter(1).id: 1}


@pytest.mark.parametrize("fault", [DROP, TAKE_AND_DROP, "gibberish"])
async def test_a_letter_past_its_dot_is_never_tried_again(fault: str) -> None:
    """Also in a kept conversation, and though another relay is there: nobody knows whether it was taken."""
    async with pipelining_server([None, Fault(step="DOT", answer=fault)]) as one, pipelining_server() as two:
        async with courier_over(relay(one.port, "one"), relay(two.port, "two")) as courier:
            await courier.deliver(letter(0))

            with pytest.raises(UnknownOutcome):
                await courier.deliver(letter(1))

        assert one.finished[letter(1).id] == 1
        assert (one.connections, two.connections) == (1, 0)


async def test_a_new_conversation_that_fails_is_not_followed_by_another() -> None:
    """One attempt: when to come back is the caller's to say."""
    async with (
        pipelining_server([Fault(step="MAIL", answer=DROP)]) as server,
        courier_over(relay(server.port)) as courier,
    ):
        with pytest.raises(TemporaryFailure, match="nothing was sent"):
            await courier.deliver(letter(0))

        assert server.connections == 1
        assert server.finished == {}


@pytest.mark.parametrize("fault", [DROP, "421 4.3.2 closing"])
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
async def test_a_relay_that_takes_no_letter_is_rested(step: str, fault: str) -> None:
    """The caller hears of the first; whatever comes next goes over the other one."""
    faults = [Fault(step=step, answer=fault)] * 9
    async with (
        pipelining_server(faults) as one,
        pipelining_server() as two,
        courier_over(relay(one.port, "one"), relay(two.port, "two"), connections=1) as courier,
    ):
        with pytest.raises(TemporaryFailure):
            await courier.deliver(letter(0))

        assert await courier.deliver(letter(0)) == OK
        assert (one.connections, two.accepted.total()) == (1, 1)


async def test_a_refusal_is_the_letters_own_though_the_server_grants_data() -> None:
    """A lone dot ends what was granted; the next letter goes over the same connection."""
    script = [Fault(step="RCPT", answer="550 5.1.1 no such user"), None]
    async with (
        pipelining_server(script, always_grants=True) as server,
        courier_over(relay(server.port)) as courier,
    ):
        with pytest.raises(PermanentFailure):
            await courier.deliver(letter(0))

        assert await courier.deliver(letter(1)) == OK
        assert server.accepted == {letter(1).id: 1}
        assert server.connections == 1


async def test_a_conversation_that_the_server_ends_while_it_is_idle_is_forgotten() -> None:
    """Politely or not; the next letter has a new one and no failure."""
    async with pipelining_server() as server, courier_over(relay(server.port)) as courier:
        await courier.deliver(letter(0))
        server.say("421 4.4.2 idle for too long")
        server.hang_up()
        await until(lambda: not courier._kept[0].is_open)

        assert await courier.deliver(letter(1)) == OK
        assert server.connections == 2


async def test_a_cancelled_letter_takes_its_conversation_along_and_frees_its_place() -> None:
    """Or the next letter could be told what became of this one."""
    async with (
        pipelining_server([Fault(step="DOT", answer=SILENT)]) as server,
        courier_over(relay(server.port), connections=1) as courier,
    ):
        first = asyncio.create_task(courier.deliver(letter(0)))
        await until(lambda: server.finished[letter(0).id])
        second = asyncio.create_task(courier.deliver(letter(1)))
        first.cancel()

        assert await second == OK
        assert server.connections == 2


async def test_a_fault_of_our_own_reaches_the_caller_in_its_own_words() -> None:
    """And spoils nothing for the next letter."""

    class Broken(Letter):
        @property
        def ready(self) -> tuple[bytes, ...]:
            raise RuntimeError("the picture is gone")

    good = letter(0)
    broken = Broken(
        id=good.id, sender=good.sender, recipient=good.recipient, content=good.content, tag=good.tag
    )
    async with pipelining_server() as server, courier_over(relay(server.port)) as courier:
        with pytest.raises(RuntimeError, match="the picture is gone"):
            await courier.deliver(broken)

        assert await courier.deliver(letter(1)) == OK
        assert server.accepted == {letter(1).id: 1}


async def test_a_server_that_answers_no_goodbye_is_left_after_its_time() -> None:
    """Nobody waits long for politeness."""
    async with (
        pipelining_server() as server,
        courier_over(relay(server.port, timeout=1), clock=time.monotonic) as courier,
    ):
        await courier.deliver(letter(0))
        for talk in server.talks:
            talk._mute = True

        await asyncio.wait_for(courier.close(), 15)  # it waits for 20 s for everything else

        assert courier._kept == []


def test_uvloop_does_as_well() -> None:
    """The same on the other loop."""

    async def main() -> None:
        async with pipelining_server() as server, courier_over(relay(server.port)) as courier:
            assert await courier.deliver(letter(0)) == OK
            server.hang_up()
            assert await courier.deliver(letter(1)) == OK

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


# --------------------------------------------------------------------------- several relays


async def test_the_next_relay_carries_what_the_first_cannot() -> None:
    """The receipt says so, once; the conversation is kept like any other."""
    first = relay(free_port(), "first")
    async with pipelining_server() as server:
        async with courier_over(first, relay(server.port, "second")) as courier:
            answers = [await courier.deliver(letter(number)) for number in range(2)]

        assert answers[0].startswith(f"{OK} (over second, because no mail server listens at {first.server}; ")
        assert answers[1] == OK
        assert server.connections == 1


async def test_a_relay_that_failed_comes_last_until_it_has_rested() -> None:
    """So nobody waits again for one that does not answer; then it is the first again."""
    clock = Clock()
    async with pipelining_server() as one, pipelining_server() as two:
        one.greetings.append("421 4.3.2 busy")
        async with courier_over(relay(one.port, "one"), relay(two.port, "two"), clock=clock) as courier:
            for number, pause in enumerate((0, 0.5, 1)):
                await courier.close()
                clock.now += pause
                await courier.deliver(letter(number))

        assert list(two.accepted) == [letter(0).id, letter(1).id]
        assert list(one.accepted) == [letter(2).id]


async def test_the_only_relay_is_asked_for_each_letter() -> None:
    """Somebody waits for it: that it failed a moment ago is no answer."""
    async with pipelining_server() as server, courier_over(relay(server.port)) as courier:
        server.greetings.append("421 4.3.2 busy")
        with pytest.raises(TemporaryFailure) as caught:
            await courier.deliver(letter(0))

        assert caught.value.code == 421
        assert await courier.deliver(letter(1)) == OK


@pytest.mark.parametrize("dead_first", [True, False])
async def test_where_time_may_help_a_person_is_not_called(dead_first: bool) -> None:
    """One relay wants a password, the other is down: the letter may come back later."""
    async with pipelining_server() as server:
        dead = relay(free_port(), "dead")
        closed = relay(server.port, "closed", username="news", password=SecretStr(""))
        both = (dead, closed) if dead_first else (closed, dead)
        async with courier_over(*both) as courier, courier_over(closed) as hopeless:
            with pytest.raises(TemporaryFailure):
                await courier.deliver(letter(0))
            with pytest.raises(PermanentFailure, match="password"):
                await hopeless.deliver(letter(0))


async def test_a_refused_letter_goes_to_no_other_relay() -> None:
    """The answer was about the letter."""
    async with (
        pipelining_server([Fault(step="RCPT", answer="550 5.1.1 no")]) as one,
        pipelining_server() as two,
        courier_over(relay(one.port, "one"), relay(two.port, "two")) as courier,
    ):
        with pytest.raises(DeliveryError):
            await courier.deliver(letter(0))

        assert two.connections == 0


async def test_no_more_conversations_than_allowed() -> None:
    """However many wait; each caller hears of their own letter."""
    async with pipelining_server() as server, courier_over(relay(server.port), connections=3) as courier:
        server.script.extend([None, Fault(step="RCPT", answer="550 5.1.1 no"), None])
        outcomes = await asyncio.gather(
            *(courier.deliver(letter(number)) for number in range(20)), return_exceptions=True
        )

        refused = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, PermanentFailure)]
        assert len(refused) == 1
        assert {letter(n).id for n in range(20)} - {letter(refused[0]).id} == set(server.accepted)
        assert server.most_at_once == 3
