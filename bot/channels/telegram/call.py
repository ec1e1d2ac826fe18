"""A message as one call of the Bot API: refused here when Telegram would refuse it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from bot.channels.base import Limits
from bot.channels.telegram.html import HtmlError, check_html, text_length
from bot.channels.telegram.options import Options
from bot.errors import PermanentFailure
from bot.model import Message

# A photo has no description field, so its alt text counts as part of the caption.
LIMITS = Limits(characters=4096, caption=1024, media=1)
PHOTO_BYTES = 10_000_000

Value = str | int | bool | dict[str, str | bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One irreversible call, without the token."""

    method: str
    parameters: dict[str, Value]
    length: int
    limit: int
    photo: Path | None = None

    def json(self) -> bytes:
        """For people and for the rehearsal."""
        shown = {"method": self.method, "parameters": self.parameters}
        return (json.dumps(shown, ensure_ascii=False, indent=2) + "\n").encode()


def call_for(message: Message, options: Options) -> Call:
    """The call that says exactly these words, or PermanentFailure when Telegram would not take them."""
    if len(message.media) > LIMITS.media:
        raise PermanentFailure(f"{len(message.media)} pictures; a post on Telegram takes one, leave one")
    photo = message.media[0].path if message.media else None
    limit = LIMITS.caption if photo else LIMITS.characters
    length = _checked_length(message.text, limit=limit, may_be_empty=photo is not None)
    return Call(
        method="sendPhoto" if photo else "sendMessage",
        parameters=_parameters(message, options, photo),
        length=length,
        limit=limit,
        photo=photo,
    )


def _checked_length(html: str, *, limit: int, may_be_empty: bool) -> int:
    try:
        check_html(html)
    except HtmlError as error:
        raise PermanentFailure(f"Telegram refuses the markup: {error}; correct the template") from error
    length = text_length(html)
    if length > limit:
        where = "with a picture" if limit == LIMITS.caption else "of a post"
        raise PermanentFailure(f"{length} characters; the text {where} may have {limit}, shorten it")
    if not length and not may_be_empty:
        raise PermanentFailure("the text is empty; Telegram takes no empty post")
    return length


def _parameters(message: Message, options: Options, photo: Path | None) -> dict[str, Value]:
    """In the order of the Bot API's own documentation. What Telegram assumes anyway is left out."""
    parameters: dict[str, Value] = {"chat_id": options.chat}
    if options.topic is not None:
        parameters["message_thread_id"] = options.topic
    if photo:
        parameters |= {"photo": f"attach://{photo.name}", "caption": message.text}
    else:
        parameters["text"] = message.text
    parameters["parse_mode"] = "HTML"
    if photo and message.media[0].covered:
        parameters["has_spoiler"] = True
    if not photo:
        parameters["link_preview_options"] = _link_preview(message.url, options)
    parameters |= {"disable_notification": True} if options.silent else {}
    parameters |= {"protect_content": True} if options.protect_content else {}
    return parameters


def _link_preview(url: str, options: Options) -> dict[str, str | bool]:
    """The address is always named: size wishes count only then, and nobody has to guess the first link."""
    if options.link_preview == "off" or not url:
        return {"is_disabled": True}
    size = "prefer_large_media" if options.link_preview == "large" else "prefer_small_media"
    return {"url": url, size: True}
