"""HTML in Markdown, as people write it: a few tags are understood, comments are left out, the rest is text.

A tag is only ever turned into a token of Markdown's own, without its attributes (a link keeps its address),
so it can do nothing that Markdown cannot. What is shown to readers as text is told, see ``Remark``.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

MAX_COMMENT = 5_000  # characters; what begins a longer one is text, so that no text is read again and again

# What people write, and what it becomes.
_PAIRED = {
    "strong": "strong",
    "b": "strong",
    "em": "em",
    "i": "em",
    "small": "small",
    "sup": "sup",
    "sub": "sub",
}
_EMPTY = {"br": "br"}
UNDERSTOOD = frozenset({*_PAIRED, *_EMPTY, "a"})
# The elements of HTML, living and dead (HTML Living Standard, sections 4 and 16.2): "<T>" is none.
_ELEMENTS = frozenset(
    """
    a abbr acronym address applet area article aside audio b base basefont bdi bdo bgsound big blink
    blockquote body br button canvas caption center cite code col colgroup data datalist dd del details
    dfn dialog dir div dl dt em embed fieldset figcaption figure font footer form frame frameset h1 h2
    h3 h4 h5 h6 head header hgroup hr html i iframe img input ins kbd label legend li link main map mark
    marquee menu meta meter nav nobr noframes noscript object ol optgroup option output p param picture
    plaintext pre progress q rb rp rt rtc ruby s samp script search section select slot small source
    span strike strong style sub summary sup svg table tbody td template textarea tfoot th thead time
    title tr track tt u ul var video wbr
    """.split()  # noqa: SIM905
)
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9-]{0,30})((?:\s[^<>]{0,2000}|/)?)>")
_HREF = re.compile(r"\shref\s{0,9}=\s{0,9}(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"\s[A-Za-z-]{1,40}=[\"']")


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """Something in a text that readers will not see as it was meant."""

    kind: str  # "tag", "comment", "picture"
    text: str  # as it is written
    line: int  # of the text; the first is 1


def is_tag(name: str, rest: str = "") -> bool:
    """Whether it was surely meant as HTML: "<div>" and "<x-card id='1'>"."""
    return name.lower() in _ELEMENTS or bool(_ATTRIBUTE.search(rest))


def _looks_like_tag(name: str, rest: str, before: str) -> bool:
    """Or may have been: "<something>", but not the "<T>" and "Vec<u8>" of a programmer."""
    return is_tag(name, rest) or (name.islower() and not before.isalnum())


def tags_in(text: str) -> Iterator[str]:
    """Every tag and comment of a text that is shown as it stands."""
    for found in re.finditer(rf"{_TAG.pattern}|<!--", text):
        if found[2] is None or _looks_like_tag(
            found[2], found[3], text[max(0, found.start() - 1) : found.start()]
        ):
            yield found[0]


# --------------------------------------------------------------------------- reading


def read_comment_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A comment on lines of its own is no part of the text, with blank lines in it or without."""
    begin = state.bMarks[start] + state.tShift[start]
    if state.is_code_block(start) or not state.src.startswith("<!--", begin):
        return False
    close = state.src.find("-->", begin + 4, min(begin + MAX_COMMENT, state.eMarks[end - 1]))
    if close < 0:
        return False
    last = next(line for line in range(start, end) if close < state.eMarks[line])
    if state.src[close + 3 : state.eMarks[last]].strip():
        return False  # words follow: the comment is a part of their paragraph
    if not silent:
        state.env.setdefault("remarks", []).append(Remark(kind="comment", text="<!--", line=start + 1))
        state.line = last + 1
        state.push("html_block", "", 0).content = "\n"  # keeps the lines of a list apart
    return True


def read_tag(state: StateInline, silent: bool) -> bool:
    """A tag or a comment as one token; ``pair_tags`` decides what becomes of it."""
    if not state.src.startswith("<", state.pos):
        return False
    if state.src.startswith("<!--", state.pos):
        close = state.src.find("-->", state.pos + 4, min(state.pos + MAX_COMMENT, state.posMax))
        if close < 0:
            return _push(state, "html_tag", state.pos + len("<!--"), silent)
        return _push(state, "html_comment", close + 3, silent)
    found = _TAG.match(state.src, state.pos, state.posMax)
    if not found or not _looks_like_tag(found[2], found[3], state.src[max(0, state.pos - 1) : state.pos]):
        return False
    return _push(state, "html_tag", found.end(), silent)


def _push(state: StateInline, kind: str, end: int, silent: bool) -> bool:
    if not silent:
        state.push(kind, "", 0).content = state.src[state.pos : end]
    state.pos = end
    return True


# --------------------------------------------------------------------------- deciding


def pair_tags(state: StateCore) -> None:
    """Understood tags become Markdown's own tokens where they are well nested; all others become text."""
    remarks: list[Remark] = state.env.setdefault("remarks", [])
    lines: list[str] = []
    at = 0
    for token in state.tokens:
        at = token.map[0] if token.map else at
        children = token.children or []
        if not any(child.type in ("html_tag", "html_comment", "image") for child in children):
            continue
        paired = _paired(children)
        lines = lines or state.src.split("\n")
        remarks += _remarks(paired, lines, at)
        token.children = list(_without_breaks_doubled(paired))


def _paired(children: Sequence[Token]) -> list[Token]:
    """Each tag turned into what it means; one pass, each token is put on the pile and taken off once."""
    result = list(children)
    waiting: list[tuple[int, str, str]] = []  # place, what closes it, what it becomes
    for place, token in enumerate(children):
        if token.type != "html_tag":
            if token.nesting == 1:
                waiting.append((place, token.type.removesuffix("_open"), ""))
            elif token.nesting == -1:
                while waiting and waiting.pop()[1:] != (token.type.removesuffix("_close"), ""):
                    pass
            continue
        if not (tag := _TAG.fullmatch(token.content)):
            continue  # a comment that never ends
        slash, name, rest = tag[1], tag[2].lower(), tag[3]
        if name in _EMPTY:
            result[place] = Token("hardbreak", "br", 0, meta={"html": True})
        elif not slash and (becomes := _becomes(name, rest)):
            waiting.append((place, f"</{name}>", becomes))
        elif slash and waiting and waiting[-1][1] == f"</{name}>":
            opened, _, becomes = waiting.pop()
            result[opened] = _opening(becomes, children[opened])
            result[place] = Token(f"{becomes}_close", "a" if becomes == "link" else becomes, -1)
    return result


def _becomes(name: str, rest: str) -> str:
    return "link" if name == "a" and _HREF.search(rest) else _PAIRED.get(name, "")


def _opening(becomes: str, tag: Token) -> Token:
    if becomes != "link":
        return Token(f"{becomes}_open", becomes, 1, meta={"html": True})
    found = _HREF.search(tag.content)
    href = next((value for value in (found.groups() if found else ()) if value is not None), "")
    return Token("link_open", "a", 1, attrs={"href": html.unescape(href).strip()}, meta={"html": True})


def _remarks(children: Sequence[Token], lines: Sequence[str], start: int) -> Iterator[Remark]:
    """What is left of the tags, and pictures that say nothing; each with its line."""
    seen: dict[tuple[str, str], int] = {}
    for token in children:
        if token.type == "image":
            kind, text = "picture", str(token.attrGet("src") or "")
            if token.content.strip():
                yield from (Remark(kind="tag", text=tag, line=start + 1) for tag in tags_in(token.content))
                continue
        elif token.type in ("html_tag", "html_comment"):
            kind, text = token.type.removeprefix("html_"), token.content
        else:
            continue
        first = text.split("\n", 1)[0]
        if (kind, first) not in seen:
            near = range(start, min(len(lines), start + 500))
            seen[kind, first] = next((line for line in near if first in lines[line]), start)
        yield Remark(kind=kind, text=text, line=seen[kind, first] + 1)


def _without_breaks_doubled(children: Sequence[Token]) -> Iterator[Token]:
    """Comments away, other tags as text, and no second break where a line ends with "<br>"."""
    after_break = False
    for token in children:
        if token.type == "html_comment" or (after_break and token.type in ("softbreak", "hardbreak")):
            continue
        after_break = token.type == "hardbreak" and bool(token.meta.get("html"))
        yield Token("text", "", 0, content=token.content) if token.type == "html_tag" else token
