"""A fresh item file, and values as YAML that every program reads the same."""

from __future__ import annotations

import re
from collections.abc import Mapping as Map
from dataclasses import fields
from datetime import date

from bot.model import Credit, Item, Reading
from bot.reader.items import KEYS, REQUIRED

ALWAYS = (*REQUIRED, "lang", "status")  # a fresh file shows these even at their defaults

# Words that need no quotation marks for us nor for any other YAML program.
_PLAIN = re.compile(
    r"[A-Za-z][A-Za-z0-9_.]*(?:[ /-][A-Za-z0-9_.]+)*|https?://[A-Za-z0-9./_~%+=&;-]*[A-Za-z0-9/]", re.ASCII
)
_NOT_PLAIN = re.compile(r"null|true|false|yes|no|on|off|y|n|[.\d]*e[\d]*", re.IGNORECASE)
DEFAULTS = {field.name: field.default for field in fields(Item)}


def item_text(item: Item) -> str:
    """A new file for an item: keys in their usual order, defaults left out, texts safely quoted."""
    lines = [line for key in KEYS for line in _entry(key, getattr(item, key))]
    front = "".join(f"{line}\n" for line in lines)
    return f"---\n{front}---\n" + (f"\n{item.body}\n" if item.body else "")


def _entry(key: str, value: object) -> list[str]:
    if key not in ALWAYS and value == DEFAULTS[key]:
        return []
    if isinstance(value, tuple) and any(isinstance(part, Reading | Credit) for part in value):
        return [f"{key}:", *(f"  - {inline(part)}" for part in value)]
    return [f"{key}: {inline(value)}"]


def inline(value: object) -> str:
    """A value as YAML on one line."""
    if value is None:
        return "null"
    if isinstance(value, str):  # a Status is one, too
        return _text(str(value))
    if isinstance(value, bool):
        raise TypeError("no key of an item is true or false")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, date):  # a datetime is one, too
        return value.isoformat()
    if isinstance(value, Reading):
        return _group({"title": value.title, "author": value.author, "url": value.url})
    if isinstance(value, Credit):
        return _group({"source": value.source, "url": value.url})
    if isinstance(value, tuple | list):
        return f"[{', '.join(inline(part) for part in value)}]"
    raise TypeError(f"an item cannot hold {type(value).__name__}")


def _group(pairs: Map[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {_text(text)}" for key, text in pairs.items() if text) + "}"


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and not _NOT_PLAIN.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
