"""What a mail in the bounce mailbox means for one address."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Whose trouble it is; it decides what is done."""

    DEAD = "dead"  # the address does not exist, has moved, or its domain takes no mail
    FULL = "full"  # it exists and cannot take mail now: full, suspended, out of reach for days, unclear
    SENDER = "sender"  # our fault, or taken for it: authentication, policy, spam, blocked, too fast, too big
    COMPLAINT = "complaint"  # the reader pressed "this is spam", or asks to be left out
    NOTICE = "notice"  # a report that asks for nothing: delayed, delivered, relayed
    AUTOREPLY = "autoreply"  # written by a person's machine: on holiday, thank you for your mail
    NONE = "none"  # no report at all

    @property
    def counts(self) -> bool:
        """Whether something is recorded about a reader."""
        return self in (Kind.DEAD, Kind.FULL, Kind.SENDER, Kind.COMPLAINT)

    @property
    def left_alone(self) -> bool:
        """Whether the mail stays where it is, unread: a person may want to see it."""
        return self in (Kind.AUTOREPLY, Kind.NONE)


class Source(StrEnum):
    """What the verdict rests on."""

    SMTP = "smtp"  # the mail server's answer while we were sending
    DSN = "dsn"  # RFC 3464
    ARF = "arf"  # RFC 5965
    NOTICE = "notice"  # JSON of a mail service
    TEXT = "text"  # words for people


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One address and what became of the mail to it.

    ``address`` is what the mail says, and anybody can write a mail: who has a token goes by the token.
    """

    kind: Kind
    source: Source = Source.TEXT
    address: str | None = None
    code: str = ""  # of RFC 3463, else the reply code
    words: str = ""  # what was said, without addresses

    def __repr__(self) -> str:
        return f"Verdict(kind={self.kind}, source={self.source}, code={self.code!r})"


_MILDEST_FIRST = (
    Kind.NONE,
    Kind.AUTOREPLY,
    Kind.NOTICE,
    Kind.SENDER,
    Kind.FULL,
    Kind.DEAD,
    Kind.COMPLAINT,
)


def mildest(verdicts: tuple[Verdict, ...]) -> Verdict:
    """For a reader whose mail was forwarded to several addresses: one of them may still read it."""
    return min(verdicts, key=lambda verdict: _MILDEST_FIRST.index(verdict.kind))
