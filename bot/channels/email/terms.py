"""How one letter is put to one server: what MAIL says of it, and what may be kept of the answer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.channels.email.mime import Mail
from bot.channels.email.replies import LONGEST, clean
from bot.errors import Blame, PermanentFailure
from bot.printable import without_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What a server takes, as its last EHLO said."""

    pipelining: bool = False  # it hears several commands before it answers (RFC 2920)
    chunking: bool = False  # it takes a body by its length, without a final dot (RFC 3030)
    international: bool = False  # addresses with letters outside ASCII before the @ (SMTPUTF8)
    sizes: bool = False  # it wants to know how many bytes will come (RFC 1870)
    largest: int = 0  # bytes of the largest email it takes; 0 when it does not say

    def mail(self, letter: Mail) -> str:
        """The MAIL command. An address that could end its line would be a command of its own."""
        if not (letter.sender + letter.recipient).isprintable():
            problem = "an address of the envelope holds a control character; correct it"
            raise PermanentFailure(problem, blame=Blame.RECIPIENT)
        return f"MAIL FROM:<{letter.sender}>{self.options(letter)}\r\n"

    def options(self, letter: Mail) -> str:
        """What MAIL says of this letter; refuses what this server cannot take, before anything is sent."""
        size = letter.size
        international = not (letter.is_ascii and letter.sender.isascii() and letter.recipient.isascii())
        if international and not self.international:
            raise _foreign(letter)
        if 0 < self.largest < size:
            problem = f"the email has {size} bytes and the mail server takes {self.largest}"
            raise PermanentFailure(f"{problem}; send fewer or smaller pictures", blame=Blame.MESSAGE)
        told = f" SIZE={size}" if self.sizes else ""
        return told + (" SMTPUTF8 BODY=8BITMIME" if international else "")


def _foreign(letter: Mail) -> PermanentFailure:
    """Whose address it is: the reader's own, or the one that stands in every letter and stops them all."""
    problem = "has letters outside ASCII before the @, and the mail server does not take that (SMTPUTF8)"
    if letter.sender.isascii() and not letter.recipient.isascii():
        return PermanentFailure(f"the address {problem}; ask for another address", blame=Blame.RECIPIENT)
    return PermanentFailure(f"the sender's address {problem}; write from another one", blame=Blame.SENDER)


def who(letter: Mail) -> tuple[str, ...]:
    """Patterns of the reader's address, which servers like to repeat; logs and the ledger never hold it."""
    local = letter.recipient.rpartition("@")[0]
    return (re.escape(letter.recipient), rf"(?<!\w){re.escape(local)}(?!\w)")


def note(words: bytes, letter: Mail) -> str:
    """The server's answer for the ledger; cleaned the long way only where it could name the reader."""
    text = plain(words)
    local = letter.recipient.partition("@")[0].casefold()
    if "@" in text or not text.isprintable() or len(text) > LONGEST or local in text.casefold():
        return clean(text, hide=who(letter))
    return without_tokens(text)


def plain(words: bytes) -> str:
    """A server's words, whatever bytes they are."""
    return words.decode("utf-8", "replace").strip()
