"""Answers over HTTP that no service should give: one byte at a time, without an end, packed too well."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import StrEnum
from functools import cache

PAUSE = 0.1  # seconds between two bytes of a drip: shorter than any time-out of the tests
HUGE = 300_000_000  # bytes
_BLOCK = 1_000_000


class Absurd(StrEnum):
    """What comes instead of an answer."""

    DRIP = "a body of one byte at a time"
    DRIPPING_HEAD = "a head of one byte at a time"
    ENDLESS_HEAD = "a head without an end"
    FLOOD = "a body of 300 MB"
    ENDLESS_CHUNK = "a chunk whose length has no end"
    BOMB = "300 MB that fit into 300 kB of gzip"
    ODD_PACKING = "a packing that nobody knows"


def answer_absurdly(
    how: Absurd, write: Callable[[bytes], object], stopping: threading.Event, *, status: int = 200
) -> None:
    """Say it until the other side has enough of it, or the server stops."""
    with suppress(OSError):
        for piece in _pieces(how, status):
            if stopping.is_set():
                return
            write(piece)
            if len(piece) == 1:
                stopping.wait(PAUSE)


def _pieces(how: Absurd, status: int) -> Iterator[bytes]:
    head = f"HTTP/1.1 {status} Hm\r\nConnection: close\r\nContent-Type: application/json\r\n".encode()
    if how is Absurd.DRIPPING_HEAD:
        yield from (head[place : place + 1] for place in range(17))
        yield b"X-Long: "
        yield from _again(b"a")
    yield head
    match how:
        case Absurd.DRIP:
            yield b"Content-Length: 100000\r\n\r\n"
            yield from _again(b" ")
        case Absurd.ENDLESS_HEAD:
            yield from _again(b"X-More: and more\r\n" * 1000)
        case Absurd.FLOOD:
            yield b"Content-Length: %d\r\n\r\n" % HUGE
            yield from (b" " * _BLOCK for _ in range(HUGE // _BLOCK))
        case Absurd.ENDLESS_CHUNK:
            yield b"Transfer-Encoding: chunked\r\n\r\n"
            yield from _again(b"0" * _BLOCK)
        case Absurd.BOMB:
            packed = bomb()
            yield b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
            yield packed
        case Absurd.ODD_PACKING:
            yield b"Content-Encoding: x-riddle\r\nContent-Length: 2\r\n\r\n{}"


def _again(piece: bytes) -> Iterator[bytes]:
    while True:
        yield piece


@cache
def bomb(size: int = HUGE) -> bytes:
    """So many spaces in gzip: a thousandth of that. Made once: that takes a second."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    block = b" " * _BLOCK
    return b"".join([packer.compress(block) for _ in range(size // _BLOCK)]) + packer.flush()
