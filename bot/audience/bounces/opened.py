"""A mail from anywhere, opened without trust: its headers, its report blocks and the words for people.

Whatever arrives, this ends soon and raises nothing: mails are cut to size, deep nests are read as text, and
what a charset cannot say becomes a replacement character.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32

LARGEST = 512 * 1024  # bytes that are read; a report stands at the beginning
LONGEST_LINE = 4_000
MOST_LINES = 8_000
MOST_PARTS = 40
MOST_TEXT = 40_000  # characters of words for people
MOST_BLOCKS = 60  # recipients of one report

# What the standard library is known to raise on hostile mail.
TROUBLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, AssertionError)

_REPORTS = ("/delivery-status", "/global-delivery-status")
_NESTING = re.compile(rb"boundary|message/", re.IGNORECASE)
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]{1,60})[ \t]*+:[ \t]*+(.*)")
_NOT_SEEN = re.compile(r"(?is)<(style|script|head|title)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)")
_BREAKING = re.compile(r"(?i)<(?:br|/?p|/?div|/?tr|/?li|/?h\d|/?table|hr)\b[^<>]*>")
_TAG = re.compile(r"<[/a-zA-Z!?][^<>@]*>")

Fields = Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """What was found. Field names are in lower case; ``blocks`` are those of an RFC 3464 report."""

    head: Fields
    kind: str = ""  # the content type of the whole, with report-type: "multipart/report; delivery-status"
    blocks: tuple[Fields, ...] = ()
    feedback: Fields | None = None
    text: str = ""
    returned: bool = False  # it holds a copy of a mail, or its headers
    ours: frozenset[str] = (
        frozenset()
    )  # whom the mail came from and the report goes to: addresses and domains


def opened(raw: bytes) -> Opened:
    """The mail, opened."""
    mail = parsed(raw)
    try:
        return _opened(mail) if mail else _as_text(_cut(raw))
    except TROUBLE:
        return _as_text(_cut(raw))


def parsed(raw: bytes, *, lines: int = MOST_LINES, width: int = LONGEST_LINE) -> Message | None:
    """The mail by the parser of the standard library; None where it would take too long or gave up."""
    raw = _cut(raw, lines, width)
    if len(_NESTING.findall(raw)) > MOST_PARTS:
        return None
    try:
        return BytesParser(policy=compat32).parsebytes(raw)
    except TROUBLE:
        return None


def _cut(raw: bytes, lines: int = MOST_LINES, width: int = LONGEST_LINE) -> bytes:
    """Its first lines, each cut to size."""
    raw = raw[:LARGEST].replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\0", b"")
    return b"\n".join(line[:width] for line in raw.split(b"\n", lines)[:lines])


def _as_text(raw: bytes) -> Opened:
    head, _, body = raw.partition(b"\n\n")
    return Opened(head=fields(_text_of(head)), text=_text_of(body)[:MOST_TEXT])


def _opened(mail: Message) -> Opened:
    blocks: list[Fields] = []
    texts: list[str] = []
    pages: list[str] = []
    feedback: Fields | None = None
    returned = False
    senders = [_head(mail).get("to", "")]
    for part in _parts(mail):
        kind = part.get_content_type()
        if kind.endswith(_REPORTS):
            blocks += _blocks(part)
        elif kind == "message/feedback-report":
            feedback = feedback or _joined(_blocks(part))
        elif kind.startswith("message/") or kind.endswith("rfc822-headers"):
            inner, returned = _inner(part), True
            senders += [inner.get("from", ""), inner.get("return-path", ""), inner.get("sender", "")]
            blocks = blocks or _blocks_of_returned(part)
        elif returned:
            continue  # what follows the returned mail belongs to it, or is a signature
        elif part.is_multipart() or kind.startswith("multipart/"):
            texts.append(_content(part))  # its parts were not found
        elif kind == "text/html":
            pages.append(without_tags(_content(part)))
        elif kind.startswith("text/"):
            texts.append(_content(part))
    text = "\n".join(texts) if any(text.strip() for text in texts) else "\n".join(pages)
    return Opened(
        head=_head(mail),
        kind=f"{mail.get_content_type()}; {_parameter(mail, 'report-type')}",
        blocks=tuple(blocks[:MOST_BLOCKS]),
        feedback=feedback,
        text=text[:MOST_TEXT],
        returned=returned,
        ours=_addresses_and_domains(" ".join(senders)),
    )


def _addresses_and_domains(text: str) -> frozenset[str]:
    addresses = {word.strip("<>,;\"'()").lower() for word in text.split() if "@" in word}
    return frozenset(addresses | {address.rpartition("@")[2] for address in addresses})


def _inner(part: Message) -> Fields:
    """The headers of a returned mail."""
    inner = part.get_payload()
    if isinstance(inner, list):
        return _head(inner[0]) if inner and isinstance(inner[0], Message) else {}
    return fields(_content(part).partition("\n\n")[0])


def _blocks_of_returned(part: Message) -> list[Fields]:
    """The report, where a gateway wrapped one into a mail of its own: we never send any."""
    inner = part.get_payload()
    if not isinstance(inner, list) or not isinstance(inner[0], Message):
        return []
    reports = (each for each in _parts(inner[0]) if each.get_content_type().endswith(_REPORTS))
    return [block for report in reports for block in _blocks(report)]


def _parts(mail: Message) -> Iterator[Message]:
    """The leaves in order, but never what is inside of a returned mail or a report."""
    waiting = [mail]
    for _ in range(MOST_PARTS):
        if not waiting:
            return
        part = waiting.pop(0)
        inner = part.get_payload()
        if part.get_content_maintype() == "multipart" and isinstance(inner, list):
            waiting = [each for each in inner if isinstance(each, Message)] + waiting
        else:
            yield part


def _blocks(part: Message) -> list[Fields]:
    """The blocks of fields of a report part, whichever way the parser cut it up."""
    inner = part.get_payload()
    if isinstance(inner, list):  # message/delivery-status: a message per block; others: one with the rest
        pieces = [each for each in inner if isinstance(each, Message)]
        found = [_head(piece) for piece in pieces]
        rest = "\n\n".join(_content(piece) for piece in pieces)
        return [block for block in found if block] + blocks_in(rest)
    return blocks_in(_content(part))


def blocks_in(text: str) -> list[Fields]:
    """Blocks of fields, parted by empty lines."""
    return [block for piece in re.split(r"\n[ \t]*\n", text) if (block := fields(piece))]


def fields(text: str) -> Fields:
    """The fields of one block; the first of each name, folded lines joined. Other lines are passed over."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.split("\n"):
        if line[:1] in (" ", "\t"):
            current.append(line.strip())
        elif match := _FIELD.fullmatch(line.strip()):
            name = match[1].lower()
            current = [match[2]]
            current = found.setdefault(name, current) if name not in found else current
    return {name: " ".join(values) for name, values in found.items()}


def _joined(blocks: list[Fields]) -> Fields:
    return {name: value for block in reversed(blocks) for name, value in block.items()}


def _head(mail: Message) -> Fields:
    """The first field of each name, its encoded words read."""
    head: dict[str, str] = {}
    for name, value in mail.raw_items():
        head.setdefault(name.lower(), _words(str(value)))
    return head


def _words(value: str) -> str:
    value = " ".join(line.strip() for line in value.split("\n"))
    value = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if "=?" not in value:
        return value
    try:
        pieces = decode_header(value)
    except (ValueError, LookupError, HeaderParseError):
        return value
    return "".join(
        piece if isinstance(piece, str) else _text_of(piece, charset or "") for piece, charset in pieces
    )


def _parameter(part: Message, name: str) -> str:
    value = part.get_param(name, "")
    return (value[2] if isinstance(value, tuple) else value or "").lower()


def _content(part: Message) -> str:
    payload = part.get_payload(decode=True)
    return _text_of(payload, _parameter(part, "charset")) if isinstance(payload, bytes) else ""


def _text_of(data: bytes, charset: str = "") -> str:
    """Words, whatever the charset is called: the named one, else UTF-8, else one letter for each byte."""
    for name in (charset, "utf-8"):
        try:
            text = data.decode(name)
        except (ValueError, LookupError):  # no such charset, or not written in it
            continue
        if isinstance(text, str):
            return text.replace("\0", "")
    return data.decode("latin-1").replace("\0", "")


def without_tags(page: str) -> str:
    """The words of an HTML page."""
    page = _BREAKING.sub("\n", _NOT_SEEN.sub(" ", page))
    return html.unescape(_TAG.sub(" ", page))
