"""From a title to a file name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

MAX_LETTERS = 60  # at most 240 bytes, so that ".md" and a temporary name still fit

# Latin letters that Unicode does not take apart.
_SPELLED = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ı": "i", "ħ": "h"}
)
# Letters by name, but nothing to see.
_INVISIBLE = "\u115f\u1160\u3164\uffa0"
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])")  # as file names on Windows


def item_id(title: str, taken: Collection[str]) -> str:
    """A file name (without ``.md``) for a title: safe on Linux, macOS and Windows, and none of ``taken``.

    Latin letters lose their accents; other scripts keep their letters. The two Unicode spellings of the same
    title give the same name.
    """
    name = _shortened(_slug(title)) or "item"
    if _RESERVED.fullmatch(name):
        name = f"item-{name}"
    used = {_folded(other) for other in taken}
    candidate, count = name, 1
    while _folded(candidate) in used:
        count += 1
        candidate = f"{name}-{count}"
    return candidate


def _slug(title: str) -> str:
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", title).casefold()).translate(_SPELLED)
    letters: list[str] = []
    for char in text:
        letters.append(_letter(char, after=letters[-1][-1:] if letters and letters[-1] else "-"))
        if not letters[-1]:
            letters.pop()
    slug = re.sub(r"-+", "-", "".join(letters)).strip("-")
    return unicodedata.normalize("NFC", slug)


def _letter(char: str, *, after: str) -> str:
    """What becomes of one character: ASCII where it is Latin, itself in other scripts, otherwise a hyphen."""
    if char in "'’":
        return ""
    base = unicodedata.normalize("NFKD", char)
    if base[0].isascii():
        kept = "".join(c for c in base if c.isascii() and c.isalnum())
        return kept.lower() or "-"
    if char in _INVISIBLE:
        return ""
    if unicodedata.category(char).startswith("M"):
        return "" if after.isascii() else char  # an accent goes with its Latin letter, a Thai vowel stays
    return char if unicodedata.category(char)[0] in "LN" else "-"


def _shortened(slug: str) -> str:
    """At most MAX_LETTERS, cut between words where there is one, and never inside a character."""
    if len(slug) <= MAX_LETTERS:
        return slug
    cut = MAX_LETTERS
    while cut and unicodedata.category(slug[cut]).startswith("M"):
        cut -= 1
    word = slug.rfind("-", 0, cut + 1)
    return slug[: word if word > MAX_LETTERS // 2 else cut].strip("-")


def _folded(name: str) -> str:
    """Two names that some file system takes for one are equal here."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
