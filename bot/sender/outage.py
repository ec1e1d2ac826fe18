"""A database that is gone for a while: waited for, and told when it goes, when it is back, and at the end."""

from __future__ import annotations

import logging
import time

from bot.errors import StoreError

PATIENCE = 120  # seconds to wait for it
HURRIED = 10  # the same, once somebody has said stop; the flight recorder keeps what could not be written

log = logging.getLogger("bot.waiting")  # of its own, so that a command can say it to whoever sits there


class Outage:
    """None, until the first failure; ``told`` is a sentence once it is over."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._error: StoreError | None = None

    def wait(self, error: StoreError, *, hurried: bool) -> None:
        """Once more; raises the error when that has gone on for too long."""
        if time.monotonic() - self._began > (HURRIED if hurried else PATIENCE):
            raise error
        if self._error is None:
            log.warning("the database does not answer, waiting for it: %s", error)
        self._error = error

    def over(self) -> str:
        """What to tell of it at the end; empty when there was none."""
        if self._error is None:
            return ""
        log.warning("the database answers again")
        seconds = max(round(time.monotonic() - self._began), 1)
        return f"the database did not answer for {seconds} second{'s' * (seconds != 1)}: {self._error}"
