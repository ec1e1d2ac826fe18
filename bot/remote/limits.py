"""The one rule for an exchange with another machine: so many seconds for all of it, so many bytes of answer.

A time-out of a library counts from byte to byte: one byte a second outlives it. And it reads whatever comes.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

_ANY_HEADER = 32 + zlib.MAX_WBITS  # gzip's or zlib's
_PACKED = {"gzip": (_ANY_HEADER,), "x-gzip": (_ANY_HEADER,), "deflate": (_ANY_HEADER, -zlib.MAX_WBITS)}


class AnswerTooSlow(TimeoutError):
    """The whole of an answer was not there in time."""


class AnswerUnusable(OSError):
    """An answer is too long, or packed in a way that we do not open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Of one exchange: ``seconds`` from its first byte to its last, ``size`` in bytes of the answer."""

    seconds: float
    size: int


class Exchange:
    """One request and its answer, on the clock and on the scales.

    ``no_later`` is a moment of the clock: the end of what it is a part of.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        no_later: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits, self._clock = limits, clock
        self._until, self._room = min(clock() + limits.seconds, no_later), limits.size

    def seconds_left(self) -> float:
        """More than nothing; AnswerTooSlow when the time is over."""
        left = self._until - self._clock()
        if left <= 0:
            raise AnswerTooSlow("the answer was not there in time")
        return left

    def count(self, size: int) -> None:
        """So many bytes came, or are about to; AnswerUnusable when they are too many."""
        self._room -= size
        if self._room < 0:
            raise AnswerUnusable(f"the answer is longer than {self.limits.size:,} bytes")


def words_may_be_cut(status: int) -> bool:
    """Whether the status alone says what to do: of a refusal, only people read the words."""
    return status >= 400


def unpacked(data: bytes, encoding: str, most: int, *, cut: bool = False) -> bytes:
    """A body as it came, without its Content-Encoding. ``cut``: no more than the beginning, and no error."""
    ways = _PACKED.get(encoding.strip().lower())
    if ways is None:
        if encoding.strip().lower() not in ("", "identity") and not cut:
            raise AnswerUnusable("the answer is packed in a way that we did not ask for")
        return _cut(data, most, cut=cut)
    for way in ways:
        opener = zlib.decompressobj(way)
        try:
            return _cut(opener.decompress(data, most + 1), most, cut=cut)
        except zlib.error:
            continue
    if cut:
        return b""
    raise AnswerUnusable("the answer cannot be unpacked")


def _cut(data: bytes, most: int, *, cut: bool) -> bytes:
    if len(data) > most and not cut:
        raise AnswerUnusable(f"the answer is longer than {most:,} bytes")
    return data[:most]
