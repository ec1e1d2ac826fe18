"""What the YAML parser says, in words for people who never heard of YAML."""

from __future__ import annotations

import re

import yaml

from bot.reader.flaw import Flaw

_QUOTE_IT = "put the whole text between quotation marks"

# (what the parser says, in C and in Python; problem; advice). The first match wins.
_MEANINGS = (
    (
        r"scanning a quoted scalar.*end of stream",
        "a quotation mark is opened here and never closed",
        "close it with the same mark at the end of the text",
    ),
    (
        r"mapping values are not allowed",
        "a text with ': ' in it must be quoted",
        'for example title: "Police: twelve freed"',
    ),
    (
        r"unknown escape character",
        "a backslash means something special between double quotation marks",
        "write it twice, or use single quotation marks",
    ),
    (
        r"scanning an (alias|anchor)",
        "a text that starts with '*' or '&' must be quoted",
        _QUOTE_IT,
    ),
    (
        r"parsing a flow (sequence|mapping)|expected ',' or '[\]}]'",
        "a list or group that opens with '[' or '{' here is not closed",
        "close it with ']' or '}', put commas between its parts, and quote a text that only starts like that",
    ),
    (
        r"scanning a block scalar",
        "the sign '|' or '>' must stand alone, with the text on indented lines below",
        "or put the whole text between quotation marks",
    ),
    (
        r"could not find expected ':'|did not find expected ':'",
        "this line is not of the form 'key: value'",
        "write 'key: value', or indent the line if it continues the text above",
    ),
    (
        r"did not find expected key|expected <block end>|did not find expected '-' indicator",
        "this line does not fit with the lines above it",
        "give every key the same indentation, and put a text that has quotation marks inside"
        " between quotation marks of the other kind",
    ),
    (r"document start", "the front matter ends here and begins again", "remove the '...' line"),
    (r"tab character", "a tab is used to indent", "use spaces"),
    (
        r"\btag\b|directive",
        "a text that starts with '!' or '%' must be quoted",
        _QUOTE_IT,
    ),
    (
        r"(sequence entries|mapping keys) are not allowed",
        "a text that starts with '- ' or '? ' must be quoted",
        "or, if it is a list, begin it on the line below its key",
    ),
)


def explain(error: yaml.YAMLError, block: str) -> Flaw:
    """The flaw behind a parser's error, with the line in the file (the block begins on line 2)."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return Flaw(2, "the front matter holds a character that cannot be used", "type the text anew")
    said = f"{error.context or ''}: {error.problem or ''}"
    mark = error.problem_mark
    if "cannot start any token" in said and mark:
        return _bad_start(block, mark.line, mark.column)
    for pattern, problem, advice in _MEANINGS:
        if re.search(pattern, said):
            return Flaw(_place(error, block, said), problem, advice)
    return Flaw(_place(error, block, said), f"the front matter cannot be read ({error.problem})", _QUOTE_IT)


def _place(error: yaml.MarkedYAMLError, block: str, said: str) -> int:
    """Where a person should look: at the opening of what never ends, otherwise where the parser stopped."""
    opened = "scanning a quoted" in said or "flow" in said
    mark = (error.context_mark if opened else error.problem_mark) or error.problem_mark
    last = block.rstrip().count("\n")
    return min(mark.line if mark else 0, last) + 2


def _bad_start(block: str, line: int, column: int) -> Flaw:
    lines = block.split("\n")
    text = lines[line] if line < len(lines) else ""
    char = text[column : column + 1]
    if char == "\t" or (char and not text[:column].strip() and "\t" in text[:column]):
        return Flaw(line + 2, "a tab is used to indent", "use spaces")
    return Flaw(line + 2, f"a text that starts with '{char}' must be quoted", _QUOTE_IT)


def refuse_yaml_tricks(event: yaml.Event, line: int) -> None:
    """Aliases, anchors and tags: never needed, and always a text that should have been quoted."""
    if isinstance(event, yaml.AliasEvent):
        raise Flaw(line, "a text that starts with '*' must be quoted", _QUOTE_IT)
    if getattr(event, "anchor", None) is not None:
        raise Flaw(line, "a text that starts with '&' must be quoted", _QUOTE_IT)
    if getattr(event, "tag", None) is not None:
        raise Flaw(line, "a text that starts with '!' must be quoted", _QUOTE_IT)
