"""An item's Markdown as plain text for the mail's text part: made from the Markdown, never from the HTML.

Lines are at most 78 columns wide as a terminal counts them. A line breaks at spaces and between Chinese or
Japanese characters, never inside a word: Thai, Lao, Khmer and Burmese write words without spaces, so their
lines may be longer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode
from wcwidth import wcswidth

from bot.rendering.markdown import parse

WIDTH = 78

# Characters after which, and before which, a Chinese or Japanese line must not break.
_OPENING = frozenset("（［｛〔〈《「『【“‘([{¥￥")
_CLOSING = frozenset(
    "、。，．：；？！）］｝〕〉》」』】”’ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ…‥)]},.:;?!"
)
# A line may break after these: Tibetan writes one after each syllable, Ethiopic one after each word, and the
# zero-width space is there for it.
_BREAKS = frozenset("\u0f0b\u1361\u200b")
_SUPERSCRIPTS = str.maketrans("0123456789+-=()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾")
_SUBSCRIPTS = str.maketrans("0123456789+-=()", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎")


def to_text(markdown: str, *, width: int = WIDTH) -> str:
    """The body as wrapped plain text with its links written out."""
    return "\n\n".join("\n".join(block) for block in _blocks(SyntaxTreeNode(parse(markdown)).children, width))


def wrap(text: str, *, width: int = WIDTH, first: str = "", rest: str = "") -> str:
    """One paragraph in lines of at most ``width`` columns; ``first`` and ``rest`` begin its lines."""
    return "\n".join(_wrapped(text, width, first, rest))


def columns(text: str) -> int:
    """How wide a terminal shows it."""
    width = wcswidth(text)
    return width if width >= 0 else len(text)


# --------------------------------------------------------------------------- wrapping


def _wrapped(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line, used = (rest if lines else first), columns(rest if lines else first)
        start = len(line)
        for piece in _breakable(" ".join(paragraph.split(" "))):
            size = columns(piece.rstrip(" "))
            if used + size > width and len(line) > start:
                lines.append(line.rstrip(" "))
                line, used, start = rest, columns(rest), len(rest)
            line += piece
            used += columns(piece)
        lines.append(line.rstrip(" "))
    return lines


def _breakable(text: str) -> list[str]:
    """The pieces between which a line may break; each keeps the spaces that follow it."""
    pieces: list[str] = []
    for word in re.findall(r"[^ ]+ *| +", text):
        pieces += [word] if "://" in word else _parts(word)
    return pieces


def _parts(word: str) -> list[str]:
    parts = [""]
    for char, following in zip(word, [*word[1:], ""], strict=True):
        parts[-1] += char
        if following.strip() and _may_break(char, following):
            parts.append("")
    return parts


def _may_break(before: str, after: str) -> bool:
    if before in _BREAKS:
        return True
    if before in _OPENING or after in _CLOSING:
        return False
    return _is_ideographic(before) and (_is_ideographic(after) or after in _OPENING)


def _is_ideographic(char: str) -> bool:
    """Chinese characters, kana and their punctuation; Korean puts spaces between words."""
    return (
        unicodedata.east_asian_width(char) in "WF" and "\u2e80" <= char < "\uac00"
    ) or "\uff00" <= char < "\uff61"


# --------------------------------------------------------------------------- blocks


def _blocks(nodes: Iterable[SyntaxTreeNode], width: int) -> list[list[str]]:
    """The lines of each block."""
    found = (_block(node, width) for node in nodes)
    return [lines for lines in found if lines]


def _block(node: SyntaxTreeNode, width: int) -> list[str]:
    match node.type:
        case "paragraph" | "heading" | "dt" | "inline":
            return _wrapped(_inline(node), width)
        case "bullet_list" | "ordered_list":
            return _list(node, width)
        case "blockquote":
            return [f"> {line}".rstrip() for line in _joined(node.children, width - 2)]
        case "dd":
            return _indented(_joined(node.children, width - 4), "    ", "    ")
        case "dl":
            return [line for child in node.children for line in _block(child, width)]
        case "fence" | "code_block":
            return [f"    {line}".rstrip() for line in node.content.rstrip("\n").split("\n")]
        case "hr":
            return ["* * *"]
        case "table":
            return _table(node, width)
        case "footnote_block":
            return [line for note in node.children for line in _note(note, width)]
        case _:
            return _joined(node.children, width)


def _joined(nodes: Sequence[SyntaxTreeNode], width: int, *, tight: bool = False) -> list[str]:
    lines: list[str] = []
    for block in _blocks(nodes, width):
        lines += ([""] if lines and not tight else []) + block
    return lines


def _list(node: SyntaxTreeNode, width: int) -> list[str]:
    start = int(str(node.attrs.get("start", 1)))
    # Markdown marks the paragraphs of a list without blank lines as hidden.
    tight = all(part.hidden for entry in node.children for part in entry.children if part.type == "paragraph")
    lines: list[str] = []
    for number, entry in enumerate(node.children, start):
        mark = "- " if node.type == "bullet_list" else f"{number}. "
        inner = _joined(entry.children, width - len(mark), tight=tight)
        lines += ([""] if lines and not tight else []) + _indented(inner, mark, " " * len(mark))
    return lines


def _indented(lines: Sequence[str], first: str, rest: str) -> list[str]:
    return [f"{rest if index else first}{line}".rstrip() for index, line in enumerate(lines)]


def _note(node: SyntaxTreeNode, width: int) -> list[str]:
    mark = f"[{node.meta['id'] + 1}] "
    return _indented(_joined(node.children, width - len(mark), tight=True), mark, " " * len(mark))


def _table(node: SyntaxTreeNode, width: int) -> list[str]:
    """Side by side where it fits, else one "Heading: value" line for each cell."""
    rows = [
        [_inline(cell).replace("\n", " ") for cell in row.children]
        for part in node.children
        for row in part.children
    ]
    sizes = [max(columns(cell) for cell in column) for column in zip(*rows, strict=False)]
    if sum(sizes) + 2 * (len(sizes) - 1) > width:
        return _records(rows, width)
    lines = [
        "  ".join(_padded(cell, size) for cell, size in zip(row, sizes, strict=False)).rstrip()
        for row in rows
    ]
    return [lines[0], "  ".join("-" * size for size in sizes), *lines[1:]]


def _padded(cell: str, size: int) -> str:
    return cell + " " * (size - columns(cell))


def _records(rows: list[list[str]], width: int) -> list[str]:
    heads, *values = rows
    lines: list[str] = []
    for row in values:
        lines += [""] if lines else []
        for head, cell in zip(heads, row, strict=False):
            lines += _wrapped(f"{head}: {cell}" if head else cell, width, rest="  ")
    return lines


# --------------------------------------------------------------------------- words


def _inline(node: SyntaxTreeNode) -> str:
    """The words of a block, with its links as "text <url>"."""
    if node.type == "inline":
        return _line(node.token.children or []) if node.token else ""
    return "".join(_inline(child) for child in node.children)


def _line(tokens: Sequence[Token]) -> str:
    words: list[str] = []
    links: list[tuple[str, int]] = []
    raised: list[int] = []
    for token in tokens:
        match token.type:
            case "link_open":
                links.append((str(token.attrGet("href")), len(words)))
            case "link_close":
                url, start = links.pop()
                words[start:] = [_link("".join(words[start:]), url)]
            case "softbreak":
                words.append(" ")
            case "hardbreak":
                words.append("\n")
            case "footnote_ref":
                words.append(f"[{token.meta['id'] + 1}]")
            case "s_open" | "s_close":
                words.append("~")
            case "sup_open" | "sub_open":
                raised.append(len(words))
            case "sup_close" | "sub_close":
                start = raised.pop()
                words[start:] = [_raised("".join(words[start:]), token.tag)]
            case _:
                words.append(token.content)
    return "".join(words)


def _raised(words: str, tag: str) -> str:
    """Figures as Unicode's raised or lowered ones, so that "10²" does not become 102; letters as they are."""
    digits = _SUPERSCRIPTS if tag == "sup" else _SUBSCRIPTS
    return words.translate(digits) if words and all(ord(char) in digits for char in words) else words


def _link(words: str, url: str) -> str:
    shown = url.removeprefix("mailto:")
    return f"<{shown}>" if words.strip() in ("", url, shown) else f"{words} <{shown}>"
