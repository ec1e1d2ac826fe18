"""What people put into the cells of a table -> an address, a name, a language."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from urllib.parse import unquote

from bot.audience.addresses import plain_address, valid_address
from bot.errors import AudienceError

# Invisible: spaces without width, marks of direction, soft hyphens, a byte order mark in the middle.
_UNSEEN = dict.fromkeys(
    [0xAD, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
)
_ROOM = " \t\r\n\u00a0\u1680\u2000\u2001\u2002\u2003\u2007\u202f\u3000"
_is_tag = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*").fullmatch

# An apostrophe that stands there already gets a second one, so that reading gives back what was written.
_is_formula = re.compile(r"'*[=+\-@\t\r]").match
_is_guarded = re.compile(r"'+[=+\-@\t\r]").match

# In whose words languages are named.
_SPEAKERS = ("en", "de", "es", "fr", "pt", "th", "ar", "it", "nl", "ru")


def guarded(cell: str) -> str:
    """The cell with an apostrophe before what a spreadsheet program would calculate."""
    return f"'{cell}" if _is_formula(cell) else cell


def unguarded(cell: str) -> str:
    """What ``guarded`` was given."""
    return cell[1:] if _is_guarded(cell) else cell


def spoken(title: str) -> str:
    """ "E-Mail_Address " -> "e mail address": how a title is compared."""
    text = unicodedata.normalize("NFKC", title).casefold()
    # Marks stay: without its vowels a Thai word would fall to pieces.
    return " ".join("".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in text).split())


def address_of(cell: str) -> tuple[str, str]:
    """The address in a cell, and the name beside it if there is one: "Ana <ana@example.org>".

    Spaces of any kind, invisible characters, "mailto:" and a comma at the end are taken away; nothing
    else is guessed. AudienceError says what is wrong.
    """
    text = cell.translate(_UNSEEN).strip(_ROOM)
    if known := plain_address(text):
        return known, ""
    if not text:
        raise AudienceError("the address is empty")
    name = ""
    if text.endswith(">") and "<" in text:
        # Not by the rules of a header: "Silva, Rui <rui@example.org>" is one person, quotes or none.
        name, _, text = text[:-1].rpartition("<")
        name = name.strip(_ROOM).strip('"')
    if text[:7].lower() == "mailto:":
        text = unquote(text[7:].partition("?")[0])
    return valid_address(text.strip(_ROOM).strip(",;").strip(_ROOM)), name.strip(_ROOM)


@lru_cache(maxsize=1024)
def language_of(cell: str) -> str | None:
    """The language tag that a cell means: "pt_BR", "Deutsch" and "Thai" too. None: nobody knows it."""
    text = cell.translate(_UNSEEN).strip(_ROOM)
    tag = text.partition(".")[0].replace("_", "-")
    if not text or (_is_tag(tag) and tag.partition("-")[0].lower() in _names("en")):
        return tag
    wanted = text.casefold()
    for speaker in (*_SPEAKERS, None):
        names = _names(speaker) if speaker else _own_names()
        for code, name in names.items():
            if name.casefold() == wanted:
                return code.replace("_", "-")
    return None


@lru_cache(maxsize=16)
def _names(speaker: str) -> dict[str, str]:
    from babel import Locale  # its tables take a while to load, and most lists name no language by a word

    return {str(code): str(name) for code, name in Locale.parse(speaker).languages.items()}


def _own_names() -> dict[str, str]:
    from babel import Locale

    codes = (
        "ja",
        "zh",
        "ko",
        "vi",
        "id",
        "tr",
        "pl",
        "uk",
        "hi",
        "bn",
        "my",
        "km",
        "lo",
        "tl",
        "fa",
        "he",
        "sv",
    )
    return {code: str(Locale.parse(code).languages.get(code, "")) for code in codes}
