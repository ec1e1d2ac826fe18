"""One run at a time in a workspace, and among all machines that share a database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from bot.errors import BusyError
from bot.store.engine import session

# How soon a server notices that a machine is gone, lock and all: within two minutes instead of two hours.
_KEEPALIVE = "SET tcp_keepalives_idle = 60; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 5"
_TAKE = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
_LET_GO = text("SELECT pg_advisory_unlock_all()")  # the end of the connection alone is noticed a little later


@contextmanager
def tick_lock(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; BusyError at once when another run has it. A process that dies lets go."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "tick.lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise BusyError(
            f"{folder}: another run is at work here; wait until it has ended, or stop that one first"
        ) from error
    try:
        yield
    finally:
        lock.release()


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
        if not connection.scalar(_TAKE, {"name": f"broadside run {name}"}):
            raise BusyError(
                "another run of this publication is at work in the database; wait until it has ended, or stop"
                " that one first; 'bot worker' is what helps to send"
            )
        try:
            yield lambda: _lives(connection)
        finally:
            with suppress(SQLAlchemyError):  # the server may be gone, and with it what was held
                connection.execute(_LET_GO)


def _lives(connection: Connection) -> bool:
    try:
        connection.exec_driver_sql("SELECT 1")
    except SQLAlchemyError:  # a connection that was lost has several words for it
        return False
    return True
