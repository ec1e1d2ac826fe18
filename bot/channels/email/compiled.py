"""An email compiled once for all its readers: for each one only their own pieces are encoded and spliced in.

The same message, reader and key give the same bytes every time, so a second try sends the very same email,
and receivers can see that it is. What the law asks is checked once, when the message is compiled.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from bot.channels.base import Reader
from bot.channels.email import headers
from bot.channels.email.addresses import UNSAFE, mail_address, mailbox, safe
from bot.channels.email.dkim import Signer, Signing
from bot.channels.email.mime import (
    Spliced,
    body_of,
    kind_fields,
    leave_field,
    letter_fields,
    list_domain,
    list_fields,
    mailto,
    subject_field,
    unsubscribe_field,
)
from bot.channels.email.splice import Body, Line, fixed, places
from bot.errors import Blame, PermanentFailure
from bot.model import ListFields, Message, message_name

LONGEST_LINE = 998  # RFC 5322
_NO_LETTERS = re.compile(r"[\W_]+")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+")  # such a value may stand anywhere in a URL
_UNFINISHED = re.compile("[\x00\ufdd0\ufdd1\ud800-\udfff]")
_UNSUBSCRIBE_TOKEN = "unsubscribe_token"  # noqa: S105 -- the name of a place, not a secret
_NOBODYS: Mapping[str, str] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiled:
    """One message, ready but for its reader. It never changes, so threads may share it."""

    head_start: bytes  # what differs from reader to reader stands between the two
    head_end: bytes
    body: Body
    places: frozenset[str]  # names of the personal pieces
    domain: str  # of the Message-ID
    subject: Line  # with places, or it stands in the fixed head
    unsubscribe_url: Line  # as well
    plain_url: bool  # it is ASCII but for its places
    unsubscribe_mailto: str
    unsubscribe_path: Callable[[str], str] | None
    envelope_sender: str
    verp: Callable[[Reader], str] | None
    signing: Signing | None

    def letter(
        self, to: Reader, *, key: str, values: Mapping[str, str] = _NOBODYS, tag: object = None
    ) -> Spliced:
        """The email for one reader. PermanentFailure for a name, an address or a value that cannot be."""
        self._check(values)
        address = mail_address(to.address, what="the reader's address", blame=Blame.RECIPIENT)
        message_id = f"<{message_name(key)}@{self.domain}>"
        lines = self._personal_fields(to, address, message_id, values)
        head = b"%s%s%s" % (self.head_start, _head(lines), self.head_end)
        pieces = self.body.pieces(values)
        if self.signing is not None:
            head = self.signing.field(lines, pieces) + head
        sender = self.envelope_sender if self.verp is None else self._return_path(to, self.verp)
        return Spliced(message_id, sender, address, (head, *pieces), head.isascii(), tag)

    def _check(self, values: Mapping[str, str]) -> None:
        """Every place has a value of one line."""
        for name in self.places:
            value = values.get(name)
            if value is None:
                raise PermanentFailure(f"the personal piece {name} was not filled in; it must not go out")
            if not value.isprintable() and (found := UNSAFE.search(value)):
                problem = f"the personal piece {name} holds the character U+{ord(found[0]):04X}"
                raise PermanentFailure(f"{problem}, which an email must not hold", blame=Blame.RECIPIENT)

    def _personal_fields(
        self, to: Reader, address: str, message_id: str, values: Mapping[str, str]
    ) -> list[str]:
        """The header lines of this reader, in the order of ``_personal_names``."""
        name = to.name and safe(to.name, what="the reader's name", blame=Blame.RECIPIENT)
        whom = headers.phrase_field("To", name, f"<{address}>") if name else f"To: {address}"
        lines = [whom, f"Message-ID: {message_id}"]
        if self.subject:
            lines.append(subject_field(self.subject.filled(values)))
        if self.unsubscribe_url:
            lines.append(self._unsubscribe_field(values))
        return lines

    def _unsubscribe_field(self, values: Mapping[str, str]) -> str:
        url = self.unsubscribe_url.filled(values)
        if self.plain_url and all(_TOKEN.fullmatch(values[name]) for name in self.unsubscribe_url.names):
            return leave_field(url, self._unsubscribe_mail(values))
        return unsubscribe_field(url, self._unsubscribe_mail(values))

    def _unsubscribe_mail(self, values: Mapping[str, str]) -> str:
        """The mailbox that the channel names, else the reader's own address at the bounce mailbox."""
        token = values.get(_UNSUBSCRIBE_TOKEN, "")
        if self.unsubscribe_mailto or self.unsubscribe_path is None or not token:
            return self.unsubscribe_mailto
        address = self.unsubscribe_path(token)
        return mailto(address, subject="unsubscribe") if address else ""

    def _return_path(self, to: Reader, verp: Callable[[Reader], str]) -> str:
        """Where bounces of this reader go."""
        return mail_address(verp(to), what="the return path", blame=Blame.SENDER)


def compile_message(
    message: Message,
    *,
    postal_address: str = "",
    unsubscribe_mailto: str = "",
    unsubscribe_path: Callable[[str], str] | None = None,
    envelope_sender: str = "",
    signer: Signer | None = None,
    verp: Callable[[Reader], str] | None = None,
) -> Compiled:
    """The message with its places (``model.placeholder``) still open, or without any.

    They may stand in the text, the HTML, the subject and the unsubscribe link. Bounces go to ``verp`` of the
    reader, else to ``envelope_sender``, else to the From address. Raises PermanentFailure for what must not
    or cannot be sent.
    """
    mailing, date = _checked(message, postal_address)
    sender = mailbox(mailing.sender, what="the sender", blame=Blame.SENDER)
    leave = mailto(unsubscribe_mailto, subject="unsubscribe") if unsubscribe_mailto else ""
    subject, url = Line.of(message.subject), Line.of(mailing.unsubscribe_url)
    body = body_of(message)
    start = letter_fields(mailing, sender, date)
    end = (*_shared_fields(message, mailing, leave), *list_fields(mailing, sender), *body.head)
    bounces = mail_address(envelope_sender or sender.address, what="envelope_sender", blame=Blame.SENDER)
    spliced = Body.of(body.body)
    names = _personal_names(subject, url)
    signing = signer.prepared((*start, *end), names, body_start=spliced.start) if signer else None
    return Compiled(
        head_start=_head(start),
        head_end=_head(end) + b"\r\n",
        body=spliced,
        places=frozenset(places("\n".join(_texts(message, mailing)))),
        domain=list_domain(mailing) or sender.domain,
        subject=subject,
        unsubscribe_url=url,
        plain_url=_is_plain(url),
        unsubscribe_mailto=leave,
        unsubscribe_path=unsubscribe_path,
        envelope_sender=bounces,
        verp=verp,
        signing=signing,
    )


def _is_plain(url: Line) -> bool:
    """Whether nothing of it would be written in another way, nor refused."""
    sample = url.filled(dict.fromkeys(url.names, "x"))
    try:
        return bool(url) and unsubscribe_field(sample, "") == leave_field(sample, "")
    except PermanentFailure:
        return False


def _shared_fields(message: Message, mailing: ListFields, leave: str) -> tuple[str, ...]:
    """Those that are the same for all readers unless they hold a personal piece."""
    shared: list[str] = []
    if not places(message.subject):
        shared.append(subject_field(message.subject))
    if mailing.unsubscribe_url and not places(mailing.unsubscribe_url):
        shared.append(unsubscribe_field(mailing.unsubscribe_url, leave))
    return (*shared, *kind_fields(message))


def _personal_names(subject: Line, url: Line) -> tuple[str, ...]:
    """In the order in which ``Compiled`` writes them."""
    return ("To", "Message-ID", *["Subject"] * bool(subject), *["List-Unsubscribe"] * bool(url))


def _head(lines: Sequence[str]) -> bytes:
    """Their bytes; a line that no server must take is refused."""
    if max(map(len, lines)) > LONGEST_LINE // 4:  # a letter has up to four bytes
        _check_length(lines)
    return ("\r\n".join(lines) + "\r\n").encode()


def _check_length(lines: Iterable[str]) -> None:
    for line in "\r\n".join(lines).split("\r\n"):
        if len(line.encode()) > LONGEST_LINE:
            name = line.partition(":")[0]
            raise PermanentFailure(f"the header {name} is longer than {LONGEST_LINE} bytes; make it shorter")


# --------------------------------------------------------------------------- what must be there


def _texts(message: Message, mailing: ListFields) -> tuple[str, ...]:
    """Where personal pieces may stand."""
    return message.text, message.html, message.subject, mailing.unsubscribe_url


def _checked(message: Message, postal_address: str) -> tuple[ListFields, datetime]:
    """The mailing's fields and the date; an issue without its legal lines is refused."""
    if message.mailing is None:
        raise PermanentFailure("this message has no sender and no list; it was not made for email")
    if message.date is None or message.date.tzinfo is None:
        raise PermanentFailure("this message has no date with a zone; an email takes the time of its slot")
    around = (piece for text in _texts(message, message.mailing) for piece in fixed(text))
    if any(map(_UNFINISHED.search, around)):
        raise PermanentFailure("a personal piece of this email was not filled in; it must not go out")
    if message.kind == "issue":
        _check_legal_lines(message, message.mailing.unsubscribe_url, postal_address)
    return message.mailing, message.date


def _check_legal_lines(message: Message, unsubscribe_url: str, postal_address: str) -> None:
    bodies = {"text part": message.text}
    if message.html:
        bodies["HTML part"] = html.unescape(message.html)
    if not _NO_LETTERS.sub("", postal_address):
        raise PermanentFailure("a newsletter needs a postal address; set postal_address in [publication]")
    for name, body in bodies.items():
        if not unsubscribe_url or unsubscribe_url not in body:
            raise PermanentFailure(f"the {name} has no unsubscribe link; put it back into the template")
        if not _anyhow(postal_address).search(body.casefold()):
            raise PermanentFailure(f"the {name} has no postal address; put it back into the template")


@lru_cache(maxsize=8)
def _anyhow(postal_address: str) -> re.Pattern[str]:
    """Finds the address in a casefolded body however its lines are broken and its tags set."""
    letters = _NO_LETTERS.sub("", postal_address.casefold())
    return re.compile(r"(?:<[^<>]*>|[^\w<]|_)*+".join(map(re.escape, letters)))
