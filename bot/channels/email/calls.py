"""Whom an open conversation asks and tells, and how it behaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from bot.channels.email.mime import Mail
from bot.channels.email.terms import Terms
from bot.errors import DeliveryError


@dataclass(frozen=True, kw_only=True, slots=True)
class Calls:
    """Whom a wire asks and tells. All are synchronous, quick, and called in the event loop's thread.

    ``pull`` gives the next letter, or None for nothing right now. ``began`` is told just before a letter's
    final dot can be on the wire; should it answer False, that letter does not go out, and the conversation
    ends. ``done`` hears the server's answer or exactly one of the three failures, ``back`` gets a letter that
    was pulled and certainly not sent, with the reason; ``ended`` hears once that the conversation is over:
    None for a quiet end. What one of them raises reaches ``crashed``. ``soon`` is ``Burst.add``.
    """

    pull: Callable[[], Mail | None]
    began: Callable[[Mail], bool | None]
    done: Callable[[Mail, str | DeliveryError], None]
    back: Callable[[Mail, DeliveryError], None]
    ended: Callable[[DeliveryError | None], None]
    crashed: Callable[[BaseException], None]
    soon: Callable[[Callable[[], None]], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """How a wire behaves. Times are seconds."""

    place: str  # the server, in words for people
    terms: Terms
    timeout: float = 60  # for each command
    patience: float = 600  # for the answer to a finished letter
    idle: float = 30  # without a letter, until we say goodbye
    letters: int = 0  # after so many, goodbye: some relays count them; 0: no limit
    clear: bool = False  # it was asked for without encryption


class Burst:
    """Calls that wait for the end of this turn of the event loop, to be made all at once.

    Waking a server that sleeps costs more than a letter. Whatever all wires have to say is said in one go,
    and not one by one with the making of a letter in between, during which it would fall asleep again.
    """

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def add(self, call: Callable[[], None]) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._make)
        self._waiting.append(call)

    def _make(self) -> None:
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()
