"""Markup that readers will not see as it was meant: HTML in the body, anything but words in the summary."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from bot.model import Finding, Item, Level
from bot.reader import line_of
from bot.rendering.markdown import marks_in, remarks
from bot.rendering.raw_html import UNDERSTOOD, Remark, is_tag, tags_in

_HEADINGS = dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "write ## before the heading")
_INSTEAD = _HEADINGS | {
    "blockquote": "write '> ' before each line",
    "code": "write `…`",
    "del": "write ~~…~~",
    "hr": "write --- on a line of its own",
    "img": "write ![what it shows](address)",
    "li": "write '- ' before each point",
    "ol": "write '1. ' before each point",
    "p": "leave an empty line instead",
    "pre": "write four spaces before each line",
    "s": "write ~~…~~",
    "strike": "write ~~…~~",
    "table": "write | … | … |",
    "ul": "write '- ' before each point",
    "<!--": "end it with -->, or delete it",
}
_MARKDOWN = {"strong": "**…**", "b": "**…**", "em": "*…*", "i": "*…*", "a": "[…](address)"}
_ENTITY = re.compile(r"&(?:[A-Za-z]{2,31}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});")


def markup_findings(item: Item) -> Iterator[Finding]:
    """Findings about tags, comments and pictures in the body, and about any markup in title and summary."""
    yield from _body_findings(item)
    yield from _plain_findings(item, "title", item.title)
    yield from _plain_findings(item, "summary", item.summary)
    for mark in marks_in(item.summary):
        message = f"the summary is plain text: {mark} is shown with its marks; write it without"
        yield _finding(item, "summary.markdown", message, line_of(item.path, "summary"))


def _body_findings(item: Item) -> Iterator[Finding]:
    found = remarks(item.body)
    start = line_of(item.path, "body") if found else 0
    for remark in _first_of_each(found):
        line = start + remark.line - 1 if start else 0
        if remark.kind == "comment":
            yield _finding(item, "body.comment", "a comment (<!-- … -->) is left out", line, Level.INFO)
        elif remark.kind == "picture":
            message = f"the picture {remark.text} has no description; write ![what it shows](address)"
            yield _finding(item, "body.picture.alt.missing", message, line)
        else:
            name = _name(remark.text)
            if not _is_meant(remark.text):
                message = f"`{_short(remark.text)}` looks like a tag; it is shown as it stands"
                yield _finding(item, "body.html", message, line, Level.INFO)
                continue
            message = f"`{_short(remark.text)}` will be shown as text; {_advice(name)}"
            yield _finding(item, "body.html", message + _how_often(name, found), line)


def _plain_findings(item: Item, key: str, text: str) -> Iterator[Finding]:
    """No place that shows these reads markup."""
    shown = [*filter(_is_meant, tags_in(text)), *_ENTITY.findall(text)]
    if shown:
        message = f"`{_short(shown[0])}` will be shown as text; the {key} is plain text, delete it"
        yield _finding(item, f"{key}.html", message, line_of(item.path, key))


def _first_of_each(found: Iterable[Remark]) -> Iterable[Remark]:
    """A tag by its name, whether it opens or closes; in the order of the lines."""
    first: dict[tuple[str, str], Remark] = {}
    for remark in sorted(found, key=lambda remark: remark.line):
        first.setdefault((remark.kind, _name(remark.text) if remark.kind == "tag" else remark.kind), remark)
    return first.values()


def _is_meant(tag: str) -> bool:
    """Whether it is HTML for sure; "<something>" may be meant to be read."""
    return tag == "<!--" or is_tag(_name(tag), tag)


def _name(tag: str) -> str:
    found = re.match(r"</?([A-Za-z][A-Za-z0-9-]*)", tag)
    return (found[1] if found else tag).lower()


def _advice(name: str) -> str:
    if name in UNDERSTOOD and name in _MARKDOWN:
        return f"write {_MARKDOWN[name]}"
    if name in UNDERSTOOD:
        return f"end it with </{name}> in the same paragraph"
    return _INSTEAD.get(name, "delete it")


def _how_often(name: str, found: Iterable[Remark]) -> str:
    count = Counter(_name(remark.text) for remark in found if remark.kind == "tag")[name]
    return f" ({count} such tags)" if count > 2 else ""


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:59]}…"


def _finding(item: Item, rule: str, message: str, line: int, level: Level = Level.WARN) -> Finding:
    return Finding(level=level, rule=rule, message=message, path=item.path, line=line)
