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
from urllib.parse import quote, quote_plus

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
from bot.files import OWNERS_FOLDER, make_private_file
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
_ENCODED = "write the characters @ : / ? # % in it as %40 %3A %2F %3F %23 %25"
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
    parsed = parse_url(url)
    place = _shown(parsed)
    try:
        engine = _engine(parsed, place, readonly=readonly)
        return engine if readonly else _at_head(engine, place)
    except (DatabaseError, sqlite3.Error, OSError) as error:
        raise _store_error(error, parsed) from _harmless(error, parsed)
    except (ImportError, NoSuchModuleError) as error:
        reason = without_passwords(str(error), parsed)
        raise StoreError(
            f"{place}: the driver of this database is not here ({reason}); {_SPELLING}"
        ) from None


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
        raise _store_error(error, engine.url) from _harmless(error, engine.url)


def _store_error(error: Exception, url: URL) -> StoreError:
    cause = error.orig if isinstance(error, DBAPIError) else error
    reason = without_passwords(" ".join(str(cause).split()), url)
    return StoreError(
        f"{_shown(url)}: {reason}; {_ADVICE.get(reason, 'check its path, its rights and its server')}"
    )


# --------------------------------------------------------------------------- the URL and its passwords


def parse_url(url: str) -> URL:
    """The database's URL. StoreError, which never quotes it, when it is none."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # what stands where a port should may be half of a password
        raise StoreError(f"BOT_DATABASE_URL cannot be read; {_SPELLING}") from None
    if "@" in (parsed.host or ""):
        raise StoreError(f"BOT_DATABASE_URL cannot be read: its password holds an '@'; {_ENCODED}")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise StoreError(f"{_shown(parsed)}: is neither SQLite nor PostgreSQL; {_SPELLING}")
    return parsed


def _shown(url: URL) -> str:
    """The database's name for people: a path, or a URL without its password and its parameters."""
    if _is_sqlite(url):
        return url.database or "memory"
    return url.set(query={}).render_as_string(hide_password=True)


def without_passwords(text: str, url: URL) -> str:
    """The text with "***" for every password of the URL, in clear or percent-encoded."""
    for secret in _passwords(url):
        for form in {secret, quote(secret, safe=""), quote_plus(secret), quote(secret)}:
            text = text.replace(form, "***")
    return text


def _passwords(url: URL) -> list[str]:
    """Where a URL can hold one: before the host, and in ``?password=`` or ``?sslpassword=``."""
    told = [url.password or "", *(text for name in url.query if _is_secret(name) for text in _all(url, name))]
    return sorted({str(text) for text in told if text}, key=len, reverse=True)


def _is_secret(name: str) -> bool:
    return "pass" in name.lower()


def _all(url: URL, name: str) -> tuple[str, ...]:
    value = url.query[name]
    return (value,) if isinstance(value, str) else value


def _harmless(error: Exception, url: URL) -> Exception | None:
    """The error as a cause to keep, unless a traceback of it would show a password."""
    link: BaseException | None = error
    while link is not None:
        if any(without_passwords(told, url) != told for told in (str(link), repr(link))):
            return None
        link = link.__cause__ or link.__context__
    return error


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
    path.parent.mkdir(mode=OWNERS_FOLDER, parents=True, exist_ok=True)
    for file in (path, *(found for end in ("-wal", "-shm") if (found := Path(f"{path}{end}")).exists())):
        make_private_file(file)  # it holds addresses; SQLite gives its mode to the files beside it
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
        # Out of the URL, which SQLAlchemy shows: it hides only the password before the host.
        hidden = {name: _all(url, name)[-1] for name in url.query if _is_secret(name)}
        url = url.difference_update_query(hidden)
        settings["connect_args"] = watchful | hidden | settings.get("connect_args", {})
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
