"""What mail servers say in words, and whose trouble it is.

The first theme that is met wins, so the order is the judgement: what speaks of the sender must not be taken
for a dead reader, and a full or suspended mailbox belongs to somebody who is alive.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from enum import StrEnum

from bot.audience.bounces import english, languages
from bot.audience.bounces.verdict import Kind

LONGEST = 6_000  # characters that are looked at

_URL = re.compile(r"\bhttps?://\S+|\bwww\.\S+")
_ADDRESS = re.compile(r"<?[^\s<>(),;:\"'\[\]@]{1,256}@[^\s<>(),;:\"'\[\]@]{1,256}>?")
_HOST = re.compile(r"(?<![\w.-])(?=[\w.-]{0,64}[^\W\d_])[\w-]{1,63}(?:\.[\w-]{1,63}){1,10}\.?(?![\w.])")
_LISTS = re.compile(
    r"spamhaus|spamcop|sorbs|abuseat|uceprotect|sender(?:score|base)|barracudacentral|mailspike"
    r"|dnsbl|\brbl\b|blacklist|blocklist"
)
# What gateways write below the words of others, and what nobody says of a mail that is refused.
_FOOTER = re.compile(
    r"\b(?:scanned|checked|swept|screened|certified|tested|protected|secured)(?: \w{1,20})? (?:by|for|with|"
    r"against|as|using)\b[^.\d]{0,80}|\bno virus(?:es)? (?:was |were )?(?:found|detected)|\bvirus[ -]?free\b"
)
_AROUND = "<>()[]{}.,;:'\"="
_MARKS = str.maketrans({"’": "'", "`": "'", "´": "'"} | dict.fromkeys('"“”*_#', " "))


class Theme(StrEnum):
    """What is being said."""

    PASSING = "passing trouble"
    SENDER = "of the sender"
    FULL = "full"
    SUSPENDED = "suspended"
    DORMANT = "not in use"
    NO_MAIL_HERE = "no mail here"
    MOVED = "moved"
    NO_HOST = "no such host"
    NOBODY = "no such person"
    REFUSED = "refused"
    UNREACHED = "out of reach"

    @property
    def kind(self) -> Kind:
        return _KINDS.get(self, Kind.FULL)


_KINDS = {
    Theme.SENDER: Kind.SENDER,
    Theme.NO_MAIL_HERE: Kind.DEAD,
    Theme.MOVED: Kind.DEAD,
    Theme.NO_HOST: Kind.DEAD,
    Theme.NOBODY: Kind.DEAD,
    Theme.REFUSED: Kind.SENDER,
}
_RULES = tuple(
    (theme, re.compile("|".join(getattr(book, theme.name) for book in books)))
    for theme in Theme
    if (books := [book for book in (english, languages) if hasattr(book, theme.name)])
)


def normal(text: str) -> str:
    """Words as the themes are written: lower case, one blank between, no addresses, hosts or links."""
    text = unicodedata.normalize("NFKC", text[:LONGEST]).translate(_MARKS).casefold()[:LONGEST]
    text = " ".join("blocklist" if _LISTS.search(word) else word for word in text.split())
    text = _URL.sub(" ", text)
    text = _ADDRESS.sub(" @ ", text)
    text = _HOST.sub(" host ", text)
    text = _FOOTER.sub(" ", " ".join(text.split()))
    return " ".join(text.split())


def speaking_of_us(text: str, ours: Collection[str]) -> str:
    """The words with "sender" for each of our addresses and domains."""
    if not ours:
        return text
    return " ".join("sender" if _is_ours(word, ours) else word for word in text.split())


def _is_ours(word: str, ours: Collection[str]) -> bool:
    """Our address or our bare domain; another mailbox of our domain is a reader's as any other."""
    return word.casefold().strip(_AROUND).rpartition("<")[2].removeprefix("@") in ours


def says(words: str, which: Theme) -> bool:
    """Whether the words speak of it, whatever else they speak of."""
    return any(each is which and pattern.search(words) for each, pattern in _RULES)


def theme(words: str) -> Theme | None:
    """What the words speak of, or None. They went through ``normal``."""
    return next((each for each, pattern in _RULES if pattern.search(words)), None)
