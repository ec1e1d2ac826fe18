"""The stand-in for Telegram speaks the Bot API well enough for python-telegram-bot itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from telegram import Bot, InputMediaPhoto
from telegram.constants import ChatMemberStatus
from telegram.error import BadRequest, ChatMigrated, Conflict, Forbidden, InvalidToken, NetworkError

from tests.support.telegram_chats import CHANNEL, GROUP, TOPIC, member
from tests.support.telegram_server import Fault, TelegramServer

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def server() -> Iterator[TelegramServer]:
    with TelegramServer() as server:
        yield server


@pytest.fixture
async def bot(server: TelegramServer) -> AsyncIterator[Bot]:
    async with Bot(server.token, base_url=f"{server.base_url}/bot") as bot:
        yield bot


async def test_it_introduces_its_bot_and_chats(bot: Bot) -> None:
    """getMe, getChat by name and number, getChatMember."""
    chat = await bot.get_chat("@weekly_shelf")
    mine = await bot.get_chat_member(CHANNEL, bot.id)

    assert bot.username == "weekly_shelf_bot"
    assert (chat.id, chat.type) == (CHANNEL, "channel")
    assert mine.status == ChatMemberStatus.ADMINISTRATOR


async def test_it_reads_html_with_telegrams_own_parser(bot: Bot) -> None:
    """Formatting and links come back as entities, in UTF-16 units."""
    message = await bot.send_message(CHANNEL, '😀 <b>a</b> <a href="https://x.example/">b</a>', "HTML")

    assert message.text == "😀 a b"
    assert [(e.type, e.offset, e.length) for e in message.entities] == [("bold", 3, 1), ("text_link", 5, 1)]
    assert message.text_html == '😀 <b>a</b> <a href="https://x.example/">b</a>'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<p>x</p>", "unsupported start tag"),
        ("<b>x", "can't find end tag"),
        (" ", "text is empty"),
        ("x" * 4097, "message is too long"),
    ],
)
async def test_it_refuses_what_telegram_refuses(bot: Bot, text: str, words: str) -> None:
    """In Telegram's words, which the library turns into lower case."""
    with pytest.raises(BadRequest, match=r"(?i)" + words):
        await bot.send_message(CHANNEL, text, "HTML")


async def test_photos_arrive_and_captions_are_short(bot: Bot, server: TelegramServer) -> None:
    """1,024 and no more; a text is not a picture."""
    message = await bot.send_photo(CHANNEL, PNG, "<i>quay</i>", parse_mode="HTML")

    assert (message.caption, message.caption_entities[0].type) == ("quay", "italic")
    assert server.messages[-1].photo == PNG
    with pytest.raises(BadRequest, match="caption is too long"):
        await bot.send_photo(CHANNEL, PNG, "x" * 1025)
    with pytest.raises(BadRequest, match=r"(?i)image_process_failed"):
        await bot.send_photo(CHANNEL, b"hello")


async def test_an_album_is_several_messages(bot: Bot, server: TelegramServer) -> None:
    """Two to ten pictures, one message each."""
    media = [InputMediaPhoto(PNG, caption="one"), InputMediaPhoto(PNG + b"2")]

    messages = await bot.send_media_group(CHANNEL, media)

    assert [m.message_id for m in messages] == [m.message_id for m in server.messages]
    assert [m.photo for m in server.messages] == [PNG, PNG + b"2"]
    with pytest.raises(BadRequest, match="2 to 10"):
        await bot.send_media_group(CHANNEL, media[:1])


async def test_messages_are_edited_and_deleted(bot: Bot, server: TelegramServer) -> None:
    """An edit that changes nothing is an error, as with Telegram."""
    message = await bot.send_message(CHANNEL, "draft")

    await bot.edit_message_text("final", CHANNEL, message.message_id)
    assert server.messages[-1].text == "final"
    with pytest.raises(BadRequest, match=r"(?i)message is not modified"):
        await bot.edit_message_text("final", CHANNEL, message.message_id)
    assert await bot.delete_message(CHANNEL, message.message_id)
    with pytest.raises(BadRequest, match=r"(?i)message to delete not found"):
        await bot.delete_message(CHANNEL, message.message_id)


async def test_updates_wait_for_something_to_happen(bot: Bot, server: TelegramServer) -> None:
    """A long poll ends as soon as a person writes or presses a button; an offset forgets the past."""
    poll = asyncio.create_task(bot.get_updates(timeout=20))
    await asyncio.to_thread(server.receive_text, "hello")
    (first,) = await poll
    query = server.press_button("approve:1")
    (second,) = await bot.get_updates(offset=first.update_id + 1)

    assert first.message is not None
    assert first.message.text == "hello"
    assert second.callback_query is not None
    assert second.callback_query.data == "approve:1"
    assert await bot.answer_callback_query(query, "Approved")
    assert server.answered == {query: "Approved"}
    with pytest.raises(BadRequest, match=r"(?i)query is too old"):
        await bot.answer_callback_query(query)


async def test_only_one_program_may_poll(bot: Bot, server: TelegramServer) -> None:
    """The second gets a conflict."""
    first = asyncio.create_task(bot.get_updates(timeout=20))
    await asyncio.to_thread(server.somebody_polls.wait, 20)

    async with Bot(server.token, base_url=f"{server.base_url}/bot") as second:
        with pytest.raises(Conflict):
            await second.get_updates(timeout=20)
    server.receive_text("done")
    assert len(await first) == 1


async def test_rights_and_topics_are_checked(bot: Bot, server: TelegramServer) -> None:
    """A bot that was removed may not write; a topic must exist."""
    assert await bot.send_message(GROUP, "x", message_thread_id=TOPIC)
    with pytest.raises(BadRequest, match="thread not found"):
        await bot.send_message(GROUP, "x", message_thread_id=TOPIC + 1)
    server.members[GROUP] = member("left")
    with pytest.raises(Forbidden):
        await bot.send_message(GROUP, "x")
    with pytest.raises(BadRequest, match=r"(?i)chat not found"):
        await bot.send_message(-5, "x")


async def test_faults_come_on_order_and_only_once(bot: Bot, server: TelegramServer) -> None:
    """Also those after which the message stands in the chat all the same."""
    server.fail_next(Fault.UPGRADED, new_chat_id=-1009)
    with pytest.raises(ChatMigrated) as caught:
        await bot.send_message(CHANNEL, "1")
    assert caught.value.new_chat_id == -1009
    server.fail_next(Fault.BAD_GATEWAY)
    with pytest.raises(NetworkError, match="Bad Gateway"):
        await bot.send_message(CHANNEL, "2")
    assert server.messages == []
    server.fail_next(Fault.BAD_GATEWAY_AFTER)
    with pytest.raises(NetworkError, match="Bad Gateway"):
        await bot.send_message(CHANNEL, "3")
    await bot.send_message(CHANNEL, "4")

    assert [message.text for message in server.messages] == ["3", "4"]


async def test_another_token_is_refused(server: TelegramServer) -> None:
    """As Telegram does."""
    bot = Bot("1:wrong", base_url=f"{server.base_url}/bot")
    with pytest.raises(InvalidToken):
        await bot.initialize()
    await bot.shutdown()
