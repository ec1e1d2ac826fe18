"""What one value of the front matter may be: each function turns a node into a value or raises Flaw."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import PurePosixPath
from typing import TypeVar
from urllib.parse import urlsplit

from bot.model import Credit, Moment, Reading, Status
from bot.reader.flaw import Flaw
from bot.reader.frontmatter import Mapping, Node, Scalar, Sequence

T = TypeVar("T")

MAX_URL = 2048
MAX_ENTRIES = 200
MAX_PATH = 240

_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_ISO_MOMENT = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})(?:[Tt]| +)(?P<time>\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)"
    r" *(?P<zone>[Zz]|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII,
)
_OTHER_DATE = re.compile(
    r"(\d{1,2})[/. -](\d{1,2})[/. -](\d{4})|(\d{4})[/. -](\d{1,2})[/. -](\d{1,2})", re.ASCII
)
_INTEGER = re.compile(r"[+-]?\d{1,6}", re.ASCII)
# RFC 5646 without the grandfathered tags.
_LANGUAGE = re.compile(
    r"[a-z]{2,3}(-[a-z]{3}){0,3}(-[a-z]{4})?(-([a-z]{2}|\d{3}))?(-([a-z0-9]{5,8}|\d[a-z0-9]{3}))*"
    r"(-[0-9a-wy-z](-[a-z0-9]{2,8})+)*(-x(-[a-z0-9]{1,8})+)?",
    re.ASCII | re.IGNORECASE,
)
# Spaces of every kind, quotation marks, angle brackets, backslashes and invisible marks. ZWNJ and ZWJ are
# missing here: Persian and Indic addresses have them.
_NOT_IN_URL = re.compile(r"[\s\"<>\\`\u00ad\u061c\u180e\u200b\u200e\u200f\u2060-\u206f]")


def multi_line(node: Node, key: str) -> str:
    """A text that may have several lines."""
    return _scalar(node, key).text.replace("\r\n", "\n").strip()


def one_line(node: Node, key: str) -> str:
    """A text without line breaks or tabs: it becomes a subject or a headline."""
    text = multi_line(node, key)
    if "\n" in text or "\t" in text:
        raise Flaw(node.line, f"{key} must be a single line", "join its lines")
    return text


def address(node: Node, key: str) -> str:
    """An http or https address with a host, without a user name and without spaces."""
    text = one_line(node, key)
    if not text:
        return ""
    if problem := _url_problem(text):
        raise Flaw(node.line, f"{key} {problem}", "copy the address from the browser: https://...")
    return text


def _url_problem(text: str) -> str:
    if len(text) > MAX_URL:
        return f"is longer than {MAX_URL} characters"
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a web address"
    if parts.scheme not in ("http", "https"):
        return (
            f"must begin with https:// or http://, not '{parts.scheme}:'"
            if parts.scheme
            else "lacks https://"
        )
    if found := _NOT_IN_URL.search(text):
        return f"holds the character U+{ord(found[0]):04X}, which no address has"
    if "@" in parts.netloc:
        return "has a user name before '@', which hides where it leads"
    return "" if host and host.strip(".") else "has no host name"


def day(node: Node, key: str) -> date:
    """A calendar day; of a date with a time, its own day."""
    moment = _moment(node, key)
    return moment.date() if isinstance(moment, datetime) else moment


def moment(node: Node, key: str) -> Moment:
    """A calendar day, or a time with its zone."""
    value = _moment(node, key)
    if isinstance(value, datetime) and value.tzinfo is None:
        advice = f"add one ('{value.isoformat(timespec='minutes')}+07:00'), or write only the date"
        raise Flaw(node.line, f"{key} has a time without a time zone", advice)
    return value


def _moment(node: Node, key: str) -> Moment:
    text = one_line(node, key)
    try:
        if _ISO_DATE.fullmatch(text):
            return date.fromisoformat(text)
        if found := _ISO_MOMENT.fullmatch(text):
            clock = found["time"] if found["time"][1] != ":" else "0" + found["time"]
            return datetime.fromisoformat(f"{found['day']}T{clock}{(found['zone'] or '').upper()}")
    except ValueError as error:
        raise Flaw(node.line, f"{key} '{text}' is not in the calendar", "correct the date") from error
    raise Flaw(node.line, f"{key} '{_short(text)}' is not a date as 2026-03-31", _date_advice(text))


def _date_advice(text: str) -> str:
    if not (found := _OTHER_DATE.fullmatch(text)):
        return "write year-month-day with two digits each: 2026-03-31"
    if found[4]:
        guesses = [(found[4], found[5], found[6])]
    else:
        guesses = [(found[3], found[2], found[1]), (found[3], found[1], found[2])]
    days = [day for guess in guesses if (day := _calendar_day(*map(int, guess)))]
    if not days:
        return "there is no such day; write year-month-day with two digits each: 2026-03-31"
    spelled = " or ".join(dict.fromkeys(days))
    return f"write {spelled}" + (", whichever you mean" if " or " in spelled else "")


def _calendar_day(year: int, month: int, day: int) -> str:
    """As it is to be written; empty when the calendar has no such day."""
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return ""


def language(node: Node, key: str) -> str:
    """A language tag (BCP 47): "en", "pt-BR", "zh-Hant"."""
    text = one_line(node, key)
    if text and not _LANGUAGE.fullmatch(text):
        fixed = text.replace("_", "-")
        advice = f"write '{fixed}'" if _LANGUAGE.fullmatch(fixed) else "write its code: en, es, th, pt-BR"
        raise Flaw(node.line, f"{key} '{_short(text)}' is not a language code", advice)
    return text


def picture(node: Node, key: str) -> str:
    """A path relative to the item's folder that stays inside it."""
    text = one_line(node, key)
    if not text:
        return ""
    path = PurePosixPath(text)
    outside = path.is_absolute() or ".." in path.parts or re.search(r"[\\:]", text)
    if outside or not path.name or len(text.encode()) > MAX_PATH:
        advice = "put the picture into queue/images/ and write images/name.png"
        raise Flaw(node.line, f"{key} must be a path inside the queue folder", advice)
    return str(path)


def status(node: Node, key: str) -> Status:
    """One of the states that an item has."""
    text = one_line(node, key)
    if text not in list(Status):
        raise Flaw(node.line, f"unknown {key} '{_short(text)}'", did_you_mean(text, list(Status)))
    return Status(text)


def integer(node: Node, key: str) -> int:
    """A whole number of at most six digits."""
    text = one_line(node, key)
    if not _INTEGER.fullmatch(text):
        raise Flaw(
            node.line, f"{key} '{_short(text)}' is not a whole number", "write 0, 1, 2 ...; higher goes first"
        )
    return int(text)


def names(node: Node, key: str) -> tuple[str, ...]:
    """A list of one-line texts, each once; a single text is a list of one."""
    return tuple(dict.fromkeys(_each(node, key, _name)))


def _name(node: Node, key: str) -> str:
    text = one_line(node, key)
    if not text or (isinstance(node, Scalar) and node.is_null):
        raise Flaw(node.line, f"{key} has an empty entry", "fill it in, or delete it")
    return text


def readings(node: Node, key: str) -> tuple[Reading, ...]:
    """A list of groups with title, author and url."""
    return tuple(_each(node, key, _reading))


def _reading(node: Node, key: str) -> Reading:
    fields = _group(node, key, {"title": one_line, "author": one_line, "url": address})
    if not fields.get("title"):
        raise Flaw(node.line, f"{key} has an entry without a title", "write '- title: ...'")
    return Reading(**fields)


def credits(node: Node, key: str) -> tuple[Credit, ...]:  # noqa: A001 - the site's "credits" is no builtin of ours
    """A list of outlets: plain names, or groups with source and url."""
    return tuple(_each(node, key, _credit))


def _credit(node: Node, key: str) -> Credit:
    if isinstance(node, Scalar):
        return Credit(source=_name(node, key))
    fields = _group(node, key, {"source": one_line, "url": address})
    if not fields.get("source"):
        raise Flaw(node.line, f"{key} has an entry without a source", "write '- source: ...'")
    return Credit(**fields)


def did_you_mean(word: str, known: list[str]) -> str:
    """Advice for a word that is none of ``known``."""
    near = get_close_matches(word.casefold().replace("-", "_").replace(" ", "_"), known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"use one of: {', '.join(known)}"


def _group(node: Node, key: str, readers: dict[str, Callable[[Node, str], str]]) -> dict[str, str]:
    if not isinstance(node, Mapping):
        raise Flaw(node.line, f"{key} must be a list of groups", f"write '- {next(iter(readers))}: ...'")
    fields = {}
    for name, (line, value) in node.entries.items():
        if name not in readers:
            raise Flaw(line, f"unknown key '{_short(name)}' in {key}", did_you_mean(name, list(readers)))
        if not (isinstance(value, Scalar) and value.is_null):
            fields[name] = readers[name](value, f"{key}: {name}")
    return fields


def _each(node: Node, key: str, read: Callable[[Node, str], T]) -> list[T]:
    entries = node.entries if isinstance(node, Sequence) else (node,)
    if len(entries) > MAX_ENTRIES:
        raise Flaw(node.line, f"{key} has more than {MAX_ENTRIES} entries", "shorten the list")
    return [read(entry, key) for entry in entries]


def _scalar(node: Node, key: str) -> Scalar:
    if isinstance(node, Sequence):
        raise Flaw(node.line, f"{key} must be a text, not a list", "write one text, in quotation marks")
    if isinstance(node, Mapping):
        raise Flaw(node.line, f"{key} must be a text, not a group of keys", "put it in quotation marks")
    return node


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
