"""Reading Markdown in bounded time and depth: what goes beyond a bound becomes plain paragraphs.

The bounds are sizes and counts, never clocks: the same text gives the same tokens on every machine, and the
tokens are well nested and shallow, so that whoever walks them may recurse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

from markdown_it import MarkdownIt
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_block import StateBlock, reference
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from markdown_it.utils import EnvType
from mdit_py_plugins.deflist import deflist_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.footnote.index import footnote_def

from bot.rendering.flanking import UnspacedState
from bot.rendering.raw_html import Remark, pair_tags, read_comment_block, read_tag, tags_in

MAX_NESTING = 24  # a list adds two levels of HTML for each; the whole mail must stay below MJML's cap
MAX_CHARACTERS = 60_000  # the largest mail has 95 kB
MAX_MARKS = 6_000  # each may cost some 25 microseconds of every rendering

_MARKS = "[]!*_~`<&|\n:^>\\"
_TASK = re.compile(r"\[([ xX])\](?=[ \t\n])")
_BLANK_LINES = re.compile(r"\n[ \t]*\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """The tokens of a text, why its marks were not read (empty where they were), and what to tell people."""

    tokens: list[Token]
    plain: str = ""
    remarks: tuple[Remark, ...] = ()


def parsed(text: str) -> Parsed:
    """The text's blocks; plain paragraphs where it is too large, too deep or not well nested."""
    reason = _too_much(text)
    env: dict[str, list[Remark]] = {}
    if not reason:
        try:
            tokens = parser().parse(text, env)
        except _TooDeepError:
            reason = f"is nested deeper than {MAX_NESTING} levels"
        else:
            reason = _unfit(tokens)
    if reason:
        return Parsed(tokens=list(_paragraphs(text)), plain=reason, remarks=tuple(_tags_by_line(text)))
    return Parsed(tokens=tokens, remarks=tuple(env.get("remarks", ())))


def _tags_by_line(text: str) -> Iterator[Remark]:
    for number, line in enumerate(text.split("\n"), 1):
        yield from (Remark(kind="tag", text=tag, line=number) for tag in tags_in(line))


@cache
def parser() -> MarkdownIt:
    """CommonMark with tables, notes, definitions and tasks; of HTML the few tags that ``raw_html`` knows."""
    made = MarkdownIt("commonmark", {"html": False, "maxNesting": MAX_NESTING + 1})
    made.enable(["table", "strikethrough"])
    made.use(footnote_plugin).use(deflist_plugin)
    made.block.ruler.at("footnote_def", _note_outside_notes, {"alt": ["paragraph", "reference"]})
    made.block.ruler.at("reference", _reference_without_caret)
    made.block.ruler.at("html_block", read_comment_block, {"alt": ["paragraph", "reference", "blockquote"]})
    made.inline.ruler.at("html_inline", read_tag)
    made.core.ruler.after("inline", "tasks", _draw_boxes)
    made.core.ruler.after("footnote_tail", "html_tags", pair_tags)
    made.inline.__class__ = _BoundedInline
    # Every link is read as one and its use decides; else "[x](javascript:y)" would stay in the text.
    made.validateLink = lambda url: True  # type: ignore[method-assign]
    return made


# --------------------------------------------------------------------------- bounds


class _TooDeepError(Exception):
    """Words within words within words."""


class _BoundedInline(ParserInline):
    """Reads what stands inside pictures and inline notes by itself again: here that has an end.

    As the library's own, but for ``UnspacedState``.
    """

    def parse(self, src: str, md: MarkdownIt, env: EnvType, tokens: list[Token]) -> list[Token]:
        depth = env.get("inline_depth", 0)
        if depth > MAX_NESTING:
            raise _TooDeepError
        env["inline_depth"] = depth + 1
        try:
            state = UnspacedState(src, md, env, tokens)
            self.tokenize(state)
            for rule in self.ruler2.getRules(""):
                rule(state)
            return state.tokens
        finally:
            env["inline_depth"] = depth


def _too_much(text: str) -> str:
    if len(text) > MAX_CHARACTERS:
        return f"has {len(text):,} characters; the marks of {MAX_CHARACTERS:,} are read"
    marks = sum(map(text.count, _MARKS))
    return f"has {marks:,} marks and line ends; {MAX_MARKS:,} are read" if marks > MAX_MARKS else ""


def _unfit(tokens: Sequence[Token]) -> str:
    """The parser drops in silence what lies deeper than its cap, so the cap itself is too deep."""
    if any(token.level >= MAX_NESTING or _depth(token.children or ()) > MAX_NESTING for token in tokens):
        return f"is nested deeper than {MAX_NESTING} levels"
    nested = _is_well_nested(tokens) and all(_is_well_nested(token.children or ()) for token in tokens)
    return "" if nested else "has blocks that overlap"


def _depth(children: Sequence[Token]) -> int:
    return max(accumulate(child.nesting for child in children), default=0)


def _is_well_nested(tokens: Sequence[Token]) -> bool:
    """Whether each opening token has its own closing one, in order."""
    waiting: list[str] = []
    for token in tokens:
        if token.nesting == 1:
            waiting.append(token.type.removesuffix("_open"))
        elif token.nesting == -1 and (not waiting or waiting.pop() != token.type.removesuffix("_close")):
            return False
    return not waiting


def _paragraphs(text: str) -> Iterator[Token]:
    for block in filter(None, map(str.strip, _BLANK_LINES.split(text))):
        yield Token("paragraph_open", "p", 1, block=True)
        words = Token("text", "", 0, content=block)
        yield Token("inline", "", 0, content=block, children=[words], level=1, block=True)
        yield Token("paragraph_close", "p", -1, block=True)


# --------------------------------------------------------------------------- rules


def _note_outside_notes(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A note is no part of a note: moved to the end by themselves, they would tear each other apart."""
    if state.env.get("in_note"):
        return False
    state.env["in_note"] = True
    try:
        return footnote_def(state, start, end, silent)
    finally:
        state.env["in_note"] = False


def _reference_without_caret(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """What looks like a note is no address of a link: taken for one, its words would be shown nowhere."""
    first = state.bMarks[start] + state.tShift[start]
    return not state.src.startswith("[^", first) and reference(state, start, end, silent)


def _draw_boxes(state: StateCore) -> None:
    """Lines of a list that begin with "[ ]" or "[x]" get a box, in one walk."""
    tokens = state.tokens
    for item, paragraph, inline in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if (item.type, paragraph.type, inline.type) != ("list_item_open", "paragraph_open", "inline"):
            continue
        task, words = _TASK.match(inline.content), inline.children or []
        if task and words and words[0].type == "text" and words[0].content.startswith(task[0]):
            first = words[0]
            box = "☐" if task[1] == " " else "☑"
            first.content = box + first.content[len(task[0]) :]
            inline.content = box + inline.content[len(task[0]) :]
