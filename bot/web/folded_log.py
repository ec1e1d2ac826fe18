"""A log that no visitor can fill: equal lines are written a few times a minute, and the rest is counted."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from bot.errors import fault_of

NAMES = ("bot.web", "uvicorn.error", "asyncio")
MINUTE = 60.0  # seconds


class FoldingFilter(logging.Filter):
    """Lines are equal when their templates are. Faults are told by type and place, never by a traceback."""

    def __init__(self, clock: Callable[[], float], *, info: int = 600, warnings: int = 10) -> None:
        super().__init__()
        self._clock, self._info, self._warnings = clock, info, warnings
        self._written: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._end = clock() + MINUTE

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written; with the first of a new minute comes what the last one left out."""
        if self._clock() >= self._end:
            self.tell_dropped()
        line = _first_line(record)
        most = self._warnings if record.levelno > logging.INFO else self._info
        if self._written[line] >= most:
            self._dropped[line] += 1
            return False
        self._written[line] += 1
        _without_traceback(record)
        return True

    def tell_dropped(self) -> None:
        """Begin a new minute."""
        dropped, self._dropped = self._dropped, Counter()
        self._written.clear()
        self._end = self._clock() + MINUTE
        for line, count in dropped.most_common(10):
            _log.warning("and %d more of: %s", count, line)


_log = logging.getLogger("bot.web.folded")  # a name of its own: these lines are not counted again


def _first_line(record: logging.LogRecord) -> str:
    return str(record.msg).partition("\n")[0]


def _without_traceback(record: logging.LogRecord) -> None:
    if record.exc_info and record.exc_info[1]:
        line = _first_line(record)
        record.msg, record.args = "%s: %s", (line, fault_of(record.exc_info[1]))
        record.exc_info = record.exc_text = None


@contextmanager
def folded(clock: Callable[[], float], names: Sequence[str] = NAMES) -> Iterator[FoldingFilter]:
    """These loggers are folded as long as the block lasts."""
    folding = FoldingFilter(clock)
    for name in names:
        logging.getLogger(name).addFilter(folding)
    try:
        yield folding
    finally:
        folding.tell_dropped()
        for name in names:
            logging.getLogger(name).removeFilter(folding)
