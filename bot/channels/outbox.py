"""Rehearsal: the same words to the same places, as files in ``outbox/`` instead of over the wire.

It stands in for every real channel while ``mode = "rehearsal"``: limits and counting are the real channel's,
and what it writes is that channel's own exact request.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import ClassVar

from bot.channels.base import Channel, Limits, Request
from bot.files import write_atomically
from bot.model import Delivery, Finding, Message, Receipt, Recipient


class Outbox:
    """One channel's stand-in. Files are named by the delivery's key: a repeat overwrites itself."""

    type: ClassVar[str] = "outbox"

    def __init__(self, channel: Channel, folder: Path) -> None:
        self.name, self._channel, self._folder = channel.name, channel, folder

    @property
    def limits(self) -> Limits:
        return self._channel.limits

    def length(self, text: str) -> int:
        return self._channel.length(text)

    def request(self, message: Message, to: Recipient, *, key: str) -> Request:
        return self._channel.request(message, to, key=key)

    async def refresh(self) -> None:
        """A rehearsal asks no server: the documented defaults stand."""

    async def send(self, message: Message, to: Recipient, *, key: str) -> Receipt:
        """Write the exact request; the receipt's id is the file's path below the outbox."""
        request = self.request(message, to, key=key)
        path = self._folder / self.name / f"{_file_name(message, to, key)}{request.suffix}"
        await asyncio.to_thread(write_atomically, path, request.body)
        return Receipt(remote_id=path.relative_to(self._folder).as_posix(), note=request.summary)

    async def settle(self, delivery: Delivery, message: Message) -> Receipt | None:
        """Whatever was half written is written again under the same name."""
        return None

    async def check(self) -> list[Finding]:
        """Nothing to ask: a rehearsal needs no account."""
        return []

    async def close(self) -> None:
        await self._channel.close()


def _file_name(message: Message, to: Recipient, key: str) -> str:
    """Time first, so that the folder reads in order; then whom it is for; then the key."""
    when = f"{message.date:%Y-%m-%d-%H%M}" if message.date else "undated"
    whom = re.sub(r"[^\w.@+-]", "_", to.address)[:60]
    return "-".join(part for part in (when, whom, key[:8]) if part)
