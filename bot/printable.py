"""How text from elsewhere is shown: what acts on a terminal, forges a line or turns words round is escaped.

File names, services' answers, lists and mails are written by strangers. Escaped are control characters, the
line and paragraph separators, Unicode's Bidi_Control characters, invisible tag characters (U+E00xx) and lone
surrogates, which stand for bytes of a file name that are no UTF-8. Everything else is shown as it is.
"""

from __future__ import annotations

import json
import re

# The flags of England, Scotland and Wales are spelled with tag characters (UTS 51, ED-14a).
FLAG = "\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f"
TAG = "[\U000e0000-\U000e007f]"
_REFUSED = re.compile(
    f"({FLAG})|[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]|{TAG}"
)
_LONG_WORD, _DIGIT = re.compile(r"[A-Za-z0-9_-]{32,}+"), re.compile("[0-9]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    """The text on one line: "a\\nb\\u202ec". What is printable comes back as it is."""
    return text if text.isprintable() else _REFUSED.sub(_escaped, text)


def printable_lines(text: str) -> str:
    """The same for words of our own with line breaks in them: these stay."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(document: str) -> str:
    """A JSON document that says the same, with these characters as JSON spells them."""
    return "\n".join(_REFUSED.sub(_in_json, line) for line in document.split("\n"))


def without_tokens(text: str) -> str:
    """A service's words with "<token>" for what looks like one of ours: 32 characters or more, and digits.

    Refusals quote what they refuse: links that unsubscribe (43 characters), return paths (42), access tokens.
    Whoever shortens the text does it afterwards: half a token is still half of one.
    """
    return _LONG_WORD.sub(lambda found: "<token>" if _DIGIT.search(found[0]) else found[0], text)


def _escaped(found: re.Match[str]) -> str:
    if found[1]:
        return found[1]
    code = ord(found[0])
    return _NAMED.get(found[0]) or (f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}")


def _in_json(found: re.Match[str]) -> str:
    return found[1] or json.dumps(found[0])[1:-1]
