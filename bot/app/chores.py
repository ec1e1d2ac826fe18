"""What a running bot does again and again beside its work, until a person says stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from bot.errors import AudienceError, BroadsideError, DeliveryError, fault_of

_log = logging.getLogger(__name__)
_MAY_NAME_A_READER = (AudienceError, DeliveryError)  # in its own words, or in a server's


async def repeat_until_stopped(
    chore: Callable[[], Awaitable[object]], stop: asyncio.Event, *, every: timedelta, failed: str
) -> None:
    """The chore now, and again each time so long after its end. Nothing ends it but ``stop``.

    What goes wrong is told as ``failed`` says it, once until it changes or goes: an error of ours in its
    words, a fault that nobody thought of by its type and place, for its words may hold an address.
    """
    told = ""
    while not stop.is_set():
        wrong, level = "", logging.WARNING
        try:
            await chore()
        except Exception as error:
            wrong = wrong_words(error)
            level = logging.WARNING if _may_be_said(error) else logging.ERROR
        if wrong and wrong != told:
            _log.log(level, "%s: %s; it is tried again", failed, wrong)
        told = wrong
        with suppress(TimeoutError):
            async with asyncio.timeout(every.total_seconds()):
                await stop.wait()


def wrong_words(error: Exception) -> str:
    """What may be said of it: its own words where they name no reader, else its type and place."""
    return str(error) if _may_be_said(error) else fault_of(error)


def _may_be_said(error: Exception) -> bool:
    return isinstance(error, BroadsideError) and not isinstance(error, _MAY_NAME_A_READER)
