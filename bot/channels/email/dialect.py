"""How a letter is put to a server: by DATA and a final dot, or by its length and no dot (BDAT, RFC 3030).

A server that offers CHUNKING need not look through every byte for the dot, and nobody doubles one. The word
that lets a body go is then RCPT's, and not a 354.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from bot.channels.email.mime import Mail
from bot.channels.email.terms import Terms

_TAKEN = rb"250 ([^\r\n]*)\r\n"
_OK = rb"250 [^\r\n]*\r\n"
_GO_AHEAD = rb"354 [^\r\n]*\r\n"


class Step(Enum):
    """What the server owes an answer to."""

    RESET = auto()
    SENDER = auto()
    RECIPIENT = auto()
    DATA = auto()
    ANSWER = auto()  # to a finished letter: the one that counts
    NOTHING = auto()  # to a lone dot, after DATA was granted though the recipient was refused
    GOODBYE = auto()


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """One way to put it. ``body`` gives a letter's body, its end and what comes behind it, to be joined."""

    group: tuple[Step, ...]  # what is owed for an announcement; a yes to the last of it lets the body go
    request: str  # behind MAIL and RCPT
    body: Callable[[Mail, bytes], tuple[bytes, ...]]
    usual_answers: re.Pattern[bytes]  # a letter is taken and the next one may come

    @property
    def usual(self) -> deque[Step]:
        """What is owed while all goes well."""
        return deque((Step.ANSWER, *self.group))


def dialect_of(terms: Terms) -> Dialect:
    """The best that the server takes. Where every command waits for its answer, DATA does as well."""
    return CHUNKS if terms.chunking and terms.pipelining else DOTS


def _dotted(letter: Mail, after: bytes) -> tuple[bytes, ...]:
    return (*letter.ready, b".\r\n" + after)


def _chunk(letter: Mail, after: bytes) -> tuple[bytes, ...]:
    pieces = letter.pieces
    return (b"BDAT %d LAST\r\n" % sum(map(len, pieces)), *pieces, after)


DOTS = Dialect(
    group=(Step.SENDER, Step.RECIPIENT, Step.DATA),
    request="DATA\r\n",
    body=_dotted,
    usual_answers=re.compile(_TAKEN + _OK + _OK + _GO_AHEAD),
)
CHUNKS = Dialect(
    group=(Step.SENDER, Step.RECIPIENT),
    request="",
    body=_chunk,
    usual_answers=re.compile(_TAKEN + _OK + _OK),
)
