"""Reading from a socket within the limits of an exchange."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable

from bot.remote.limits import Exchange


class LimitedReader(io.RawIOBase):
    """What ``socket.makefile`` reads, with each read against the clock and the scales of the exchange."""

    def __init__(self, sock: socket.socket, exchange: Callable[[], Exchange], *, patience: float) -> None:
        self._sock, self._exchange, self._patience = sock, exchange, patience
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int | None:
        exchange = self._exchange()
        self._sock.settimeout(min(self._patience, exchange.seconds_left()))
        count = self._raw.readinto(buffer)  # type: ignore[arg-type]
        exchange.count(count or 0)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()
