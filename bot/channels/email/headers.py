"""Header lines of an email, to the byte.

Written by hand because Python's email package turns a long URL in a List-* header into encoded words, which
mailbox providers then ignore: one-click unsubscribe would be lost. Words outside ASCII become RFC 2047
encoded words of at most 75 characters on lines of at most 76; a URL stays raw and whole on one line.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from string import ascii_letters, digits

from bot.channels.email.addresses import Mailbox

LINE = 78  # where a line should end (RFC 5322)
_WORD = 75  # an encoded word is never longer (RFC 2047)
_PLAIN_WORD = 60  # a longer word without a space is encoded, so that its line can be folded
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_Q_SAFE = frozenset((ascii_letters + digits + "!*+-/").encode())  # safe in a phrase, too


def text_field(name: str, text: str) -> str:
    """A header of free words, such as the Subject."""
    words = text.split(" ")
    plain = text.isascii() and "=?" not in text and all(0 < len(word) <= _PLAIN_WORD for word in words)
    if plain or not text:
        return _filled(f"{name}:", words)
    return f"{name}: {encoded_words(text, room=_room(name))}"


def mailbox_field(name: str, box: Mailbox) -> str:
    """``From: Name <address>``."""
    return f"{name}: {box.address}" if not box.name else phrase_field(name, box.name, f"<{box.address}>")


def phrase_field(name: str, phrase: str, end: str) -> str:
    """A phrase and its bracketed end, on a second line where one is too short for both."""
    start = f"{name}: {_phrase(phrase, room=_room(name))}" if phrase else f"{name}:"
    last_line = start.rpartition("\n")[2]
    return f"{start}\r\n {end}" if phrase and len(last_line) + 1 + len(end) > LINE else f"{start} {end}"


def url_field(name: str, urls: Sequence[str]) -> str:
    """Raw URLs in angle brackets; a line may end only between two of them."""
    line = f"{name}: " + ", ".join(f"<{url}>" for url in urls)
    return line if len(line) <= LINE else f"{name}: " + ",\r\n ".join(f"<{url}>" for url in urls)


def encoded_words(text: str, *, room: int = _WORD) -> str:
    """RFC 2047 words, split between characters, one a line; ``room`` is what the first line has left."""
    as_q = len(_q(text)) <= len(_b(text))
    words: list[str] = []
    chunk = ""
    for character in text:
        if chunk and len(_word(chunk + character, as_q=as_q)) > (_WORD if words else room):
            words.append(_word(chunk, as_q=as_q))
            chunk = ""
        chunk += character
    return "\r\n ".join([*words, _word(chunk, as_q=as_q)])


def _room(name: str) -> int:
    return min(_WORD, 76 - len(f"{name}: "))


def _filled(start: str, words: Sequence[str]) -> str:
    lines = [start]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > LINE:
            lines.append("")
        lines[-1] += f" {word}"
    return "\r\n".join(lines)


def _phrase(text: str, *, room: int) -> str:
    if not text.isascii() or "=?" in text or len(text) > _PLAIN_WORD:
        return encoded_words(text, room=room)
    return text if _ATOM.fullmatch(text) else '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _word(text: str, *, as_q: bool) -> str:
    return f"=?utf-8?q?{_q(text)}?=" if as_q else f"=?utf-8?b?{_b(text)}?="


def _q(text: str) -> str:
    return "".join(
        chr(byte) if byte in _Q_SAFE else "_" if byte == 0x20 else f"={byte:02X}" for byte in text.encode()
    )


def _b(text: str) -> str:
    return b64encode(text.encode()).decode("ascii")
