"""The whole queue at once: every item, and every file that is not one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bot.errors import QueueError
from bot.model import Item
from bot.reader.cache import Cache, Outcome, Stamp, stamp_of
from bot.reader.items import read_item

_NO_STRAYS = frozenset({".md", ".png", ".jpg", ".jpeg", ".gif", ".webp"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Queue:
    """What a queue folder holds: items by id, and what is wrong with the other files."""

    items: tuple[Item, ...] = ()
    errors: tuple[QueueError, ...] = ()


def read_queue(folder: Path, *, cache: Path | None = None, cache_readonly: bool = False) -> Queue:
    """Every ``*.md`` of the folder, not of folders in it; hidden files and other endings are no items.

    A bad file never stops the good ones. ``cache`` is a file that spares reading what did not change; with
    ``cache_readonly`` nothing at all is written. Raises QueueError only when there is no such folder.
    """
    stamps = _stamps(folder)
    kept = Cache(cache, folder, readonly=cache_readonly) if cache else None
    outcomes = kept.outcomes(stamps) if kept else {}
    fresh = {name: _read(folder / name) for name in stamps if name not in outcomes}
    if kept and (fresh or kept.has_gone_files):
        kept.remember({name: (stamps[name], outcome) for name, outcome in fresh.items()}, set(stamps))
    return _queue({**outcomes, **fresh})


def stray_files(folder: Path) -> list[Path]:
    """Files that somebody may take for items and nothing reads: "story.md.txt", not pictures."""
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if path.name[0] != "." and path.suffix.lower() not in _NO_STRAYS and path.is_file()
        )
    except OSError:
        return []


def _stamps(folder: Path) -> dict[str, Stamp]:
    """The item files of a folder, each with what tells whether it changed."""
    stamps: dict[str, Stamp] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name[-3:].lower() == ".md" and name[0] != ".":
                    stamps[name] = _stamp(entry)
    except OSError as error:
        raise QueueError(
            folder, problem=f"cannot be read: {error.strerror}", advice="make the folder"
        ) from error
    return stamps


def _stamp(entry: os.DirEntry[str]) -> Stamp:
    try:
        return stamp_of(entry.stat())
    except OSError:  # a link that leads nowhere, or a file that has just gone: reading it says so
        return (0, 0, 0, 0)


def _read(path: Path) -> Outcome:
    try:
        return read_item(path)
    except QueueError as error:
        return error


def _queue(outcomes: dict[str, Outcome]) -> Queue:
    items: dict[str, Item] = {}
    errors: list[QueueError] = []
    for name in sorted(outcomes):
        outcome = outcomes[name]
        if isinstance(outcome, QueueError):
            errors.append(outcome)
        elif outcome.id in items:
            other = items[outcome.id].path.name
            errors.append(
                QueueError(outcome.path, problem=f"has the same id as {other}", advice="rename one")
            )
        else:
            items[outcome.id] = outcome
    return Queue(items=tuple(items[key] for key in sorted(items)), errors=tuple(errors))
