"""Keeps the bot's token out of every log and every error.

Telegram's token is part of each address, and httpx writes addresses into its log.
"""

from __future__ import annotations

import logging
import re

_TOKEN = re.compile(r"(?<![0-9])[0-9]++(?::|%3[Aa])[A-Za-z0-9_-]{20,}")
_LIBRARIES = ("httpx", "httpcore", "telegram", "asyncio")
# A line for each request, and a traceback for an answer that the channel reports anyway.
_NOISE = {"httpx": logging.WARNING, "telegram.request.BaseRequest": logging.CRITICAL}


def redacted(text: str) -> str:
    """The text with "<token>" in place of anything that looks like a bot's token."""
    return _TOKEN.sub("<token>", text)


class _HideTokens(logging.Filter):
    """Rewrites a record before any handler sees it, traceback included."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redacted(record.getMessage()), ()
        if record.exc_info:
            record.exc_text = redacted(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True


_HIDE = _HideTokens()


def hide_tokens_in_logs() -> None:
    """Guard every logger of the libraries that see the token. A filter, since a level can be lowered again.

    A filter works only on the logger that makes the record, not on its children, hence the whole list.
    """
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in _LIBRARIES:
            logging.getLogger(name).addFilter(_HIDE)
    for name, level in _NOISE.items():
        if (logger := logging.getLogger(name)).level == logging.NOTSET:
            logger.setLevel(level)
