"""Final words and a reader become the bytes of an email: pure, the same bytes every time.

No clock, no random boundary, no host name: the date is the issue's slot, the boundaries and the Message-ID
come from the delivery's key. So a second try sends the very same email, and receivers can see that it is.
The bodies are 7-bit, so no relay has a reason to change them and to break a signature.
"""

from __future__ import annotations

import html as markup
import re
from base64 import b64encode
from binascii import b2a_qp
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from bot.channels.email import headers
from bot.channels.email.addresses import Mailbox, ascii_domain, ascii_url, mail_address, mailbox, safe
from bot.errors import Blame, PermanentFailure
from bot.model import ListFields, Media, Message, Recipient

LONGEST_LINE = 998  # RFC 5322
_NO_LETTERS = re.compile(r"[\W_]+")
_LANGUAGE = re.compile(r"[A-Za-z0-9]{1,8}(?:-[A-Za-z0-9]{1,8})*")
_KEY = re.compile(r"[A-Za-z0-9]{16,}")
_UNFINISHED = re.compile("[\x00\ufdd0\ufdd1\ud800-\udfff]")
_SUFFIXES = {"image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/webp": ".webp"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """An email ready for the wire: its envelope and its bytes."""

    id: str  # the Message-ID with its angle brackets
    sender: str
    recipient: str
    content: bytes  # RFC 5322, lines end with CRLF
    stuffed: bytes | None = None  # the same, ready for DATA; None: whoever sends it does the dots
    tag: object = None  # the caller's own, handed through untouched


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    head: tuple[str, ...]
    body: bytes

    def __bytes__(self) -> bytes:
        return "".join(f"{line}\r\n" for line in self.head).encode() + b"\r\n" + self.body


def compose(
    message: Message, to: Recipient, *, key: str, postal_address: str = "", unsubscribe_mailto: str = ""
) -> bytes:
    """The email for one reader. Raises PermanentFailure for what must not or cannot be sent."""
    return letter(
        message, to, key=key, postal_address=postal_address, unsubscribe_mailto=unsubscribe_mailto
    ).content


def letter(
    message: Message,
    to: Recipient,
    *,
    key: str,
    postal_address: str = "",
    unsubscribe_mailto: str = "",
    envelope_sender: str = "",
) -> Letter:
    """As ``compose``, with its envelope; an empty ``envelope_sender`` means the From address."""
    mailing, date = _checked(message, postal_address)
    key = key if _KEY.fullmatch(key) else sha256(key.encode()).hexdigest()
    sender = mailbox(mailing.sender, what="the sender", blame=Blame.SENDER)
    reader = Mailbox(
        name=safe(to.name, what="the reader's name", blame=Blame.RECIPIENT),
        address=mail_address(to.address, what="the reader's address", blame=Blame.RECIPIENT),
    )
    message_id = f"<{key[:32]}@{_list_domain(mailing) or sender.domain}>"
    body = _body(message, key)
    head = (
        f"Date: {format_datetime(date)}",
        *_letter_head(message, mailing, sender, reader),
        f"Message-ID: {message_id}",
        *_list_head(mailing, sender, unsubscribe_mailto),
        *_kind_head(message),
        *body.head,
    )
    return Letter(
        id=message_id,
        sender=mail_address(envelope_sender or sender.address, what="envelope_sender", blame=Blame.SENDER),
        recipient=reader.address,
        content=_finished(_Part(head=head, body=body.body)),
    )


# --------------------------------------------------------------------------- what must be there


def _checked(message: Message, postal_address: str) -> tuple[ListFields, datetime]:
    """The mailing's fields and the date; an issue without its legal lines is refused."""
    if message.mailing is None:
        raise PermanentFailure("this message has no sender and no list; it was not made for email")
    if message.date is None or message.date.tzinfo is None:
        raise PermanentFailure("this message has no date with a zone; an email takes the time of its slot")
    pieces = (message.text, message.html, message.mailing.unsubscribe_url)
    if any(_UNFINISHED.search(piece) for piece in pieces):
        raise PermanentFailure("a personal piece of this email was not filled in; it must not go out")
    if message.kind == "issue":
        _check_legal_lines(message, message.mailing.unsubscribe_url, postal_address)
    return message.mailing, message.date


def _check_legal_lines(message: Message, unsubscribe_url: str, postal_address: str) -> None:
    bodies = {"text part": message.text}
    if message.html:
        bodies["HTML part"] = markup.unescape(message.html)
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
    return re.compile(r"(?:<[^>]*>|[^\w<]|_)*".join(map(re.escape, letters)))


# --------------------------------------------------------------------------- the head


def _letter_head(message: Message, mailing: ListFields, sender: Mailbox, reader: Mailbox) -> tuple[str, ...]:
    reply_to = mailing.reply_to and mailbox(mailing.reply_to, what="reply_to", blame=Blame.SENDER)
    subject = safe(message.subject, what="the subject", blame=Blame.MESSAGE)
    return (
        headers.mailbox_field("From", sender),
        *([headers.mailbox_field("Reply-To", reply_to)] if reply_to else []),
        headers.mailbox_field("To", reader),
        headers.text_field("Subject", subject),
    )


def _list_head(mailing: ListFields, sender: Mailbox, unsubscribe_mailto: str) -> tuple[str, ...]:
    """RFC 2369, 2919, 5064 and 8058. URLs stay raw: providers ignore encoded or folded ones."""
    lines: list[str] = []
    if domain := _list_domain(mailing):
        name = safe(mailing.list_name, what="the newsletter's title", blame=Blame.MESSAGE)
        lines.append(headers.phrase_field("List-Id", name, f"<{domain}>"))
    if mailing.unsubscribe_url:
        urls = [ascii_url(mailing.unsubscribe_url, what="the unsubscribe link", schemes=("https",))]
        urls += [_mailto(unsubscribe_mailto, subject="unsubscribe")] if unsubscribe_mailto else []
        lines.append(headers.url_field("List-Unsubscribe", urls))
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
    return (*lines, headers.url_field("List-Owner", [_mailto(owner.address)]), "List-Post: NO")


def _kind_head(message: Message) -> tuple[str, ...]:
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


def _list_domain(mailing: ListFields) -> str:
    if not mailing.list_id:
        return ""
    return ascii_domain(mailing.list_id.strip("<> "), what="list_id", blame=Blame.SENDER)


def _mailto(address: str, *, subject: str = "") -> str:
    """Always ASCII: RFC 6068 writes the local part's other letters in percent signs."""
    local, _, domain = mail_address(address, what="a mailto address", blame=Blame.SENDER).rpartition("@")
    return f"mailto:{quote(local, safe='+')}@{domain}" + (f"?subject={subject}" if subject else "")


def _finished(whole: _Part) -> bytes:
    for line in "\r\n".join(whole.head).split("\r\n"):
        if len(line.encode()) > LONGEST_LINE:
            name = line.partition(":")[0]
            raise PermanentFailure(f"the header {name} is longer than {LONGEST_LINE} bytes; make it shorter")
    content = bytes(whole)
    return content if content.endswith(b"\r\n") else content + b"\r\n"


# --------------------------------------------------------------------------- the body


def _body(message: Message, key: str) -> _Part:
    """Text, or text beside HTML, or text beside HTML with its pictures."""
    text = _text_part("plain", message.text)
    if not message.html:
        return text
    rich = _text_part("html", message.html)
    pictures = {media.cid or str(media.path): media for media in message.media}
    if pictures:
        images = [_picture_part(media, n, key) for n, media in enumerate(pictures.values(), start=1)]
        rich = _multipart('related; type="text/html"', f"=_related-{key[:32]}", rich, *images)
    return _multipart("alternative", f"=_alternative-{key[:32]}", text, rich)


def _multipart(kind: str, boundary: str, *parts: _Part) -> _Part:
    """``=_`` cannot stand in quoted-printable or base64, so no body contains the boundary."""
    line = f"--{boundary}".encode()
    body = b"".join(line + b"\r\n" + bytes(part) + b"\r\n" for part in parts)
    return _Part(
        head=(f'Content-Type: multipart/{kind};\r\n boundary="{boundary}"',), body=body + line + b"--\r\n"
    )


def _text_part(kind: str, text: str) -> _Part:
    """Quoted-printable or base64, whichever is shorter."""
    lines = re.sub(r"\r\n?", "\n", text)
    body, encoding = b2a_qp(lines.encode(), istext=True).replace(b"\n", b"\r\n"), "quoted-printable"
    canonical = lines.replace("\n", "\r\n").encode()
    if len(body) > len(canonical) * 4 // 3 * 78 // 76:
        body, encoding = _base64(canonical), "base64"
    return _Part(
        head=(f"Content-Type: text/{kind}; charset=utf-8", f"Content-Transfer-Encoding: {encoding}"),
        body=body,
    )


def _picture_part(media: Media, number: int, key: str) -> _Part:
    """A picture within the HTML. Its file name says nothing about the story."""
    cid = (
        safe(media.cid, what="a picture's Content-ID", blame=Blame.MESSAGE) or f"{key[:32]}.{number}@picture"
    )
    kind = safe(media.mime_type, what="a picture's type", blame=Blame.MESSAGE)
    name = f"picture-{number}{_SUFFIXES.get(kind, '')}"
    return _Part(
        head=(
            f'Content-Type: {kind}; name="{name}"',
            "Content-Transfer-Encoding: base64",
            f"Content-ID: <{cid}>",
            f'Content-Disposition: inline; filename="{name}"',
        ),
        body=_picture(media.path),
    )


def _picture(path: Path) -> bytes:
    try:
        now = path.stat()
        return _encoded_file(path, now.st_mtime_ns, now.st_size)
    except OSError as error:
        raise PermanentFailure(f"{path}: the picture cannot be read; put it back") from error


@lru_cache(maxsize=64)
def _encoded_file(path: Path, _mtime_ns: int, _size: int) -> bytes:
    """Read once for all readers of an issue, and again when the file has changed."""
    return _base64(path.read_bytes())


def _base64(data: bytes) -> bytes:
    whole = b64encode(data)
    return b"\r\n".join(whole[start : start + 76] for start in range(0, len(whole), 76))
