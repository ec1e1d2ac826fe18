"""Services that answer absurdly: numbers without sense, answers without an end, one byte at a time.

Each attack is let loose on the real library over a real socket. None may take longer than the time-out of the
test and a little, fill the memory, or put anything off for more than a day.
"""

from __future__ import annotations

import asyncio
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from bot.audience.bounces.boxes import Letter
from bot.audience.bounces.imap import Account, ImapBox
from bot.channels.base import ChannelContext
from bot.channels.email.courier import Courier
from bot.channels.email.hearing import Hearing
from bot.channels.email.smtp import Session
from bot.channels.mastodon.channel import MastodonChannel
from bot.channels.mastodon.failures import Answer, retry_after
from bot.channels.mastodon.options import Options as MastodonOptions
from bot.channels.mastodon.server import Server as MastodonInstance
from bot.channels.mastodon.server import read_server
from bot.channels.telegram.channel import TelegramChannel
from bot.channels.telegram.options import Options as TelegramOptions
from bot.channels.telegram.options import Timeouts
from bot.errors import DeliveryError, TemporaryFailure, UnknownOutcome, UserError
from bot.hooks.calling import call
from bot.model import Delivery, Message, Recipient, State
from bot.pace import Account as PacedAccount
from bot.pace.account import room
from bot.pace.quota import Quota
from bot.remote import numbers
from bot.remote.limits import AnswerUnusable, unpacked
from tests.support.absurd import Absurd, bomb
from tests.support.absurd_imap import AbsurdImap, Drip
from tests.support.live_workspace import NOW, Live, ended, live_servers, start
from tests.support.mailings import Mailing, letters, relay
from tests.support.mastodon_server import POST_STATUS, MastodonServer
from tests.support.mastodon_server import Fault as MastodonFault
from tests.support.pipelining_server import DRIP, ENDLESS, pipelining_server
from tests.support.smtp_server import self_made_certificate
from tests.support.telegram_server import Fault as TelegramFault
from tests.support.telegram_server import TelegramServer

DAY = timedelta(days=1)
FORTY_DIGITS = "9" * 40
MEGABYTE = 1_000_000
POST = Message(kind="post", lang="en", text="Dockers win", url="https://example.org/dockers")
TO = Recipient(id="fediverse")
KEY = "8f14e45fceea167a5a36dedd4bea2543"

# In none of these is there a refusal: a post may have gone out.
EVERY_ABSURD_ANSWER = pytest.mark.parametrize("absurd", list(Absurd), ids=[one.name for one in Absurd])


@contextmanager
def bounded(*, seconds: float, megabytes: int = 40) -> Iterator[None]:
    """What happens inside ends in time, and takes no more memory."""
    tracemalloc.start()
    began = time.monotonic()
    try:
        yield
        took, peak = time.monotonic() - began, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert took < seconds
    assert peak < megabytes * MEGABYTE


@pytest.fixture(scope="module", autouse=True)
def _bomb() -> None:
    """Made before anybody waits for it."""
    bomb()


# --------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("30", timedelta(seconds=30)),
        (" 0030 ", timedelta(seconds=30)),
        ("300000000000", DAY),
        ("1000000000", DAY),
        (FORTY_DIGITS, DAY),
        ("9" * 5000, DAY),
        ("0" * 5000 + "7", timedelta(seconds=7)),
        ("²", None),
        ("٣", None),
        ("-1", None),
        ("1e9", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DAY),
        ("Fri, 06 Mar 2026 09:12:00 GMT", timedelta(minutes=12)),
        ("Fri, 06 Mar 1026 09:12:00 GMT", timedelta(0)),
        ("Fri, 06 Mar 2026 09:12:00 +99999999999999", None),
    ],
)
def test_a_retry_after_without_sense(header: str, wait: timedelta | None) -> None:
    """ASCII digits or a date, a day at most; anything else was never said."""
    now = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)

    assert numbers.retry_after(header, now=now) == wait


@pytest.mark.parametrize("name", ["Retry-After", "X-RateLimit-Reset"])
@pytest.mark.parametrize("value", ["300000000000", FORTY_DIGITS, "²", "9999-12-31T23:59:59Z", "-1", "1e9"])
def test_no_header_of_a_mastodon_server_asks_for_more_than_a_day(name: str, value: str) -> None:
    """Whatever it says, and whatever its own clock is."""
    for date in ("", "Mon, 01 Jan 0001 00:00:00 GMT", "²"):
        wait = retry_after(Answer(status=429, headers={name.lower(): value, "date": date}), NOW)

        assert wait is None or timedelta(0) < wait <= DAY


@pytest.mark.parametrize("seconds", [10**40, 1e308, float("nan"), float("inf"), -5, True, "²", None, [7]])
def test_a_wait_in_json_without_sense(seconds: object) -> None:
    """A number of JSON is read as carefully as one in a header."""
    wait = numbers.wait(seconds)

    assert wait is None or wait <= DAY


def test_no_channel_can_put_anything_off_for_more_than_a_day() -> None:
    """Not even one that reads its service's number itself."""
    assert TemporaryFailure("busy", retry_after=timedelta(days=9000)).retry_after == DAY


def test_a_rest_that_was_written_until_2058_is_none() -> None:
    """Rows that are older than the limit hold nobody up."""
    row = PacedAccount(rest_until=datetime(2058, 1, 1, tzinfo=UTC))

    assert room(row, Quota(), None, NOW, UTC).left > 0
    assert room(PacedAccount(rest_until=NOW + DAY), Quota(), None, NOW, UTC).left == 0


def test_limits_of_an_instance_without_sense() -> None:
    """They would make a string of 10^12 characters here; what is no number was not told."""
    absurd = {"max_characters": 10**40, "characters_reserved_per_url": 10**12, "max_media_attachments": -4}

    server = read_server({"configuration": {"statuses": absurd}})

    assert (server.characters, server.url_length, server.media) == (100_000, 4096, MastodonInstance().media)
    assert "media" in server.assumed
    assert server.length("https://example.org/") == 4096


# --------------------------------------------------------------------------- unpacking


def test_a_gzip_bomb_is_opened_no_further_than_asked() -> None:
    """300 MB in 300 kB."""
    packed = bomb()

    with bounded(seconds=1, megabytes=5):
        with pytest.raises(AnswerUnusable):
            unpacked(packed, "gzip", MEGABYTE)
        assert unpacked(packed, "gzip", 100, cut=True) == b" " * 100


# --------------------------------------------------------------------------- Mastodon


@pytest.fixture
def mastodon() -> Iterator[MastodonServer]:
    with MastodonServer() as server:
        yield server


@pytest.fixture
async def fediverse(mastodon: MastodonServer) -> AsyncIterator[MastodonChannel]:
    options = MastodonOptions(api_base_url=mastodon.url, access_token=SecretStr(mastodon.token), timeout=0.4)
    channel = MastodonChannel(options, ChannelContext(name="fediverse"))
    await channel.refresh()
    yield channel
    await channel.close()


@EVERY_ABSURD_ANSWER
async def test_a_mastodon_server_answers_a_post_absurdly(
    mastodon: MastodonServer, fediverse: MastodonChannel, absurd: Absurd
) -> None:
    """It may have gone out, and that is soon known to be unknown."""
    mastodon.fail_next(POST_STATUS, MastodonFault(status=200, do_it=True, absurd=absurd))

    with bounded(seconds=3), pytest.raises(UnknownOutcome):
        await fediverse.send(POST, TO, key=KEY)

    assert len(mastodon.statuses) == 1


@EVERY_ABSURD_ANSWER
async def test_a_mastodon_server_describes_itself_absurdly(mastodon: MastodonServer, absurd: Absurd) -> None:
    """Its limits stay those of the documentation, and the post goes out."""
    for version in ("v1", "v2"):
        mastodon.fail_next(f"GET /api/{version}/instance", MastodonFault(status=200, absurd=absurd))
    options = MastodonOptions(api_base_url=mastodon.url, access_token=SecretStr(mastodon.token), timeout=0.4)
    channel = MastodonChannel(options, ChannelContext(name="fediverse"))

    with bounded(seconds=5):
        await channel.refresh()
    assumed = channel.limits.assumed
    await channel.send(POST, TO, key=KEY)
    await channel.close()

    assert "characters" in assumed
    assert len(mastodon.statuses) == 1


async def test_a_refusal_is_one_whatever_its_words_are(
    mastodon: MastodonServer, fediverse: MastodonChannel
) -> None:
    """429 with one byte a second: certainly not sent, and its time counts."""
    flood = MastodonFault(status=429, absurd=Absurd.DRIP)
    mastodon.fail_next(POST_STATUS, flood)

    with bounded(seconds=3), pytest.raises(TemporaryFailure):
        await fediverse.send(POST, TO, key=KEY)


async def test_a_server_that_never_reads_a_post() -> None:
    """It cannot have published what it has not got: that may go again."""
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        options = MastodonOptions(api_base_url=url, access_token=SecretStr("x"), timeout=0.4)
        channel = MastodonChannel(options, ChannelContext(name="fediverse"))

        with bounded(seconds=6, megabytes=200), pytest.raises(TemporaryFailure):
            await channel.send(replace(POST, text="a" * 12 * MEGABYTE), TO, key=KEY)
        await channel.close()


async def test_a_server_that_takes_its_time_for_each_of_many_questions(
    mastodon: MastodonServer, fediverse: MastodonChannel
) -> None:
    """Looking for a lost post asks for the source of all that begin alike; all of that has one deadline."""
    since = datetime.now(UTC)
    for number in range(40):
        mastodon.add_status(f"Dockers {number}", created_at=since)
    lost = Delivery(
        key=KEY, kind="post", subject="x", channel="fediverse", recipient=TO, message="digest", due=since
    )
    mastodon.delay = 0.25

    with bounded(seconds=4), pytest.raises(UnknownOutcome):
        await fediverse.settle(lost, POST)


async def test_a_packed_answer_that_makes_sense_is_read(
    mastodon: MastodonServer, fediverse: MastodonChannel
) -> None:
    """Though we asked for none: some proxies pack everything."""
    import gzip
    import json

    status = {"id": "17", "url": f"{mastodon.url}/@broadside/17", "created_at": "2026-11-27T02:00:00Z"}
    status |= {"visibility": "unlisted", "content": "Dockers win", "spoiler_text": "", "language": "en"}
    packed = gzip.compress(json.dumps(status).encode())
    fault = MastodonFault(status=200, do_it=True, body=packed, headers=(("Content-Encoding", "gzip"),))
    mastodon.fail_next(POST_STATUS, fault)

    receipt = await fediverse.send(POST, TO, key=KEY)

    assert receipt.remote_id == "17"


# --------------------------------------------------------------------------- Telegram


@pytest.fixture
def telegram() -> Iterator[TelegramServer]:
    with TelegramServer() as server:
        yield server


@pytest.fixture
async def chat(telegram: TelegramServer) -> AsyncIterator[TelegramChannel]:
    options = TelegramOptions(
        token=telegram.token,  # type: ignore[arg-type]
        chat="@weekly_shelf",
        base_url=telegram.base_url,
    )
    timeouts = Timeouts(connect=0.4, read=0.4, write=0.4, pool=0.4)
    channel = TelegramChannel(options, ChannelContext(name="telegram"), timeouts=timeouts)
    await channel.check()
    yield channel
    await channel.close()


@EVERY_ABSURD_ANSWER
async def test_telegram_answers_a_post_absurdly(
    telegram: TelegramServer, chat: TelegramChannel, absurd: Absurd
) -> None:
    """It may have gone out, and that is soon known to be unknown."""
    telegram.absurd = absurd

    with bounded(seconds=4), pytest.raises(UnknownOutcome):
        await chat.send(POST, TO, key=KEY)

    assert len(telegram.messages) == 1


@pytest.mark.parametrize("seconds", [10**9, 3 * 10**11, 10**40, -1, 0])
async def test_telegram_asks_for_a_pause_without_sense(
    telegram: TelegramServer, chat: TelegramChannel, seconds: int
) -> None:
    """A day at most."""
    telegram.fail_next(TelegramFault.FLOOD, retry_after=seconds)

    with pytest.raises(TemporaryFailure) as caught:
        await chat.send(POST, TO, key=KEY)

    assert caught.value.retry_after in ((DAY,) if seconds > 0 else (None,))


# --------------------------------------------------------------------------- hooks


@EVERY_ABSURD_ANSWER
async def test_a_hook_is_answered_absurdly(mastodon: MastodonServer, absurd: Absurd) -> None:
    """Where its status came, that is the answer; where none came, there is none."""
    mastodon.fail_next(POST_STATUS, MastodonFault(status=200, absurd=absurd))

    with bounded(seconds=3):
        async with httpx.AsyncClient(timeout=0.5) as http:
            answer = await call(http, f"{mastodon.url}/api/v1/statuses", headers={}, body=b"{}", patience=1)

    assert answer.status == (None if "HEAD" in absurd.name else 200)
    assert len(answer.said) < 300


# --------------------------------------------------------------------------- SMTP


@pytest.mark.parametrize("how", [DRIP, ENDLESS])
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("extensions", [["PIPELINING"], []], ids=["pipelining", "one by one"])
async def test_an_smtp_reply_without_an_end(how: str, step: str, extensions: list[str]) -> None:
    """Its deadline covers the whole reply. After the dot nobody knows; before it nothing was sent."""
    async with pipelining_server(extensions=extensions) as server:
        for _ in range(2):  # a letter that was only announced is tried once more
            server.fail(step, how)
        mailing = Mailing(letters(1))
        lines = mailing.over(relay(server.port, timeout=0.4, patience=0.4))

        with bounded(seconds=8):
            await asyncio.wait_for(lines.run(), 20)

    expected = UnknownOutcome if step == "DOT" else TemporaryFailure
    assert isinstance(mailing.outcome(0), expected)


@pytest.mark.parametrize("step", ["RCPT", "DOT"])
async def test_an_smtp_reply_without_an_end_to_a_single_mail(step: str) -> None:
    """A confirmation goes another way than an issue, and has the same deadline."""
    async with pipelining_server() as server:
        server.fail(step, DRIP)
        courier = Courier([relay(server.port, timeout=0.4, patience=0.4)], connections=1)

        with bounded(seconds=4), pytest.raises(UnknownOutcome if step == "DOT" else TemporaryFailure):
            await courier.deliver(letters(1)[0])


@pytest.mark.parametrize("how", [DRIP, ENDLESS])
async def test_an_smtp_greeting_without_an_end(how: str) -> None:
    """The connection is given up, and no letter is blamed."""
    async with pipelining_server(greeting=how) as server:
        with bounded(seconds=3), pytest.raises(DeliveryError) as caught:
            await Session.open(relay(server.port, timeout=0.4).server, None)

    assert not isinstance(caught.value, UnknownOutcome)


def test_a_reply_of_very_many_lines_costs_no_more_than_its_bytes() -> None:
    """Each line is counted once: twice as many are no four times the work."""
    hearing = Hearing()

    with bounded(seconds=1):
        for _ in range(10_000):
            hearing.answers(b"250-\r\n")

    assert hearing.nonsense is not None


# --------------------------------------------------------------------------- IMAP


def read_all(server: AbsurdImap, **changes: Any) -> list[Letter]:
    """Open the box, read it, and close it whatever comes."""
    values: dict[str, Any] = {"username": "bounces", "password": "x", "security": "none", "timeout": 0.4}
    box = ImapBox(Account(host="127.0.0.1", port=server.port, **values | changes))
    with closing(box):
        return [letter for block in box.blocks() for letter in block]


@pytest.mark.parametrize("verb", ["GREETING", "LOGIN", "CAPABILITY", "SELECT", "SEARCH"])
@pytest.mark.parametrize(
    "order",
    [
        Drip(b"* OK "),
        Drip(b"* OK and more\r\n" * 1000, pause=0),
        b"* 1 FETCH (BODY[] {1000000000000}\r\n",
        b"* 1 FETCH (BODY[] {" + b"9" * 5000 + b"}\r\n",
        b"* OK " + b"a" * 2 * MEGABYTE + b"\r\n",
    ],
    ids=["drip", "endless lines", "a literal of a terabyte", "a literal of 5000 digits", "a line of 2 MB"],
)
def test_an_imap_answer_without_an_end(verb: str, order: bytes | Drip) -> None:
    """The deadline and the bytes are those of a whole command; a person hears where it went wrong."""
    orders: dict[str, bytes | Drip] = {"SELECT": b"* 3 EXISTS\r\n"}

    with (
        AbsurdImap(orders | {verb: order}) as server,
        bounded(seconds=4, megabytes=90),
        pytest.raises(UserError, match="bounce mailbox"),
    ):
        read_all(server)


@pytest.mark.parametrize("count", [b"1000000000000", b"9" * 400])
def test_a_mailbox_of_a_million_million_mails(count: bytes) -> None:
    """We ask for a part of it for so long as a visit may last, and come again."""
    with AbsurdImap({"SELECT": b"* " + count + b" EXISTS\r\n"}) as server, bounded(seconds=5):
        found = read_all(server, visit=1)

    assert found == []
    assert server.commands.count("SEARCH") <= 200


@pytest.mark.parametrize(
    "uids", ["²".encode(), b"1 2 x", b"9" * 40, b" ".join(b"%d" % n for n in range(1, 9000))]
)
def test_a_search_that_finds_what_no_mailbox_can_hold(uids: bytes) -> None:
    """Such numbers are not asked for."""
    orders = {"SELECT": b"* 3 EXISTS\r\n", "SEARCH": b"* SEARCH " + uids + b"\r\n"}

    with AbsurdImap(orders) as server, pytest.raises(UserError, match="not asked for"):
        read_all(server)

    assert "FETCH" not in server.commands


def test_a_mailbox_that_has_lost_what_it_found() -> None:
    """Somebody else was quicker: nothing was fetched, and nothing is wrong."""
    with AbsurdImap({"SELECT": b"* 3 EXISTS\r\n", "SEARCH": b"* SEARCH 1 2 3\r\n"}) as server:
        assert read_all(server) == []


# --------------------------------------------------------------------------- the whole run


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_made_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def live(tmp_path: Path, certificate: Path) -> AsyncIterator[Live]:
    async with live_servers(tmp_path, certificate) as running:
        running.change('type = "mastodon"', 'type = "mastodon"\ntimeout = 1')
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("seconds", ["300000000000", "²", FORTY_DIGITS])
async def test_a_whole_run_against_services_that_count_absurdly(live: Live, seconds: str) -> None:
    """It ends, everybody has the issue, and no post is put off for more than a day."""
    header = {"Retry-After": seconds}
    limited = MastodonFault.before(429, headers=header if seconds.isascii() else {"Retry-After": "\xb2"})
    live.mastodon.fail_next(POST_STATUS, *[limited] * 9)
    for _ in range(9):
        live.telegram.fail_next(TelegramFault.FLOOD, retry_after=10**40)

    ran = await ended(await start(live.here, NOW, "run", "--once"))

    assert "Traceback" not in ran.err
    assert len(live.mail.taken) == 3
    put_off = live.deliveries(State.DEFERRED)
    assert put_off
    assert all(delivery.due <= NOW + DAY + timedelta(minutes=5) for delivery in put_off)


@pytest.mark.slow
@pytest.mark.parametrize("absurd", [Absurd.DRIP, Absurd.FLOOD, Absurd.BOMB], ids=["drip", "flood", "bomb"])
async def test_a_whole_run_against_services_that_answer_without_an_end(live: Live, absurd: Absurd) -> None:
    """It ends in time; what may have gone out is unknown and not sent again, and the issue has arrived."""
    live.mastodon.fail_next(POST_STATUS, *[MastodonFault(status=200, do_it=True, absurd=absurd)] * 9)
    live.mastodon.fail_next("GET /api/v2/instance", *[MastodonFault(status=200, absurd=absurd)] * 9)
    live.telegram.absurd = None if absurd is Absurd.DRIP else absurd  # it waits half a minute for each byte

    began = time.monotonic()
    ran = await ended(await start(live.here, NOW, "run", "--once"))

    assert time.monotonic() - began < 45
    assert "Traceback" not in ran.err
    assert len(live.mail.taken) == 3
    assert not live.deliveries(State.CLAIMED, State.PLANNED)
    assert {d.channel for d in live.deliveries(State.UNKNOWN)} >= {"mastodon"}


async def test_resume_lifts_a_rest_for_the_account_and_its_posts(live: Live) -> None:
    """A person who knows better need not wait out the day."""
    live.mastodon.fail_next(POST_STATUS, MastodonFault.before(429, headers={"Retry-After": "1000000000"}))
    await live.tick()
    waiting = live.deliveries(State.DEFERRED)
    assert {delivery.channel for delivery in waiting} == {"mastodon"}

    resumed = await live.bot("resume", "mastodon")
    moment = datetime.now(UTC) + timedelta(minutes=1)
    await live.tick(moment)

    assert "Resumed" in resumed.out
    assert live.deliveries(State.DEFERRED) == []
    assert waiting[0].key in {delivery.key for delivery in live.deliveries(State.SENT)}
