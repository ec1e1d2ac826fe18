"""The schema of an item: which keys its front matter may hold, and what becomes of them."""

from __future__ import annotations

import re
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path

from bot.errors import QueueError
from bot.model import Item
from bot.reader import values
from bot.reader.characters import is_clean_name
from bot.reader.flaw import Flaw
from bot.reader.frontmatter import MAX_BYTES, Mapping, Node, Scalar, decode, read_fields, split

READERS: dict[str, Callable[[Node, str], object]] = {
    "title": values.one_line,
    "url": values.address,
    "source": values.one_line,
    "published": values.day,
    "region": values.one_line,
    "tags": values.names,
    "lang": values.language,
    "summary": values.multi_line,
    "further_reading": values.readings,
    "content_warning": values.one_line,
    "image": values.picture,
    "alt": values.multi_line,
    "status": values.status,
    "channels": values.names,
    "not_before": values.moment,
    "expires": values.moment,
    "priority": values.integer,
    "also_reported_by": values.credits,
    "added_by": values.one_line,
    "approved_by": values.names,
}
KEYS = list(READERS)
REQUIRED = ("title", "url", "source", "published")

# What people write from memory, and no spelling check would find.
_SYNONYMS = {
    "author": "source",
    "cw": "content_warning",
    "category": "tags",
    "date": "published",
    "description": "summary",
    "headline": "title",
    "keywords": "tags",
    "language": "lang",
    "link": "url",
    "picture": "image",
    "photo": "image",
    "state": "status",
}

_LEADING_BLANK_LINES = re.compile(r"(?:[ \t]*\n)+")


def read_item(path: Path) -> Item:
    """The item in a file; raises QueueError with the line and a sentence of advice."""
    return parse_item(read_text(path), path)


def read_text(path: Path) -> str:
    """The text of an item file with its own line ends; raises QueueError."""
    try:
        # A named pipe would never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise Flaw(1, "is not a file", "only files may end with .md in the queue")
        with path.open("rb") as file:
            return decode(file.read(MAX_BYTES + 1))
    except OSError as error:
        raise Flaw(1, f"cannot be read: {error.strerror}").at(path) from error
    except Flaw as flaw:
        raise flaw.at(path) from flaw


def parse_item(text: str, path: Path) -> Item:
    """The item in a text that stands, or will stand, at ``path``; raises QueueError."""
    try:
        return _item(text, path)
    except Flaw as flaw:
        raise flaw.at(path) from flaw


def lines_of(text: str) -> dict[str, int]:
    """The line of the file on which each key stands, and under "body" the first one of the story.

    Raises Flaw for a text that is no item.
    """
    parts = split(text)
    lines = {name: line for name, (line, _) in read_fields(parts).entries.items()}
    blank = _LEADING_BLANK_LINES.match(parts.body.replace("\r\n", "\n"))
    return lines | {"body": parts.body_line + (blank[0].count("\n") if blank else 0)}


def line_of(path: Path, key: str) -> int:
    """The line of ``lines_of``; 0 where the file cannot be read or lacks the key."""
    try:
        return lines_of(read_text(path)).get(key, 0)
    except (QueueError, Flaw):
        return 0


def item_id_of(path: Path) -> str:
    """The id that a file name gives; macOS and Linux spell the same name differently, so NFC."""
    return unicodedata.normalize("NFC", path.stem)


def _item(text: str, path: Path) -> Item:
    name = item_id_of(path)
    if not is_clean_name(name):
        raise Flaw(1, "the file name holds characters that cannot be shown", "rename the file")
    if len(text) > MAX_BYTES:
        raise Flaw(1, f"is larger than {MAX_BYTES:,} bytes", "an item is one story; shorten it")
    parts = split(text)
    fields = _fields(read_fields(parts))
    return Item(id=name, path=path, body=_body(parts.body), **fields)  # type: ignore[arg-type]


def _fields(front: Mapping) -> dict[str, object]:
    for name, (line, _) in front.entries.items():
        if name not in READERS:
            raise _unknown(name, line)
    fields = {
        name: READERS[name](node, name)
        for name, (_, node) in front.entries.items()
        if not (isinstance(node, Scalar) and node.is_null)
    }
    if missing := [name for name in REQUIRED if not fields.get(name)]:
        line = min((front.entries[name][0] for name in missing if name in front.entries), default=1)
        raise Flaw(line, f"{', '.join(missing)} must be given", f"write '{missing[0]}: ...'")
    if not fields.get("lang", "en"):
        del fields["lang"]
    return fields


def _unknown(name: str, line: int) -> Flaw:
    meant = _SYNONYMS.get(name.casefold())
    advice = f"did you mean '{meant}'?" if meant else values.did_you_mean(name, KEYS)
    return Flaw(line, f"unknown key '{name[:40]}'", advice)


def _body(text: str) -> str:
    """Markdown with LF line ends, without blank lines around it."""
    text = text.replace("\r\n", "\n").rstrip()
    found = _LEADING_BLANK_LINES.match(text)
    return text[found.end() :] if found else text
