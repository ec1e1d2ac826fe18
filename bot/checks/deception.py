"""What is written so that people cannot see it: invisible tag characters, and hosts that look like others.

A host is held against the "Highly Restrictive" level of Unicode's UTS 39, section 5.2, label by label: one
script, or the mixes of Japanese, Chinese and Korean, which go together with Latin. Letters are of the script
that their Unicode name begins with. A label of Cyrillic letters that all look like Latin ones, below a Latin
top-level domain, is not shown as such by browsers either (Chromium, "Internationalized Domain Names").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import fields

from bot.model import Finding, Item, Level
from bot.printable import FLAG, TAG

_FLAG, _TAG = re.compile(FLAG), re.compile(TAG)
_LINK = re.compile(r"https?://(?:[^\s/?#<>\"'()\[\]@]{0,256}@)?([^\s/?#<>\"'()\[\]:@]{1,256})", re.IGNORECASE)
_TOGETHER = (
    {"LATIN", "CJK", "HIRAGANA", "KATAKANA"},  # Japanese
    {"LATIN", "CJK", "BOPOMOFO"},  # Chinese
    {"LATIN", "CJK", "HANGUL"},  # Korean
)
_ALSO = {"IDEOGRAPHIC": "CJK", "MODIFIER": ""}  # a modifier letter goes with every script
_LOOKS_LATIN = frozenset("асԁеһіјӏорԛѕԝхуѵѡ")


def deceptions(item: Item) -> Iterator[Finding]:
    """Findings about characters and addresses that deceive whoever reads them."""
    texts = list(_texts(item))
    for key, code in {key: ord(found) for key, text in texts if (found := _hidden(text))}.items():
        message = f"{key} holds invisible text (U+{code:04X}); write it anew, or delete what is hidden"
        yield Finding(level=Level.BLOCK, rule="text.hidden", message=message, path=item.path)
    for host in dict.fromkeys(host for _, text in texts for host in _LINK.findall(text)):
        yield from _deceptive_host(host, item)


def _deceptive_host(host: str, item: Item) -> Iterator[Finding]:
    advice = "whoever opens it may land somewhere else; type it yourself, or ask the source"
    if label := mixed_scripts(host):
        message = f"the address {host} mixes letters of several scripts in {label!r}: {advice}"
        yield Finding(level=Level.BLOCK, rule="url.mixed_scripts", message=message, path=item.path)
    elif label := looks_latin(host):
        message = f"{label!r} in the address {host} is Cyrillic and looks like Latin: {advice}"
        yield Finding(level=Level.WARN, rule="url.lookalike", message=message, path=item.path)


def mixed_scripts(host: str) -> str:
    """The first label whose letters are of scripts that no language mixes; "" when there is none."""
    for label in _labels(host):
        scripts = _scripts(label)
        if len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER):
            return label
    return ""


def looks_latin(host: str) -> str:
    """The first label that is Cyrillic and could be read as Latin, where the last one is Latin."""
    *labels, last = _labels(host)
    letters = ((label, {char for char in label if char.isalpha()}) for label in labels)
    return next((label for label, used in letters if last.isascii() and used and used <= _LOOKS_LATIN), "")


def _labels(host: str) -> list[str]:
    return [_shown(label) for label in unicodedata.normalize("NFKC", host).strip(".").split(".")]


def _shown(label: str) -> str:
    """A label as browsers may show it: "xn--80ak6aa92e" is Cyrillic."""
    if not label.lower().startswith("xn--"):
        return label.lower()
    try:
        return label[4:].encode("ascii").decode("punycode").lower()
    except UnicodeError:
        return label.lower()


def _scripts(label: str) -> set[str]:
    names = (unicodedata.name(char, "") for char in label if unicodedata.category(char)[0] == "L")
    words = (re.split("[ -]", name, maxsplit=1)[0] for name in names)
    return {_ALSO.get(word, word) for word in words} - {""}


def _hidden(text: str) -> str:
    """The first invisible tag character that belongs to no flag."""
    found = _TAG.search(_FLAG.sub("", text)) if not text.isascii() else None
    return found[0] if found else ""


def _texts(item: Item) -> Iterator[tuple[str, str]]:
    """Every text of an item by its key, those in its lists as well."""
    for field in fields(item):
        yield from ((field.name, text) for text in _strings(getattr(item, field.name)))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from _strings(each)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            yield from _strings(getattr(value, name))
