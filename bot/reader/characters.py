"""Which characters an item may hold.

Refused everywhere: control characters, lone surrogates, Unicode noncharacters (the program uses U+FDD0 and
U+FDD1 as placeholders) and the bidi embeddings and overrides U+202A to U+202E, which can make a text read
differently from what it is. Isolates and the marks LRM, RLM and ALM are fine: Arabic and Hebrew need them.
"""

from __future__ import annotations

import re
import unicodedata

from bot.reader.flaw import Flaw

# Written as what is allowed, commonest first: the search tries the ranges in turn, at every character.
_ALLOWED = "\t\n\r -~\xa0-\u2027\u202f-\ud7ff\ue000-\ufdcf\ufdf0-\ufefe\uff00-\ufffd" + "".join(
    f"{chr(plane * 0x10000)}-{chr(plane * 0x10000 + 0xFFFD)}" for plane in range(1, 17)
)
# YAML takes U+2028 and U+2029 for line ends, and a mail header would break at them.
_IN_FRONT_MATTER = re.compile(f"[^{_ALLOWED}]")
_IN_BODY = re.compile(f"[^{_ALLOWED}\u2028\u2029\ufeff]")
_LONE_RETURN = re.compile(r"\r(?!\n)")


def check_front_matter(text: str, *, line: int) -> None:
    """Refuse characters that no field may hold; ``line`` is the file's line where the text begins."""
    _check(_IN_FRONT_MATTER, text, line)


def check_body(text: str, *, line: int) -> None:
    """Refuse characters that the body may not hold."""
    _check(_IN_BODY, text, line)


def check_value(key: str, text: str, *, line: int) -> None:
    """Refuse the same characters written as YAML escapes, such as "\\u202e"."""
    if found := _search(_IN_FRONT_MATTER, text):
        raise Flaw(line, f"{key} holds {_name(found[0])}", _advice(found[0]))


def is_clean_name(name: str) -> bool:
    """Whether a file name holds none of the refused characters."""
    return not _IN_FRONT_MATTER.search(name) and not re.search(r"[\t\r\n]", name)


def _search(refused: re.Pattern[str], text: str) -> re.Match[str] | None:
    return refused.search(text) or ("\r" in text and _LONE_RETURN.search(text)) or None


def _check(refused: re.Pattern[str], text: str, line: int) -> None:
    if found := _search(refused, text):
        line += text.count("\n", 0, found.start())
        raise Flaw(line, f"holds {_name(found[0])}", _advice(found[0]))


def _name(char: str) -> str:
    code = ord(char)
    if char == "\r":
        return "a carriage return (U+000D) that ends no line"
    if 0xD800 <= code <= 0xDFFF:
        return f"half a character (U+{code:04X})"
    if 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE:
        return f"the noncharacter U+{code:04X}"
    if unicodedata.category(char) == "Cc":
        return f"a control character (U+{code:04X})"
    return f"the invisible character U+{code:04X} ({unicodedata.name(char).lower()})"


def _advice(char: str) -> str:
    if char == "\r":
        return "save the file with ordinary line ends (LF or CRLF)"
    if "\u202a" <= char <= "\u202e":
        return "delete it: it can make the text read differently from what it is"
    return "delete it; it often comes along when text is pasted"
