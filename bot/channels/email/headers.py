"""Header lines of an email, to the byte.

Written by hand because Python's email package turns a long URL in a List-* header into encoded words, which
mailbox providers then ignore: one-click unsubscribe would be lost. Words outside ASCII become RFC 2047
encoded words of at most 75 characters on lines of at most 76; a URL stays raw and whole on one line.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Sequence
from string import ascii_letters, digits

from bot.channels.email.addresses import Mailbox

CRLF = "\r\n"
LINE = 78  # where a line should end (RFC 5322)
_WORD = 75  # an encoded word is never longer (RFC 2047)
_PLAIN_WORD = 60  # a longer word without a space is encoded, so that its line can be folded
_PLAIN_TEXT = re.compile(rf"(?:[!-~]{{1,{_PLAIN_WORD}}}(?: [!-~]{{1,{_PLAIN_WORD}}})*)?")
_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_AROUND = len("=?utf-8?q??=")
_Q_PLAIN = (ascii_letters + digits + "!*+-/ ").encode()  # one letter each, in a phrase, too
_Q = {byte: f"={byte:02X}" for byte in range(256) if byte not in _Q_PLAIN} | {0x20: "_"}


def text_field(name: str, text: str) -> str:
    """A header of free words, such as the Subject."""
    if _PLAIN_TEXT.fullmatch(text) and "=?" not in text:
        whole = f"{name}: {text}"
        return whole if len(whole) <= LINE else _filled(f"{name}:", text.split(" "))
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
    line = f"{name}: <{'>, <'.join(urls)}>"
    return line if len(line) <= LINE else f"{name}: <{f'>,{CRLF} <'.join(urls)}>"


def encoded_words(text: str, *, room: int = _WORD) -> str:
    """RFC 2047 words, split between characters, one a line; ``room`` is what the first line has left."""
    raw = text.encode()
    escapes = len(raw.translate(None, delete=_Q_PLAIN))
    as_q = len(raw) + 2 * escapes <= (len(raw) + 2) // 3 * 4
    pieces = _pieces_of_q(_q(raw), room) if as_q else _pieces_of_b(raw, room)
    start = "=?utf-8?q?" if as_q else "=?utf-8?b?"
    return "\r\n ".join([f"{start}{piece}?=" for piece in pieces])


def _pieces_of_q(q: str, room: int) -> list[str]:
    pieces: list[str] = []
    while len(q) > room - _AROUND:
        cut = room - _AROUND
        cut -= 1 if q[cut - 1] == "=" else 2 if q[cut - 2] == "=" else 0  # not within an escape
        while q[cut] == "=" and q[cut + 1] in "89AB":  # nor within a character
            cut -= 3
        pieces.append(q[:cut])
        q, room = q[cut:], _WORD
    return [*pieces, q]


def _pieces_of_b(raw: bytes, room: int) -> list[str]:
    pieces: list[str] = []
    while len(raw) > (room - _AROUND) // 4 * 3:
        cut = (room - _AROUND) // 4 * 3
        while raw[cut] & 0xC0 == 0x80:  # not within a character
            cut -= 1
        pieces.append(_b(raw[:cut]))
        raw, room = raw[cut:], _WORD
    return [*pieces, _b(raw)]


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


def _q(raw: bytes) -> str:
    return raw.decode("latin-1").translate(_Q)


def _b(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).decode("ascii")
