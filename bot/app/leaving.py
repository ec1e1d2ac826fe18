"""Use cases of what we hold of people: showing it, erasing it, and taking everything elsewhere."""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.app.hooks import tell
from bot.app.workspace import LEDGER, Workspace
from bot.audience.addresses import valid_address
from bot.audience.cells import guarded
from bot.errors import UserError
from bot.files import replacing, sync_folder
from bot.store.everything import Sheet, everything
from bot.store.leaving import Erased
from bot.store.traces import mentions


@dataclass(frozen=True, kw_only=True, slots=True)
class Forgotten:
    """What an erasure took away."""

    was_reader: bool
    rows: int
    files: int  # what rehearsals wrote
    left: tuple[str, ...] = ()  # files of the workspace that a person has to look at
    clean: bool = True  # False: another program still uses old pages of the database


def person(workspace: Workspace, address: str) -> dict[str, list[dict[str, Any]]]:
    """Everything we hold of one person, ready to be handed to them; empty for somebody unknown."""
    held = workspace.leaving.person(valid_address(address))
    return {table: [_readable(row) for row in rows] for table, rows in held.items()}


def erase(workspace: Workspace, address: str, *, now: datetime, dry_run: bool = False) -> Forgotten:
    """Forget this person. What stays is a keyed hash, so that no list brings them back.

    Backups are not ours: whoever keeps some lets them run out.
    """
    address = valid_address(address)
    words = workspace.leaving.spellings(address)
    mails = list(_mentioning(workspace.outbox_folder, words))
    if dry_run:
        held = workspace.leaving.person(address)
        rows = sum(len(found) for table, found in held.items() if table != "deliveries")
        left = _left(workspace, words, but=mails)
        return Forgotten(was_reader="subscriber" in held, rows=rows, files=len(mails), left=left)
    erased: Erased = workspace.leaving.erase(address, now)
    if erased.subscriber:  # whoever was told of them by this id must forget them, too
        tell(workspace, "left", now=now, subscriber=erased.subscriber, data={"reason": "erased"})
    for path in mails:
        path.unlink(missing_ok=True)
    return Forgotten(
        was_reader=bool(erased.subscriber),
        rows=erased.rows,
        files=len(mails),
        left=_left(workspace, words),
        clean=erased.clean,
    )


def _left(workspace: Workspace, words: Collection[str], *, but: Collection[Path] = ()) -> tuple[str, ...]:
    """Other files of the workspace with this address: a list, an export, bot.toml. They are a person's."""
    found = set(_mentioning(workspace.root, words)) - set(but)
    return tuple(sorted(str(path.relative_to(workspace.root)) for path in found))


def _mentioning(folder: Path, words: Collection[str]) -> Iterator[Path]:
    """The files below with one of the words. The database looks after its own."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            if not name.startswith(LEDGER) and path.is_file() and mentions(path, words, whole=True):
                yield path


# --------------------------------------------------------------------------- taking everything elsewhere


def export_everything(workspace: Workspace, folder: Path) -> dict[str, int]:
    """Every table as CSV and as JSON in a new folder; how many rows each has.

    The folder is there whole or not at all, and only its owner may read it. The items themselves are the
    files in ``queue/`` and stay where they are.
    """
    if folder.exists():
        raise UserError(f"{folder} exists already; name a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    growing = folder.parent / f".{folder.name}.{secrets.token_hex(6)}.tmp"
    growing.mkdir(mode=0o700)
    try:
        with everything(workspace.engine, mode=workspace.mode) as sheets:
            counts = {sheet.name: _write(sheet, growing) for sheet in sheets}
        growing.rename(folder)
    except BaseException:
        shutil.rmtree(growing, ignore_errors=True)
        raise
    sync_folder(folder.parent)
    return counts


def _write(sheet: Sheet, folder: Path) -> int:
    """Both files of a sheet, side by side, from one reading."""
    count = 0
    with (
        replacing(folder / f"{sheet.name}.csv") as table,
        replacing(folder / f"{sheet.name}.json") as document,
    ):
        table.write(_csv([sheet.columns]))
        document.write(b"[")
        for row in sheet.rows:
            values = [_plain(value) for value in row]
            table.write(_csv([values]))
            entry = json.dumps(dict(zip(sheet.columns, values, strict=True)), ensure_ascii=False)
            document.write((",\n" if count else "\n").encode() + entry.encode())
            count += 1
        document.write(b"\n]\n")
    return count


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
    )
    return text.getvalue().encode()


def _plain(value: Any) -> Any:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else value


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in row.items()}
