"""After an erasure: what was deleted must not be read from the database's files either.

SQLite overwrites what is deleted (``secure_delete``), but a page may still hold a stale copy of a row that
was moved within it long ago, and the log holds pages as they were. So the files are looked at, and written
anew if need be. PostgreSQL keeps samples of each column for its planner, where an address can outlive its
row; the space of deleted rows it uses again in its own time, which is beyond us.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Iterable
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from bot.store.schema import consent, hook_call, signup, subscriber, suppression

_PIECE = 1 << 20
_TABLES = (subscriber, signup, consent, suppression, hook_call)
_SAMPLES = text(
    "SELECT tablename, attname FROM pg_stats"
    " WHERE schemaname = current_schema() AND tablename = ANY(:tables) AND EXISTS ("
    " SELECT 1 FROM unnest(CAST(:words AS text[])) AS word WHERE position(word IN"
    " lower(concat(most_common_vals::text, histogram_bounds::text))) > 0)"
)


def wipe(engine: Engine, words: Iterable[str]) -> bool:
    """Make sure that no deleted copy of the words can be read; False while other programs use old pages."""
    some = small_letters(words)
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            _forget_samples(connection, some)
        return True
    name = engine.url.database
    return name in (None, "", ":memory:") or _wipe_files(engine, Path(str(name)), some)


def small_letters(words: Iterable[str]) -> frozenset[str]:
    """In the small letters of Unicode, and in those of bytes and of SQLite, who know only A to Z."""
    known = [word for word in words if word]
    return frozenset([word.lower() for word in known] + [word.encode().lower().decode() for word in known])


def mentions(path: Path, words: Collection[str], *, whole: bool = False) -> bool:
    """Whether the file holds one of the words, in large letters or small; read piece by piece.

    With ``whole`` not as the end or the beginning of a longer address.
    """
    wanted = [word.encode() for word in small_letters(words)]
    if not wanted:
        return False
    before, after = (rb"(?<![\w.+\x80-\xff])", rb"(?![\w\x80-\xff]|\.\w)") if whole else (b"", b"")
    search = re.compile(before + b"(?:" + b"|".join(map(re.escape, wanted)) + b")" + after).search
    overlap = max(map(len, wanted)) + 3  # and what stands beside it
    rest = b""
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            # What a piece's end cuts off is looked at with the next one.
            text = rest + piece.lower()
            found = search(text, 1 if rest else 0)  # what stood before its first sign is not here any more
            if found and (len(piece) < _PIECE or found.end() + 2 <= len(text)):
                return True
            rest = text[-overlap:]
    return bool(search(rest, 1 if len(rest) == overlap else 0))


# --------------------------------------------------------------------------- SQLite


def _wipe_files(engine: Engine, path: Path, words: Collection[str]) -> bool:
    files = (path, path.with_name(f"{path.name}-wal"))
    with closing(engine.raw_connection()) as connection:
        driver = connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - only narrows the type
        try:
            _empty_log(driver)
            if not any(file.exists() and mentions(file, words) for file in files):
                return True
            # A stale copy, or somebody else's longer address: written anew, the file holds what lives.
            driver.execute("VACUUM")
            return _empty_log(driver)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            return False


def _empty_log(driver: sqlite3.Connection) -> bool:
    """Whether every page of the log is in the database now, and the log empty."""
    busy, _, _ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


# --------------------------------------------------------------------------- PostgreSQL


def _forget_samples(connection: Connection, words: Collection[str]) -> None:
    """New samples are of the rows that are left; where no row is left, the old ones would stay for ever."""
    for table in sorted({table for table, _ in _samples(connection, words)}):
        connection.execute(text(f"ANALYZE {table}"))
    for table, column in _samples(connection, words):
        # To its own type: no row is touched, and the column's samples are dropped.
        connection.execute(text(f"ALTER TABLE {table} ALTER COLUMN {column} TYPE text"))


def _samples(connection: Connection, words: Collection[str]) -> list[tuple[str, str]]:
    """Tables and columns whose samples hold one of the words."""
    values = {"tables": [table.name for table in _TABLES], "words": sorted(words)}
    return [(table, column) for table, column in connection.execute(_SAMPLES, values)]
