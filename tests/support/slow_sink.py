"""A mail server on loopback that is quick for a while and slow from then on, and notes when letters came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from tests.support.listening import end
from tests.support.plug import Sink

_EHLO = b"250-slow.example.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"
_ANSWERS = {b"EHLO": _EHLO, b"QUIT": b"221 bye\r\n", b"DATA": b"354 go ahead\r\n"}


class SlowSink:
    """``moments`` are those at which it had the whole of a letter; it thinks ``delay`` seconds about each."""

    def __init__(self, delay: float) -> None:
        self.port, self.delay = 0, delay
        self.moments: list[float] = []
        self.counted = Sink()  # by their Message-IDs
        self._talks: set[asyncio.StreamWriter] = set()
        self._quick = 0  # as many letters are taken at once

    def __len__(self) -> int:
        return len(self.moments)

    def hurry(self, count: int) -> None:
        """The next so many letters are taken at once."""
        self._quick = len(self.moments) + count

    @property
    def is_slow(self) -> bool:
        return len(self.moments) >= self._quick

    def since(self, moment: float) -> list[float]:
        """How many seconds after that moment each later letter came."""
        return [each - moment for each in self.moments if each > moment]

    async def reach(self, count: int, *, patience: float) -> None:
        """Wait for that many letters."""
        async with asyncio.timeout(patience):
            while len(self.moments) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def until_slow(self, *, patience: float) -> None:
        """Wait for the last of the quick ones."""
        await self.reach(self._quick, patience=patience)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One conversation."""
        self._talks.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(b"220 slow.example.test\r\n")
            while True:
                verb = (await reader.readuntil(b"\n"))[:4].upper()
                writer.write(_ANSWERS.get(verb, b"250 ok\r\n"))
                if verb == b"DATA":
                    self.counted.take(await reader.readuntil(b"\r\n.\r\n"))
                    self.moments.append(time.monotonic())
                    if self.is_slow:
                        await asyncio.sleep(self.delay)
                    writer.write(b"250 taken\r\n")
        self._talks.discard(writer)
        writer.close()

    def hang_up(self) -> None:
        """Every conversation ends here and now."""
        for writer in self._talks:
            writer.transport.abort()


@asynccontextmanager
async def slow_sink(delay: float) -> AsyncIterator[SlowSink]:
    """For as long as the block lasts."""
    sink = SlowSink(delay)
    server = await asyncio.start_server(sink.talk, "127.0.0.1", 0, limit=2**20)
    sink.port = server.sockets[0].getsockname()[1]
    try:
        yield sink
    finally:
        await end(server, sink.hang_up)
