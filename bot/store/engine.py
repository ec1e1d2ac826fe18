"""Opening the database: SQLite in a file unless the URL names another, always at the newest schema.

A dry run opens it read-only, and then nothing in the folder changes or appears.
"""

from __future__ import annotations

import atexit
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import Pool, StaticPool

from bot.errors import StoreError
from bot.store.schema import HEAD
from bot.store.upgrade import refuse_newer, revision, upgrade

# How soon we notice that a database server is gone without a word: within a minute, not in two hours.
_WATCHFUL = {
    "connect_timeout": 10,  # seconds
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}
_PATIENCE = 30.0  # seconds; another process may be recording a long list of readers
_SPELLING = "write it like postgresql://user:password@host/name or sqlite:///ledger.db, or leave it empty"
_ADVICE = {
    "database is locked": "another program holds it; try again when that one has ended",
    "file is not a database": "put back a copy that is one, or move it away to begin anew",
    "database disk image is malformed": "put back the last good copy",
    "database or disk is full": "make room and run again; what was recorded is safe",
    "attempt to write a readonly database": "it was opened for a dry run, or its rights forbid writing",
}


def open_store(url: str, *, readonly: bool = False) -> Engine:
    """The database, ready to use; ``sqlite:///path`` is made when it is missing, ``sqlite://`` is in memory.

    With ``readonly`` nothing is written, and a missing database is an empty one in memory. Raises
    StoreError when the database cannot be used.
    """
    place = _place(url)
    try:
        engine = _engine(make_url(url), place, readonly=readonly)
        return engine if readonly else _at_head(engine, place)
    except (DatabaseError, sqlite3.Error, OSError) as error:
        raise _store_error(error, place) from error
    except (ImportError, NoSuchModuleError) as error:
        raise StoreError(
            f"{place}: the driver of this database is not here ({error}); {_SPELLING}"
        ) from error


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One consistent look at the store."""
    with _told(engine), engine.begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction, durable when the block ends; undone when it raises.

    SQLite takes the write lock at once: a reader that turns writer half-way could not be served.
    """
    with _told(engine), engine.execution_options(broadside_writes=True).begin() as connection:
        yield connection


@contextmanager
def changing_readers(engine: Engine) -> Iterator[Connection]:
    """``writing``, for whoever changes or forgets a reader: first of all it waits for an import to end.

    On PostgreSQL an import is the only writer of readers, as in SQLite. Who locked a reader before that wait
    would hold up the import, which needs this very reader: one of the two would have to be broken off.
    """
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE subscriber IN ROW EXCLUSIVE MODE"))
        yield connection


@contextmanager
def session(engine: Engine) -> Iterator[Connection]:
    """A connection outside of any transaction; it ends with the block, and what it held goes with it."""
    with _told(engine):
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()
    try:
        yield connection
    finally:
        with suppress(DBAPIError):  # the server may be gone, and with it what was held
            connection.close()


@contextmanager
def _told(engine: Engine) -> Iterator[None]:
    """A database's complaint in one line; our own mistakes in SQL stay what they are."""
    try:
        yield
    except (IntegrityError, ProgrammingError):
        raise
    except PoolTimeoutError as error:
        place = _shown(engine.url)
        raise StoreError(f"{place}: every connection is in use; try again in a minute") from error
    except DatabaseError as error:
        raise _store_error(error, _shown(engine.url)) from error


def _store_error(error: Exception, place: str) -> StoreError:
    cause = error.orig if isinstance(error, DBAPIError) else error
    reason = " ".join(str(cause).split())
    return StoreError(
        f"{place}: {reason}; {_ADVICE.get(reason, 'check its path, its rights and its server')}"
    )


def _place(url: str) -> str:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError(f"BOT_DATABASE_URL cannot be read; {_SPELLING}") from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise StoreError(f"{_shown(parsed)}: is neither SQLite nor PostgreSQL; {_SPELLING}")
    return _shown(parsed)


def _shown(url: URL) -> str:
    """The database's name for people: a path, or a URL without its password."""
    return (url.database or "memory") if _is_sqlite(url) else url.render_as_string(hide_password=True)


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


# --------------------------------------------------------------------------- ways to open


def _engine(url: URL, place: str, *, readonly: bool) -> Engine:
    if _is_sqlite(url) and url.database in (None, "", ":memory:"):
        return _at_head(_memory(url), place)
    if readonly:
        return _look_again(lambda: _open_readonly(url, place))
    if not _is_sqlite(url):
        return _server(url)
    path = Path(str(url.database))
    path.parent.mkdir(parents=True, exist_ok=True)
    return _sqlite(url, lambda: _connect(path))


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_PATIENCE, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    # A claim must be on disk before the call: NORMAL could lose it with the power.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA secure_delete=ON")  # who is erased is gone from the file as well
    return connection


def _server(url: URL, **settings: Any) -> Engine:
    """A database server's; PostgreSQL is spoken to by psycopg 3, whichever way the URL spells it."""
    if url.get_backend_name() == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
        watchful = {name: value for name, value in _WATCHFUL.items() if name not in url.query}
        settings["connect_args"] = watchful | settings.get("connect_args", {})
    try:
        engine = create_engine(url, **settings)
    except ModuleNotFoundError as error:
        raise StoreError(
            f"{_shown(url)}: the driver {error.name} is not installed; "
            "run 'make extras' in Broadside's folder"
        ) from error
    if url.get_backend_name() == "postgresql":
        event.listen(engine, "connect", _durable)
    return engine


def _durable(connection: Any, _record: object) -> None:
    """A claim must be on disk before the call, also where the server is set up to be quicker than that."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') = 'off'"
        )
    connection.commit()


def _memory(url: URL) -> Engine:
    return _single(url, sqlite3.connect(":memory:", check_same_thread=False))


def _single(url: URL, connection: sqlite3.Connection) -> Engine:
    return _sqlite(url, lambda: connection, pool=StaticPool)


def _sqlite(url: URL, connect: Callable[[], sqlite3.Connection], *, pool: type[Pool] | None = None) -> Engine:
    engine = create_engine(url, creator=connect, poolclass=pool)
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves: the driver would wait for the first write
    connection.execute("PRAGMA foreign_keys=ON")


def _on_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("broadside_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _at_head(engine: Engine, place: str) -> Engine:
    """The same engine, its schema at HEAD."""
    try:
        with engine.begin() as connection:
            current = revision(connection)
        if current != HEAD:
            with writing(engine) as connection:
                upgrade(connection, place)
    except BaseException:
        engine.dispose()
        raise
    return engine


# --------------------------------------------------------------------------- reading without a trace


def _look_again(open_it: Callable[[], Engine]) -> Engine:
    """A writer that ends just now takes its ``-wal`` away between our look and our opening."""
    for wait in (0.01, 0.05, 0.2):
        try:
            return open_it()
        except (OperationalError, sqlite3.OperationalError):
            time.sleep(wait)
    return open_it()


def _open_readonly(url: URL, place: str) -> Engine:
    """As it is, untouched; a missing or older schema stands in memory at HEAD."""
    engine = _look(url)
    if engine is None:
        return _at_head(_memory(url), place)
    with engine.begin() as connection:
        current = revision(connection)
        if current == HEAD:
            return engine
        refuse_newer(connection, place)
    if current is not None and not _is_sqlite(url):
        raise StoreError(f"{place}: its schema is older than the program; run once without --dry-run first")
    copy = sqlite3.connect(":memory:", check_same_thread=False)
    if _is_sqlite(url):
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)  # noqa: S101 - only narrows the type
            driver.backup(copy)
    engine.dispose()
    # Nobody made the tables on the server yet: what stands in memory is SQLite's all the same.
    return _at_head(_single(url if _is_sqlite(url) else make_url("sqlite://"), copy), place)


def _look(url: URL) -> Engine | None:
    """Something to read from that cannot write; None when there is nothing yet."""
    if not _is_sqlite(url):
        return _server(url, connect_args={"options": "-c default_transaction_read_only=on"})
    path = Path(str(url.database))
    return _single(url, _traceless(path)) if path.exists() else None


def _traceless(path: Path) -> sqlite3.Connection:
    """A connection that leaves the folder as it is, whether or not a writer is at work.

    ``mode=ro`` alone still writes into ``-shm``: ``readonly_shm`` keeps it from that. Without a ``-wal``
    nobody has the file open, and ``immutable`` spares SQLite making one.
    """
    wal, shm = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
    if wal.exists() and not shm.exists():  # carried here by hand: SQLite would have to make a -shm
        return _private_copy(path, wal)
    how = "mode=ro&readonly_shm=1" if wal.exists() else "immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, check_same_thread=False)


def _private_copy(*files: Path) -> sqlite3.Connection:
    folder = Path(tempfile.mkdtemp(prefix="broadside-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for file in files:
        shutil.copy2(file, folder / file.name)
    return _connect(folder / files[0].name)
