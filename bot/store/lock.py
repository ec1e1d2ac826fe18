"""One run at a time in a workspace, and among all machines that share a database."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from bot.errors import BusyError
from bot.files import OWNER, make_private_folder
from bot.store.engine import reading, session

# How soon a server notices that a machine is gone, lock and all: within two minutes instead of two hours.
_KEEPALIVE = "SET tcp_keepalives_idle = 60; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 5"
_TAKE = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
_HELD = text(  # looked up, and not tried: whoever wants to run at this moment is not turned away
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND (classid::bigint << 32 | objid::bigint) = hashtextextended(:name, 0))"
)
_LET_GO = text("SELECT pg_advisory_unlock_all()")  # the end of the connection alone is noticed a little later
_FILE = "tick.lock"
_GLANCE = 0.2  # seconds; who only looks whether the lock is held has it for a moment


@contextmanager
def tick_lock(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; BusyError when another run has it. A process that dies lets go."""
    make_private_folder(folder)
    lock = FileLock(folder / _FILE, mode=OWNER, thread_local=False)
    try:
        lock.acquire(timeout=_GLANCE, poll_interval=_GLANCE / 10)
    except Timeout as error:
        raise BusyError(
            f"{folder}: another run is at work here; wait until it has ended, or stop that one first"
        ) from error
    try:
        yield
    finally:
        lock.release()


def tick_locked(folder: Path) -> bool:
    """Whether somebody holds the folder's lock. Nothing there changes, and no run is turned away by it."""
    try:
        file = (folder / _FILE).open("rb")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # two who look do not see each other
        except BlockingIOError:
            return True
    return False


def database_locked(engine: Engine, name: str) -> bool:
    """The same of ``database_lock``."""
    if engine.dialect.name != "postgresql":
        return False
    with reading(engine) as connection:
        return bool(connection.scalar(_HELD, {"name": _named(name)}))


@contextmanager
def database_lock(engine: Engine, name: str) -> Iterator[Callable[[], bool]]:
    """Hold this name among all that use this PostgreSQL; BusyError at once when another run has it.

    Gives a way to ask whether it still holds: with its connection to the server it is gone.

    Without it a second run would take the posts that the first has on the wire for those of a dead one. A
    process that dies lets go. SQLite's file lies in the folder that ``tick_lock`` holds already.
    """
    if engine.dialect.name != "postgresql":
        yield lambda: True
        return
    with session(engine) as connection:
        connection.exec_driver_sql(_KEEPALIVE)
        if not connection.scalar(_TAKE, {"name": _named(name)}):
            raise BusyError(
                "another run of this publication is at work in the database; wait until it has ended, or stop"
                " that one first; 'bot worker' is what helps to send"
            )
        try:
            yield lambda: _lives(connection)
        finally:
            with suppress(SQLAlchemyError):  # the server may be gone, and with it what was held
                connection.execute(_LET_GO)


def _named(name: str) -> str:
    return f"broadside run {name}"


def _lives(connection: Connection) -> bool:
    try:
        connection.exec_driver_sql("SELECT 1")
    except SQLAlchemyError:  # a connection that was lost has several words for it
        return False
    return True
