"""What a run waits for is said at once, and not only at its end."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from bot.cli.output import warn


class _Aloud(logging.Handler):
    """Each line once in a row: several channels wait for the same database."""

    def __init__(self) -> None:
        super().__init__()
        self._last = ""

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if line != self._last:
            warn(line)
        self._last = line


@contextmanager
def waits_are_told() -> Iterator[None]:
    """On standard error, within the block."""
    log, aloud = logging.getLogger("bot.waiting"), _Aloud()
    log.addHandler(aloud)
    try:
        yield
    finally:
        log.removeHandler(aloud)
