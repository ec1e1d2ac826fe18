"""The connection to the Bot API: python-telegram-bot, opened at the first call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from datetime import timedelta
from http import HTTPStatus
from typing import Any, TypeVar, cast

import httpx
from telegram import Bot, ChatFullInfo, ChatMember, LinkPreviewOptions, Message, User
from telegram.request import HTTPXRequest

from bot.channels.telegram.call import PHOTO_BYTES, Call
from bot.channels.telegram.failures import Refused, failure, safe_cause
from bot.channels.telegram.options import Options, Timeouts
from bot.channels.telegram.redaction import hide_tokens_in_logs
from bot.errors import PermanentFailure
from bot.metadata import to_publish
from bot.remote import numbers
from bot.remote.limits import AnswerTooSlow, Limits
from bot.remote.with_httpx import event_hooks

T = TypeVar("T")

_LONGEST_ANSWER = 1_000_000  # bytes; an answer to a post has a few thousand


class Wire:
    """One bot. Every failure leaves here as one of the three that a channel may raise."""

    def __init__(self, options: Options, timeouts: Timeouts) -> None:
        request = _Request(timeouts)
        # Between the two: httpx makes its loggers with the first client, and the bot logs its address.
        hide_tokens_in_logs()
        self._bot = Bot(
            options.token.get_secret_value(),
            base_url=f"{options.base_url}/bot",
            request=request,
            get_updates_request=request,  # never used; a second client would cost a second TLS context
        )
        self._lock = asyncio.Lock()

    async def open(self) -> User:
        """Say hello, once however many ask; nothing is sent yet, so no outcome is unknown."""
        async with self._lock:
            await _asked(self._bot.initialize())
        return self._bot.bot

    async def chat(self, chat: str) -> ChatFullInfo:
        """The chat that Telegram knows by this name or number."""
        await self.open()
        return await _asked(self._bot.get_chat(chat))

    async def membership(self, chat_id: int) -> ChatMember:
        """What the bot itself may do there."""
        me = await self.open()
        return await _asked(self._bot.get_chat_member(chat_id, me.id))

    async def send(self, call: Call, chat_id: int | str) -> Message:
        """The one irreversible call, once."""
        await self.open()
        photo = await _photo(call)
        arguments: dict[str, Any] = dict(call.parameters) | {"chat_id": chat_id}
        try:
            if photo is not None:
                arguments |= {"photo": photo, "filename": call.photo.name if call.photo else ""}
                return await self._bot.send_photo(**arguments)
            arguments["link_preview_options"] = LinkPreviewOptions(**arguments["link_preview_options"])
            return await self._bot.send_message(**arguments)
        except Exception as error:
            raise failure(error, irreversible=True) from safe_cause(error)

    async def close(self) -> None:
        """Give the connections back."""
        async with self._lock:
            await self._bot.shutdown()


async def _asked(call: Awaitable[T]) -> T:
    """The answer to a question that changes nothing."""
    try:
        return await call
    except Exception as error:
        raise failure(error, irreversible=False) from safe_cause(error)


async def _photo(call: Call) -> bytes | None:
    """A post never goes out without its picture."""
    if call.photo is None:
        return None
    try:
        data = await asyncio.to_thread(to_publish, call.photo)
    except OSError as error:
        raise PermanentFailure(f"{call.photo}: the picture cannot be read: {error.strerror}") from error
    if len(data) > PHOTO_BYTES:
        raise PermanentFailure(
            f"{call.photo}: {len(data) / 1e6:.1f} MB; Telegram takes pictures up to 10 MB, make it smaller"
        )
    return data


class _Request(HTTPXRequest):
    """Ends every exchange in time, and reads two refusals itself that the library blurs.

    A 413, or a 429 without the usual parameters, would become a NetworkError, as if it might have gone out;
    and RetryAfter changes its type with an environment variable and warns about it.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        super().__init__(
            read_timeout=timeouts.read,
            write_timeout=timeouts.write,
            connect_timeout=timeouts.connect,
            pool_timeout=timeouts.pool,
            media_write_timeout=timeouts.media_write,
            httpx_kwargs=cast(dict[str, Any], _client_options(timeouts)),
        )

    async def do_request(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        data = kwargs.get("request_data")
        seconds = self._timeouts.whole(with_picture=bool(data and data.multipart_data))
        try:
            async with asyncio.timeout(seconds):
                code, payload = await super().do_request(*args, **kwargs)
        except TimeoutError as error:
            raise AnswerTooSlow(f"it took longer than {seconds:g} s") from error
        if code in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_ENTITY_TOO_LARGE):
            raise Refused(HTTPStatus(code).phrase, code=code, retry_after=_retry_after(payload))
        return code, payload


def _retry_after(payload: bytes) -> timedelta | None:
    """The pause that Telegram asks for, if it does."""
    try:
        return numbers.wait(json.loads(payload)["parameters"]["retry_after"]) or None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _client_options(timeouts: Timeouts) -> dict[str, object]:
    """A fresh connection for each call: an idle one that has died would leave us in doubt."""
    return {
        "limits": httpx.Limits(max_connections=4, max_keepalive_connections=0),
        "headers": {"Accept-Encoding": "identity"},
        "event_hooks": event_hooks(Limits(seconds=timeouts.read, size=_LONGEST_ANSWER)),
    }
