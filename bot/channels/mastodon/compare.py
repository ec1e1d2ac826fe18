"""What came back, held against what was sent: both the answer to a post and a status found later."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping
from html.parser import HTMLParser
from urllib.parse import unquote

from bot.channels.base import CUT, url_on
from bot.model import Message, Receipt

_MENTION = re.compile(r"(@[\w.-]+)@[\w.-]*\w")
_LIST_NUMBER = re.compile(
    r"^[ \t]*+\d++[.)]\s", re.MULTILINE
)  # a server that reads Markdown makes a list of it
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
    reader = _Shown(_letters(unquote(text)))
    reader.feed(content)
    reader.close()
    return _MENTION.sub(r"\1", unquote("".join((*reader.words, *reader.anchor)).strip()))


class _Shown(HTMLParser):
    """Words as they are shown; a link to what was ``sent`` in full, whatever is shown of it."""

    def __init__(self, sent: str) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.anchor: list[str] = []  # the words of the link that is open
        self._sent, self._target = sent, ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._end_link()
            self._target = unquote(dict(attrs).get("href") or "")
        elif tag in {"br", "p"}:
            self.handle_data("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._end_link()

    def handle_data(self, data: str) -> None:
        (self.anchor if self._target else self.words).append(data)

    def _end_link(self) -> None:
        words, target = "".join(self.anchor), self._target
        letters = _letters(target)
        # "@name@host" as the target of itself would be lost in its page's address
        is_sent = bool(letters) and letters in self._sent and not words.strip().startswith(("@", "#"))
        self.words.append(target if is_sent else words)
        self.anchor, self._target = [], ""


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
