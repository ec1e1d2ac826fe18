"""The front matter of an item: cut from the body, then read as strict YAML without guessing types.

YAML's own guesses lose words (``NO`` becomes false, ``1.10`` a number, the last of two equal keys wins), so
every scalar stays the text that was written; the schema in ``items`` decides what it means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from bot.reader import plainwords
from bot.reader.characters import check_body, check_front_matter, check_value
from bot.reader.flaw import Flaw

MAX_BYTES = 256_000  # Markdown can be written so that its time grows with the square of its length
MAX_DEPTH = 8

# The fence is a whole line: a "---" inside the body is a Markdown rule.
_OPENING = re.compile(r"\ufeff?---[ \t]*\r?\n")
_CLOSING = re.compile(r"^---[ \t]*(?:\r?\n|\r?\Z)", re.MULTILINE)
_ALMOST_A_FENCE = re.compile(r"\s*[-\u2010-\u2015\u2212]+[ \t]*\r?\n")
_NULLS = frozenset(("", "~", "null", "Null", "NULL"))

# The C parser is about seven times as fast; its fallback says the same in slightly other words.
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """A file cut in four: ``head + block + fence + body`` is the whole text again."""

    head: str  # a byte order mark, if any, and the opening fence
    block: str
    fence: str
    body: str

    @property
    def body_line(self) -> int:
        """The file's line on which the body begins."""
        return 3 + self.block.count("\n")


@dataclass(frozen=True, slots=True)
class Scalar:
    """One text with its line in the file; ``plain`` when it was written without quotation marks."""

    text: str
    plain: bool
    line: int

    @property
    def is_null(self) -> bool:
        """Whether nothing, ``~`` or ``null`` was written."""
        return self.plain and self.text in _NULLS


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    entries: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys, each with the line it stands on and its value."""

    entries: dict[str, tuple[int, Node]]
    line: int


Node = Scalar | Sequence | Mapping


def decode(data: bytes) -> str:
    """The text of a file; raises Flaw when it is not UTF-8 or too large."""
    if len(data) > MAX_BYTES:
        raise Flaw(1, f"is larger than {MAX_BYTES:,} bytes", "an item is one story; shorten it")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Flaw(1, "is UTF-16, not UTF-8", "save the file again as UTF-8")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = f"is not UTF-8 at byte {error.start} (0x{data[error.start]:02X})"
        raise Flaw(line, problem, "save the file again as UTF-8") from error


def split(text: str) -> Parts:
    """Cut a text at its two fences; raises Flaw when one is missing."""
    if not text.lstrip("\ufeff").strip():
        raise Flaw(1, "the file is empty", "fill it in, or delete it")
    opening = _OPENING.match(text)
    if not opening:
        raise Flaw(1, "must start with front matter between two '---' lines", _why_not_opened(text))
    closing = _CLOSING.search(text, opening.end())
    if not closing:
        raise Flaw(1, "the front matter is never closed", "add a line '---' above the text of the story")
    return Parts(
        head=opening[0],
        block=text[opening.end() : closing.start()],
        fence=closing[0],
        body=text[closing.end() :],
    )


def _why_not_opened(text: str) -> str:
    if _ALMOST_A_FENCE.match(text):
        return "the first line must be exactly three hyphens; some phones turn them into a dash"
    return "put a line '---' first, then 'title: ...', and a second line '---' above the text"


def read_fields(parts: Parts) -> Mapping:
    """The front matter as keys and texts; raises Flaw with the line in the file."""
    check_front_matter(parts.block, line=2)
    check_body(parts.body, line=parts.body_line)
    tree = _Tree(parts.block)
    return tree.root()


def place(mark: Any) -> tuple[int, int]:
    """Line and column of a parser's mark, both from 0."""
    return (mark.line, mark.column) if mark else (0, 0)


def events(block: str) -> Iterator[yaml.Event]:
    """The YAML parser's events; raises Flaw in plain words where it stumbles."""
    try:
        yield from yaml.parse(block, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise plainwords.explain(error, block) from error


class _Tree:
    """Builds nodes from events and refuses what an item never needs."""

    def __init__(self, block: str) -> None:
        self._events = events(block)
        self._lines = block.split("\n") if "#" in block else []

    def root(self) -> Mapping:
        """The only document of the block, which must be a mapping; empty when nothing is written."""
        next(self._events)
        event = next(self._events)
        if isinstance(event, yaml.StreamEndEvent):
            return Mapping({}, 2)
        node = self._node(next(self._events), depth=0, key="")
        next(self._events)
        if not isinstance(after := next(self._events), yaml.StreamEndEvent):
            raise Flaw(_line(after), "the front matter ends here and begins again", "remove the '...' line")
        if isinstance(node, Scalar) and node.is_null:
            return Mapping({}, 2)
        if not isinstance(node, Mapping):
            raise Flaw(node.line, "the front matter must be lines of the form 'key: value'")
        return node

    def _node(self, event: yaml.Event, *, depth: int, key: str) -> Node:
        line = _line(event)
        if depth > MAX_DEPTH:
            raise Flaw(line, "is nested too deeply", "a list of 'key: value' groups is as deep as it gets")
        plainwords.refuse_yaml_tricks(event, line)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, line, key)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(line, depth, key)
        return self._mapping(line, depth)

    def _scalar(self, event: yaml.ScalarEvent, line: int, key: str) -> Scalar:
        text, plain = event.value, not event.style
        if event.style == '"':  # only there can an escape bring in what the block itself does not show
            check_value(key or "the text", text, line=line)
        if plain and self._lines:
            self._refuse_lost_words(event)
        return Scalar(text, plain, line)

    def _refuse_lost_words(self, event: yaml.ScalarEvent) -> None:
        """``title: Case #12`` would silently become ``Case``; a "# note" with a space is a comment."""
        line, column = place(event.end_mark)
        rest = self._lines[line][column:] if line < len(self._lines) else ""
        if re.match(r"[ \t]+#[^\s#]", rest):
            problem = f"everything after '{rest.split()[0]}' would be lost: '#' begins a comment"
            advice = "put the whole text between quotation marks, or write the comment as '# ...'"
            raise Flaw(line + 2, problem, advice)

    def _sequence(self, line: int, depth: int, key: str) -> Sequence:
        entries = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            entries.append(self._node(event, depth=depth + 1, key=key))
        return Sequence(tuple(entries), line)

    def _mapping(self, line: int, depth: int) -> Mapping:
        entries: dict[str, tuple[int, Node]] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            name = self._node(event, depth=depth + 1, key="a key")
            if not isinstance(name, Scalar):
                raise Flaw(name.line, "a key must be one word", "write 'key: value'")
            if name.text in entries:
                first = entries[name.text][0]
                raise Flaw(name.line, f"'{name.text}' is given twice, first on line {first}", "keep one")
            value = self._node(next(self._events), depth=depth + 1, key=name.text)
            entries[name.text] = (name.line, value)
        return Mapping(entries, line)


def _line(event: yaml.Event) -> int:
    """The file's line of an event: the block begins on line 2."""
    return place(event.start_mark)[0] + 2
