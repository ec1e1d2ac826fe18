"""The archive: what went out can be read again for ever; what did not is nowhere."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from bot.app.layout import as_it_is
from bot.app.site import Site
from bot.app.syndication import whole
from bot.app.workspace import Workspace
from tests.support.archives import PNG, SLOT, Group, make_group

SECRETS = ("secret-draft", "secret-held", "secret-waiting", "Nobody may read", "Approved and not sent")


@pytest.fixture
def group(tmp_path: Path) -> Group:
    return make_group(tmp_path / "group")


def contents(site: Site) -> dict[str, bytes]:
    return {path: page.make(as_it_is) for path, page in whole(site).items()}


def text(site: Site, path: str) -> str:
    return whole(site)[path].make(as_it_is).decode()


def title(page: str) -> str:
    found = re.search(r"<title>(.*?)</title>", page)
    assert found
    return found[1]


# --------------------------------------------------------------------------- what is there


def test_every_issue_and_item_that_went_out_has_its_page(group: Group) -> None:
    """At the addresses that stand in the mails; an item that was only posted has one, too."""
    assert {p for p in whole(group.site()) if p.startswith(("/issues", "/items"))} == {
        "/issues/weekly",
        "/issues/weekly/1",
        "/issues/monthly",
        "/items/ports",
        "/items/boats",
        "/items/nets",
        "/items/sails",
    }


@pytest.mark.parametrize("built", [False, True])
def test_nothing_shows_that_did_not_go_out(group: Group, built: bool) -> None:
    """Neither a draft, nor a held item, nor one that is approved and waits: no page, no feed, no index."""
    for path, content in contents(group.site(built=built)).items():
        assert [secret for secret in SECRETS if secret in content.decode("utf-8", "replace")] == [], path


def test_an_issue_shows_its_stories_in_the_order_of_print(group: Group) -> None:
    """With everything that an item has, each in its own language and direction."""
    page = text(group.site(), "/issues/weekly/1")

    assert re.findall(r'<article class="story" id="(\w+)" lang="(\w+)" dir="(\w+)"', page) == [
        ("s1", "en", "ltr"),
        ("s2", "ar", "rtl"),
        ("s3", "th", "ltr"),
    ]
    for words in (
        "Ports: who &lt;checks&gt; whom &amp; why",
        "Harbour Post",
        "18 November 2026",
        "Asia-Pacific / Thailand",
        "Violence is mentioned",
        "Inspectors came back",
        'alt="A drawing of a crane."',
        "Two cranes stood still.",
        "More literature",
        "Marc Levinson",
        "Also reported by",
        'href="https://example.org/sea"',
        'href="https://example.org/ports"',
        "Read at Harbour Post",
    ):
        assert words in page


def test_an_item_speaks_its_own_language_where_the_house_does(group: Group) -> None:
    """The Arabic story's page is an Arabic page, from skip link to footer."""
    page = text(group.site(), "/items/boats")

    assert '<html lang="ar" dir="rtl">' in page
    assert "نُشرت في" in page


def test_no_tab_tells_the_topic(group: Group) -> None:
    """A title names the newsletter and numbers; no headline, nothing of the publication's own name."""
    group.item("ports", title="A headline that others should not see")
    site = group.site(built=True)
    pages = {path: page.make(as_it_is).decode() for path, page in whole(site).items() if "html" in page.kind}
    titles = {path: title(page) for path, page in pages.items()}

    assert titles["/items/ports"] == "The Weekly Shelf: No. 1, 1"
    assert titles["/issues/weekly/1"] == "The Weekly Shelf: No. 1, 20 November 2026"
    assert titles["/"] == titles["/items/sails"] == "The Weekly Shelf"
    assert not [t for t in titles.values() if "headline" in t or "Harbour" in t]


def test_every_page_names_its_address_for_ever(group: Group) -> None:
    """So that a copy on another web space does not become another page."""
    page = text(group.site(), "/items/ports")

    assert '<link rel="canonical" href="https://news.shelf.ngo/items/ports">' in page


def test_an_item_leads_to_its_issue_and_to_its_neighbours(group: Group) -> None:
    page = text(group.site(), "/items/boats")

    assert 'href="/issues/weekly/1"' in page
    assert 'rel="prev" href="/items/ports"' in page
    assert 'rel="next" class="on" href="/items/nets"' in page


def test_a_posted_item_leads_to_its_post(group: Group) -> None:
    assert 'href="https://social.example/@shelf/7"' in text(group.site(), "/items/sails")


def test_issues_lead_to_each_other(group: Group) -> None:
    """From the newest to the oldest and back."""
    group.item("ropes")
    group.print("ropes", number=2, slot=SLOT + timedelta(weeks=1))
    site = group.site()

    assert 'rel="prev" href="/issues/weekly/1"' in text(site, "/issues/weekly/2")
    assert 'rel="next" class="on" href="/issues/weekly/2"' in text(site, "/issues/weekly/1")
    assert re.findall(r'href="(/issues/weekly/\d)"', text(site, "/issues/weekly")) == [
        "/issues/weekly/2",
        "/issues/weekly/1",
    ]


def test_a_newsletter_that_is_no_longer_published_keeps_its_pages(group: Group) -> None:
    """Its links stand in mails that nobody can change."""
    settings = group.root / "bot.toml"
    settings.write_text(settings.read_text().replace("[newsletters.weekly]", "[newsletters.renamed]"))

    assert "/issues/weekly/1" in whole(group.site())


def test_an_empty_archive_has_a_front_page(tmp_path: Path) -> None:
    """And says that nothing has been published yet."""
    from tests.support.site import make_site

    group = Group(make_site(tmp_path / "new", mode="live"))

    assert "Nothing has been published yet." in text(group.site(), "/")
    feeds = [text(group.site(), path) for path in whole(group.site()) if path.endswith(".atom")]
    assert len(feeds) == 2
    assert not [feed for feed in feeds if "<entry" in feed]


def test_a_rehearsal_says_so_on_every_page(tmp_path: Path) -> None:
    """And asks search engines to stay away."""
    site = make_group(tmp_path / "group", mode="rehearsal").site()

    for path in ("/", "/issues/weekly", "/issues/weekly/1", "/items/ports", "/search"):
        assert "A rehearsal: nothing on these pages" in text(site, path)
    assert text(site, "/robots.txt") == "User-agent: *\nDisallow: /\n"


# --------------------------------------------------------------------------- what was withdrawn


@pytest.mark.parametrize("how", ["held", "draft", "on hold", "gone", "broken"])
def test_a_story_that_is_withdrawn_leaves_a_neutral_page(group: Group, how: str) -> None:
    """Its place stays, its words go: from its page, its issue, the feeds, the lists and the search."""
    path = group.root / "queue" / "ports.md"
    if how == "gone":
        path.unlink()
    elif how == "broken":
        path.write_text("no front matter")
    elif how == "on hold":
        here = group.workspace
        here.ledger.hold("ports", "held by mali", SLOT)
        here.release()
    else:
        path.write_text(path.read_text().replace("status: approved", f"status: {how}"))

    everything = contents(group.site(built=True))

    assert b"This story is not shown any more." in everything["/items/ports"]
    assert everything["/issues/weekly/1"].count(b"This story is not shown any more.") == 2
    assert [
        p for p, content in everything.items() if b"Harbour Post" in content or b"cranes" in content
    ] == []
    assert b"/items/ports" not in everything["/sitemap.xml"]
    assert not [path for path in everything if path.startswith("/pictures")]


def test_a_correction_shows_at_once(group: Group) -> None:
    """The words are those of the file as it is now."""
    path = group.root / "queue" / "ports.md"
    path.write_text(path.read_text().replace("Two cranes", "Three cranes"))

    assert "Three cranes stood still" in text(group.site(), "/items/ports")


# --------------------------------------------------------------------------- pictures


def test_a_picture_has_its_own_name_and_says_nothing_of_the_topic(group: Group) -> None:
    (path,) = [path for path in whole(group.site()) if path.startswith("/pictures")]

    assert re.fullmatch(r"/pictures/[0-9a-f]{24}\.png", path)
    assert f'src="{path}"' in text(group.site(), "/items/ports")


def test_a_picture_without_description_is_not_shown(group: Group) -> None:
    path = group.root / "queue" / "ports.md"
    path.write_text(path.read_text().replace('alt: "A drawing of a crane."\n', ""))

    assert "<img" not in text(group.site(), "/items/ports")


@pytest.mark.parametrize("content", [b"not a picture", PNG[:200]], ids=["other", "cut off"])
def test_a_picture_that_is_none_is_not_shown(group: Group, content: bytes) -> None:
    """The words stay."""
    (group.root / "queue" / "images" / "ports.png").write_bytes(content)

    page = text(group.site(), "/items/ports")

    assert "<img" not in page
    assert "Two cranes" in page


def test_a_picture_from_outside_the_queue_is_not_shown(group: Group, tmp_path: Path) -> None:
    """No link of a file system publishes what lies elsewhere."""
    (tmp_path / "private.png").write_bytes(PNG)
    picture = group.root / "queue" / "images" / "ports.png"
    picture.unlink()
    picture.symlink_to(tmp_path / "private.png")

    assert "<img" not in text(group.site(), "/items/ports")


# --------------------------------------------------------------------------- for machines


def test_the_sitemap_has_every_page_and_nothing_else(group: Group) -> None:
    found = re.findall(r"<loc>(.*?)</loc><lastmod>(.*?)</lastmod>", text(group.site(), "/sitemap.xml"))

    assert dict(found) == {
        f"https://news.shelf.ngo{path}": "2026-11-20"
        for path in (
            *("/", "/issues/weekly", "/issues/weekly/1", "/issues/monthly"),
            *("/items/ports", "/items/boats", "/items/nets", "/items/sails"),
        )
    }


def test_two_looks_at_the_same_archive_are_the_same_to_the_byte(group: Group) -> None:
    """No clock, no chance, no order of a set."""
    assert contents(group.site(built=True)) == contents(group.site(built=True))


def test_no_page_holds_anything_of_a_reader(tmp_path: Path) -> None:
    """Neither an address, nor a token, nor the place where one would stand."""
    group = make_group(tmp_path / "group")
    here = Workspace(group.root)
    here.audience.add("somebody@example.org", "Somebody", "en", ["weekly"], SLOT, "test")
    here.release()

    for path, content in contents(group.site(built=True)).items():
        assert b"somebody" not in content, path
        assert b"/u/weekly" not in content, path
        assert "\ufdd0".encode() not in content, path
