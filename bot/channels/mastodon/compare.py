"""What came back, held against what was sent: both the answer to a post and a status found later."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping

from bot.channels.base import url_on
from bot.model import Message, Receipt


def receipt(status: Mapping[str, object], message: Message, *, visibility: str, server: str) -> Receipt:
    """The receipt of a published status; its note names every difference that a person should know.

    Its URL is kept only when it lies on the ``server``, the address that bot.toml names.
    """
    return Receipt(
        remote_id=str(status["id"]),
        url=url_on(server, str(status.get("url") or status.get("uri") or "")),
        note="; ".join(_differences(status, message, visibility)),
    )


def plain_text(content: str) -> str:
    """The words of a status's HTML: paragraphs and line breaks kept, tags dropped."""
    content = re.sub(r"<br\s*/?>", "\n", content)
    content = re.sub(r"</p>\s*<p[^>]*>", "\n\n", content)
    return html.unescape(re.sub(r"<[^>]+(?:>|\Z)", "", content)).strip()


def same_words(one: str, other: str) -> bool:
    """Whether two texts differ in white space at most."""
    return one.split() == other.split()


def _differences(status: Mapping[str, object], message: Message, visibility: str) -> list[str]:
    got = str(status.get("visibility") or visibility)
    pictures = status.get("media_attachments")
    pictures = pictures if isinstance(pictures, list) else []
    alts = [str(picture.get("description") or "") for picture in pictures]
    found = {
        f"the server made it {got}": got != visibility,
        "the server published it without words": _is_empty(status) and bool(message.text.strip()),
        "the server dropped the content note": bool(message.content_note and not status.get("spoiler_text")),
        f"{len(pictures)} of {len(message.media)} pictures are attached": len(pictures) != len(message.media),
        "a picture's description was lost": any(m.alt and m.alt.strip() not in alts for m in message.media),
    }
    return [words for words, is_so in found.items() if is_so]


def _is_empty(status: Mapping[str, object]) -> bool:
    return not plain_text(str(status.get("content") or "")) and not status.get("text")
