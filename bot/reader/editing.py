"""Careful changes in an item file that a person wrote."""

from __future__ import annotations

import re
from collections.abc import Mapping as Map
from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from bot.errors import QueueError
from bot.files import write_atomically
from bot.model import Item, Status
from bot.reader.flaw import Flaw
from bot.reader.frontmatter import Parts, events, place, split
from bot.reader.items import KEYS, parse_item, read_text
from bot.reader.writer import DEFAULTS, inline


def set_fields(path: Path, **changes: object) -> None:
    """Change values of the front matter in place; every other byte of the file stays.

    A missing key is added at the end of the front matter; None empties one. Raises QueueError, and leaves the
    file alone, when the file is not a good item or the change cannot be made without losing something.
    """
    text = read_text(path)
    before = parse_item(text, path)
    changed = text
    for key, value in changes.items():
        if key not in KEYS:
            raise QueueError(path, problem=f"there is no key '{key}' to change")
        try:
            changed = _set(changed, key, value)
        except Flaw as flaw:
            raise flaw.at(path) from flaw
    _compare(before, parse_item(changed, path), changes)
    if changed != text:
        _write(path, changed)


def _write(path: Path, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise QueueError(path, problem=f"cannot be written: {error.strerror}; nothing was changed") from error


def _compare(before: Item, after: Item, changes: Map[str, object]) -> None:
    """The proof after the fact: the changed keys read as asked, and everything else as before."""
    for field in fields(Item):
        name = field.name
        wanted = _meant(name, changes[name]) if name in changes else getattr(before, name)
        if getattr(after, name) != wanted:
            problem = f"cannot set {', '.join(changes)} without harm to {name}"
            raise QueueError(before.path, problem=problem, advice="change the file by hand")


def _meant(name: str, value: object) -> object:
    if value is None:
        return DEFAULTS[name]
    if isinstance(DEFAULTS[name], tuple):
        return tuple(dict.fromkeys(value if isinstance(value, tuple | list) else (value,)))
    return Status(str(value)) if name == "status" else value


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Where one top-level key and its value stand in the block: (line, column), both from 0."""

    key: tuple[int, int]
    start: tuple[int, int]
    end: tuple[int, int]
    kind: str  # "text" after | or >, "list" with a line for each "-", otherwise "exact"


def _set(text: str, key: str, value: object) -> str:
    parts = split(text)
    places = _places(parts.block)
    if key in places:
        block = _replaced(parts.block, places[key], inline(value))
    elif value is None:
        return text
    else:
        block = _added(parts, places, f"{key}: {inline(value)}")
    return parts.head + block + parts.fence + parts.body


def _places(block: str) -> dict[str, _Place]:
    """The top-level keys of the block; raises Flaw when it is one group in braces."""
    found: dict[str, _Place] = {}
    depth = 0
    name = first = None
    for event in events(block):
        if isinstance(event, yaml.MappingStartEvent) and depth == 0 and event.flow_style:
            raise Flaw(
                place(event.start_mark)[0] + 2, "the front matter is one group in braces", "change it by hand"
            )
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth == 1 and name is None and isinstance(event, yaml.ScalarEvent):
            name = event
        elif depth == 1 and name is not None:
            first = first or event
            if not isinstance(event, yaml.CollectionStartEvent):
                found[name.value] = _place(name, first, event)
                name = first = None
        depth += isinstance(event, yaml.CollectionStartEvent)
    return found


def _place(name: yaml.ScalarEvent, first: yaml.Event, last: yaml.Event) -> _Place:
    if getattr(first, "style", None) in ("|", ">"):
        kind = "text"
    else:
        is_list = isinstance(first, yaml.CollectionStartEvent) and not first.flow_style
        kind = "list" if is_list else "exact"
    return _Place(
        key=(place(name.end_mark)[0], place(name.start_mark)[1]),
        start=place(first.start_mark),
        end=place(last.end_mark),
        kind=kind,
    )


def _replaced(block: str, spot: _Place, value: str) -> str:
    lines = [f"{line}\n" for line in block.split("\n")[:-1]]
    if spot.kind != "exact":
        return _replaced_lines(lines, spot, value)
    (top, left), (bottom, right) = spot.start, spot.end
    if top != bottom and any("#" in line for line in lines[top : bottom + 1]):
        raise Flaw(top + 2, "there may be a comment inside the value", "change the file by hand")
    before, after = lines[top][:left], lines[bottom][right:]
    gap = "" if before.endswith((" ", "\t")) else " "
    return "".join([*lines[:top], f"{before}{gap}{value}{after}", *lines[bottom + 1 :]])


def _replaced_lines(lines: list[str], spot: _Place, value: str) -> str:
    """Put one line in the place of a value that has lines of its own."""
    first, last = spot.key[0], _last_line(lines, spot)
    seen = lines[first : last + 1] if spot.kind == "list" else lines[first : first + 1]
    if any(re.search(r"\s#", line) for line in seen):
        raise Flaw(first + 2, "there may be a comment inside the value", "change the file by hand")
    name = re.match(r"[^:]*:", lines[first])
    if not name:
        raise Flaw(first + 2, "the key is written in an unusual way", "change the file by hand")
    ending = "\r\n" if lines[last].endswith("\r\n") else "\n"
    return "".join([*lines[:first], f"{name[0]} {value}{ending}", *lines[last + 1 :]])


def _last_line(lines: list[str], spot: _Place) -> int:
    """The parser's end mark of a block lies behind blank lines and comments, which are not part of it."""
    last = min(spot.end[0], len(lines) - 1)
    while last > spot.key[0] and not _belongs(lines[last], spot, last):
        last -= 1
    return last


def _belongs(line: str, spot: _Place, number: int) -> bool:
    if (number, 0) >= spot.end or not line.strip():
        return False
    deeper = len(line) - len(line.lstrip(" ")) > spot.key[1]
    return deeper or (spot.kind == "list" and line.lstrip().startswith("-"))


def _added(parts: Parts, places: Map[str, _Place], line: str) -> str:
    ending = "\r\n" if parts.head.endswith("\r\n") else "\n"
    indent = " " * next((spot.key[1] for spot in places.values()), 0)
    return f"{parts.block}{indent}{line}{ending}"
