"""The parts and the standing head of an email: pure, the same bytes every time.

No clock, no random boundary, no host name: the date is the issue's slot, and the boundaries come from the
words, so all readers of a message have the same. The bodies are 7-bit, so no relay has a reason to change
them and to break a signature.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

from bot.channels.email import headers
from bot.channels.email.addresses import Mailbox, ascii_domain, ascii_url, mail_address, mailbox, safe
from bot.channels.email.splice import Quoted, Shifted, Write, base64_lines, encoded
from bot.errors import Blame, PermanentFailure
from bot.metadata import to_publish
from bot.model import ListFields, Media, Message

_LANGUAGE = re.compile(r"[A-Za-z0-9]{1,8}(?:-[A-Za-z0-9]{1,8})*")
_DOT = re.compile(rb"(?m)^\.")
_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/webp": ".webp"}


class Mail(Protocol):
    """An email ready for the wire: its envelope and its bytes."""

    @property
    def id(self) -> str:
        """The Message-ID with its angle brackets."""
        ...

    @property
    def sender(self) -> str: ...

    @property
    def recipient(self) -> str: ...

    @property
    def tag(self) -> Any:
        """The caller's own, handed through untouched."""
        ...

    @property
    def content(self) -> bytes:
        """RFC 5322, lines end with CRLF."""
        ...

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    @property
    def is_ascii(self) -> bool:
        """Whether its head is; the bodies always are (see the top)."""
        ...

    @property
    def pieces(self) -> tuple[bytes, ...]:
        """Its bytes as they are, to be joined, a line end last."""
        ...

    @property
    def ready(self) -> tuple[bytes, ...]:
        """As DATA wants it, to be joined: leading dots doubled, a line end last, without the final dot."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """One that is written as a whole."""

    id: str
    sender: str
    recipient: str
    content: bytes
    stuffed: bytes | None = None  # the same with its dots doubled, where that was done before
    tag: Any = None

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def is_ascii(self) -> bool:
        return self.content[: self.content.find(b"\r\n\r\n")].isascii()

    @property
    def pieces(self) -> tuple[bytes, ...]:
        return (self.content if self.content.endswith(b"\r\n") else self.content + b"\r\n",)

    @property
    def ready(self) -> tuple[bytes, ...]:
        if self.stuffed is not None:
            return (self.stuffed,)
        (content,) = self.pieces
        if b"\n." in content or content.startswith(b"."):  # the search is quick, the expression is not
            content = _DOT.sub(b"..", content)
        return (content,)


class Spliced(NamedTuple):
    """One that shares most of its bytes with others; no line of it begins with a dot.

    Made for every reader, and so a tuple: a frozen dataclass takes much longer to make.
    """

    id: str
    sender: str
    recipient: str
    ready: tuple[bytes, ...]
    is_ascii: bool
    tag: Any

    @property
    def pieces(self) -> tuple[bytes, ...]:
        return self.ready

    @property
    def content(self) -> bytes:
        return b"".join(self.ready)

    @property
    def size(self) -> int:
        return sum(map(len, self.ready))


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Header lines without their line ends, and a body in pieces: fixed bytes, or with places to fill."""

    head: tuple[str, ...]
    body: tuple[bytes | Quoted | Shifted, ...]

    @property
    def whole(self) -> tuple[bytes | Quoted | Shifted, ...]:
        return "".join(f"{line}\r\n" for line in self.head).encode() + b"\r\n", *self.body


# --------------------------------------------------------------------------- the head


def letter_fields(mailing: ListFields, sender: Mailbox, date: datetime) -> tuple[str, ...]:
    """When, and from whom."""
    reply_to = mailing.reply_to and mailbox(mailing.reply_to, what="reply_to", blame=Blame.SENDER)
    return (
        f"Date: {format_datetime(date)}",
        headers.mailbox_field("From", sender),
        *([headers.mailbox_field("Reply-To", reply_to)] if reply_to else []),
    )


def subject_field(subject: str) -> str:
    """Encoded where it must be."""
    return headers.text_field("Subject", safe(subject, what="the subject", blame=Blame.MESSAGE))


def unsubscribe_field(url: str, mailto: str) -> str:
    """RFC 2369 and 8058. The URL stays raw: providers ignore an encoded or folded one."""
    return leave_field(ascii_url(url, what="the unsubscribe link", schemes=("https",)), mailto)


def leave_field(url: str, mailto: str) -> str:
    """The same for a URL that is known to be in order."""
    return headers.url_field("List-Unsubscribe", [url, mailto] if mailto else [url])


def list_fields(mailing: ListFields, sender: Mailbox) -> tuple[str, ...]:
    """RFC 2369, 2919, 5064 and 8058, all but List-Unsubscribe itself. URLs stay raw.

    None for a mail that belongs to no list: a confirmation to somebody who has not joined yet.
    """
    if not (mailing.list_id or mailing.unsubscribe_url):
        return ()
    lines: list[str] = []
    if domain := list_domain(mailing):
        name = safe(mailing.list_name, what="the newsletter's title", blame=Blame.MESSAGE)
        lines.append(headers.phrase_field("List-Id", name, f"<{domain}>"))
    if mailing.unsubscribe_url:
        lines.append("List-Unsubscribe-Post: List-Unsubscribe=One-Click")
    for name, url in (
        ("List-Help", mailing.help_url),
        ("List-Archive", mailing.archive_url),
        ("Archived-At", mailing.archive_url),
    ):
        if url:
            plain = ascii_url(url, what=f"the URL of {name}", schemes=("https", "http", "mailto"))
            lines.append(headers.url_field(name, [plain]))
    owner = mailbox(mailing.reply_to, what="reply_to", blame=Blame.SENDER) if mailing.reply_to else sender
    return (*lines, headers.url_field("List-Owner", [mailto(owner.address)]), "List-Post: NO")


def kind_fields(message: Message) -> tuple[str, ...]:
    """Precedence quiets the vacation programs that do not know List-Id.

    Auto-Submitted is for what a machine says of itself (RFC 3834): a confirmation has it. An issue has not:
    people wrote it and an editor approved it, and some servers throw "auto-generated" mail away.
    """
    language = (f"Content-Language: {message.lang}",) if _LANGUAGE.fullmatch(message.lang) else ()
    by_people = message.kind in ("issue", "test")
    return (
        "Precedence: bulk" if by_people else "Auto-Submitted: auto-generated",
        *language,
        "MIME-Version: 1.0",
    )


def list_domain(mailing: ListFields) -> str:
    """The list's id in ASCII; empty where there is none."""
    if not mailing.list_id:
        return ""
    return ascii_domain(mailing.list_id.strip("<> "), what="list_id", blame=Blame.SENDER)


def mailto(address: str, *, subject: str = "") -> str:
    """Always ASCII: RFC 6068 writes the local part's other letters in percent signs."""
    local, _, domain = mail_address(address, what="a mailto address", blame=Blame.SENDER).rpartition("@")
    return f"mailto:{quote(local, safe='+')}@{domain}" + (f"?subject={subject}" if subject else "")


# --------------------------------------------------------------------------- the body


def body_of(message: Message) -> Part:
    """Text, or text beside HTML, or text beside HTML with its pictures."""
    text = _text_part("plain", message.text, str)
    if not message.html:
        end = b"" if message.text.endswith(("\n", "\r")) else b"\r\n"
        return Part(head=text.head, body=(*text.body, end))
    name = sha256(f"{message.text}\0{message.html}".encode()).hexdigest()[:32]
    rich = _text_part("html", message.html, html.escape)
    pictures = {media.cid or str(media.path): media for media in message.media}
    if pictures:
        images = [_picture_part(media, n, name) for n, media in enumerate(pictures.values(), start=1)]
        rich = _multipart('related; type="text/html"', f"=_related-{name}", rich, *images)
    return _multipart("alternative", f"=_alternative-{name}", text, rich)


def _multipart(kind: str, boundary: str, *parts: Part) -> Part:
    """``=_`` cannot stand in quoted-printable or base64, so no body contains the boundary."""
    line = f"--{boundary}".encode()
    inner = [piece for part in parts for piece in (line + b"\r\n", *part.whole, b"\r\n")]
    return Part(
        head=(f'Content-Type: multipart/{kind};\r\n boundary="{boundary}"',),
        body=(*inner, line + b"--\r\n"),
    )


def _text_part(kind: str, text: str, write: Write) -> Part:
    body = encoded(text, write=write)
    return Part(
        head=(f"Content-Type: text/{kind}; charset=utf-8", f"Content-Transfer-Encoding: {body.encoding}"),
        body=(body,),
    )


def _picture_part(media: Media, number: int, name: str) -> Part:
    """A picture within the HTML. Its file name says nothing about the story."""
    cid = safe(media.cid, what="a picture's Content-ID", blame=Blame.MESSAGE) or f"{name}.{number}@picture"
    kind = safe(media.mime_type, what="a picture's type", blame=Blame.MESSAGE)
    file = f"picture-{number}{_SUFFIXES.get(kind, '')}"
    return Part(
        head=(
            f'Content-Type: {kind}; name="{file}"',
            "Content-Transfer-Encoding: base64",
            f"Content-ID: <{cid}>",
            f'Content-Disposition: inline; filename="{file}"',
        ),
        body=(_picture(media.path),),
    )


def picture_stamps(message: Message) -> tuple[object, ...]:
    """Changes when a picture's file does, so that nothing made of the old one is used again."""
    return tuple(_stamp(media.path) for media in message.media)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        now = path.stat()
        return now.st_mtime_ns, now.st_size
    except OSError as error:
        raise PermanentFailure(f"{path}: the picture cannot be read; put it back") from error


def _picture(path: Path) -> bytes:
    return _encoded_file(path, _stamp(path))


@lru_cache(maxsize=64)
def _encoded_file(path: Path, _stamp: object) -> bytes:
    """Read once for all messages that hold it, and again when the file has changed."""
    try:
        return base64_lines(to_publish(path))
    except OSError as error:
        raise PermanentFailure(f"{path}: the picture cannot be read; put it back") from error
