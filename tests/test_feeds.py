"""Feeds after RFC 4287 and JSON Feed 1.1: our own reading of the rules, and feedparser's."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import feedparser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.app.layout import as_it_is
from bot.app.syndication import whole
from bot.rendering.feeds import Entry, Feed, absolute, atom, json_feed, tag, urn
from tests.support.archives import SLOT, Group, make_group

ATOM = "{http://www.w3.org/2005/Atom}"
LANG = "{http://www.w3.org/XML/1998/namespace}lang"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
URN = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TAG = re.compile(r"tag:[a-z0-9.-]+,\d{4}:[A-Za-z0-9/%._~-]+")

ENTRY = Entry(
    id="tag:news.example.org,2026:items/ports",
    url="https://news.example.org/items/ports",
    title="Ports",
    lang="en",
    source_url="https://example.org/ports",
    summary="In short.",
    html="<p>At length.</p>",
    published=datetime(2026, 11, 20, 2, tzinfo=UTC),
    updated=datetime(2026, 11, 20, 2, tzinfo=UTC),
)
FEED = Feed(
    id="urn:uuid:0a1b2c3d-0000-5000-8000-000000000000",
    title="The Weekly Shelf",
    lang="en",
    home="https://news.example.org/issues/weekly",
    atom_url="https://news.example.org/feeds/weekly/en.atom",
    json_url="https://news.example.org/feeds/weekly/en.json",
    icon="https://news.example.org/static/mark.svg",
    updated=ENTRY.updated,
    entries=[ENTRY],
)


NEVER = "1970-01-01T00:00:00Z"


@pytest.fixture
def group(tmp_path: Path) -> Group:
    return make_group(tmp_path / "group")


def feeds(group: Group) -> dict[str, bytes]:
    pages = whole(group.site())
    return {path: page.make(as_it_is) for path, page in pages.items() if path.startswith("/feeds")}


def complaints(content: bytes, at: str) -> list[str]:
    """What RFC 4287 would have otherwise; ``at`` is where the feed lies."""
    root = ET.fromstring(content)
    found = [] if root.tag == f"{ATOM}feed" else ["the root is no feed"]
    ids = [each.text for each in root.iter(f"{ATOM}id")]
    found += ["an id stands twice"] if len(ids) != len(set(ids)) else []
    found += [f"{each} is no tag: address" for each in ids[1:] if not TAG.fullmatch(each or "")]
    found += [] if URN.fullmatch(root.findtext(f"{ATOM}id") or "") else ["the name of the feed is no URN"]
    for part in (root, *root.findall(f"{ATOM}entry")):
        name = part.tag.removeprefix(ATOM)
        for needed in ("id", "title", "updated"):
            if len(part.findall(f"{ATOM}{needed}")) != 1:
                found.append(f"{name}: needs one {needed}")
        links = [link.attrib for link in part.findall(f"{ATOM}link")]
        found += [f"{name}: {a['href']} is not absolute" for a in links if not urlsplit(a["href"]).netloc]
        if sum(a["rel"] == "alternate" for a in links) != 1:
            found.append(f"{name}: needs one alternate link")
    times = [e.text for kind in ("updated", "published") for e in root.iter(f"{ATOM}{kind}")]
    found += [f"{each} is no time of RFC 3339" for each in times if not TIME.fullmatch(each or "")]
    if [e.attrib["href"] for e in root.findall(f"{ATOM}link[@rel='self']")] != [at]:
        found.append("the self link leads elsewhere")
    if not root.findall(f"{ATOM}author/{ATOM}name"):
        found.append("nobody is the author")
    newest = max((e.findtext(f"{ATOM}updated") or "" for e in root.findall(f"{ATOM}entry")), default=NEVER)
    if root.findtext(f"{ATOM}updated") != newest:
        found.append("the feed is not as new as its newest entry")
    for content_part in root.iter(f"{ATOM}content"):
        found += [f"content of type {content_part.get('type')}"] if content_part.get("type") != "html" else []
        local = re.findall(r'(?:href|src)="(?!https?://|mailto:)[^"]*"', content_part.text or "")
        found += [f"{each} leads nowhere outside its page" for each in local]
    return found


# --------------------------------------------------------------------------- a whole archive


def test_a_newsletter_has_a_feed_for_each_language_and_one_for_all(group: Group) -> None:
    weekly = sorted(path for path in feeds(group) if path.startswith("/feeds/weekly"))

    assert weekly == [
        f"/feeds/weekly/{lang}.{form}" for lang in ("ar", "en", "mul", "th") for form in ("atom", "json")
    ]


def test_no_feed_breaks_a_rule_of_atom(group: Group) -> None:
    """Neither by our reading nor by feedparser's."""
    for path, content in feeds(group).items():
        if path.endswith(".atom"):
            assert complaints(content, f"https://news.shelf.ngo{path}") == [], path
            parsed = feedparser.parse(content)
            assert not parsed.bozo, path
            assert parsed.version == "atom10"
            assert len(parsed.entries) == (0 if "monthly" in path else 3 if "mul" in path else 1)


def test_feedparser_reads_what_we_wrote(group: Group) -> None:
    """Title, addresses, times, languages and the whole text of an entry."""
    feed = feedparser.parse(feeds(group)["/feeds/weekly/mul.atom"])
    ports, boats, nets = feed.entries

    assert feed.feed.title == "The Weekly Shelf"
    assert feed.feed.language == "mul"
    assert ports.title == "Ports: who <checks> whom & why"
    assert ports.id == "tag:news.shelf.ngo,2026:items/ports"
    assert ports.link == "https://news.shelf.ngo/items/ports"
    assert ports.published_parsed[:5] == (2026, 11, 20, 2, 0)
    assert ports.content[0].type == "text/html"
    assert "Two cranes stood still." in ports.content[0].value
    assert "Content note" in ports.content[0].value
    assert ports.summary.startswith("Content note: Violence is mentioned")
    assert [e.content[0].language for e in (ports, boats, nets)] == ["en", "ar", "th"]
    assert boats.title == "قوارب في الميناء"


def test_the_title_of_a_feed_is_the_newsletters_and_nothing_more(group: Group) -> None:
    """It stands in the list of a feed reader for all to see: nothing of the publication's own name."""
    root = ET.fromstring(feeds(group)["/feeds/weekly/en.atom"])
    heading = [part for part in root if part.tag != f"{ATOM}entry"]

    assert root.findtext(f"{ATOM}title") == root.findtext(f"{ATOM}author/{ATOM}name") == "The Weekly Shelf"
    assert not [e for part in heading for e in part.iter() if "Harbour" in (e.text or "")]


def test_a_note_leads_to_its_place_on_the_page(group: Group) -> None:
    """A feed reader has no page of its own to jump on, and the page has that place."""
    entry = feedparser.parse(feeds(group)["/feeds/weekly/en.atom"]).entries[0].content[0].value
    (link,) = re.findall(r'href="(https://news\.shelf\.ngo/items/ports#[^"]+)"[^>]*>\[1\]', entry)
    page = whole(group.site())["/items/ports"].make(as_it_is).decode()

    assert f'id="{link.partition("#")[2]}"' in page


def test_the_json_feed_says_the_same(group: Group) -> None:
    """After version 1.1: the needed keys, absolute addresses, times with a zone."""
    found: dict[str, Any] = json.loads(feeds(group)["/feeds/weekly/mul.json"])
    entries = feedparser.parse(feeds(group)["/feeds/weekly/mul.atom"]).entries

    assert found["version"] == "https://jsonfeed.org/version/1.1"
    assert found["feed_url"] == "https://news.shelf.ngo/feeds/weekly/mul.json"
    assert found["home_page_url"] == "https://news.shelf.ngo/issues/weekly"
    assert [item["id"] for item in found["items"]] == [entry.id for entry in entries]
    assert [item["language"] for item in found["items"]] == ["en", "ar", "th"]
    for item in found["items"]:
        assert TIME.fullmatch(item["date_published"])
        assert item["content_html"]
        assert item["url"].startswith("https://news.shelf.ngo/items/")
        assert item["external_url"].startswith("https://example.org/")


def test_a_feed_has_the_newest_issue_first(group: Group) -> None:
    """And within an issue the order of print."""
    group.item("ropes")
    group.item("knots")
    group.print("ropes", "knots", number=2, slot=SLOT + timedelta(weeks=1))

    names = [entry.title for entry in feedparser.parse(feeds(group)["/feeds/weekly/en.atom"]).entries]

    assert names == ["Ropes", "Knots", "Ports: who <checks> whom & why"]


def test_an_entry_keeps_its_name_and_time_whatever_comes_later(group: Group) -> None:
    """Another issue, a corrected word, a second newsletter: no feed reader shows it as new."""
    before = feedparser.parse(feeds(group)["/feeds/weekly/en.atom"]).entries[-1]
    group.item("ropes")
    group.print("ropes", number=2, slot=SLOT + timedelta(weeks=60))
    group.print("ports", newsletter="monthly", slot=SLOT + timedelta(weeks=60))
    path = group.root / "queue" / "ports.md"
    path.write_text(path.read_text().replace("Two cranes", "Three cranes"))

    after = feeds(group)
    weekly = feedparser.parse(after["/feeds/weekly/en.atom"]).entries[-1]
    monthly = feedparser.parse(after["/feeds/monthly/en.atom"]).entries[-1]

    assert (before.id, before.updated) == (weekly.id, weekly.updated) == (monthly.id, monthly.updated)
    assert "Three cranes" in weekly.content[0].value


def test_there_is_a_feed_before_the_first_issue(group: Group) -> None:
    """Empty, and whoever takes it then keeps it: the first issue comes into the same feed."""
    before = feeds(group)
    group.item("ropes", lang="th")
    group.item("knots")
    group.print("ropes", "knots", newsletter="monthly", slot=SLOT + timedelta(weeks=1))
    after = feeds(group)

    assert sorted(path for path in before if "monthly" in path) == [
        f"/feeds/monthly/en.{form}" for form in ("atom", "json")
    ]
    empty, full = (feedparser.parse(each["/feeds/monthly/en.atom"]) for each in (before, after))
    assert (empty.entries, [entry.title for entry in full.entries]) == ([], ["Knots"])
    assert (empty.feed.id, empty.feed.link) == (full.feed.id, full.feed.link)
    assert empty.feed.updated < full.feed.updated == "2026-11-27T02:00:00Z"
    document = json.loads(before["/feeds/monthly/en.json"])
    assert (document["title"], document["items"]) == ("The Long Table", [])
    assert document["feed_url"] == "https://news.shelf.ngo/feeds/monthly/en.json"


def test_every_feed_has_a_name_of_its_own(group: Group) -> None:
    """That depends on the site, the newsletter and the language, and on nothing that happens."""
    found = {path: feedparser.parse(each).feed.id for path, each in feeds(group).items() if "atom" in path}

    assert len(set(found.values())) == len(found) == 5
    assert found["/feeds/weekly/en.atom"] == urn("News.Shelf.ngo", "feeds", "weekly", "en")


def test_a_feed_stays_when_its_last_story_is_withdrawn(group: Group) -> None:
    """Empty, under the same name, and with a time from the data."""
    before = feedparser.parse(feeds(group)["/feeds/weekly/en.atom"]).feed
    (group.root / "queue" / "ports.md").unlink()

    content = feeds(group)["/feeds/weekly/en.atom"]
    after = feedparser.parse(content)

    assert (after.feed.id, after.feed.updated) == (before.id, before.updated)
    assert not after.bozo
    assert after.entries == []


def test_english_has_one_feed_whatever_its_country(group: Group) -> None:
    """Whoever takes "en" takes "en-GB" too."""
    group.item("ropes", lang="en-GB")
    group.print("ropes", number=2, slot=SLOT + timedelta(weeks=1))

    entries = feedparser.parse(feeds(group)["/feeds/weekly/en.atom"]).entries

    assert [entry.content[0].language for entry in entries] == ["en-GB", "en"]


def test_two_builds_of_a_feed_are_the_same_to_the_byte(group: Group) -> None:
    assert feeds(group) == feeds(group)


# --------------------------------------------------------------------------- whatever stands in it


ANYTHING = st.characters(exclude_categories=())


@given(st.text(ANYTHING, max_size=60), st.text(ANYTHING, max_size=200))
def test_no_text_breaks_a_feed(title: str, html: str) -> None:
    """Control characters, half characters, marks of XML: it is always a document, and the rest is kept."""
    feed = replace(FEED, entries=[replace(ENTRY, title=title, html=html, tags=(title,) if title else ())])
    try:
        content, document = atom(feed), json_feed(feed)
    except UnicodeEncodeError:
        pytest.fail("a half character came through")

    entry = ET.fromstring(content).find(f"{ATOM}entry")
    assert entry is not None
    kept = re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", html)
    assert entry.findtext(f"{ATOM}content") == kept.replace("\r\n", "\n").replace("\r", "\n")
    assert json.loads(document)["items"][0].get("content_html", "") == kept


def test_a_name_in_any_script_makes_a_tag_address() -> None:
    """After RFC 4151: only what may stand in an address."""
    assert TAG.fullmatch(tag("News.Example.org", SLOT, "items", "ค้ามนุษย์ & more"))


def test_only_links_within_a_text_are_led_to_the_page() -> None:
    html = '<a href="#n1">1</a> <a href="https://example.org/#top">2</a> <p>href="#no"</p>'

    assert absolute(html, "https://x.example/a") == (
        '<a href="https://x.example/a#n1">1</a> <a href="https://example.org/#top">2</a> <p>href="#no"</p>'
    )
