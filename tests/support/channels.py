"""A channel to read in a minute: it appends each key to a file or a list, and fails when told to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from bot.channels.base import Limits, Request
from bot.model import Delivery, Finding, Message, Receipt, Recipient


class NotingChannel:
    """Implements ``bot.channels.base.Channel``. ``sent`` is the truth about what went out."""

    type: ClassVar[str] = "noting"

    def __init__(
        self,
        name: str,
        *,
        file: Path | None = None,
        fault: Callable[[str, int], Exception | None] = lambda key, nth: None,
        answer: Callable[[Delivery], Receipt | None] = lambda delivery: None,
    ) -> None:
        self.name = name
        self.sent: list[str] = []
        self.messages: list[Message] = []
        self.asked: list[str] = []
        self.calls = 0
        self._file, self._fault, self._answer = file, fault, answer

    @property
    def limits(self) -> Limits:
        return Limits(characters=10_000)

    def length(self, text: str) -> int:
        return len(text)

    def request(self, message: Message, to: Recipient, *, key: str) -> Request:
        return Request(suffix=".txt", body=message.text.encode(), summary=f"{len(message.text)} characters")

    async def refresh(self) -> None:
        return None

    async def send(self, message: Message, to: Recipient, *, key: str) -> Receipt:
        """Goes out, unless ``fault(key, number of the call)`` says what happens instead."""
        self.calls += 1
        error = self._fault(key, self.calls)
        if error is not None:
            raise error
        self._append(key)
        self.messages.append(message)
        return Receipt(remote_id=key[:8])

    def _append(self, key: str) -> None:
        self.sent.append(key)
        if self._file is not None:
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(descriptor, f"{key}\n".encode())
            os.close(descriptor)

    async def settle(self, delivery: Delivery, message: Message) -> Receipt | None:
        """What ``answer`` says; by default nothing went out."""
        self.asked.append(delivery.key)
        return self._answer(delivery)

    async def check(self) -> list[Finding]:
        return []

    async def close(self) -> None:
        return None
