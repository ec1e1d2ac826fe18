"""``bot build``: a folder for any web space, complete or untouched, and the same when nothing changed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from bot.app import building, webspace
from bot.app.building import Built, build, file_of
from bot.errors import BusyError, TemplateError, UserError
from tests.support.archives import SLOT, Group, make_group
from tests.support.commands import bot, fingerprint


@pytest.fixture
def group(tmp_path: Path) -> Group:
    return make_group(tmp_path / "group")


def built(group: Group, to: Path, *, plain_files: bool = False, dry_run: bool = False) -> Built:
    here = group.workspace
    try:
        return build(here, to, plain_files=plain_files, dry_run=dry_run)
    finally:
        here.release()


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


class Links(HTMLParser):
    """Every address in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.anchors: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src", "action", "data-index") and value is not None:
                self.found.append(value)
            if name == "id" and value:
                self.anchors.add(value)


def broken_links(folder: Path, base: str) -> Iterator[str]:
    """Links that lead to nothing on a web space that shows ``index.html`` for a folder."""
    for page in folder.rglob("*.html"):
        here = base + page.relative_to(folder).as_posix().removesuffix("index.html")
        for link in Links(page.read_text("utf-8")).found:
            target = urlsplit(urljoin(here, link))
            if not target.geturl().startswith(base):
                continue
            place = folder / unquote(target.path.removeprefix(urlsplit(base).path))
            place = place / "index.html" if place.is_dir() else place
            if not place.is_file():
                yield f"{page.relative_to(folder)}: {link}"
            elif target.fragment and target.fragment not in Links(place.read_text("utf-8")).anchors:
                yield f"{page.relative_to(folder)}: no {link}"


# --------------------------------------------------------------------------- what is built


@pytest.mark.parametrize("base", ["http://a.example/", "http://a.example/a/folder/"])
@pytest.mark.parametrize("plain_files", [False, True])
def test_every_link_leads_somewhere_in_any_folder_of_any_web_space(
    group: Group, tmp_path: Path, base: str, plain_files: bool
) -> None:
    """Pages, anchors, feeds, pictures, styles: all relative."""
    built(group, tmp_path / "site", plain_files=plain_files)
    (tmp_path / "site" / "404.html").unlink()  # it is shown at any depth, so its links begin at the root

    assert list(broken_links(tmp_path / "site", base)) == []


def test_the_page_for_what_is_missing_works_at_any_depth(group: Group, tmp_path: Path) -> None:
    built(group, tmp_path / "site")

    links = Links((tmp_path / "site" / "404.html").read_text("utf-8")).found

    assert "/static/site.css" in links
    assert [link for link in links if not link.startswith(("/", "https://", "#"))] == []


def test_plain_files_can_be_read_from_a_disk(group: Group, tmp_path: Path) -> None:
    """Where no server turns a folder into its index."""
    built(group, tmp_path / "site", plain_files=True)
    page = tmp_path / "site" / "issues" / "weekly" / "1" / "index.html"

    links = [link for link in Links(page.read_text("utf-8")).found if not link.startswith(("http", "#"))]

    assert links
    assert [link for link in links if not (page.parent / unquote(link).partition("#")[0]).is_file()] == []


def test_every_page_says_what_it_may_load(group: Group, tmp_path: Path) -> None:
    """A file has no headers; nothing from elsewhere, no script of the page itself, no style in it."""
    built(group, tmp_path / "site")

    for page in (tmp_path / "site").rglob("*.html"):
        text = page.read_text("utf-8")
        assert text.index("Content-Security-Policy") < text.index("<link"), page
        assert "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'" in text
        assert not re.search(r"<script(?! src=)|<style| style=| on\w+=", text), page
        loaded = re.findall(
            r'<(?:script|img)[^>]* src="([^"]*)"|<link rel="(?:stylesheet|icon)" href="([^"]*)"', text
        )
        assert not [each for pair in loaded for each in pair if "//" in each], page


@pytest.mark.parametrize("signup", [False, True])
def test_subscribing_is_offered_only_where_something_answers(
    group: Group, tmp_path: Path, signup: bool
) -> None:
    """``[site] signup = true`` for groups that run bot serve at site_url."""
    settings = group.root / "bot.toml"
    settings.write_text(settings.read_text() + f"signup = {str(signup).lower()}\n")
    built(group, tmp_path / "site")

    pages = [page.read_text("utf-8") for page in (tmp_path / "site").rglob("*.html")]

    assert any('href="https://news.shelf.ngo/subscribe' in page for page in pages) is signup
    assert not [page for page in pages if re.search(r'href="[^"h]*subscribe', page)]


def test_reading_safely_is_there_in_every_language(group: Group, tmp_path: Path) -> None:
    built(group, tmp_path / "site")

    assert {path.name for path in (tmp_path / "site" / "reading-safely").iterdir()} == {
        *("ar", "de", "en", "es", "fr", "pt", "th", "index.html")
    }


# --------------------------------------------------------------------------- again


def test_nothing_changes_when_nothing_changed(group: Group, tmp_path: Path) -> None:
    """Not a byte, not a time: whatever uploads it has nothing to do. A fresh build is the same, too."""
    built(group, tmp_path / "site")
    before = fingerprint(tmp_path / "site")

    done = built(group, tmp_path / "site")
    built(group, tmp_path / "other")

    assert (done.written, done.removed) == (0, 0)
    assert fingerprint(tmp_path / "site") == before
    assert files(tmp_path / "other") == files(tmp_path / "site")


def test_a_correction_changes_its_pages_and_no_others(group: Group, tmp_path: Path) -> None:
    """The item, its issue, the feeds and the index; what stays keeps its time."""
    built(group, tmp_path / "site")
    before = fingerprint(tmp_path / "site")
    path = group.root / "queue" / "ports.md"
    path.write_text(path.read_text().replace("Two cranes", "Three cranes"))

    built(group, tmp_path / "site")
    after = fingerprint(tmp_path / "site")

    assert {name for name in after if after[name] != before.get(name)} == {
        *("items/ports/index.html", "issues/weekly/1/index.html", "search/en.json", ".broadside.json"),
        *(f"feeds/weekly/{lang}.{form}" for lang in ("en", "mul") for form in ("atom", "json")),
    }


def test_every_page_is_new_when_the_template_is(group: Group, tmp_path: Path) -> None:
    """Not only those whose stories changed."""
    built(group, tmp_path / "site")
    own = group.root / "templates" / "web" / "item.html"
    own.parent.mkdir(parents=True)
    own.write_text('{% extends "web/archive.html" %}{% block content %}Mine{% endblock %}')

    built(group, tmp_path / "site")

    assert "Mine" in (tmp_path / "site" / "items" / "sails" / "index.html").read_text("utf-8")


def test_what_is_gone_is_removed(group: Group, tmp_path: Path) -> None:
    """A withdrawn story's picture does not lie about; its page stays as a note."""
    built(group, tmp_path / "site")
    (group.root / "queue" / "ports.md").unlink()

    done = built(group, tmp_path / "site")

    assert done.removed == 1
    assert not (tmp_path / "site" / "pictures").exists()
    assert "not shown any more" in (tmp_path / "site" / "items" / "ports" / "index.html").read_text("utf-8")


def test_a_file_that_somebody_changed_is_made_again(group: Group, tmp_path: Path) -> None:
    """Or one that a power cut left empty."""
    built(group, tmp_path / "site")
    before = files(tmp_path / "site")
    (tmp_path / "site" / "items" / "ports" / "index.html").write_text("")
    (tmp_path / "site" / "index.html").unlink()
    (group.root / "queue" / "sails.md").unlink()
    built(group, tmp_path / "site")
    group.item("sails", title="Sails are back")

    built(group, tmp_path / "site")

    assert files(tmp_path / "site") == before


def test_other_peoples_files_stay(group: Group, tmp_path: Path) -> None:
    """The name of the site, and the history of whoever publishes with git."""
    site = tmp_path / "site"
    (site / ".git").mkdir(parents=True)
    (site / ".git" / "HEAD").write_text("ref: refs/heads/pages\n")
    (site / "CNAME").write_text("news.shelf.ngo\n")
    built(group, site)
    (site / "logo.svg").write_text("<svg/>")
    group.item("ropes")
    group.print("ropes", number=2, slot=SLOT + timedelta(weeks=1))

    built(group, site)

    assert (site / "issues" / "weekly" / "2" / "index.html").exists()
    assert (site / ".git" / "HEAD").read_text() == "ref: refs/heads/pages\n"
    assert (site / "CNAME").read_text() == "news.shelf.ngo\n"
    assert (site / "logo.svg").read_text() == "<svg/>"


# --------------------------------------------------------------------------- whole or not at all


def test_a_folder_of_somebody_else_is_left_alone(group: Group, tmp_path: Path) -> None:
    """A slip of the finger in --to replaces nobody's home."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.odt").write_text("years")

    with pytest.raises(UserError, match=r"home is no folder of bot build: thesis\.odt lies in it"):
        built(group, tmp_path / "home")

    assert files(tmp_path / "home") == {"thesis.odt": b"years"}


def test_a_build_that_fails_leaves_the_old_site(group: Group, tmp_path: Path) -> None:
    """A template with a fault is told; nothing half stands there, and nothing beside it."""
    built(group, tmp_path / "out" / "site")
    before = fingerprint(tmp_path / "out" / "site")
    own = group.root / "templates" / "web" / "item.html"
    own.parent.mkdir(parents=True)
    own.write_text("{{ nothing_of_that_name }}")

    with pytest.raises(TemplateError, match=r"item\.html:1"):
        built(group, tmp_path / "out" / "site")

    assert fingerprint(tmp_path / "out" / "site") == before
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["site"]


def test_whoever_reads_meanwhile_finds_a_whole_site(
    group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up to the one step in which the new site takes the old one's place, nothing of it has changed."""
    site = tmp_path / "site"
    built(group, site)
    before = fingerprint(site)
    seen: list[bool] = []
    exchange = webspace._exchanged

    def watched(one: Path, other: Path) -> bool:
        seen.append(fingerprint(site) == before)
        return exchange(one, other)

    monkeypatch.setattr(webspace, "_exchanged", watched)
    group.item("ropes")
    group.print("ropes", number=2, slot=SLOT + timedelta(weeks=1))

    built(group, site)

    assert seen == [True]
    assert (site / "items" / "ropes" / "index.html").exists()


def test_it_works_where_two_folders_cannot_be_exchanged(
    group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network file systems; there the old one steps aside first."""
    monkeypatch.setattr(webspace, "_exchanged", lambda one, other: False)
    built(group, tmp_path / "out" / "site")
    group.item("ropes")
    group.print("ropes", number=2, slot=SLOT + timedelta(weeks=1))

    built(group, tmp_path / "out" / "site")

    assert (tmp_path / "out" / "site" / "items" / "ropes" / "index.html").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["site"]


def test_it_works_without_hard_links(group: Group, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a memory stick, for instance; files are copied with their times."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    built(group, tmp_path / "site")
    before = fingerprint(tmp_path / "site")
    group.item("ropes")
    group.print("ropes", number=2, slot=SLOT + timedelta(weeks=1))

    built(group, tmp_path / "site")

    after = fingerprint(tmp_path / "site")
    assert after["items/ports/index.html"] == before["items/ports/index.html"]
    assert "items/ropes/index.html" in after


def test_two_builds_do_not_meet(group: Group, tmp_path: Path) -> None:
    """The second one says so and changes nothing."""
    with (
        building._place_beside(tmp_path / "site", group.root / "state", dry_run=False),
        pytest.raises(BusyError, match="another 'bot build' is at work"),
    ):
        built(group, tmp_path / "site")

    built(group, tmp_path / "site")
    assert (tmp_path / "site" / "index.html").exists()


# --------------------------------------------------------------------------- the command


def test_a_dry_run_writes_nothing(group: Group) -> None:
    before = fingerprint(group.root)

    ran = bot("build", "--dry-run", workspace=group.root)

    assert ran.code == 0
    assert "Would build 18 pages" in ran.out
    assert fingerprint(group.root) == before


def test_the_command_says_what_it_did(group: Group, tmp_path: Path) -> None:
    first = bot("build", "--to", tmp_path / "site", workspace=group.root)
    again = bot("build", "--to", tmp_path / "site", workspace=group.root)

    assert "Built 18 pages" in first.out
    assert f"Open {tmp_path / 'site' / 'index.html'}" in first.out
    assert " 0 files new or changed" in again.out


def test_the_name_of_an_item_is_kept_as_it_is(group: Group, tmp_path: Path) -> None:
    """Names in other scripts and with a dot or a blank are folders and addresses like any other."""
    for name in ("ท่าเรือ", "v1.2 notes", "100%"):
        group.item(name)
    group.print("ท่าเรือ", "v1.2 notes", "100%", number=2, slot=SLOT + timedelta(weeks=1))
    built(group, tmp_path / "site")

    for name in ("ท่าเรือ", "v1.2 notes", "100%"):
        assert (tmp_path / "site" / file_of(f"/items/{name}")).is_file()
    (tmp_path / "site" / "404.html").unlink()
    assert list(broken_links(tmp_path / "site", "http://a.example/")) == []
