"""What came back, held against what was sent: both the answer to a post and a status found later."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping
from urllib.parse import unquote

from bot.channels.base import CUT, url_on
from bot.model import Message, Receipt

_ANCHOR = re.compile(r"<a\b([^>]*)>(.*?)</a\s*>", re.DOTALL | re.IGNORECASE)
_HREF = re.compile(r"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_MENTION = re.compile(r"(@[\w.-]+)@[\w.-]*\w")
_LIST_NUMBER = re.compile(r"^\s*\d+[.)]\s", re.MULTILINE)  # a server that reads Markdown makes a list of it
_ENOUGH = 12  # letters that make a beginning a post's own


def receipt(
    status: Mapping[str, object], message: Message, *, visibility: str, server: str, language: str = ""
) -> Receipt:
    """The receipt of a published status; its note names every difference that a person should know.

    Its URL is kept only when it lies on the ``server``, the address that bot.toml names.
    """
    return Receipt(
        remote_id=str(status["id"]),
        url=url_on(server, str(status.get("url") or status.get("uri") or "")),
        note="; ".join(_differences(status, message, visibility, language)),
    )


def plain_text(content: str) -> str:
    """The words of a status's HTML: paragraphs and line breaks kept, tags dropped."""
    content = re.sub(r"<br\s*/?>", "\n", content)
    content = re.sub(r"</p>\s*<p[^>]*>", "\n\n", content)
    return html.unescape(re.sub(r"<[^>]+(?:>|\Z)", "", content)).strip()


def same_words(one: str, other: str) -> bool:
    """Whether two texts differ in white space at most."""
    return one.split() == other.split()


def is_whole(content: str, text: str) -> bool:
    """Whether every letter of the text stands in a status's HTML, in order.

    A server may add to the words: a quotation, the domain of a mention, paragraphs. It shortens what is shown
    of a link, so that its target counts; signs and spaces are set as it likes.
    """
    letters = iter(_letters(_shown(content, text)))
    return all(letter in letters for letter in _letters(_as_sent(text)))


def is_cut(content: str, text: str) -> bool:
    """Whether a status's HTML is a beginning of the text, too long to be chance."""
    begun, whole = _letters(_shown(content, text)), _letters(_as_sent(text))
    return len(begun) >= min(_ENOUGH, len(whole)) > 0 and whole.startswith(begun)


def _as_sent(text: str) -> str:
    return _LIST_NUMBER.sub("", _MENTION.sub(r"\1", unquote(text)))


def _shown(content: str, text: str) -> str:
    """The words of the HTML, each of the text's own links in full."""
    sent = _letters(unquote(text))

    def spelt(anchor: re.Match[str]) -> str:
        href = _HREF.search(anchor[1])
        target = unquote(html.unescape((href[1] or href[2] or "") if href else ""))
        is_sent = bool(_letters(target)) and _letters(target) in sent
        words = plain_text(anchor[2])
        # "@name@host" as the target of itself would be lost in its page's address
        return html.escape(target) if is_sent and not words.startswith(("@", "#")) else anchor[2]

    return _MENTION.sub(r"\1", unquote(plain_text(_ANCHOR.sub(spelt, content))))


def _letters(text: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(letter for letter in folded if letter.isalnum())


def _differences(status: Mapping[str, object], message: Message, visibility: str, language: str) -> list[str]:
    got = str(status.get("visibility") or visibility)
    pictures = status.get("media_attachments")
    pictures = pictures if isinstance(pictures, list) else []
    alts = [str(picture.get("description") or "") for picture in pictures]
    content = str(status.get("content") or "")
    found = {
        CUT: bool(plain_text(content)) and not is_whole(content, message.text),
        f"the server made it {got}": got != visibility,
        "the server published it without words": _is_empty(status) and bool(message.text.strip()),
        "the server dropped the content note": bool(message.content_note and not status.get("spoiler_text")),
        "the server dropped the language": _is_language_lost(status, language),
        f"{len(pictures)} of {len(message.media)} pictures are attached": len(pictures) != len(message.media),
        "a picture's description was lost": any(m.alt and m.alt.strip() not in alts for m in message.media),
    }
    return [words for words, is_so in found.items() if is_so]


def _is_language_lost(status: Mapping[str, object], language: str) -> bool:
    """Only where it tells languages at all, and of "pt-BR" no more than "pt" is asked for."""
    if not language or "language" not in status:
        return False
    return str(status["language"] or "").lower().split("-")[0] != language.lower().split("-")[0]


def _is_empty(status: Mapping[str, object]) -> bool:
    return not plain_text(str(status.get("content") or "")) and not status.get("text")
