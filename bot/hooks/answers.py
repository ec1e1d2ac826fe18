"""What an answer means, and when the next attempt is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bot.errors import LONGEST_WAIT
from bot.printable import without_tokens

LEASE = timedelta(seconds=60)  # an attempt that was not settled by then died with its process

# Eight tries within a day, the first of them at once.
_WAITS = tuple(
    timedelta(seconds=seconds) for seconds in (30, 5 * 60, 30 * 60, 2 * 3600, 4 * 3600, 7 * 3600, 10 * 3600)
)
TRIES = len(_WAITS) + 1
_SAID = 200  # characters of an answer that are kept
_address = re.compile(r"(?<![^\s<>\"'=:,;()])[^\s<>\"'=:,;()]+@[^\s<>\"',;)]+")


class Verdict(StrEnum):
    """What to do after an attempt."""

    DONE = "done"
    AGAIN = "again"
    GONE = "gone"  # the other side wants no more calls: a person has to look
    FAILED = "failed"  # that was the last try


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """How an attempt ended; without a status there was no answer at all."""

    said: str
    status: int | None = None
    retry_after: timedelta | None = None


def judge(answer: Answer, *, attempts: int, now: datetime) -> tuple[Verdict, datetime | None]:
    """What to do after so many attempts, and when."""
    if answer.status is not None and 200 <= answer.status < 300:
        return Verdict.DONE, None
    if answer.status == 410:
        return Verdict.GONE, None
    if attempts >= TRIES:
        return Verdict.FAILED, None
    asked = min(answer.retry_after or timedelta(), LONGEST_WAIT)
    return Verdict.AGAIN, now + max(_WAITS[attempts - 1], asked)


def kept(status: int, body: bytes) -> str:
    """What is remembered of an answer: its beginning, printable, without addresses."""
    if 300 <= status < 400:
        return f"{status}: leads elsewhere, and is not followed; write the new address into bot.toml"
    text = " ".join(body.decode("utf-8", "replace").split())
    printable = "".join(c for c in without_tokens(_address.sub("<address>", text)) if c.isprintable())
    return f"{status}: {printable[:_SAID]}".rstrip(": ")
