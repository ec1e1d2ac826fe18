"""MJML to HTML: mrml does the work, behind a lint of our own and with its two traps disarmed.

mrml writes attribute values in its own notation (Thai, emoji, NBSP and backslashes come out broken) and ends
the process on deep nesting. So every character that is not printable ASCII goes in as a numeric reference and
comes back as itself, and nesting is counted before mrml sees it.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path

from mjml import mjml2html

from bot.errors import TemplateError
from bot.model import Finding, Level

MAX_DEPTH = 100

_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9:-]*+)((?:[^\"'<>]++|\"[^\"<]*+\"|'[^'<]*+')*+)>")
_TOKEN = re.compile(rf"(?P<comment><!--.*?(?:-->|\Z))|(?P<tag>{_TAG.pattern})", re.DOTALL)
_ATTRIBUTE = re.compile(r"([^\s=\"'/]+)(?:\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s\"'/]+))?")
_JINJA = re.compile(r"\{\{.*?(?:\}\}|\Z)|\{%.*?(?:%\}|\Z)|\{#.*?(?:#\}|\Z)", re.DOTALL)
_REFERENCE = re.compile(r"&#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}));")

# What must not stand bare in HTML or is easily lost on the way: markup, controls, NBSP, invisibles.
_STAYS = re.compile(
    "[\"&'<>\0-\x1f\x7f-\xa0\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\ud800-\udfff]"
)

_VOID = frozenset("area base br col embed hr img input link meta source track wbr".split())  # noqa: SIM905
_EVERYWHERE = frozenset({"css-class", "mj-class"})
_MORE_ATTRIBUTES = {
    "mjml": {"lang", "dir", "owa"},
    "mj-selector": {"path"},
    "mj-html-attribute": {"name"},
}
_WITHOUT_MRML = {
    "mj-include": "write {% include %} instead",
    "mj-html-attributes": "mrml does not know it",
}
_NEEDS_ALT = frozenset({"mj-image", "mj-carousel-image", "img"})


@dataclass(frozen=True, kw_only=True, slots=True)
class _Piece:
    """A stretch of MJML: text, a comment or a style block as it stands, or one tag."""

    kind: str  # "text" | "verbatim" | "open" | "close" | "void"
    text: str
    line: int
    name: str = ""
    attributes: tuple[tuple[str, str | None], ...] = ()


def compile_mjml(source: str, *, path: Path) -> str:
    """The HTML of an MJML document. TemplateError with the line of ``source`` when it is not sound."""
    fault = next((finding for finding in lint(source, path) if finding.level is Level.BLOCK), None)
    if fault:
        raise TemplateError(path, line=fault.line, problem=fault.message)
    try:
        # No fonts: by default mrml links to a font service when a family has a well-known name.
        compiled = mjml2html("".join(map(_encoded, _pieces(source))), fonts={}, social_icon_origin="")
    except ValueError as error:
        raise TemplateError(path, problem=f"MJML cannot be compiled: {error}") from error
    return _REFERENCE.sub(_decoded, compiled)


def lint(source: str, path: Path) -> tuple[Finding, ...]:
    """What is wrong with an MJML document, with lines: tags, attributes, nesting, balance."""
    return tuple(_Lint(path).run(source))


def without_jinja(source: str) -> str:
    """The template with its Jinja parts blanked, so that ``lint`` can name the template's own lines."""
    return _JINJA.sub(lambda match: re.sub(r"[^\n]", "x" if match[0][1] == "{" else " ", match[0]), source)


# --------------------------------------------------------------------------- reading


def _pieces(source: str) -> Iterator[_Piece]:
    """The document in order; the texts of all pieces together are the document."""
    place, line = 0, 1
    while match := _TOKEN.search(source, place):
        if match.start() > place:
            yield _Piece(kind="text", text=source[place : match.start()], line=line)
            line += source.count("\n", place, match.start())
        piece = _piece(match, line)
        yield piece
        line += piece.text.count("\n")
        place = match.end()
        if piece.kind == "open" and piece.name in ("mj-style", "style"):
            end = source.find(f"</{piece.name}", place)
            end = len(source) if end < 0 else end
            yield _Piece(kind="verbatim", text=source[place:end], line=line)
            line += source.count("\n", place, end)
            place = end
    if place < len(source):
        yield _Piece(kind="text", text=source[place:], line=line)


def _piece(match: re.Match[str], line: int) -> _Piece:
    if match["comment"]:
        return _Piece(kind="verbatim", text=match[0], line=line)
    slash, name, rest = match.group(3), match.group(4), match.group(5)
    if slash:
        return _Piece(kind="close", text=match[0], line=line, name=name)
    empty = rest.rstrip().endswith("/") or name.lower() in _VOID
    return _Piece(
        kind="void" if empty else "open", text=match[0], line=line, name=name, attributes=_attributes(rest)
    )


def _attributes(rest: str) -> tuple[tuple[str, str | None], ...]:
    """Names and values as written, without their quotes; None for a name alone."""
    found = ((name, value or None) for name, value in _ATTRIBUTE.findall(rest))
    return tuple((name, value[1:-1] if value and value[0] in "\"'" else value) for name, value in found)


# --------------------------------------------------------------------------- mrml's notation


def _encoded(piece: _Piece) -> str:
    """The piece in printable ASCII: every attribute in double quotes, every other character a reference."""
    if piece.kind in ("verbatim", "close"):
        return piece.text
    if piece.kind == "text":
        text = piece.text if piece.text.strip() else re.sub(r"[\t\r]", " ", piece.text)
        return re.sub(r"[^\x20-\x7e\n]|\\", _reference, text)
    attributes = piece.attributes
    if piece.name in _NEEDS_ALT and not any(name == "alt" for name, _ in attributes):
        attributes += (("alt", ""),)
    written = "".join(
        f" {name}" if value is None else f' {name}="{_quoted(value)}"' for name, value in attributes
    )
    return f"<{piece.name}{written}{' />' if piece.kind == 'void' else '>'}"


def _quoted(value: str) -> str:
    return re.sub(r"[^\x20-\x7e]|\\", _reference, value.replace('"', "&quot;"))


def _reference(match: re.Match[str]) -> str:
    return f"&#x{ord(match[0]):x};"


def _decoded(match: re.Match[str]) -> str:
    """The character itself, unless it must or should stay a reference."""
    code = int(match[1], 16) if match[1] else int(match[2])
    if code > 0x10FFFF or _STAYS.match(chr(code)):
        return match[0]
    return chr(code)


# --------------------------------------------------------------------------- lint


@cache
def _schema() -> dict[str, dict[str, dict[str, object]]]:
    """Components, their attributes and legal children, as MJML 5.4.1 itself lists them."""
    text = resources.files("bot.rendering").joinpath("mjml_schema.json").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, dict[str, object]]] = json.loads(text)
    return loaded


def _is_component(name: str) -> bool:
    return name == "mjml" or name.startswith("mj-")


def _holds_html(name: str) -> bool:
    return bool(_schema()["components"].get(name, {}).get("endingTag")) or not _is_component(name)


@dataclass(kw_only=False, slots=True)
class _Lint:
    """One walk over a document with the stack of open tags."""

    path: Path
    stack: list[_Piece] = field(default_factory=list)

    def run(self, source: str) -> Iterator[Finding]:
        for piece in _pieces(source):
            if piece.kind == "text":
                yield from self._text(piece)
            elif piece.kind == "close":
                yield from self._close(piece)
            elif piece.kind in ("open", "void"):
                yield from self._open(piece)
            if len(self.stack) > MAX_DEPTH:
                yield self._finding("depth", piece, f"more than {MAX_DEPTH} tags inside each other")
                return
        for piece in self.stack:
            yield self._finding("unclosed", piece, f"<{piece.name}> is never closed")

    def _finding(self, rule: str, piece: _Piece, message: str) -> Finding:
        return Finding(
            level=Level.BLOCK, rule=f"mjml.{rule}", message=message, path=self.path, line=piece.line
        )

    def _text(self, piece: _Piece) -> Iterator[Finding]:
        before, bare, _ = piece.text.partition("<")
        if bare:
            place = _Piece(kind="text", text="<", line=piece.line + before.count("\n"))
            yield self._finding("bare", place, "a bare '<'; write &lt;")
        elif piece.text.strip() and not (self.stack and _holds_html(self.stack[-1].name)):
            start = piece.line + piece.text[: len(piece.text) - len(piece.text.lstrip())].count("\n")
            words = _Piece(kind="text", text=piece.text, line=start)
            yield self._finding("text", words, "text outside a component that shows text, such as mj-text")

    def _close(self, piece: _Piece) -> Iterator[Finding]:
        if self.stack and self.stack[-1].name == piece.name:
            self.stack.pop()
            return
        opened = next(
            (i for i in range(len(self.stack) - 1, -1, -1) if self.stack[i].name == piece.name), None
        )
        if opened is None:
            yield self._finding("stray", piece, f"</{piece.name}> closes nothing")
            return
        for left in self.stack[opened + 1 :]:
            yield self._finding("unclosed", left, f"<{left.name}> is not closed before </{piece.name}>")
        del self.stack[opened:]

    def _open(self, piece: _Piece) -> Iterator[Finding]:
        if _is_component(piece.name):
            yield from self._component(piece)
        elif not (self.stack and _holds_html(self.stack[-1].name)):
            yield self._finding(
                "misplaced", piece, f"<{piece.name}> is HTML; put it inside mj-text or mj-raw"
            )
        names = [name for name, _ in piece.attributes]
        for name in dict.fromkeys(name for name in names if names.count(name) > 1):
            yield self._finding("twice", piece, f"{name} stands twice on <{piece.name}>")
        if piece.kind == "open":
            self.stack.append(piece)

    def _component(self, piece: _Piece) -> Iterator[Finding]:
        parent = self.stack[-1].name if self.stack else ""
        if piece.name in _WITHOUT_MRML:
            yield self._finding(
                "unknown", piece, f"<{piece.name}> cannot be used: {_WITHOUT_MRML[piece.name]}"
            )
        elif parent == "mj-attributes":
            yield from self._attribute_names(piece)
        elif piece.name not in _schema()["dependencies"] and piece.name not in _schema()["components"]:
            yield self._finding("unknown", piece, f"there is no component <{piece.name}>")
        elif piece.name not in _children(parent):
            yield self._finding("misplaced", piece, f"<{piece.name}> cannot stand in {_called(parent)}")
        else:
            yield from self._attribute_names(piece)

    def _attribute_names(self, piece: _Piece) -> Iterator[Finding]:
        if piece.name in ("mj-all", "mj-class"):
            return
        allowed = _schema()["components"].get(piece.name, {}).get("allowedAttributes", {})
        known = {
            *(allowed if isinstance(allowed, dict) else ()),
            *_EVERYWHERE,
            *_MORE_ATTRIBUTES.get(piece.name, ()),
        }
        for name, value in piece.attributes:
            if name not in known:
                yield self._finding(
                    "attribute", piece, f"<{piece.name}> has no attribute {html.escape(name)!r}"
                )
            elif isinstance(allowed, dict) and not _suits(value or "", str(allowed.get(name, "string"))):
                wanted = allowed[name]
                yield self._finding("value", piece, f'{name}="{value}" on <{piece.name}> is not {wanted}')


def _children(parent: str) -> list[object]:
    """The components that may stand in this one; the document itself holds only <mjml>."""
    children = _schema()["dependencies"].get(parent, []) if parent else ["mjml"]
    return list(children)


def _called(parent: str) -> str:
    return f"<{parent}>" if parent else "the document"


def _suits(value: str, kind: str) -> bool:
    """Whether a value has the type that MJML asks for; what Jinja fills in later is not judged."""
    if "x" * 4 in value or (kind == "string"):
        return True
    if kind.startswith("enum("):
        return value in kind[5:-1].split(",")
    if kind.startswith("unit"):
        units = kind[kind.index("(") + 1 : kind.index(")")].split(",")
        return all(_measures(part, units) for part in value.split())
    return True


def _measures(part: str, units: list[str]) -> bool:
    number = re.fullmatch(r"-?[0-9.]++(.*)", part)
    return part in units if number is None else part == "0" or number[1] in units
