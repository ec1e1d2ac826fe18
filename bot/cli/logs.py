"""The log of commands that go on for ever, on standard error: one line for each record."""

from __future__ import annotations

import logging
from types import TracebackType

from bot.printable import printable, printable_lines

_FORM = "%(asctime)s %(levelname)s %(message)s"


class PrintableFormatter(logging.Formatter):
    """Nobody's words can begin a line of their own or act on the terminal that shows it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return printable(super().formatMessage(record))

    def formatException(  # noqa: N802 - logging's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        return printable_lines(super().formatException(ei))


def log_to_stderr() -> None:
    """Everything from INFO on."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter(_FORM))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
