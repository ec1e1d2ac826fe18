"""A newsletter as Atom (RFC 4287) and as JSON Feed 1.1. Times come from the data, never from a clock."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from markupsafe import escape

NOT_YET = datetime(1970, 1, 1, tzinfo=UTC)  # Atom wants a time also of a feed in which nothing has happened

# What XML 1.0 cannot hold at all, not even as a reference.
_IMPOSSIBLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LOCAL = re.compile(r'(<a\b[^<>]*?\shref=")#')


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One item of a feed."""

    id: str  # a tag: address (RFC 4151), the same for ever
    url: str
    title: str
    lang: str
    source_url: str
    summary: str  # plain
    html: str
    published: datetime
    updated: datetime
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Feed:
    """A feed with its entries, the newest first. Every address is absolute."""

    id: str  # the same for ever, from before its first entry on
    title: str
    lang: str
    home: str
    atom_url: str
    json_url: str
    icon: str
    updated: datetime  # of the newest entry; NOT_YET where nothing went out
    entries: Sequence[Entry]


def tag(host: str, day: datetime, *parts: str) -> str:
    """A name for ever: the host and a year in which it was ours, then what it names."""
    named = "/".join(quote(part, safe="") for part in parts)
    return f"tag:{host.lower()},{day.astimezone(UTC):%Y}:{named}"


def urn(host: str, *parts: str) -> str:
    """A name for ever that needs no year: for what is there before anything went out."""
    named = "/".join(quote(part, safe="") for part in (host.lower(), *parts))
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'//{named}')}"


def absolute(html: str, url: str) -> str:
    """Links within a text as links into its page: a feed reader has no page."""
    return _LOCAL.sub(rf"\g<1>{url}#", html)


def atom(feed: Feed) -> bytes:
    """The feed as an Atom document."""
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="{_xml(feed.lang)}">',
        f"<id>{_xml(feed.id)}</id>",
        f"<title>{_xml(feed.title)}</title>",
        f"<updated>{_time(feed.updated)}</updated>",
        f"<author><name>{_xml(feed.title)}</name><uri>{_xml(feed.home)}</uri></author>",
        f'<link rel="self" type="application/atom+xml" href="{_xml(feed.atom_url)}"/>',
        f'<link rel="alternate" type="text/html" href="{_xml(feed.home)}"/>',
        f"<icon>{_xml(feed.icon)}</icon>",
        *(line for entry in feed.entries for line in _atom_entry(entry)),
        "</feed>",
    ]
    return ("\n".join(lines) + "\n").encode()


def _atom_entry(entry: Entry) -> list[str]:
    summary = f"<summary>{_xml(entry.summary)}</summary>"
    return [
        f'<entry xml:lang="{_xml(entry.lang)}">',
        f"<id>{_xml(entry.id)}</id>",
        f"<title>{_xml(entry.title)}</title>",
        f"<published>{_time(entry.published)}</published>",
        f"<updated>{_time(entry.updated)}</updated>",
        f'<link rel="alternate" type="text/html" href="{_xml(entry.url)}"/>',
        f'<link rel="related" href="{_xml(entry.source_url)}"/>',
        *(f'<category term="{_xml(tag)}"/>' for tag in entry.tags),
        *([summary] if entry.summary else []),
        f'<content type="html">{_xml(entry.html)}</content>',
        "</entry>",
    ]


def json_feed(feed: Feed) -> bytes:
    """The feed as a JSON Feed."""
    document = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": _possible(feed.title),
        "home_page_url": feed.home,
        "feed_url": feed.json_url,
        "icon": feed.icon,
        "language": feed.lang,
        "authors": [{"name": _possible(feed.title), "url": feed.home}],
        "items": [_json_item(entry) for entry in feed.entries],
    }
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()


def _json_item(entry: Entry) -> dict[str, object]:
    item: dict[str, object] = {
        "id": entry.id,
        "url": entry.url,
        "external_url": entry.source_url,
        "title": _possible(entry.title),
        "summary": _possible(entry.summary),
        "content_html": _possible(entry.html),
        "date_published": _time(entry.published),
        "date_modified": _time(entry.updated),
        "language": entry.lang,
        "tags": [_possible(tag) for tag in entry.tags],
    }
    return {key: value for key, value in item.items() if value}


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _possible(text: str) -> str:
    return _IMPOSSIBLE.sub("", text)


def _xml(text: str) -> str:
    """As text or as a value between double quotes."""
    return str(escape(_possible(text)))
