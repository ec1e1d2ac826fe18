"""An item's Markdown as HTML that can stand in a mail.

Nothing an item says is ever markup of ours: HTML in it is text but for a few tags (``raw_html``), links lead
to http, https and mailto only, pictures in the body become links (the mail loads nothing from elsewhere).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise

import nh3
import regex
from markdown_it.token import Token
from markupsafe import Markup
from wcwidth import wcswidth

from bot.rendering.parser import parsed, parser
from bot.rendering.raw_html import Remark

TOP_HEADING = 3  # h1 is the newsletter, h2 the item
WIDE_TABLE = 34  # columns of text that still fit a narrow phone without breaking words

_WORDS = ("text", "code_inline", "text_special")
_MARKS = {
    "strong_open": "**bold**",
    "em_open": "*emphasis*",
    "s_open": "~~struck~~",
    "code_inline": "`code`",
    "link_open": "[a link](…)",
    "image": "![a picture](…)",
    "heading_open": "# a heading",
    "fence": "```",
}
_BREAKABLE = regex.compile(r"[\p{Line_Break=SA}\p{Line_Break=ID}\p{Line_Break=CJ}]")
_SAFE_LINK = re.compile(r"(?:https?://|mailto:)[^\s]", re.IGNORECASE)
_HIDES_ITS_HOST = re.compile(r"https?://[^/?#]*@", re.IGNORECASE)
_TAGS = frozenset(
    """
    a abbr b bdi bdo blockquote br caption code dd del div dl dt em h2 h3 h4 h5 h6 hr i ins li ol p pre q s
    small span strong sub sup table tbody td tfoot th thead tr u ul
    """.split()  # noqa: SIM905
)
_ATTRIBUTES = {
    "*": {"lang", "dir"},
    "a": {"href", "title", "id"},
    "li": {"id"},
    "ol": {"start"},
    "td": {"align"},
    "th": {"align", "scope"},
}
_CLASSES = {"table": {"data"}, "div": {"notes", "record"}}


def to_html(markdown: str, *, anchor: str = "", direction: str = "ltr", top: int = TOP_HEADING) -> Markup:
    """The body as HTML. ``anchor`` keeps notes of several items apart; ``direction`` is the item's own.

    ``top`` is the level of its highest heading: 2 where the item is the page.
    """
    tokens = parse(markdown)
    _demote_headings(tokens, top)
    _mark_direction(tokens, direction)
    made = parser()
    html = made.renderer.render(_with_readable_tables(tokens), made.options, {"docId": anchor or "n"})
    html = html.replace('<hr class="footnotes-sep" />\n<section class="footnotes">', '<div class="notes">')
    return sanitised(html.replace("</section>", "</div>"))


def parse(markdown: str) -> list[Token]:
    """CommonMark with tables, notes, definitions and tasks; unsafe links and pictures already gone.

    Bounded in depth and well nested, whatever the text: see ``parser.parsed``.
    """
    tokens = parsed(clean(markdown)).tokens
    for token in tokens:
        if token.children:
            token.children = list(_harmless(token.children))
    return tokens


def plain_because(markdown: str) -> str:
    """Why the body's marks are not read and it is shown as plain paragraphs; empty where they are."""
    return parsed(clean(markdown)).plain


def remarks(markdown: str) -> tuple[Remark, ...]:
    """The tags, comments and wordless pictures of a text, each with its line."""
    return parsed(clean(markdown)).remarks


def marks_in(text: str) -> tuple[str, ...]:
    """What a text that nobody reads as Markdown would show of its marks: "**bold**", "[link](…)"."""
    kinds = (
        _MARKS.get(child.type if child.type != "link_open" or not child.info else "", "")
        for token in parsed(clean(text)).tokens
        for child in [token, *(token.children or ())]
        if not child.meta.get("html")
    )
    return tuple(dict.fromkeys(filter(None, kinds)))


def clean(text: str) -> str:
    """Without characters that break a mail: controls, noncharacters, lone surrogates.

    Gmail clips a mail that holds one of U+0080 to U+009F; they are mostly quotes of Windows-1252, so they
    become those.
    """
    text = re.sub(r"\r\n?|[\u0085\u2028\u2029]", "\n", text)
    return re.sub("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]", _mended, text)


def is_safe(url: str) -> bool:
    """Whether a link may stand in a mail: ``https://bank.example@evil.example`` leads to the second host."""
    return bool(_SAFE_LINK.match(url)) and not _HIDES_ITS_HOST.match(url)


def sanitised(html: str) -> Markup:
    """Markup with nothing but the tags, attributes and links that a mail may hold."""
    cleaned = nh3.clean(
        html,
        tags=set(_TAGS),
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        allowed_classes={tag: set(names) for tag, names in _CLASSES.items()},
        attribute_filter=_kept,
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
        strip_comments=True,
    )
    return Markup(cleaned)  # noqa: S704 -- this is the place that makes it safe


def _mended(match: re.Match[str]) -> str:
    code = ord(match[0])
    return bytes([code]).decode("cp1252", "ignore") if 0x80 <= code <= 0x9F else ""


# --------------------------------------------------------------------------- parsing


def _harmless(children: Sequence[Token]) -> Iterator[Token]:
    """The inline tokens without unsafe links (their words stay) and with pictures as links or words."""
    opened: list[bool] = []
    for token in children:
        if token.type == "link_open":
            opened.append(is_safe(str(token.attrGet("href"))) and not any(opened))
            if opened[-1]:
                yield token
        elif token.type == "link_close":
            if opened.pop():
                yield token
        elif token.type == "image":
            yield from _picture_as_link(token, inside_link=any(opened))
        else:
            yield token


def _picture_as_link(token: Token, *, inside_link: bool) -> Iterator[Token]:
    source = str(token.attrGet("src") or "")
    words = token.content or source
    if inside_link or not is_safe(source):
        yield _text(token.content)
        return
    yield Token("link_open", "a", 1, attrs={"href": source})
    yield _text(words)
    yield Token("link_close", "a", -1)


def _text(words: str) -> Token:
    return Token("text", "", 0, content=words)


# --------------------------------------------------------------------------- for a mail


def _demote_headings(tokens: Sequence[Token], to: int) -> None:
    """The body's highest heading becomes ``to``; the steps between its headings stay, down to h6."""
    headings = [token for token in tokens if token.type in ("heading_open", "heading_close")]
    top = min((int(token.tag[1]) for token in headings), default=1)
    for token in headings:
        token.tag = f"h{min(6, int(token.tag[1]) - top + to)}"


def _mark_direction(tokens: Sequence[Token], direction: str) -> None:
    """A block that runs against its item's direction says so: an Arabic quotation in an English story."""
    for opening, inline in pairwise(tokens):
        if inline.type != "inline" or opening.nesting != 1:
            continue
        found = text_direction(inline.content)
        if found and found != direction:
            opening.attrSet("dir", found)


def text_direction(text: str) -> str:
    """The direction of most letters, or "" where neither has a clear majority."""
    if text.isascii():
        return "ltr" if any(map(str.isalpha, text)) else ""
    letters = [unicodedata.bidirectional(char) for char in text]
    right, left = sum(kind in ("R", "AL") for kind in letters), letters.count("L")
    if right > 2 * left:
        return "rtl"
    return "ltr" if left > 2 * right else ""


def _with_readable_tables(tokens: list[Token]) -> list[Token]:
    """Tables that do not fit a phone become records: each row a block of "Heading: value" lines."""
    result: list[Token] = []
    start = 0
    for index, token in enumerate(tokens):
        if token.type == "table_open":
            result += tokens[start:index]
            start = index
        elif token.type == "table_close":
            table = tokens[start : index + 1]
            result += _aligned(table) if _fits(table) else _records(table)
            start = index + 1
    return result + tokens[start:]


def _aligned(table: list[Token]) -> list[Token]:
    """With attributes for what the parser says in styles, which the sanitiser would take away."""
    table[0].attrSet("class", "data")
    for token in table:
        style = str(token.attrs.pop("style", ""))
        if style:
            token.attrSet("align", style.removeprefix("text-align:"))
        if token.type == "th_open":
            token.attrSet("scope", "col")
    for opening, inline, closing in zip(table, table[1:], table[2:], strict=False):
        if opening.type == "th_open" and not inline.content.strip():
            opening.tag = closing.tag = "td"  # an empty corner is no heading
            opening.attrs.pop("scope")
    return table


def cells(table: Sequence[Token]) -> list[list[Token]]:
    """The inline tokens of a table, row by row; the first row holds the headings."""
    rows: list[list[Token]] = []
    for token in table:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(token)
    return rows


def _fits(table: Sequence[Token]) -> bool:
    """Whether the longest words of all columns stand side by side on a phone."""
    columns = zip(*cells(table), strict=False)
    widest = [max(_longest_word(_words(cell)) for cell in column) for column in columns]
    return sum(widest) + 2 * len(widest) <= WIDE_TABLE


def _longest_word(text: str) -> int:
    """In columns. A run without spaces in Thai or Chinese can be broken nearly anywhere, an address not."""
    widths = ((max(wcswidth(word), 0), bool(_BREAKABLE.search(word))) for word in text.split())
    return max((min(width, 14) if breakable else width for width, breakable in widths), default=0)


def _records(table: Sequence[Token]) -> list[Token]:
    heads, *rows = cells(table) or [[]]
    result: list[Token] = []
    for row in rows:
        result.append(Token("record_open", "div", 1, attrs={"class": "record"}, block=True))
        for number, (head, cell) in enumerate(zip(heads, row, strict=False)):
            children = [*([Token("hardbreak", "br", 0)] if number else []), *_labelled(head, cell)]
            result.append(Token("inline", "", 0, children=children, content=cell.content))
        result.append(Token("record_close", "div", -1, block=True))
    return result


def _labelled(head: Token, cell: Token) -> list[Token]:
    label = [Token("strong_open", "strong", 1), *(head.children or []), Token("strong_close", "strong", -1)]
    return [*([*label, _text(": ")] if head.content else []), *(cell.children or [])]


def _words(token: Token) -> str:
    """The words of an inline token."""
    breaks = {"hardbreak": "\n", "softbreak": " "}
    return "".join(breaks.get(t.type, t.content if t.type in _WORDS else "") for t in token.children or ())


def _kept(_tag: str, name: str, value: str) -> str | None:
    if name == "href" and not (value.startswith("#") or is_safe(value)):
        return None
    return value
