"""An item as the web pages and feeds show it: the words of the mail, with its picture at an address."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from markupsafe import Markup

from bot.model import Item
from bot.rendering.issue import dateline, isolated_name, labels, one_line, safe_link
from bot.rendering.languages import Direction, direction, fill
from bot.rendering.markdown import clean, to_html
from bot.rendering.templates import Templates


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """A picture at its address on the site."""

    path: str
    alt: str
    width: int  # in pixels; 0: not known


@dataclass(frozen=True, kw_only=True, slots=True)
class Headline:
    """One line about an item that leads to its page."""

    path: str
    title: str
    lang: str
    dir: Direction
    source: str
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Tale:
    """All of an item. Labels are in the item's language where the house has its words."""

    id: str
    path: str
    anchor: str
    title: str
    url: str
    dateline: tuple[str, ...]
    lang: str
    dir: Direction
    note: str
    summary: str
    body: Markup
    image: Image | None
    also: tuple[tuple[str, str], ...]
    books: tuple[tuple[str, str, str], ...]  # title, author, address
    read_at: str
    words: Mapping[str, str] = field(hash=False)


def headline(item: Item, path: str) -> Headline:
    """The item in one line."""
    return Headline(
        path=path,
        title=one_line(item.title),
        lang=item.lang,
        dir=direction(item.lang),
        source=one_line(item.source),
        note=one_line(item.content_warning),
    )


def tale(
    item: Item,
    path: str,
    templates: Templates,
    *,
    image: Image | None,
    around: str,
    anchor: str = "n",
    top: int = 2,
) -> Tale:
    """The item in full. ``around`` is the language of the page, ``top`` the level of the body's headings."""
    words, way, source = labels(item.lang, around, templates), direction(item.lang), one_line(item.source)
    return Tale(
        id=item.id,
        path=path,
        anchor=anchor,
        title=one_line(item.title),
        url=clean(item.url),
        dateline=dateline(source, item.published, item),
        lang=item.lang,
        dir=way,
        note=one_line(item.content_warning),
        summary=one_line(item.summary),
        body=_body(item.body, anchor if "[^" in item.body else "n", way, top if _headed(item.body) else 2),
        image=image,
        also=tuple((one_line(credit.source), safe_link(credit.url)) for credit in item.also_reported_by),
        books=tuple(
            (one_line(book.title), one_line(book.author), safe_link(book.url))
            for book in item.further_reading
        ),
        read_at=fill(words["read_at"], source=isolated_name(source, words["dir"])),
        words=words,
    )


# On its own page, in its issue and in feeds: without notes and headings an item's text is the same.
@lru_cache(maxsize=10_000)
def _body(markdown: str, anchor: str, way: Direction, top: int) -> Markup:
    return to_html(markdown, anchor=anchor, direction=way, top=top)


def _headed(markdown: str) -> bool:
    """Whether it may hold a heading."""
    return "#" in markdown or bool(re.search(r"(?m)^[ >]*(=+|-+)[ \t]*$", markdown))
