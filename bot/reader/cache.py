"""What the reader made of each file, kept for the next run. A cache: losing it costs time and nothing else.

SQLite, because one changed file then costs one row. A row is used only when name, size, inode and both times
of the file are the same and its checksum is right; anything unexpected means "not cached".
"""

from __future__ import annotations

import contextlib
import gc
import json
import sqlite3
import time
import zlib
from collections.abc import Iterator
from dataclasses import fields
from datetime import date, datetime
from os import stat_result
from pathlib import Path

from bot.errors import QueueError
from bot.files import make_private_file, make_private_folder
from bot.model import Credit, Item, Moment, Reading, Status

# Raise it whenever the reader reads differently or an Item changes its fields.
FORMAT = 2
VERSION = f"{FORMAT}:{','.join(field.name for field in fields(Item))}"

# A file that changed this recently may change again within the same tick of the file system's clock.
FRESH_NS = 50_000_000

# Seconds to wait for another run; after that, reading everything is quicker than waiting.
PATIENCE = 0.2

Stamp = tuple[int, int, int, int]
Outcome = Item | QueueError
Row = tuple[str, int, int, int, int, int, bytes, bytes]

_SCHEMA = """
drop table if exists queue_meta;
drop table if exists queue_seen;
create table queue_meta (version text not null, folder text not null);
create table queue_seen (
    name text primary key, mtime integer not null, ctime integer not null, size integer not null,
    inode integer not null, sum integer not null, record blob not null, body blob not null
);
"""


def stamp_of(stat: stat_result) -> Stamp:
    """What must be the same for a file to count as unchanged."""
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


class Cache:
    """The rows of one queue folder; ``readonly`` writes nothing, not even beside the file."""

    def __init__(self, file: Path, folder: Path, *, readonly: bool) -> None:
        self._file, self._folder, self._readonly = file, folder, readonly
        self.has_gone_files = False  # known once the outcomes were read

    def outcomes(self, stamps: dict[str, Stamp]) -> dict[str, Outcome]:
        """The remembered outcome of each file that did not change."""
        found: dict[str, Outcome] = {}
        with contextlib.suppress(sqlite3.Error, OSError), self._opened("ro") as database, _no_collecting():
            if not self._is_ours(database):
                return {}
            for name, *stamp, checksum, record, body in database.execute("select * from queue_seen"):
                if name not in stamps:
                    self.has_gone_files = True
                elif stamps[name] == tuple(stamp) and zlib.crc32(body, zlib.crc32(record)) == checksum:
                    # A record that cannot be understood is as good as none.
                    with _ignored:
                        found[name] = _unpacked(record, body, self._folder / name)
        return found

    def remember(self, fresh: dict[str, tuple[Stamp, Outcome]], names: set[str]) -> None:
        """Keep what was read anew, and forget files that are no longer there."""
        if self._readonly:
            return
        limit = time.time_ns() - FRESH_NS
        rows = [_row(name, *entry) for name, entry in fresh.items() if entry[0][0] < limit and _is_text(name)]
        try:
            self._store(rows, names)
        except sqlite3.OperationalError:
            return  # another run holds it, or the disk is full: the next run tries again
        except sqlite3.DatabaseError:
            self._start_again(rows, names)

    def _start_again(self, rows: list[Row], names: set[str]) -> None:
        with contextlib.suppress(sqlite3.Error, OSError):
            self._file.unlink(missing_ok=True)
            self._store(rows, names)

    def _store(self, rows: list[Row], names: set[str]) -> None:
        with contextlib.suppress(OSError):
            make_private_folder(self._file.parent)
            make_private_file(self._file)
        with self._opened("rwc") as database:
            database.execute("pragma synchronous = off")
            with database:
                database.execute("begin immediate")
                if not self._is_ours(database):
                    self._make(database)
                database.executemany(
                    "insert or replace into queue_seen values (?, ?, ?, ?, ?, ?, ?, ?)", rows
                )
                known = {name for (name,) in database.execute("select name from queue_seen")}
                database.executemany("delete from queue_seen where name = ?", [(n,) for n in known - names])

    @contextlib.contextmanager
    def _opened(self, mode: str) -> Iterator[sqlite3.Connection]:
        uri = f"{self._file.absolute().as_uri()}?mode={mode}"
        with contextlib.closing(
            sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None)
        ) as database:
            yield database

    def _is_ours(self, database: sqlite3.Connection) -> bool:
        try:
            rows = database.execute("select version, folder from queue_meta").fetchall()
        except sqlite3.OperationalError:  # no such table
            return False
        return rows == [(VERSION, str(self._folder.absolute()))]

    def _make(self, database: sqlite3.Connection) -> None:
        for statement in _SCHEMA.split(";"):
            database.execute(statement)
        database.execute("insert into queue_meta values (?, ?)", (VERSION, str(self._folder.absolute())))


# --------------------------------------------------------------------------- one row


@contextlib.contextmanager
def _no_collecting() -> Iterator[None]:
    """Many new objects and no cycles among them: looking for garbage would cost a sixth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


# Made once: a new one for each of ten thousand rows takes a tenth of the time.
_ignored = contextlib.suppress(ValueError, TypeError, KeyError)

# A dict is three times as fast as Status(text), and ten thousand items are read in one go.
_STATUS = {str(status): status for status in Status}


def _is_text(name: str) -> bool:
    """Whether a file name can be stored; one in another encoding cannot."""
    return not any("\ud800" <= char <= "\udfff" for char in name)


def _row(name: str, stamp: Stamp, outcome: Outcome) -> Row:
    record = json.dumps(_packed(outcome), ensure_ascii=False, separators=(",", ":")).encode()
    # The body apart: it is the longest text, and needs no JSON.
    body = b"" if isinstance(outcome, QueueError) else outcome.body.encode()
    return (name, *stamp, zlib.crc32(body, zlib.crc32(record)), record, body)


def _packed(outcome: Outcome) -> list[object]:
    if isinstance(outcome, QueueError):
        return [outcome.line, outcome.problem, outcome.advice]
    i = outcome
    return [
        i.id, i.title, i.url, i.source, i.published.isoformat(), i.region, i.tags, i.lang, i.summary,
        [(r.title, r.author, r.url) for r in i.further_reading], i.content_warning, i.image, i.alt,
        str(i.status), i.channels, _spelled(i.not_before), _spelled(i.expires), i.priority,
        [(c.source, c.url) for c in i.also_reported_by], i.added_by, i.approved_by,
    ]  # fmt: skip


def _unpacked(record: bytes, body: bytes, path: Path) -> Outcome:
    values = json.loads(record.decode())
    if len(values) == 3:
        return QueueError(path, line=values[0], problem=values[1], advice=values[2])
    (
        name, title, url, source, published, region, tags, lang, summary, reading, warning, image, alt,
        status, channels, not_before, expires, priority, outlets, added_by, approved_by,
    ) = values  # fmt: skip
    return Item(
        id=name,
        path=path,
        title=title,
        url=url,
        source=source,
        published=date.fromisoformat(published),
        region=region,
        tags=tuple(tags),
        lang=lang,
        summary=summary,
        further_reading=tuple([Reading(title=t, author=a, url=u) for t, a, u in reading]) if reading else (),
        content_warning=warning,
        image=image,
        alt=alt,
        status=_STATUS[status],
        channels=tuple(channels),
        not_before=_moment(not_before),
        expires=_moment(expires),
        priority=priority,
        also_reported_by=tuple([Credit(source=s, url=u) for s, u in outlets]) if outlets else (),
        added_by=added_by,
        approved_by=tuple(approved_by),
        body=body.decode(),
    )


def _spelled(moment: Moment | None) -> str:
    return moment.isoformat() if moment else ""


def _moment(text: str) -> Moment | None:
    if not text:
        return None
    return datetime.fromisoformat(text) if len(text) > 10 else date.fromisoformat(text)
