"""What a mail server's answer means: sent, later, never, or nobody knows.

The irreversible moment is the final dot. Before it everything is certainly not sent; after it only the
server's answer can tell. Whose fault a refusal is follows from the step and from the enhanced code of
RFC 3463, because Postfix and others tell what they think of the sender only when the recipient is named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from bot.errors import Blame, DeliveryError, PermanentFailure, TemporaryFailure, UnknownOutcome
from bot.printable import without_tokens

LONGEST = 300  # characters of a server's answer that we keep
_ENHANCED = re.compile(r"^[245]\.(\d{1,3})\.(\d{1,3})\b")
# Only from the start of a word on: a long one without an @ would be searched again from each of its letters.
_ADDRESS = re.compile(r"(?<![^\s<>(),;:\"'])[^\s<>(),;:\"']+@[^\s<>(),;:\"']+")
# Postfix of one recipient, also behind 5.7.1 and 5.5.2; its "Relay access denied" speaks of us.
_ONE_READER = "recipient address rejected"
_OUR_LOGIN = frozenset({530, 534, 535, 538})
_CHECK_LOGIN = "; check username in bot.toml and the password in .env"
_TOO_BIG = 552
_BAD_SENDER = frozenset({"7", "8"})  # 5.1.7 and 5.1.8 speak of the sender's address


class Stage(StrEnum):
    """How far a conversation has come, in words for people."""

    CONNECT = "the connection"
    HELLO = "our greeting"
    TLS = "encryption"
    LOGIN = "our login"
    SENDER = "the sender"
    RECIPIENT = "the recipient"
    DATA = "the email"
    ANSWER = "the finished email"  # the final dot is out: only an answer can tell


def refusal(stage: Stage, code: int, text: str, *, hide: Iterable[str] = ()) -> DeliveryError:
    """The failure that an unwelcome answer means. ``hide``: patterns to leave out of its words."""
    words = f"the mail server refused {stage}: {code} {clean(text, hide=hide)}".rstrip()
    if 400 <= code < 500:
        return TemporaryFailure(words, code=code)
    if 500 <= code < 600:
        words += _CHECK_LOGIN if stage is Stage.LOGIN else ""
        return PermanentFailure(words, code=code, blame=_blame(stage, code, text))
    words = f"the mail server's answer to {stage} makes no sense: {clean(text, hide=hide)}"
    return UnknownOutcome(words) if stage is Stage.ANSWER else TemporaryFailure(words)


def lost(stage: Stage, reason: str) -> DeliveryError:
    """The failure that a lost connection or a time-out means."""
    if stage is Stage.ANSWER:
        return UnknownOutcome(f"{reason} after the email went out and before the mail server confirmed it")
    return TemporaryFailure(f"{reason} at {stage}; nothing was sent")


def clean(text: str, *, hide: Iterable[str] = ()) -> str:
    """A server's words on one line, without mail addresses, without what the patterns in ``hide`` find."""
    for pattern in hide:
        text = re.sub(pattern, "...", text, flags=re.IGNORECASE)
    text = without_tokens(_ADDRESS.sub("<address>", text))
    text = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(text.split())[:LONGEST]


def _blame(stage: Stage, code: int, text: str) -> Blame:
    if stage is Stage.RECIPIENT and _ONE_READER in text.casefold():
        return Blame.RECIPIENT
    found = _ENHANCED.match(text)
    subject, detail = found.groups() if found else ("", "")
    if stage in (Stage.RECIPIENT, Stage.DATA, Stage.ANSWER) and _speaks_of_us(code, subject, detail):
        return Blame.SENDER
    if stage is Stage.RECIPIENT:
        return Blame.RECIPIENT
    if stage in (Stage.DATA, Stage.ANSWER):
        return Blame.RECIPIENT if subject in ("1", "2") else Blame.MESSAGE
    too_big = stage is Stage.SENDER and (code == _TOO_BIG or (subject, detail) == ("3", "4"))
    return Blame.MESSAGE if too_big else Blame.SENDER


def _speaks_of_us(code: int, subject: str, detail: str) -> bool:
    """Policy (5.7.x), protocol (5.5.x), our login, our address: every further email would fail too."""
    return code in _OUR_LOGIN or subject in ("5", "7") or (subject == "1" and detail in _BAD_SENDER)
