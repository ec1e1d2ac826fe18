"""The Telegram channel against a server that refuses what Telegram refuses."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from telegram.error import NetworkError, RetryAfter, TelegramError, TimedOut

from bot.channels.base import Channel, ChannelContext
from bot.channels.telegram import TYPE, Options, connect
from bot.channels.telegram.channel import TelegramChannel
from bot.channels.telegram.failures import failure
from bot.channels.telegram.options import Timeouts
from bot.channels.telegram.redaction import hide_tokens_in_logs
from bot.errors import Blame, DeliveryError, PermanentFailure, TemporaryFailure, UnknownOutcome
from bot.model import Delivery, Level, Media, Message, Recipient
from tests.support.telegram_chats import CHANNEL, GROUP, TOPIC, member, weak_administrator
from tests.support.telegram_server import TOKEN, Fault, TelegramServer

TO = Recipient(id="telegram")
POST = Message(
    kind="post",
    lang="en",
    text='<b>Ports</b>\nFound &amp; freed. <a href="https://example.org/ports">Read</a>',
    url="https://example.org/ports",
)
PNG = b"\x89PNG\r\n\x1a\n--\r\n" + bytes(range(256))


@pytest.fixture
def server() -> Iterator[TelegramServer]:
    with TelegramServer() as server:
        yield server


def channel_at(server: TelegramServer, *, read: float = 20, **options: Any) -> TelegramChannel:
    """A channel whose bot talks to this server."""
    values = {"token": server.token, "chat": "@weekly_shelf", "base_url": server.base_url} | options
    return TelegramChannel(
        Options(**values), ChannelContext(name="telegram"), timeouts=Timeouts(read=read, connect=20)
    )


@pytest.fixture
async def channel(server: TelegramServer, request: pytest.FixtureRequest) -> AsyncIterator[TelegramChannel]:
    """One that waits only where the test is about an answer that does not come."""
    case = getattr(request.node, "callspec", None)
    channel = channel_at(server, read=wait_for(case and case.params.get("fault")))
    yield channel
    await channel.close()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "ports.png"
    path.write_bytes(PNG)
    return path


def wait_for(fault: Fault | None) -> float:
    """Seconds; long enough for a busy machine where there is an answer."""
    return 1 if fault is Fault.SLOW else 20


def with_picture(path: Path, text: str = "<b>Ports</b>\nPicture: a quay at night.") -> Message:
    media = (Media(path=path, mime_type="image/png", alt="A quay at night."),)
    return Message(kind="post", lang="en", text=text, url="https://example.org/ports", media=media)


async def sent_with(server: TelegramServer, message: Message = POST, **options: Any) -> dict[str, Any]:
    """The parameters that arrive when a channel with these options sends."""
    channel = channel_at(server, **options)
    try:
        await channel.send(message, TO, key="k")
    finally:
        await channel.close()
    return server.messages[-1].parameters


# --------------------------------------------------------------------------- what goes out


async def test_a_post_arrives_as_readers_see_it(channel: TelegramChannel, server: TelegramServer) -> None:
    """The HTML becomes text with formatting and a link; the receipt leads to the post."""
    receipt = await channel.send(POST, TO, key="k")

    sent = server.messages[-1]
    assert sent.text == "Ports\nFound & freed. Read"
    assert [entity["type"] for entity in sent.entities] == ["bold", "text_link"]
    assert receipt.remote_id == str(sent.message_id)
    assert receipt.url == f"https://t.me/weekly_shelf/{sent.message_id}"


async def test_a_covered_picture_is_hidden_until_it_is_touched(server: TelegramServer, picture: Path) -> None:
    """A picture under a content note; others are shown at once."""
    shown = with_picture(picture)
    covered = replace(shown, media=(replace(shown.media[0], covered=True),))

    assert (await sent_with(server, covered))["has_spoiler"] == "true"
    assert "has_spoiler" not in await sent_with(server, shown)


async def test_a_private_group_gets_a_link_for_its_members(server: TelegramServer) -> None:
    """A chat without a name is known by its number."""
    channel = channel_at(server, chat=str(GROUP))

    receipt = await channel.send(POST, TO, key="k")
    await channel.close()

    assert receipt.url == f"https://t.me/c/2222222222/{receipt.remote_id}"


async def test_there_is_no_preview_unless_asked_for(server: TelegramServer) -> None:
    """A preview fetches a picture that nobody here has looked at."""
    parameters = await sent_with(server)

    assert parameters["link_preview_options"] == {"is_disabled": True}


@pytest.mark.parametrize(("wish", "size"), [("link", "prefer_small_media"), ("large", "prefer_large_media")])
async def test_a_wished_preview_names_its_address(server: TelegramServer, wish: str, size: str) -> None:
    """Size wishes count only with an address, so nobody guesses which link comes first."""
    parameters = await sent_with(server, link_preview=wish)

    assert parameters["link_preview_options"] == {"url": POST.url, size: True}


async def test_silent_protected_and_into_a_topic(server: TelegramServer) -> None:
    """The three switches of bot.toml reach Telegram."""
    parameters = await sent_with(server, chat=GROUP, topic=TOPIC, silent=True, protect_content=True)

    assert parameters["disable_notification"] == parameters["protect_content"] == "true"
    assert parameters["message_thread_id"] == str(TOPIC)


async def test_a_picture_goes_out_byte_for_byte_with_its_caption(
    channel: TelegramChannel, server: TelegramServer, picture: Path
) -> None:
    """One call carries both."""
    await channel.send(with_picture(picture), TO, key="k")

    assert server.messages[-1].photo == PNG
    assert server.messages[-1].text == "Ports\nPicture: a quay at night."


@pytest.mark.parametrize("options", [{}, {"link_preview": "link", "silent": True}])
@pytest.mark.parametrize("illustrated", [False, True])
async def test_a_rehearsal_shows_exactly_what_is_sent(
    server: TelegramServer, picture: Path, options: dict[str, Any], illustrated: bool
) -> None:
    """Every parameter of the request arrives, and no other."""
    message = with_picture(picture) if illustrated else POST
    channel = channel_at(server, chat=str(CHANNEL), **options)

    request = channel.request(message, TO, key="k")
    await channel.send(message, TO, key="k")
    await channel.close()

    shown = json.loads(request.body)
    method, arrived = server.calls[-1]
    expected = {name: _as_form(value) for name, value in shown["parameters"].items()}
    assert shown["method"] == method
    if illustrated:
        assert request.media == (picture,)
        assert expected.pop("photo") == "attach://ports.png"
        assert arrived.pop("photo") == PNG
    assert expected == arrived


def _as_form(value: Any) -> Any:
    return value if isinstance(value, str | dict) else json.dumps(value)


def test_a_request_needs_neither_token_nor_network() -> None:
    """A fresh workspace rehearses without an account."""
    channel = connect(Options(chat="@weekly_shelf"), ChannelContext(name="telegram"))

    request = channel.request(POST, TO, key="k")

    assert request.summary == "sendMessage to @weekly_shelf, 25 of 4096 characters"
    assert json.loads(request.body)["parameters"]["text"] == POST.text


async def test_the_name_of_a_chat_is_asked_for_once(channel: TelegramChannel, server: TelegramServer) -> None:
    """Then its number is used: Telegram would count name and number as two chats."""
    await channel.send(POST, TO, key="1")
    await channel.send(POST, TO, key="2")

    assert [method for method, _ in server.calls] == ["getMe", "getChat", "sendMessage", "sendMessage"]
    assert server.calls[-1][1]["chat_id"] == str(CHANNEL)


async def test_two_posts_at_once_share_one_connection(
    channel: TelegramChannel, server: TelegramServer
) -> None:
    """The bot introduces itself once, and both go out."""
    await asyncio.gather(channel.send(POST, TO, key="1"), channel.send(POST, TO, key="2"))

    assert [method for method, _ in server.calls].count("getMe") == 1
    assert len(server.messages) == 2


async def test_a_closed_channel_opens_again(channel: TelegramChannel, server: TelegramServer) -> None:
    """Closing gives back connections, it does not end the channel."""
    await channel.send(POST, TO, key="1")
    await channel.close()
    await channel.send(POST, TO, key="2")

    assert len(server.messages) == 2


# --------------------------------------------------------------------------- what is refused here


def nothing_was_called(server: TelegramServer) -> bool:
    return not server.calls


async def refusal(channel: TelegramChannel, message: Message) -> PermanentFailure:
    with pytest.raises(PermanentFailure) as caught:
        await channel.send(message, TO, key="k")
    return caught.value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<p>Ports</p>", 'Unsupported start tag "p" at byte offset 0'),
        ("<b>Ports", "Can't find end tag"),
        (" \n ", "the text is empty"),
        ("x" * 4097, "4097 characters"),
        ("😀" * 2049, "4098 characters"),
    ],
)
async def test_words_that_telegram_refuses_stay_here(
    channel: TelegramChannel, server: TelegramServer, text: str, reason: str
) -> None:
    """Nothing is sent that would be an error 400; the message is to blame."""
    error = await refusal(channel, Message(kind="post", lang="en", text=text))

    assert reason in error.problem
    assert error.blame is Blame.MESSAGE
    assert nothing_was_called(server)


async def test_a_caption_that_is_too_long_is_never_cut_or_split(
    channel: TelegramChannel, server: TelegramServer, picture: Path
) -> None:
    """Two calls could end half-way, so the renderer must fit the caption."""
    error = await refusal(channel, with_picture(picture, "x" * 1025))

    assert "1025 characters; the text with a picture may have 1024" in error.problem
    assert nothing_was_called(server)


async def test_the_longest_texts_are_taken(channel: TelegramChannel, picture: Path) -> None:
    """Exactly 4,096 and 1,024."""
    assert await channel.send(Message(kind="post", lang="en", text="x" * 4096), TO, key="1")
    assert await channel.send(with_picture(picture, "x" * 1024), TO, key="2")


async def test_a_post_never_goes_out_without_its_picture(
    channel: TelegramChannel, server: TelegramServer, tmp_path: Path
) -> None:
    """Missing or too big: nothing is sent at all."""
    big = tmp_path / "big.png"
    big.write_bytes(bytes(10_000_001))

    assert "cannot be read" in (await refusal(channel, with_picture(tmp_path / "none.png"))).problem
    assert "up to 10 MB" in (await refusal(channel, with_picture(big))).problem
    assert not server.messages


async def test_two_pictures_are_one_too_many(channel: TelegramChannel, picture: Path) -> None:
    """An album would be several messages with one receipt."""
    one = with_picture(picture)
    media = Message(kind="post", lang="en", text=one.text, media=one.media * 2)

    assert "takes one" in (await refusal(channel, media)).problem


async def test_without_a_token_nothing_is_sent() -> None:
    """The channel is to blame, and the advice says where the token goes."""
    channel = TelegramChannel(Options(chat="@weekly_shelf"), ChannelContext(name="telegram"))

    error = await refusal(channel, POST)

    assert error.blame is Blame.SENDER
    assert ".env" in error.problem


# --------------------------------------------------------------------------- exactly three failures

OUTCOMES = {
    Fault.FLOOD: TemporaryFailure,
    Fault.FLOOD_WITHOUT_PAUSE: TemporaryFailure,
    Fault.FORBIDDEN: PermanentFailure,
    Fault.UNAUTHORIZED: PermanentFailure,
    Fault.CONFLICT: PermanentFailure,
    Fault.UPGRADED: PermanentFailure,
    Fault.TOO_LARGE: PermanentFailure,
    Fault.BAD_GATEWAY: UnknownOutcome,
    Fault.BAD_GATEWAY_AFTER: UnknownOutcome,
    Fault.DROP: UnknownOutcome,
    Fault.DROP_AFTER: UnknownOutcome,
    Fault.SLOW: UnknownOutcome,
    Fault.NOT_JSON: UnknownOutcome,
    Fault.ODD_JSON: UnknownOutcome,
}


async def failed(channel: TelegramChannel) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await channel.send(POST, TO, key="k")
    return caught.value


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("illustrated", [False, True])
async def test_every_fault_is_one_of_three_failures_after_one_attempt(
    channel: TelegramChannel, server: TelegramServer, picture: Path, fault: Fault, illustrated: bool
) -> None:
    """A post that may stand in the chat is never called "not sent", and nothing is tried twice."""
    server.fail_next(fault)

    with pytest.raises(DeliveryError) as caught:
        await channel.send(with_picture(picture) if illustrated else POST, TO, key="k")

    assert type(caught.value) is OUTCOMES[fault]
    assert len([method for method, _ in server.calls if method.startswith("send")]) == 1
    if server.messages:
        assert isinstance(caught.value, UnknownOutcome)


async def test_a_flood_names_the_pause(channel: TelegramChannel, server: TelegramServer) -> None:
    """The sender waits as long as Telegram said, no shorter."""
    server.fail_next(Fault.FLOOD, retry_after=37)

    error = await failed(channel)

    assert isinstance(error, TemporaryFailure)
    assert (error.code, error.retry_after) == (429, timedelta(seconds=37))


async def test_an_upgraded_group_is_told_with_its_new_number(
    channel: TelegramChannel, server: TelegramServer
) -> None:
    """A person corrects bot.toml; the channel stops until then."""
    server.fail_next(Fault.UPGRADED, new_chat_id=-1009)

    error = await failed(channel)

    assert isinstance(error, PermanentFailure)
    assert error.blame is Blame.SENDER
    assert 'chat = "-1009"' in error.problem


@pytest.mark.parametrize("fault", [Fault.FORBIDDEN, Fault.UNAUTHORIZED, Fault.CONFLICT])
async def test_refusals_of_the_account_stop_the_channel(
    channel: TelegramChannel, server: TelegramServer, fault: Fault
) -> None:
    """Every further post would fail in the same way."""
    server.fail_next(fault)

    error = await failed(channel)

    assert isinstance(error, PermanentFailure)
    assert error.blame is Blame.SENDER


async def test_a_chat_that_does_not_exist_stops_the_channel(server: TelegramServer) -> None:
    """By name it is found out when asked for, by number when sent to."""
    for chat in ("@nobody_here", "-1009999999999"):
        channel = channel_at(server, chat=chat)
        error = await failed(channel)
        await channel.close()

        assert isinstance(error, PermanentFailure)
        assert error.blame is Blame.SENDER
        assert "chat not found" in error.problem.casefold()


@pytest.mark.parametrize("fault", [Fault.BAD_GATEWAY, Fault.DROP, Fault.SLOW, Fault.NOT_JSON, Fault.ODD_JSON])
@pytest.mark.parametrize("method", ["getMe", "getChat"])
async def test_trouble_before_the_post_is_never_in_doubt(
    channel: TelegramChannel, server: TelegramServer, fault: Fault, method: str
) -> None:
    """A question changes nothing, so a lost answer means: not sent, come back later."""
    server.fail_next(fault, method=method)

    assert type(await failed(channel)) is TemporaryFailure
    assert not server.messages
    assert await channel.send(POST, TO, key="k")  # and later it works


async def test_a_server_that_is_gone_was_never_reached(
    channel: TelegramChannel, server: TelegramServer
) -> None:
    """No connection, no post: even for the irreversible call."""
    await channel.send(POST, TO, key="1")
    server.__exit__(None, None, None)

    assert type(await failed(channel)) is TemporaryFailure


def caused(error: TelegramError, cause: Exception) -> TelegramError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (caused(TimedOut(), httpx.ConnectTimeout("")), TemporaryFailure),
        (caused(TimedOut(), httpx.PoolTimeout("")), TemporaryFailure),
        (caused(TimedOut(), httpx.ReadTimeout("")), UnknownOutcome),
        (caused(TimedOut(), httpx.WriteTimeout("")), UnknownOutcome),
        (caused(NetworkError("x"), httpx.ConnectError("")), TemporaryFailure),
        (caused(NetworkError("x"), httpx.ProxyError("")), TemporaryFailure),
        (caused(NetworkError("x"), httpx.ReadError("")), UnknownOutcome),
        (caused(NetworkError("x"), httpx.WriteError("")), UnknownOutcome),
        (caused(NetworkError("x"), httpx.RemoteProtocolError("")), UnknownOutcome),
        (NetworkError("Internal Server Error"), UnknownOutcome),
        (TelegramError("Invalid server response"), UnknownOutcome),
        (TypeError("an answer of another form"), UnknownOutcome),
    ],
    ids=lambda value: type(getattr(value, "__cause__", None) or value).__name__,
)
def test_what_a_broken_connection_means(error: Exception, expected: type[DeliveryError]) -> None:
    """Only what certainly never left this machine is tried again."""
    assert type(failure(error, irreversible=True)) is expected
    assert type(failure(error, irreversible=False)) is TemporaryFailure


def test_the_librarys_own_flood_error_is_temporary(monkeypatch: pytest.MonkeyPatch) -> None:
    """We read the pause ourselves; should the library raise its own, it still is not "unknown"."""
    monkeypatch.setenv("PTB_TIMEDELTA", "1")

    assert type(failure(RetryAfter(5), irreversible=True)) is TemporaryFailure


async def test_an_unknown_post_is_settled_by_a_person(channel: TelegramChannel) -> None:
    """A bot cannot read a channel: it never answers for Telegram."""
    delivery = Delivery(
        key="k",
        kind="post",
        subject="ports",
        channel="telegram",
        recipient=TO,
        message="digest",
        due=datetime(2026, 1, 2, tzinfo=UTC),
    )

    with pytest.raises(UnknownOutcome, match="bot settle"):
        await channel.settle(delivery, POST)


# --------------------------------------------------------------------------- the token is nobody's business

NO_ANSWER = (Fault.DROP, Fault.DROP_AFTER, Fault.SLOW)  # httpx logs its line when there is one
SECRET = TOKEN.partition(":")[2]


@pytest.mark.parametrize("fault", [None, *Fault])
async def test_no_log_at_any_level_shows_the_token(
    server: TelegramServer, caplog: pytest.LogCaptureFixture, fault: Fault | None
) -> None:
    """Whatever happens, and even with every logger turned up."""
    for name in ("", "httpx", "httpcore", "telegram", "telegram.request.BaseRequest"):
        caplog.set_level(logging.DEBUG, logger=name)
    channel = channel_at(server, read=wait_for(fault))
    if fault:
        server.fail_next(fault)

    shown = ""
    try:
        await channel.send(POST, TO, key="k")
    except DeliveryError as error:
        shown = "".join(traceback.format_exception(error))
    await channel.close()

    assert "/bot<token>/sendMessage" in caplog.text or fault in NO_ANSWER  # the libraries did log
    assert SECRET not in caplog.text + shown


def test_a_traceback_in_a_log_is_cleaned_too(caplog: pytest.LogCaptureFixture) -> None:
    """What went wrong stays readable, the token does not."""
    logger = logging.getLogger("httpx")
    hide_tokens_in_logs()

    try:
        raise ValueError(f"https://api.telegram.org/bot{TOKEN}/getMe")
    except ValueError:
        logger.exception("failed")

    assert "ValueError: https://api.telegram.org/bot<token>/getMe" in caplog.text
    assert SECRET not in caplog.text


async def test_a_refused_token_is_not_repeated(server: TelegramServer) -> None:
    """The library's own message quotes it, also in what caused the error."""
    wrong = "123456789:ZZwrongwrongwrongwrongwrongwrong"
    channel = channel_at(server, token=wrong)

    error = await failed(channel)
    await channel.close()

    assert isinstance(error, PermanentFailure)
    assert error.blame is Blame.SENDER
    assert "ZZwrong" not in "".join(traceback.format_exception(error))


def test_neither_options_nor_channel_show_the_token() -> None:
    """Not in repr, and not in the error about a mistyped one."""
    options = Options(chat="@weekly_shelf", token=TOKEN)

    assert SECRET not in repr(options)
    assert SECRET not in repr(connect(options, ChannelContext(name="telegram")))
    with pytest.raises(ValidationError) as caught:
        Options(chat="@weekly_shelf", token=f"bot {TOKEN}")
    assert "is not a bot token" in str(caught.value)
    assert SECRET[:6] not in str(caught.value)  # pydantic would shorten it, not hide it


# --------------------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"chat": "weekly_shelf"}, "is not a chat"),
        ({"chat": "https://t.me/weekly_shelf"}, "is not a chat"),
        ({"chat": "@weekly_shelf", "base_url": "http://bots.example.org"}, "https"),
        ({"chat": "@weekly_shelf", "base_url": "https://me:secret@bots.example.org"}, "plain address"),
        ({"chat": "@weekly_shelf", "link_preview": "huge"}, "'off', 'link' or 'large'"),
        ({"chat": "@weekly_shelf", "topic": 0}, "greater than or equal to 2"),
        ({"chat": "@weekly_shelf", "chats": 1}, "Extra inputs"),
    ],
)
def test_a_wrong_option_is_told(options: dict[str, Any], reason: str) -> None:
    """With what would be right."""
    with pytest.raises(ValidationError, match=reason):
        Options(**options)


def test_a_chat_may_be_written_as_a_number() -> None:
    """In bot.toml, -100... needs no quotes."""
    assert Options(chat=-1001111111111).chat == "-1001111111111"


def test_the_channel_keeps_the_contract() -> None:
    """It is what the sender expects, with Telegram's limits."""
    channel: Channel = connect(Options(chat="@weekly_shelf"), ChannelContext(name="news"))

    assert (channel.type, channel.name) == (TYPE, "news")
    assert (channel.limits.characters, channel.limits.caption, channel.limits.alt_text) == (4096, 1024, 0)
    assert channel.length("<b>😀</b>&amp;") == 3


def test_the_library_is_loaded_only_when_needed() -> None:
    """Counting and rehearsing do not wait for python-telegram-bot."""
    code = "import sys, bot.channels.telegram; print(sorted({'telegram', 'httpx'} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


# --------------------------------------------------------------------------- bot doctor


async def finding(channel: TelegramChannel) -> tuple[Level, str, str]:
    (found,) = await channel.check()
    await channel.close()
    return found.level, found.rule, found.message


async def test_the_doctor_says_where_the_bot_may_post(server: TelegramServer) -> None:
    """One line, and nothing is sent."""
    level, rule, message = await finding(channel_at(server))

    assert (level, rule) == (Level.INFO, "telegram.ready")
    assert message == f"telegram: @weekly_shelf_bot may post to The Weekly Shelf ({CHANNEL})"
    assert not server.messages


@pytest.mark.parametrize(
    ("chat", "right", "said"),
    [
        (CHANNEL, member("left"), "is not in the chat"),
        (CHANNEL, weak_administrator(), "Post messages"),
        (GROUP, member("restricted"), "may not write"),
    ],
)
async def test_the_doctor_names_the_missing_right(
    server: TelegramServer, chat: int, right: dict[str, Any], said: str
) -> None:
    """And what to do about it."""
    server.members[chat] = right

    level, rule, message = await finding(channel_at(server, chat=chat))

    assert (level, rule) == (Level.BLOCK, "telegram.rights")
    assert said in message


async def test_a_plain_member_may_write_unless_the_group_is_closed(server: TelegramServer) -> None:
    """A group's own permissions decide for members without rights."""
    server.members[GROUP] = member("member")
    assert (await finding(channel_at(server, chat=GROUP)))[0] is Level.INFO

    server.chats[GROUP]["permissions"]["can_send_messages"] = False
    assert (await finding(channel_at(server, chat=GROUP)))[0] is Level.BLOCK


async def test_the_doctor_tells_token_from_chat(server: TelegramServer) -> None:
    """Which of the two is wrong."""
    wrong = "123456789:ZZwrongwrongwrongwrongwrongwrong"

    assert (await finding(channel_at(server, token=wrong)))[1] == "telegram.token"
    assert (await finding(channel_at(server, token="")))[1] == "telegram.token.missing"
    assert (await finding(channel_at(server, chat="@nobody_here")))[1] == "telegram.chat"
