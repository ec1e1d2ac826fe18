"""The pipelined conversation with a real server that fails on order: what each answer means for whom."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from support.mailings import Clock, Mailing, letter, letters, relay, until
from support.pipelining_server import DROP, SILENT, TAKE_AND_DROP, Fault, Server, pipelining_server
from support.smtp_server import self_made_certificate, smtp_server

from bot.channels.email.calls import Calls, Rules
from bot.channels.email.pipeline import Wire
from bot.channels.email.replies import LONGEST, clean
from bot.channels.email.terms import Terms
from bot.errors import Blame, DeliveryError, PermanentFailure, TemporaryFailure, UnknownOutcome

FOR_EVER = 1e9
PIPELINED = ["PIPELINING", "SIZE 50000000", "SMTPUTF8", "8BITMIME"]
CHUNKED = [*PIPELINED, "CHUNKING"]
ONE_BY_ONE = PIPELINED[1:]
WAYS = {"pipelining": PIPELINED, "chunking": CHUNKED, "one by one": ONE_BY_ONE}
EVERY_WAY = pytest.mark.parametrize("extensions", list(WAYS.values()), ids=list(WAYS))


def in_every_way(names: str, cases: list[tuple[object, ...]]) -> pytest.MarkDecorator:
    """Each case, which begins with its step, in each way; with CHUNKING nobody says DATA."""
    found = [
        pytest.param(extensions, *case, id="-".join([way, *map(str, case)]))
        for way, extensions in WAYS.items()
        for case in cases
        if (way, case[0]) != ("chunking", "DATA")
    ]
    return pytest.mark.parametrize(f"extensions, {names}", found)


async def send(server: Server, mailing: Mailing, *, connections: int = 1, **options: object) -> Mailing:
    """Send all of it over this server."""
    lines = mailing.over(relay(server.port, **options), connections=connections)
    assert await asyncio.wait_for(lines.run(), 30) == []
    return mailing


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made here, valid for localhost; trusted by nobody who is not told to."""
    return self_made_certificate(tmp_path_factory.mktemp("certificate"))


# --------------------------------------------------------------------------- sent


@EVERY_WAY
async def test_letters_arrive_as_they_were_composed(extensions: list[str]) -> None:
    """Every byte, leading dots too, over one connection."""
    body = b".a dot\r\n..two\r\n.\r\nMAIL FROM:<x@example.org>\r\n.\r\n\r\n\r\n.\r\n"
    mailing = Mailing([letter(number, body=body) for number in range(5)])
    async with pipelining_server(extensions=extensions) as server:
        await send(server, mailing)

        assert server.bodies == {one.id: one.content for one in (letter(n, body=body) for n in range(5))}
        assert server.connections == 1
        assert mailing.outcome(0) == "250 2.0.0 Ok: queued as 4Bx7"
        assert mailing.tags == [0, 1, 2, 3, 4]


async def test_a_letter_costs_one_round_trip() -> None:
    """The body of one goes out together with the commands of the next, and the goodbye last."""
    async with pipelining_server() as server:
        await send(server, Mailing(letters(3)))

        group = ["MAIL", "RCPT", "DATA"]
        assert server.packets == [["EHLO"], group, ["BODY", *group], ["BODY", *group], ["BODY"], ["QUIT"]]


async def test_a_chunk_costs_one_round_trip_and_has_no_dot() -> None:
    """The same with CHUNKING; a line that is only a dot is a line like any other (RFC 3030)."""
    body = b"one\r\n.\r\nQUIT\r\n.\r\n"
    async with pipelining_server(extensions=CHUNKED) as server:
        await send(server, Mailing([letter(number, body=body) for number in range(3)]))

        group, chunk = ["MAIL", "RCPT"], ["BDAT", "BODY"]
        assert server.packets == [
            ["EHLO"], group, [*chunk, *group], [*chunk, *group], chunk, ["QUIT"]
        ]  # fmt: skip
        assert server.commands.count(f"BDAT {len(letter(0, body=body).content)} LAST") == 3
        assert server.bodies[letter(1).id] == letter(1, body=body).content


@EVERY_WAY
async def test_a_letter_that_does_not_fit_at_once_arrives_whole(extensions: list[str]) -> None:
    """What the system does not take in one go comes behind, in order, and before the next letter."""
    body = b"".join(b"%075d\r\n" % line for line in range(150_000))
    mail = [letter(0, body=body), letter(1), letter(2, body=body)]
    async with pipelining_server(extensions=extensions) as server:
        mailing = await send(server, Mailing(mail))

        assert len(mailing.sent) == 3
        assert all(server.bodies[one.id] == one.content for one in mail)


async def test_a_server_with_chunking_alone_is_asked_by_data() -> None:
    """Where every command waits for its answer, BDAT saves nothing."""
    async with pipelining_server(extensions=[*ONE_BY_ONE, "CHUNKING"]) as server:
        mailing = await send(server, Mailing(letters(2)))

        assert len(mailing.sent) == 2
        assert not any(command.startswith("BDAT") for command in server.commands)


async def test_a_body_for_a_refused_reader_is_never_sent() -> None:
    """A chunk waits for RCPT's yes: nothing is thrown at a server that does not want it."""
    script = [None, Fault(step="RCPT", answer="550 5.1.1 who?"), Fault(step="MAIL", answer="451 later")]
    async with pipelining_server(script, extensions=CHUNKED) as server:
        mailing = await send(server, Mailing(letters(4)))

        assert server.finished == server.accepted
        assert mailing.sent == {letter(0).id, letter(3).id}
        assert server.connections == 1


async def test_without_pipelining_every_command_waits_for_its_answer() -> None:
    """The same letters, one command at a time."""
    async with pipelining_server(extensions=ONE_BY_ONE) as server:
        await send(server, Mailing(letters(2)))

        assert all(len(packet) <= 1 for packet in server.packets)
        assert server.accepted.total() == 2


async def test_another_server_without_pipelining_takes_them_too() -> None:
    """aiosmtpd, which nobody here wrote."""
    async with smtp_server() as server:
        lines = (mailing := Mailing(letters(20))).over(relay(server.port), connections=3)
        await lines.run()

        assert len(mailing.sent) == len(server.taken) == 20
        assert {taken.content for taken in server.taken} == {one.content for one in letters(20)}


@EVERY_WAY
async def test_answers_may_come_in_crumbs(extensions: list[str]) -> None:
    """A packet may end within an answer, a line, or a line end."""
    async with pipelining_server(extensions=extensions, crumbs=True) as server:
        mailing = await send(server, Mailing(letters(4)))

        assert mailing.sent == set(server.accepted) == {one.id for one in letters(4)}


@EVERY_WAY
async def test_answers_may_have_several_lines(extensions: list[str]) -> None:
    """They are one answer, and its words are kept."""
    script = [
        Fault(step="MAIL", answer="250-first\r\n250 second"),
        Fault(step="DOT", answer="250-one\r\n250 two"),
    ]
    async with pipelining_server(script, extensions=extensions) as server:
        mailing = await send(server, Mailing(letters(2)))

        assert mailing.outcome(1) == "250 one two"


async def test_began_is_told_before_the_dot_and_only_then() -> None:
    """A letter that was refused before its body never began."""
    async with pipelining_server([None, Fault(step="RCPT", answer="550 5.1.1 who?")]) as server:
        mailing = await send(server, Mailing(letters(3)))

        assert mailing.began == [letter(0).id, letter(2).id]


async def test_size_and_international_addresses_are_told_per_letter() -> None:
    """As each server asks for it."""
    foreign = letter(1, recipient="用户@example.com")
    async with pipelining_server() as server:
        await send(server, Mailing([letter(0), foreign]))

        mails = [command for command in server.commands if command.startswith("MAIL")]
        assert mails[0] == f"MAIL FROM:<bounces@example.org> SIZE={len(letter(0).content)}"
        assert mails[1].endswith(f"SIZE={len(foreign.content)} SMTPUTF8 BODY=8BITMIME")
        assert "RCPT TO:<用户@example.com>" in server.commands


async def test_what_a_server_cannot_take_is_refused_before_it_hears_of_it() -> None:
    """Too large, or without SMTPUTF8; the others go on."""
    mail = [letter(0), letter(1, body=b"x" * 500), letter(2, recipient="用户@example.com"), letter(3)]
    async with pipelining_server(extensions=["PIPELINING", "SIZE 400"]) as server:
        mailing = await send(server, Mailing(mail))

        assert mailing.sent == {mail[0].id, mail[3].id}
        assert "400" in str(mailing.outcome(1))
        assert "SMTPUTF8" in str(mailing.outcome(2))
        assert server.accepted.total() == 2


@pytest.mark.parametrize("where", ["envelope", "head"])
async def test_a_foreign_sender_is_never_the_readers_fault(where: str) -> None:
    """It would stand in every further letter, so the channel stops and no reader loses the issue for it."""
    plain = letter(0)
    mail = replace(plain, sender="用户@example.org")
    if where == "head":
        mail = replace(plain, content="From: 用户@example.org\r\n".encode() + plain.content)
    async with pipelining_server(extensions=["PIPELINING"]) as server:
        mailing = await send(server, Mailing([mail]))

        refused = mailing.outcome(0)
        assert isinstance(refused, PermanentFailure)
        assert refused.blame is Blame.SENDER
        assert "the sender's address" in str(refused)


@pytest.mark.parametrize("size", ["²", "9" * 5000, "-1", ""])
async def test_a_size_that_is_no_number_is_none(size: str) -> None:
    """Whatever a server says in its greeting, the run goes on."""
    async with pipelining_server(extensions=["PIPELINING", f"SIZE {size}"]) as server:
        mailing = await send(server, Mailing(letters(2)))

        assert len(mailing.sent) == 2


async def test_an_address_cannot_become_a_command() -> None:
    """Even one that got past every check before."""
    mail = [letter(0, recipient="a@example.com>\r\nRCPT TO:<b@example.com"), letter(1)]
    async with pipelining_server() as server:
        mailing = await send(server, Mailing(mail))

        assert isinstance(mailing.outcome(0), PermanentFailure)
        assert not any("b@example.com" in command for command in server.commands)


# --------------------------------------------------------------------------- refused


@in_every_way(
    "step, answer, kind, blame",
    [
        ("MAIL", "550 5.7.1 not from you", PermanentFailure, Blame.SENDER),
        ("MAIL", "451 4.3.0 later", TemporaryFailure, None),
        ("RCPT", "550 5.1.1 no such user", PermanentFailure, Blame.RECIPIENT),
        ("RCPT", "550-5.1.1 no\r\n550 5.1.1 such user", PermanentFailure, Blame.RECIPIENT),
        ("RCPT", "450 4.2.1 greylisted", TemporaryFailure, None),
        ("DATA", "503 what?", PermanentFailure, Blame.MESSAGE),
        ("DATA", "451 4.3.0 later", TemporaryFailure, None),
        ("DOT", "554 5.6.0 we do not like it", PermanentFailure, Blame.MESSAGE),
        ("DOT", "452 4.3.1 disk full", TemporaryFailure, None),
    ],
)
async def test_a_refusal_is_that_letters_own(
    extensions: list[str], step: str, answer: str, kind: type[DeliveryError], blame: Blame | None
) -> None:
    """The letters before and after it are sent, over the same connection."""
    script = [None, Fault(step=step, answer=answer), None]
    async with pipelining_server(script, extensions=extensions) as server:
        mailing = await send(server, Mailing(letters(4)))

        refused = mailing.outcome(1)
        assert type(refused) is kind
        assert refused.code == int(answer[:3])  # type: ignore[union-attr]
        assert getattr(refused, "blame", None) is blame
        assert mailing.sent == set(server.accepted) == {letter(n).id for n in (0, 2, 3)}
        assert server.connections == 1
        assert mailing.troubles == []


async def test_without_pipelining_a_refused_letter_is_not_mentioned_again() -> None:
    """No recipient for a sender that was refused."""
    script = [Fault(step="MAIL", answer="451 4.3.0 later"), Fault(step="RCPT", answer="550 5.1.1 no")]
    async with pipelining_server(script, extensions=ONE_BY_ONE) as server:
        await send(server, Mailing(letters(3)))

        verbs = [command.split(" ")[0] for command in server.commands[1:]]
        assert verbs == ["MAIL", "MAIL", "RCPT", "RSET", "MAIL", "RCPT", "DATA", "QUIT"]


async def test_a_sender_that_comes_at_the_wrong_time_is_offered_again() -> None:
    """503 to a pipelined MAIL speaks of the conversation's order, not of us."""
    async with pipelining_server([None, Fault(step="MAIL", answer="503 5.5.1 nested MAIL")]) as server:
        mailing = await send(server, Mailing(letters(3)))

        assert mailing.sent == {one.id for one in letters(3)}
        assert server.connections == 2


@EVERY_WAY
async def test_an_answer_that_makes_no_sense_ends_the_conversation(extensions: list[str]) -> None:
    """354 to a finished letter: it may have gone out, and nothing after it can be trusted."""
    async with pipelining_server([Fault(step="DOT", answer="354 what?")], extensions=extensions) as server:
        mailing = await send(server, Mailing(letters(3)))

        assert mailing.unknown == {letter(0).id}
        assert len(mailing.sent) == 2
        assert server.connections == 2


@pytest.mark.parametrize("answer", ["502 not implemented", "503 5.5.1 bad sequence", "500 what?"])
async def test_a_server_that_offers_chunks_and_knows_none_is_left(answer: str) -> None:
    """It takes the letter's lines for commands: its answers to them must not be the next reader's."""
    lines = "\r\n".join([answer, "500 what?", "500 what?", "500 what?"])
    async with pipelining_server([Fault(step="DOT", answer=lines)], extensions=CHUNKED) as server:
        mailing = await send(server, Mailing(letters(3)))

        refused = mailing.outcome(0)
        assert isinstance(refused, PermanentFailure)
        assert (refused.code, refused.blame) == (int(answer[:3]), Blame.SENDER)
        assert "chunking = false" in str(refused)
        assert mailing.sent == {letter(1).id, letter(2).id}
        assert server.connections == 2


async def test_a_granted_data_after_a_refused_recipient_takes_nothing() -> None:
    """A lone dot ends it, no body is sent, and the recipient's refusal stands (RFC 2920)."""
    script = [
        Fault(step="RCPT", answer="550 5.1.1 no"),
        None,
        Fault(step="RCPT", answer="450 4.2.1 later"),
        None,
    ]
    async with pipelining_server(script, always_grants=True) as server:
        mailing = await send(server, Mailing(letters(4)))

        assert isinstance(mailing.outcome(0), PermanentFailure)
        assert isinstance(mailing.outcome(2), TemporaryFailure)
        assert mailing.sent == set(server.accepted) == {letter(1).id, letter(3).id}
        assert server.finished.total() == 2
        assert server.connections == 1


async def test_a_granted_data_after_a_refused_sender_ends_the_conversation() -> None:
    """Nobody can know whose transaction that would be."""
    async with pipelining_server(
        [Fault(step="MAIL", answer="451 4.3.0 later")], always_grants=True
    ) as server:
        mailing = await send(server, Mailing(letters(2)), timeout=20)

        assert server.finished.total() == 2
        assert mailing.sent == {letter(0).id, letter(1).id}
        assert server.connections == 2


async def test_an_answer_never_names_the_reader() -> None:
    """Servers repeat the address; logs and the ledger never hold it."""
    script = [
        Fault(step="DOT", answer="250 Ok for reader.0@example.com"),
        Fault(step="RCPT", answer="550 5.1.1 <reader.1@example.com>: reader.1 unknown"),
        Fault(step="DOT", answer="250 queued for READER.2"),
        Fault(step="MAIL", answer="421 4.7.0 too much for reader.3"),
        None,
        Fault(step="RCPT", answer="421 4.7.0 too much for reader.4"),
        Fault(step="DOT", answer="421 4.7.0 too much for reader.5"),
    ]
    async with pipelining_server(script) as server:
        mailing = await send(server, Mailing(letters(7)))

        told = [*map(mailing.outcome, range(7)), *(failure for _, failure in mailing.troubles)]
        assert len(mailing.troubles) == 3
        assert not any(re.search("(?i)reader[.]", str(words)) for words in told)


# --------------------------------------------------------------------------- lost on the way


@in_every_way("step", [("MAIL",), ("RCPT",), ("DATA",)])
async def test_a_lost_connection_before_the_dot_costs_nothing(extensions: list[str], step: str) -> None:
    """The letter was only announced: it goes out over a new connection."""
    async with pipelining_server([None, Fault(step=step, answer=DROP)], extensions=extensions) as server:
        mailing = await send(server, Mailing(letters(4)))

        assert mailing.sent == set(server.accepted) == {one.id for one in letters(4)}
        assert server.connections == 2
        assert [name for name, _ in mailing.troubles] == ["relay"]


@EVERY_WAY
@pytest.mark.parametrize("order", [DROP, TAKE_AND_DROP])
async def test_a_lost_connection_after_the_dot_is_unknown(extensions: list[str], order: str) -> None:
    """One letter only, and never a second time; the announced one behind it is sent."""
    async with pipelining_server([None, Fault(step="DOT", answer=order)], extensions=extensions) as server:
        mailing = await send(server, Mailing(letters(4)))

        assert mailing.unknown == {letter(1).id}
        assert mailing.sent == {letter(n).id for n in (0, 2, 3)}
        assert server.finished[letter(1).id] == 1


async def test_who_is_unlucky_twice_comes_back_later() -> None:
    """A letter whose announcement ends every connection must not end them for ever."""
    faults = [None, Fault(step="RCPT", answer=DROP), Fault(step="RCPT", answer=DROP)]
    mailing = Mailing(letters(3))
    async with pipelining_server(faults) as server:
        clock = Clock()
        lines = mailing.over(
            relay(server.port, timeout=FOR_EVER, patience=FOR_EVER), idle=FOR_EVER, clock=clock
        )
        mailing.on_trouble = lambda: setattr(clock, "now", clock.now + 301)
        run = asyncio.ensure_future(lines.run())
        await until(lambda: mailing.troubles[1:])
        lines.look()
        await run

        assert isinstance(mailing.outcome(1), TemporaryFailure)
        assert "nothing was sent" in str(mailing.outcome(1))
        assert mailing.sent == {letter(0).id, letter(2).id}


@in_every_way(
    "step, outcome",
    [("MAIL", str), ("RCPT", TemporaryFailure), ("DATA", TemporaryFailure), ("DOT", TemporaryFailure)],
)
async def test_421_ends_the_conversation_and_loses_nobody(
    extensions: list[str], step: str, outcome: type
) -> None:
    """At MAIL the letter goes elsewhere; later it is certainly not sent; who comes after is sent."""
    async with pipelining_server(
        [None, Fault(step=step, answer="421 4.3.2 bye")], extensions=extensions
    ) as server:
        mailing = await send(server, Mailing(letters(4)))

        assert isinstance(mailing.outcome(1), outcome)
        assert mailing.sent == set(server.accepted) >= {letter(n).id for n in (0, 2, 3)}
        assert [failure.code for _, failure in mailing.troubles] == [421]


async def test_an_idle_connection_that_ends_is_no_trouble() -> None:
    """Servers close idle ones, with or without a word; the next letter opens another."""
    mailing = Mailing(letters(1))
    mailing.expected = 3
    async with pipelining_server() as server:
        run = asyncio.ensure_future(mailing.over(relay(server.port)).run())
        for number, close in ((1, server.hang_up), (2, lambda: server.say("421 4.4.2 idle"))):
            await until(lambda: len(mailing.outcomes) == number)  # noqa: B023
            close()
            await until(lambda: mailing.lines.open == 0)
            mailing.waiting.append(letter(number))
            mailing.lines.wake()
        await run

        assert len(mailing.sent) == 3
        assert mailing.troubles == []


async def test_a_server_that_counts_letters_is_left_in_time() -> None:
    """With the limit known, nobody meets a 421."""
    mailing = Mailing(letters(10))
    async with pipelining_server(per_connection=3) as server:
        await mailing.over(relay(server.port, limit=3)).run()

        assert len(mailing.sent) == 10
        assert server.connections == 4
        assert mailing.troubles == []


async def test_a_server_that_counts_letters_unasked_loses_nobody() -> None:
    """With the limit unknown, the one too many is sent over the next connection."""
    async with pipelining_server(per_connection=3) as server:
        mailing = await send(server, Mailing(letters(10)))

        assert len(mailing.sent) == server.accepted.total() == 10


# --------------------------------------------------------------------------- more than was asked


@in_every_way(
    "step, answer",
    [
        ("MAIL", "250 ok\r\n250 and one more"),
        ("MAIL", "250 ok\r\n354 and one more"),
        ("RCPT", "250 ok\r\n250 and one more"),
        ("RCPT", "250 ok\r\n354 now"),
        ("DATA", "354 go ahead\r\n250 already taken"),
        ("DATA", "354 go ahead\r\n25"),
        ("DATA", "250 no need"),
        ("DOT", "250 ok\r\n250 the next one, too"),
        ("DOT", "451 no\r\n250 the next one, though"),
        ("DOT", "250 ok\r\n354 and go on"),
    ],
)
async def test_a_smuggled_answer_is_never_another_letters(
    extensions: list[str], step: str, answer: str
) -> None:
    """The conversation ends; nobody counts as sent whom the server did not accept."""
    async with pipelining_server([Fault(step=step, answer=answer)], extensions=extensions) as server:
        clock = Clock()
        mailing = Mailing(letters(4))
        mailing.on_trouble = lambda: setattr(clock, "now", clock.now + 301)
        lines = mailing.over(
            relay(server.port, timeout=FOR_EVER, patience=FOR_EVER), idle=FOR_EVER, clock=clock
        )
        mailing.on_trouble = lambda: (
            setattr(clock, "now", clock.now + 301),
            asyncio.get_running_loop().call_soon(lines.look),
        )[0]
        await lines.run()

        assert mailing.sent <= set(server.accepted) <= mailing.sent | mailing.unknown
        assert max(server.accepted.values()) == 1
        assert len(mailing.sent) >= 3
        assert server.connections == 2


@pytest.mark.parametrize("words", ["250 ok", "354 go", "hello there", "250-", "2"])
async def test_words_between_letters_end_the_conversation(words: str) -> None:
    """An answer that nobody asked for must not wait for a question."""
    mailing = Mailing(letters(1))
    mailing.expected = 2
    async with pipelining_server() as server:
        run = asyncio.ensure_future(mailing.over(relay(server.port)).run())
        await until(lambda: mailing.outcomes)
        server.say(words)
        await until(lambda: mailing.lines.open == 0)
        mailing.waiting.append(letter(1))
        mailing.lines.wake()
        await run

        assert len(mailing.sent) == server.accepted.total() == server.connections == 2
        assert len(mailing.troubles) == 1


@pytest.mark.parametrize(
    "answer",
    [
        "250 ok",
        "250 ok\r\n250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 go ahead",  # as it should be, but for the time
        "552 5.3.4 too big",
        "421 4.3.2 bye",
    ],
)
async def test_an_answer_that_overtakes_the_dot_accepts_nothing(answer: str) -> None:
    """The server speaks while most of the body is still with us: it may refuse, never accept.

    Its yes is a doubt and no certainty: uvloop writes once more after the end, and the dot could be in that.
    """
    large = letter(0, body=b"x" * 76 * 400_000 + b"\r\n")
    mailing = Mailing([large, letter(1)])
    async with pipelining_server([Fault(step="BODY", answer=answer)]) as server:
        run = asyncio.ensure_future(send(server, mailing))
        await until(lambda: server.talks)
        (talk,) = server.talks
        await run
        if talk in server.talks:  # whatever is still on its way to the server may come now
            talk.transport.resume_reading()
        await until(lambda: talk not in server.talks)

        assert b"\r\n.\r\n" not in talk._buffer
        outcome = mailing.outcome(0)
        assert isinstance(outcome, DeliveryError)
        assert isinstance(outcome, UnknownOutcome) == answer.startswith("250")
        assert server.accepted[large.id] == 0
        assert letter(1).id in mailing.sent


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_answer_that_overtakes_the_dot_under_encryption_accepts_nothing(
    certificate: Path, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """What waits below the encryption is still with us as well."""
    mailing = Mailing([letter(0, body=b"x" * 76 * 400_000 + b"\r\n")])

    async def main() -> Server:
        script = [Fault(step="BODY", answer="250 ok")]
        async with pipelining_server(script, certificate=certificate) as server:
            await send(server, mailing, security="starttls", ca_file=str(certificate))
            return server

    with asyncio.Runner(loop_factory=loop) as runner:
        server = runner.run(main())

    assert isinstance(mailing.outcome(0), UnknownOutcome)
    assert server.accepted == {}


def test_a_long_word_in_an_answer_takes_no_time() -> None:
    """Its letters are not searched for an address again and again, while every other conversation waits."""
    began = time.process_time()
    words = clean("a" * 32_000 + " ana@example.com")

    assert time.process_time() - began < 1
    assert words == "a" * LONGEST


def test_an_address_is_found_wherever_it_begins() -> None:
    """Between brackets, after a colon, and one that holds another."""
    assert (
        clean("<ana@x.example>:bo@x.example, (a@b@c) @d@e x")
        == "<<address>>:<address>, (<address>) <address> x"
    )


async def test_an_endless_answer_ends_the_conversation() -> None:
    """It must not fill the memory."""
    async with pipelining_server([Fault(step="DOT", answer="250-more\r\n" * 9000 + "250 end")]) as server:
        mailing = await send(server, Mailing(letters(2)))

        assert isinstance(mailing.outcome(0), UnknownOutcome)
        assert letter(1).id in mailing.sent


# --------------------------------------------------------------------------- what waits to be said


class Paper(asyncio.Transport):
    """Keeps what is written on it."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.aborted = b"", False

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """There is but one."""


class Talk:
    """A wire whose words wait until ``say``: announced is letter 0, and DATA was granted."""

    def __init__(self, *, goes: bool | None = None) -> None:
        self.paper, self.waiting, self.heard = Paper(), deque(letters(5)), list[tuple[str, object]]()
        self.soon: list[Callable[[], None]] = []
        calls = Calls(
            pull=self.waiting.popleft,
            began=lambda one: self.heard.append(("began", one.tag)) or goes,  # type: ignore[func-returns-value]
            done=lambda one, outcome: self.heard.append((str(outcome), one.tag)),
            back=lambda one, _: self.heard.append(("back", one.tag)),
            ended=lambda failure: self.heard.append(("ended", failure is not None)),
            crashed=lambda error: self.heard.append(("crashed", error)),
            soon=self.soon.append,
        )
        rules = Rules(place="relay", terms=Terms(pipelining=True))
        self.wire = Wire(rules, calls, clock=lambda: 0.0)
        self.wire.start(self.paper, self.waiting.popleft())
        self.hear(b"250 ok\r\n250 ok\r\n354 go\r\n")

    def hear(self, data: bytes) -> None:
        self.wire.data_received(data)

    def say(self) -> None:
        calls, self.soon[:] = [*self.soon], []
        for call in calls:
            call()

    @property
    def bodies(self) -> int:
        return self.paper.written.count(b"Good morning")


def test_a_taken_letter_and_the_grant_of_the_next_are_understood_at_once() -> None:
    """The usual four answers; the next body waits for the end of the turn."""
    talk = Talk()
    talk.say()
    talk.hear(b"250 2.0.0 Ok: queued as 1\r\n250 ok\r\n250 ok\r\n354 go\r\n")
    before = talk.bodies
    talk.say()

    assert talk.heard == [("began", 0), ("250 2.0.0 Ok: queued as 1", 0), ("began", 1)]
    assert (before, talk.bodies) == (1, 2)


@pytest.mark.parametrize(
    "words", [b"250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n", b"250 ok\r\n", b"25", b"354 go\r\n", b"\r\n"]
)
def test_an_answer_to_what_was_not_said_yet_ends_the_conversation(words: bytes) -> None:
    """The body is ready and not on the wire: nobody can have taken it."""
    talk = Talk()
    talk.hear(words)
    talk.say()

    assert talk.heard == [("back", 0), ("back", 1), ("ended", True)]
    assert (talk.bodies, talk.paper.aborted) == (0, True)


def test_a_letter_that_must_not_begin_is_never_on_the_wire() -> None:
    """It and the one behind it come back, and the server is not blamed."""
    talk = Talk(goes=False)
    talk.say()

    assert talk.heard == [("began", 0), ("back", 0), ("back", 1), ("ended", False)]
    assert (talk.bodies, talk.paper.aborted) == (0, True)


def test_a_connection_that_is_lost_before_the_words_costs_nothing() -> None:
    """Both letters come back, and no recorder hears that one began."""
    talk = Talk()
    talk.wire.connection_lost(None)
    talk.say()

    assert talk.heard == [("back", 0), ("back", 1), ("ended", True)]


def test_a_wake_between_answer_and_words_announces_nothing_too_early() -> None:
    """The body comes before the commands of a letter that was there only a moment later."""
    talk = Talk()
    talk.wire.wake()
    talk.say()

    assert talk.paper.written.index(b"Good morning") < talk.paper.written.index(b"reader.1@")
    assert talk.paper.written.count(b"reader.1@") == 1


def test_a_letter_that_comes_while_the_words_wait_is_announced_behind_them() -> None:
    """In the same write."""
    talk = Talk()
    late, talk.waiting = [*talk.waiting], deque()
    assert late

    calls = replace(talk.wire._calls, pull=lambda: talk.waiting.popleft() if talk.waiting else None)
    talk.wire._calls = calls
    talk.say()
    talk.hear(b"250 1\r\n250 ok\r\n250 ok\r\n354 go\r\n")  # of letter 1, and nothing follows it
    talk.waiting.append(late[0])
    talk.wire.wake()
    before = talk.paper.written.count(b"reader.2@")
    talk.say()

    assert (before, talk.paper.written.count(b"reader.2@")) == (0, 1)
    assert talk.paper.written.endswith(
        b".\r\nMAIL FROM:<bounces@example.org>\r\nRCPT TO:<reader.2@example.com>\r\nDATA\r\n"
    )


# --------------------------------------------------------------------------- encryption


async def test_only_what_is_said_under_encryption_counts(certificate: Path) -> None:
    """PIPELINING in clear text could be anybody's word."""
    async with pipelining_server(
        certificate=certificate, extensions=ONE_BY_ONE, before_tls=PIPELINED
    ) as server:
        mailing = await send(server, Mailing(letters(3)), security="starttls", ca_file=str(certificate))

        assert len(mailing.sent) == 3
        assert all(len(packet) <= 1 for packet in server.packets)


async def test_letters_are_pipelined_under_encryption(certificate: Path) -> None:
    """The same group in one write."""
    async with pipelining_server(certificate=certificate) as server:
        mailing = await send(server, Mailing(letters(3)), security="starttls", ca_file=str(certificate))

        assert len(mailing.sent) == 3
        assert ["BODY", "MAIL", "RCPT", "DATA"] in server.packets


async def test_answers_injected_before_encryption_are_never_heard(certificate: Path) -> None:
    """Nobody on the way can answer for the server."""
    injected = b"250-PIPELINING\r\n250 SMTPUTF8\r\n250 ok\r\n250 ok\r\n354 go\r\n"
    async with pipelining_server(
        certificate=certificate, extensions=["8BITMIME"], injected=injected
    ) as server:
        mailing = Mailing(letters(1))
        lines = mailing.over(relay(server.port, security="starttls", ca_file=str(certificate)))
        try:
            await lines.run()
        except PermanentFailure:
            assert [one.id for one in lines.unsent()] == [letter(0).id]  # refused: also right
        assert set(server.accepted) == mailing.sent
        assert not any(packet == ["MAIL", "RCPT", "DATA"] for packet in server.packets)


async def test_an_answer_that_came_before_its_question_ends_the_opening() -> None:
    """One reply too many in the packet of the last one that we asked for: no letter is trusted to it."""
    early = [*PIPELINED, "ONE\r\n250 that was all"]  # what comes after it, nobody asked for
    async with pipelining_server(extensions=early) as server:
        mailing = Mailing(letters(1))
        lines = mailing.over(relay(server.port))
        mailing.on_trouble = lines.stop
        await asyncio.wait_for(lines.run(), 30)

        assert "answered more than it was asked" in str(mailing.troubles[0][1])
        assert not any(command.startswith("MAIL") for command in server.commands)


# --------------------------------------------------------------------------- time


@in_every_way(
    "step, wait, kind",
    [("MAIL", 60, str), ("RCPT", 60, str), ("DATA", 60, str), ("DOT", 600, UnknownOutcome)],
)
async def test_a_silent_server_is_left_in_time(
    extensions: list[str], step: str, wait: int, kind: type
) -> None:
    """Sixty seconds for a command, ten minutes for the answer that counts."""
    clock, mailing = Clock(), Mailing(letters(3))
    async with pipelining_server([None, Fault(step=step, answer=SILENT)], extensions=extensions) as server:
        lines = mailing.over(relay(server.port, timeout=60, patience=600), clock=clock)
        run = asyncio.ensure_future(lines.run())
        await until(lambda: [one for one in server.talks if one._mute])
        await until(lambda: len(mailing.outcomes) == 1)
        for _ in range(5):
            await asyncio.sleep(0)
        clock.now += wait - 1
        lines.look()
        for _ in range(5):
            await asyncio.sleep(0)
        assert mailing.troubles == []
        clock.now += 1
        lines.look()
        await run

        assert isinstance(mailing.outcome(1), kind)
        assert mailing.sent >= {letter(0).id, letter(2).id}


async def test_an_idle_conversation_says_goodbye() -> None:
    """Nobody keeps a relay's connection without need."""
    clock, mailing = Clock(), Mailing(letters(1))
    mailing.expected = 2
    async with pipelining_server() as server:
        lines = mailing.over(relay(server.port), clock=clock, idle=30)
        run = asyncio.ensure_future(lines.run())
        await until(lambda: mailing.outcomes)
        clock.now += 30
        lines.look()
        await until(lambda: lines.open == 0)
        assert server.commands[-1] == "QUIT"
        lines.stop()
        assert await run == []


# --------------------------------------------------------------------------- any order of faults


FAULTS = st.one_of(
    st.none(),
    st.builds(
        Fault,
        step=st.sampled_from(["MAIL", "RCPT", "DATA", "DOT"]),
        answer=st.sampled_from(
            [
                "451 4.3.0 later",
                "550 5.1.1 no",
                "503 5.5.1 what",
                "421 4.3.2 bye",
                "250 ok\r\n250 and one more",
                "250-ok\r\n250 long",
                "451 no\r\n250 yes",
                "354 go\r\n354 go",
                "nonsense",
                "299",
                DROP,
            ]
        ),
    ),
    st.builds(Fault, step=st.just("DOT"), answer=st.just(TAKE_AND_DROP)),
    st.builds(Fault, step=st.just("BODY"), answer=st.sampled_from([DROP, "421 4.3.2 bye"])),
)


@settings(max_examples=150, deadline=None)
@given(
    script=st.lists(FAULTS, max_size=12),
    connections=st.integers(1, 3),
    way=st.sampled_from(list(WAYS)),
    crumbs=st.booleans(),
    always_grants=st.booleans(),
)
def test_whatever_goes_wrong_every_letter_has_one_true_outcome(
    script: list[Fault | None], connections: int, way: str, crumbs: bool, always_grants: bool
) -> None:
    """Sent are those that the server accepted, none twice; unknown only those whose dot was out."""
    mailing, clock = Mailing(letters(15)), Clock()

    async def main() -> Server:
        async with pipelining_server(
            script, extensions=WAYS[way], crumbs=crumbs, always_grants=always_grants
        ) as server:
            lines = mailing.over(
                relay(server.port, timeout=FOR_EVER, patience=FOR_EVER),
                connections=connections,
                idle=FOR_EVER,
                clock=clock,
            )

            def rested() -> None:
                clock.now += 301
                asyncio.get_running_loop().call_soon(lines.look)

            mailing.on_trouble = rested
            assert await asyncio.wait_for(lines.run(), 60) == []
            return server

    server = asyncio.run(main())

    assert len(mailing.outcomes) == 15
    assert mailing.sent <= set(server.accepted) <= mailing.sent | mailing.unknown
    assert all(count == 1 for count in server.accepted.values())
    assert all(count == 1 for count in server.finished.values())
    assert mailing.unknown <= set(mailing.began)
    assert len(mailing.unknown) <= len([fault for fault in script if fault])


async def test_stuffed_bytes_go_out_as_they_are() -> None:
    """Whoever composed the letter has done the dots already."""
    one = replace(letter(0, body=b".dot\r\n"), stuffed=letter(0, body=b"..dot\r\n").content)
    async with pipelining_server() as server:
        await send(server, Mailing([one]))

        assert server.bodies[one.id] == one.content
