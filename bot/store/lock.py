"""One run at a time in a workspace."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bot.errors import BusyError


@contextmanager
def tick_lock(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; BusyError at once when another run has it. A process that dies lets go."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "tick.lock")
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
