"""A Bot API server on this machine, with Telegram's own parser inside, and faults on order.

    with TelegramServer() as server:
        server.fail_next(Fault.FLOOD, retry_after=7)
        ...  # a bot with server.token at server.base_url
        server.messages[-1].text

It refuses what Telegram refuses, in Telegram's words. It knows one bot and the chats in ``server.chats``.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Any

from tests.support.absurd import Absurd
from tests.support.telegram_chats import BOT, CHANNEL, GROUP, TOPIC, administrator, chat_of
from tests.support.telegram_http import Absurdly, ApiError, Dropped, handler_for
from tests.support.telegram_parser import Formatted, Refused, telegram_parse

TOKEN = "123456789:AAtesttesttesttesttesttesttesttest1"


class Fault(StrEnum):
    """What goes wrong with the next call."""

    FLOOD = "429 with retry_after"
    FLOOD_WITHOUT_PAUSE = "429 that names no pause"
    FORBIDDEN = "403: the bot was removed"
    UNAUTHORIZED = "401"
    CONFLICT = "409"
    UPGRADED = "400: the group has a new number"
    TOO_LARGE = "413 from the proxy in front"
    BAD_GATEWAY = "502 before the message is taken"
    BAD_GATEWAY_AFTER = "502 after the message was taken"
    DROP = "the connection ends before the message is taken"
    DROP_AFTER = "the connection ends after the message was taken"
    SLOW = "the message is taken, the answer comes late or never"
    NOT_JSON = "the message is taken, the answer is a page of HTML"
    ODD_JSON = "the message is taken, the answer has another form"


_AFTER = {Fault.BAD_GATEWAY_AFTER, Fault.DROP_AFTER, Fault.SLOW, Fault.NOT_JSON, Fault.ODD_JSON}


@dataclass(kw_only=True)
class Sent:
    """One message as it stands in a chat."""

    chat_id: int
    message_id: int
    text: str
    entities: tuple[dict[str, Any], ...] = ()
    photo: bytes = b""
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class _Planned:
    fault: Fault
    method: str
    retry_after: int
    new_chat_id: int


class TelegramServer:
    """One bot, a channel, a group with a topic; everything sent is in ``messages``."""

    token = TOKEN

    def __init__(self) -> None:
        self.messages: list[Sent] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.updates: list[dict[str, Any]] = []
        self.answered: dict[str, str] = {}  # callback queries and what the person was told
        self.chats: dict[int, dict[str, Any]] = {
            CHANNEL: chat_of(CHANNEL, "channel", title="The Weekly Shelf", username="weekly_shelf"),
            GROUP: chat_of(GROUP, "supergroup", title="Editors", is_forum=True),
        }
        self.members: dict[int, dict[str, Any]] = dict.fromkeys((CHANNEL, GROUP), administrator())
        self.absurd: Absurd | None = None  # what comes instead of the answer to each message that is taken
        self._planned: list[_Planned] = []
        self._lock, self._stopping = threading.RLock(), threading.Event()
        self._polling, self.somebody_polls = threading.Lock(), threading.Event()
        self._ids = iter(range(101, 10**9))
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler_for(self.answer))
        self._http.daemon_threads = True

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> TelegramServer:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._http.shutdown()
        self._http.server_close()

    def fail_next(
        self, fault: Fault, *, method: str = "send", retry_after: int = 5, new_chat_id: int = -1003333333333
    ) -> None:
        """Plan a fault for the next call whose method begins with ``method``."""
        planned = _Planned(fault=fault, method=method, retry_after=retry_after, new_chat_id=new_chat_id)
        self._planned.append(planned)

    def press_button(self, data: str, *, user_id: int = 7) -> str:
        """An organiser presses an inline button; the id of the callback query."""
        name = str(next(self._ids))
        query = {
            "id": name,
            "from": {"id": user_id, "is_bot": False, "first_name": "Ana"},
            "chat_instance": "1",
            "data": data,
        }
        return self._update({"callback_query": query}, name)

    def receive_text(self, text: str, *, user_id: int = 7) -> str:
        """A person writes to the bot; the message's id."""
        person = {"id": user_id, "is_bot": False, "first_name": "Ana"}
        number = next(self._ids)
        message = {
            "message_id": number,
            "date": 1_700_000_000,
            "chat": {"id": user_id, "type": "private", "first_name": "Ana"},
            "from": person,
            "text": text,
        }
        return self._update({"message": message}, str(number))

    def _update(self, update: dict[str, Any], name: str) -> str:
        with self._lock:
            self.updates.append({"update_id": len(self.updates) + 1, **update})
        return name

    # ------------------------------------------------------------------- one call

    def answer(self, token: str, method: str, values: dict[str, Any]) -> bytes:
        """The body of a 200; ApiError or Dropped otherwise."""
        if token != self.token:
            raise ApiError(401, "Unauthorized")
        handler: Callable[[dict[str, Any]], Any] | None = getattr(self, f"_on_{method.lower()}", None)
        if handler is None:
            raise ApiError(404, "Not Found")
        self.calls.append((method, values))
        planned = self._take_planned(method)
        if planned and planned.fault not in _AFTER:
            self._raise(planned)
        body = json.dumps({"ok": True, "result": handler(values)}).encode()
        if self.absurd and method.startswith("send"):
            raise Absurdly(self.absurd, self._stopping)
        return self._spoilt(planned.fault, body) if planned else body

    def _take_planned(self, method: str) -> _Planned | None:
        with self._lock:
            found = next((p for p in self._planned if method.startswith(p.method)), None)
            if found:
                self._planned.remove(found)
        return found

    def _raise(self, planned: _Planned) -> None:
        match planned.fault:
            case Fault.FLOOD:
                seconds = planned.retry_after
                raise ApiError(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)
            case Fault.FLOOD_WITHOUT_PAUSE:
                raise ApiError(429, "Too Many Requests")
            case Fault.FORBIDDEN:
                raise ApiError(403, "Forbidden: bot was kicked from the channel chat")
            case Fault.UNAUTHORIZED:
                raise ApiError(401, "Unauthorized")
            case Fault.CONFLICT:
                raise ApiError(409, _TWO_POLLERS)
            case Fault.UPGRADED:
                upgraded = "Bad Request: group chat was upgraded to a supergroup chat"
                raise ApiError(400, upgraded, migrate_to_chat_id=planned.new_chat_id)
            case Fault.TOO_LARGE:
                raise ApiError(413, "<html>413 Request Entity Too Large</html>")
            case Fault.BAD_GATEWAY:
                raise ApiError(502, "Bad Gateway")
            case _:
                raise Dropped

    def _spoilt(self, fault: Fault, body: bytes) -> bytes:
        """The message is taken; now its answer is lost."""
        match fault:
            case Fault.BAD_GATEWAY_AFTER:
                raise ApiError(502, "Bad Gateway")
            case Fault.NOT_JSON:
                return f"<html>/bot{self.token}/sendMessage is fine</html>".encode()
            case Fault.ODD_JSON:
                return b'{"ok": true, "result": {"unexpected": 1}}'
            case Fault.SLOW:
                self._stopping.wait(20)
        raise Dropped

    # ------------------------------------------------------------------- the methods

    def _on_getme(self, values: dict[str, Any]) -> dict[str, Any]:
        rights = ("can_join_groups", "can_read_all_group_messages", "supports_inline_queries")
        return BOT | dict.fromkeys(rights, False)

    def _on_getchat(self, values: dict[str, Any]) -> dict[str, Any]:
        return self.chats[self._chat_id(values)]

    def _on_getchatmember(self, values: dict[str, Any]) -> dict[str, Any]:
        member = self.members.get(self._chat_id(values))
        if int(values.get("user_id", 0)) != BOT["id"] or member is None:
            raise ApiError(400, "Bad Request: member not found")
        return member | {"user": BOT}

    def _on_getupdates(self, values: dict[str, Any]) -> list[dict[str, Any]]:
        if not self._polling.acquire(blocking=False):
            raise ApiError(409, _TWO_POLLERS)
        self.somebody_polls.set()
        try:
            offset, until = int(values.get("offset", 0)), time.monotonic() + float(values.get("timeout", 0))
            while not (found := [u for u in self.updates if u["update_id"] >= offset]):
                if time.monotonic() >= until or self._stopping.wait(0.02):
                    break
            return found
        finally:
            self._polling.release()

    def _on_sendmessage(self, values: dict[str, Any]) -> dict[str, Any]:
        chat_id = self._writable(values)
        formatted = _formatted(values, "text", "entities")
        if not formatted.text.strip():
            raise ApiError(400, "Bad Request: message text is empty")
        if len(formatted.text.strip()) > 4096:
            raise ApiError(400, "Bad Request: message is too long")
        return self._post(chat_id, formatted, values)

    def _on_sendphoto(self, values: dict[str, Any]) -> dict[str, Any]:
        chat_id = self._writable(values)
        photo = values.get("photo")
        if not isinstance(photo, bytes):
            raise ApiError(400, "Bad Request: there is no photo in the request")
        if not photo.startswith((b"\x89PNG", b"\xff\xd8", b"RIFF")):
            raise ApiError(400, "Bad Request: IMAGE_PROCESS_FAILED")
        return self._post(chat_id, _caption(values), values, photo=photo)

    def _on_sendmediagroup(self, values: dict[str, Any]) -> list[dict[str, Any]]:
        chat_id = self._writable(values)
        media = values.get("media") or []
        if not 2 <= len(media) <= 10:
            raise ApiError(400, "Bad Request: group of media must contain from 2 to 10 items")
        files = [values.get(str(one["media"]).removeprefix("attach://"), b"") for one in media]
        captions = [_caption(one) for one in media]
        return [
            self._post(chat_id, caption, values, photo=file)
            for caption, file in zip(captions, files, strict=True)
        ]

    def _on_editmessagetext(self, values: dict[str, Any]) -> dict[str, Any]:
        sent = self._found(values, "edit")
        formatted = _formatted(values, "text", "entities")
        if (formatted.text, formatted.entities) == (sent.text, sent.entities):
            raise ApiError(400, _NOT_MODIFIED)
        sent.text, sent.entities = formatted.text, formatted.entities
        return self._shown(sent)

    def _on_deletemessage(self, values: dict[str, Any]) -> bool:
        self.messages.remove(self._found(values, "delete"))
        return True

    def _on_answercallbackquery(self, values: dict[str, Any]) -> bool:
        asked = [u["callback_query"]["id"] for u in self.updates if "callback_query" in u]
        name = str(values.get("callback_query_id", ""))
        if name not in asked or name in self.answered:
            raise ApiError(
                400, "Bad Request: query is too old and response timeout expired or query ID is invalid"
            )
        self.answered[name] = str(values.get("text", ""))
        return True

    # ------------------------------------------------------------------- chats and messages

    def _chat_id(self, values: dict[str, Any]) -> int:
        wanted = str(values.get("chat_id", ""))
        for number, chat in self.chats.items():
            if wanted in (str(number), "@" + chat.get("username", "")):
                return number
        raise ApiError(400, "Bad Request: chat not found")

    def _writable(self, values: dict[str, Any]) -> int:
        chat_id = self._chat_id(values)
        member = self.members.get(chat_id)
        if member is None or member["status"] in ("left", "kicked"):
            raise ApiError(403, "Forbidden: bot is not a member of the channel chat")
        if self.chats[chat_id]["type"] == "channel" and not member.get("can_post_messages"):
            raise ApiError(400, "Bad Request: need administrator rights in the channel chat")
        if "message_thread_id" in values and int(values["message_thread_id"]) != TOPIC:
            raise ApiError(400, "Bad Request: message thread not found")
        return chat_id

    def _found(self, values: dict[str, Any], verb: str) -> Sent:
        wanted = (self._chat_id(values), int(values.get("message_id", 0)))
        for sent in self.messages:
            if (sent.chat_id, sent.message_id) == wanted:
                return sent
        raise ApiError(400, f"Bad Request: message to {verb} not found")

    def _post(
        self, chat_id: int, formatted: Formatted, values: dict[str, Any], *, photo: bytes = b""
    ) -> dict[str, Any]:
        sent = Sent(
            chat_id=chat_id,
            message_id=next(self._ids),
            text=formatted.text.strip(),
            entities=formatted.entities,
            photo=photo,
            parameters=values,
        )
        with self._lock:
            self.messages.append(sent)
        return self._shown(sent)

    def _shown(self, sent: Sent) -> dict[str, Any]:
        """The message as the Bot API returns it."""
        chat = {k: v for k, v in self.chats[sent.chat_id].items() if k in ("id", "type", "title", "username")}
        shown = {"message_id": sent.message_id, "date": 1_700_000_000, "chat": chat}
        words = {"text": sent.text, "entities": list(sent.entities)}
        if not sent.photo:
            return shown | words
        size = {
            "file_id": "f",
            "file_unique_id": "u",
            "width": 90,
            "height": 90,
            "file_size": len(sent.photo),
        }
        return shown | {"photo": [size], **{_CAPTION[name]: value for name, value in words.items()}}


_TWO_POLLERS = (
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
)
_NOT_MODIFIED = (
    "Bad Request: message is not modified: specified new message content and reply markup are exactly "
    "the same as a current content and reply markup of the message"
)
_CAPTION = {"text": "caption", "entities": "caption_entities"}


def _formatted(values: dict[str, Any], name: str, entities: str) -> Formatted:
    text = str(values.get(name, ""))
    if str(values.get("parse_mode", "")).lower() != "html":
        return Formatted(text=text, entities=tuple(values.get(entities) or ()))
    try:
        return telegram_parse(text)
    except Refused as error:
        words = str(error)
        raise ApiError(400, f"Bad Request: {words[:1].lower()}{words[1:]}") from error


def _caption(values: dict[str, Any]) -> Formatted:
    formatted = _formatted(values, "caption", "caption_entities")
    if len(formatted.text.strip()) > 1024:
        raise ApiError(400, "Bad Request: message caption is too long")
    return formatted
