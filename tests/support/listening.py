"""A port that nobody else is given, and the end of a server with all of its conversations."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

_chance = random.Random(os.urandom(16))  # not the tests' own, which plugins may seed


def free_port() -> int:
    """A port on which nobody listens, now or later.

    Below those that the system hands out: neither a server on port 0 of another test nor the other end of
    somebody's connection can come to have it between our look and its use.
    """
    first_given_out = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = _chance.randrange(10_000, first_given_out)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


async def end(listener: asyncio.Server, hang_up: Callable[[], None], *, patience: float = 20) -> None:
    """Listen no more, and end every conversation: also those that come in at this moment.

    A connection that was accepted a turn of the loop ago is in no list of the server yet, and nobody would
    close it: the garbage collector complained of it in whatever test came next.
    """
    listener.close()
    for _ in range(10):  # accepted, made, hung up on, lost: a turn of the loop for each
        hang_up()
        await asyncio.sleep(0)
    async with asyncio.timeout(patience):
        while getattr(listener, "_active_count", 0):  # a handshake ends when its other side is gone
            hang_up()
            await asyncio.sleep(0.001)
    await listener.wait_closed()
