"""Telegram's HTML, read as Telegram reads it: what it refuses, and how long the text is that remains.

The rules are those of TDLib's ``parse_html``, the parser inside the Bot API server, down to its error texts
and byte offsets. A browser would read the same markup differently, so no general HTML parser will do here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Beyond this many, Telegram drops links and formatting without a word.
MAX_ENTITIES = 100

_FORMATS = {"b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "code", "pre", "blockquote"}
_TAGS = _FORMATS | {"a", "span", "tg-spoiler", "tg-emoji", "tg-time"}
_NAMED = {b"lt": "<", b"gt": ">", b"amp": "&", b"quot": '"'}
_SPACE = b" \t\r\n\0\v"
_ATTRIBUTE = re.compile(rb"[^ \t\r\n\0\v=>/\"']*")
_NAME_TOKEN = re.compile(rb"[A-Za-z0-9.-]*")
_REFERENCE = re.compile(rb"&(?:#x(?P<hex>[0-9a-fA-F]*)|#(?P<dec>[0-9]*)|(?P<name>[A-Za-z]*))")
_TRIMMED = "".join(map(chr, range(0x21)))  # control characters become spaces, and spaces are trimmed


class HtmlError(ValueError):
    """Telegram would answer 400 to this markup; the text is Telegram's own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """The text that readers see, and how many pieces of it carry formatting or a link."""

    text: str
    entities: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Open:
    """A tag that waits for its end."""

    name: str
    attributes: dict[str, str]
    start: int  # characters of text before it


def utf16_length(text: str) -> int:
    """UTF-16 units: a character beyond the basic plane, such as most emoji, counts twice."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def text_length(html: str) -> int:
    """How long Telegram says this is: tags removed, entities decoded, trimmed, in UTF-16 units.

    Telegram's own gate counts code points; UTF-16 units are never fewer, so what fits here fits there.
    Raises HtmlError.
    """
    return utf16_length(parse(html).text.strip(_TRIMMED))


def check_html(html: str) -> None:
    """Raise HtmlError for markup that Telegram refuses, or whose links it would drop."""
    count = parse(html).entities
    if count > MAX_ENTITIES:
        raise HtmlError(f"{count} links and formatted pieces; Telegram drops all beyond {MAX_ENTITIES}")


def holds_all(told: str, html: str) -> bool:
    """Whether the text that Telegram answers with has every letter of this markup, in order."""
    letters = iter(told)
    return all(letter in letters for letter in parse(html).text if letter.isalnum())


def parse(html: str) -> Parsed:
    """Read markup to the end, or raise HtmlError with Telegram's own words."""
    try:
        return _Parser(html.encode()).parse()
    except UnicodeEncodeError as error:
        raise HtmlError("Text must be encoded in UTF-8") from error


class _Parser:
    """One pass over the bytes; the closing NUL stands for the end, as in the C++ original."""

    def __init__(self, data: bytes) -> None:
        self._data, self._size, self._at = data + b"\0", len(data), 0
        self._text: list[str] = []
        self._length = 0
        self._open: list[_Open] = []
        self._entities = 0

    def parse(self) -> Parsed:
        while self._at < self._size:
            self._step()
        if self._open:
            raise HtmlError(f'Can\'t find end tag corresponding to start tag "{self._open[-1].name}"')
        text = "".join(self._text)
        if any("\ud800" <= c <= "\udfff" for c in text):
            raise HtmlError(
                "Text contains invalid Unicode characters after decoding HTML entities, "
                "check for unmatched surrogate code units"
            )
        return Parsed(text=text, entities=self._entities)

    def _step(self) -> None:
        if self._data.startswith(b"</", self._at):
            self._end_tag()
        elif self._data.startswith(b"<", self._at):
            self._start_tag()
        elif self._data.startswith(b"&", self._at):
            self._emit(self._reference())
        else:
            self._emit(self._run(b"<&"))

    def _emit(self, text: str) -> None:
        self._text.append(text)
        self._length += len(text)

    def _run(self, stops: bytes) -> str:
        """Plain text up to one of these bytes or the end."""
        start = self._at
        while self._at < self._size and self._data[self._at] not in stops:
            self._at += 1
        return self._data[start : self._at].decode()

    def _reference(self) -> str:
        """The character that ``&...;`` names; a lone ``&`` when it names none. The ``;`` may be missing."""
        match = _REFERENCE.match(self._data, self._at)
        assert match is not None, "called at an ampersand"  # noqa: S101
        character = _decoded(match)
        if character:
            self._at = match.end() + (self._data[match.end()] == ord(";"))
            return character
        self._at += 1
        return "&"

    def _until_space_or_close(self) -> bytes:
        start = self._at
        while self._data[self._at] not in _SPACE and self._data[self._at] != ord(">"):
            self._at += 1
        return self._data[start : self._at]

    def _skip_space(self) -> None:
        while self._at < self._size and self._data[self._at] in _SPACE:
            self._at += 1

    def _next(self) -> int:
        """The byte under the cursor; 0 at the end."""
        return self._data[self._at]

    # ------------------------------------------------------------------- tags

    def _start_tag(self) -> None:
        begin = self._at
        self._at += 1
        name = _lower(self._until_space_or_close())
        if not self._next():
            raise HtmlError(f"Unclosed start tag at byte offset {begin}")
        if name not in _TAGS:
            raise HtmlError(f'Unsupported start tag "{name}" at byte offset {begin}')
        attributes = self._attributes(name, begin)
        if name == "span" and attributes.get("class") != "tg-spoiler":
            raise HtmlError(f'Tag "span" must have class "tg-spoiler" at byte offset {begin}')
        self._open.append(_Open(name=name, attributes=attributes, start=self._length))
        self._at += 1

    def _attributes(self, tag: str, begin: int) -> dict[str, str]:
        found: dict[str, str] = {}
        while self._next() != ord(">"):
            self._skip_space()
            if self._next() == ord(">"):
                break
            name = self._token(_ATTRIBUTE)
            if not name:
                raise HtmlError(f'Empty attribute name in the tag "{tag}" at byte offset {begin}')
            found[name] = self._value(tag, begin)
        return found

    def _value(self, tag: str, begin: int) -> str:
        """What follows an attribute's name; nothing is allowed too."""
        self._skip_space()
        value = ""
        if self._next() == ord("="):
            self._at += 1
            self._skip_space()
            if not self._next():
                raise HtmlError(f'Unclosed start tag "{tag}" at byte offset {begin}')
            value = self._quoted() if self._next() in b"'\"" else self._name_token()
            if not self._next():
                raise HtmlError(f"Unclosed start tag at byte offset {begin}")
        elif not self._next():
            raise HtmlError(f'Unclosed start tag "{tag}" at byte offset {begin}')
        return value

    def _quoted(self) -> str:
        quote = bytes([self._next()])
        self._at += 1
        pieces = []
        while self._at < self._size and self._data[self._at] not in quote:
            pieces.append(self._reference() if self._next() == ord("&") else self._run(quote + b"&"))
        if self._at < self._size:
            self._at += 1
        return "".join(pieces)

    def _name_token(self) -> str:
        begin = self._at
        token = self._token(_NAME_TOKEN)
        if self._next() not in _SPACE and self._next() != ord(">"):
            raise HtmlError(f"Unexpected end of name token at byte offset {begin}")
        return token.lower()

    def _token(self, pattern: re.Pattern[bytes]) -> str:
        match = pattern.match(self._data, self._at)
        assert match is not None, "the pattern matches nothing, too"  # noqa: S101
        self._at = match.end()
        return match.group().decode()

    def _end_tag(self) -> None:
        begin = self._at
        if not self._open:
            raise HtmlError(f"Unexpected end tag at byte offset {begin}")
        self._at += 2
        name = _lower(self._until_space_or_close())
        self._skip_space()
        if self._next() != ord(">"):
            raise HtmlError(f"Unclosed end tag at byte offset {begin}")
        self._at += 1
        opened = self._open.pop()
        if name and name != opened.name:
            raise HtmlError(
                f'Unmatched end tag at byte offset {begin}, expected "</{opened.name}>", found "</{name}>"'
            )
        if self._length > opened.start:
            _check_closed(opened)
            self._entities += 1


def _lower(name: bytes) -> str:
    """ASCII only: Telegram leaves other letters alone."""
    return name.lower().decode()


def _decoded(match: re.Match[bytes]) -> str:
    """Only four names exist; numbers above the last plane or longer than eight digits name nothing."""
    if match["name"] is not None:
        return _NAMED.get(match["name"], "")
    digits, base = (match["hex"], 16) if match["hex"] is not None else (match["dec"], 10)
    if match.end() - match.start() >= 10 or not digits:
        return ""
    code = int(digits, base)
    return chr(code) if 0 < code < 0x10FFFF else ""


def _check_closed(tag: _Open) -> None:
    """Two tags are checked only when they end, and only around some text."""
    if tag.name == "tg-emoji" and not _is_emoji_id(tag.attributes.get("emoji-id", "")):
        raise HtmlError("Invalid custom emoji identifier specified")
    if tag.name == "tg-time" and not re.fullmatch("r|[tTdDwW]*", tag.attributes.get("format", "")):
        raise HtmlError("Invalid date format used")


def _is_emoji_id(value: str) -> bool:
    """A number of 64 bits, not zero."""
    return bool(re.fullmatch("-?[0-9]{1,19}", value)) and int(value) != 0 and -(2**63) <= int(value) < 2**63
