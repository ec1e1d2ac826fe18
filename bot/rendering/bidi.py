"""Keeping writing directions apart in plain text and in a mail's HTML, where it is needed and only there.

A reader shows each line from the side of its first strong letter (dir="auto", Unicode's UAX #9).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from markupsafe import Markup, escape

from bot.rendering.languages import Direction
from bot.rendering.markdown import text_direction

SEPARATOR = " · "

_LRM, _RLM, _FSI, _PDI = "\u200e", "\u200f", "\u2068", "\u2069"
_ISOLATES = frozenset("\u2066\u2067\u2068")
_MARKS: Mapping[Direction, str] = {"ltr": _LRM, "rtl": _RLM}
_OPPOSITE: Mapping[Direction, Direction] = {"ltr": "rtl", "rtl": "ltr"}
_RTL_CLASSES = frozenset({"R", "AL"})


def line(*pieces: str, way: Direction = "ltr", between: str = SEPARATOR) -> str:
    """The pieces that are there, each once, on one line; kept together where writing directions meet."""
    return directed(between.join(isolated(piece, way) for piece in dict.fromkeys(pieces) if piece), way)


def directed(text: str, way: Direction) -> str:
    """The text with a direction mark in front where its first strong character would turn it round."""
    first = _first_strong(text)
    if first is None or first == way:
        return text
    return _MARKS[way] + text


def isolated(piece: str, way: Direction) -> str:
    """The piece within isolates (U+2068, U+2069) where it could mix with its neighbours, else as it is."""
    ways = {_strong(char) for char in piece} - {None}
    digits = way == "rtl" and any(char.isdecimal() for char in piece)
    mixes = bool(ways - {way}) or (digits and not ways)
    return f"{_FSI}{piece}{_PDI * (1 + _unclosed(piece))}" if mixes else piece


def apart(piece: str, way: Direction, *, lang: str = "") -> Markup:
    """The piece within a line of a mail's HTML that runs in direction ``way``.

    Most mail programs drop ``bdi``. A span with a direction is isolated in all that are browsers; the mark
    behind it keeps what follows in its place in those that are none (Outlook's Word).
    """
    own = way if text_direction(piece) in ("", way) else _OPPOSITE[way]
    language = Markup(' lang="{}"').format(lang) if lang else Markup()
    if own == way and isolated(piece, way) == piece:
        return Markup("<span{}>{}</span>").format(language, piece) if lang else escape(piece)
    return Markup('<span{} dir="{}">{}</span>{}').format(language, own, piece, _MARKS[way])


def _first_strong(text: str) -> Direction | None:
    """As a text field with dir="auto" finds it: what is isolated does not count. ``None``: no letters."""
    depth = 0
    for char in text:
        depth += (char in _ISOLATES) - (char == _PDI and depth > 0)
        strong = _strong(char)
        if strong and not depth:
            return strong
    return "ltr" if _FSI in text else None


def _strong(char: str) -> Direction | None:
    kind = unicodedata.bidirectional(char)
    return "rtl" if kind in _RTL_CLASSES else "ltr" if kind == "L" else None


def _unclosed(text: str) -> int:
    """How many isolates the text opens and does not close."""
    depth = 0
    for char in text:
        depth = depth + 1 if char in _ISOLATES else max(depth - (char == _PDI), 0)
    return depth
