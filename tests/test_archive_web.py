"""The archive from a real server: the pages of ``bot build``, answers for caches, search without scripts."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest

from bot.app.building import build
from bot.app.syndication import whole
from bot.store.published import latest_number
from bot.web import archive
from tests.support.archives import SLOT, Group, make_group
from tests.support.site import Site, served


@dataclass(frozen=True)
class Answer:
    """What the server said."""

    status: int
    headers: dict[str, str]
    body: str


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Group:
    return make_group(tmp_path_factory.mktemp("served") / "group")


@pytest.fixture(scope="module")
def site(group: Group) -> Iterator[Site]:
    with served(group.root) as found:
        yield found


def get(site: Site, path: str, method: str = "GET", **headers: str) -> Answer:
    connection = http.client.HTTPConnection(site.url.partition("//")[2], timeout=20)
    connection.request(method, path, headers={name.replace("_", "-"): v for name, v in headers.items()})
    answer = connection.getresponse()
    found = Answer(
        status=answer.status,
        headers={name.lower(): value for name, value in answer.getheaders()},
        body=answer.read().decode("utf-8", "replace"),
    )
    connection.close()
    return found


def titles(answer: Answer) -> list[str]:
    return [
        unescape(t)
        for t in re.findall(r'<li lang="\w+" dir="\w+"><a href="/items/[^"]+">(.*?)</a>', answer.body)
    ]


PATHS = (
    *("/", "/issues/weekly", "/issues/monthly", "/issues/weekly/1", "/items/ports", "/items/sails"),
    *(
        "/search",
        "/feeds/weekly/en.atom",
        "/feeds/weekly/mul.json",
        "/feeds/monthly/en.atom",
        "/sitemap.xml",
        "/robots.txt",
    ),
)


@pytest.mark.parametrize("path", PATHS)
def test_each_page_answers_and_knows_who_has_it(site: Site, path: str) -> None:
    """200 with a mark, 304 for whoever sends the mark back, HEAD like GET without the body."""
    first = get(site, path)
    head = get(site, path, "HEAD")

    assert first.status == head.status == 200
    assert head.body == ""
    if path == "/search":
        assert first.headers["cache-control"] == "no-store"
        return
    again = get(site, path, if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, "")
    assert first.headers["cache-control"] == "public, max-age=300"
    assert "set-cookie" not in first.headers


def test_a_page_says_its_kind_and_language(site: Site) -> None:
    kinds = {path: get(site, path).headers["content-type"] for path in PATHS}

    assert kinds["/feeds/weekly/en.atom"] == "application/atom+xml; charset=utf-8"
    assert kinds["/feeds/weekly/mul.json"] == "application/feed+json; charset=utf-8"
    assert kinds["/items/ports"] == "text/html; charset=utf-8"
    assert get(site, "/items/boats").headers["content-language"] == "ar"
    assert get(site, "/issues/weekly/1").headers["last-modified"] == "Fri, 20 Nov 2026 02:00:00 GMT"


def test_a_picture_may_be_kept_for_ever(site: Site) -> None:
    """Its name changes with it."""
    (path,) = set(re.findall(r'src="(/pictures/[^"]+)"', get(site, "/items/ports").body))
    picture = get(site, path)

    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["cache-control"] == "public, max-age=31536000"


@pytest.mark.parametrize(
    "path",
    [
        "/items/secret-draft",
        "/items/secret-held",
        "/items/secret-waiting",
        "/items/nothing",
        "/items/..%2f..%2fbot.toml",
        "/issues/weekly/2",
        "/issues/weekly/01",
        "/issues/other",
        "/feeds/weekly/xx.atom",
        "/feeds/monthly/mul.atom",
        "/feeds/other/en.atom",
        "/pictures/ports.png",
        "/search/en.json",
    ],
)
def test_what_is_not_there_is_not_found(site: Site, path: str) -> None:
    """A draft looks exactly like something that never was."""
    answer = get(site, path)

    assert answer.status == 404
    assert answer.body == get(site, "/items/never-heard-of").body


def test_the_pages_are_those_of_a_build(site: Site, group: Group) -> None:
    """The same archive, the same words: only addresses differ, and the form of the search."""
    built = group.site(built=True).pages

    assert {p for p in built if p.startswith(("/issues", "/items", "/pictures"))} == {
        p for p in whole(group.site()) if p.startswith(("/issues", "/items", "/pictures"))
    }
    assert get(site, "/items/ports").body == built["/items/ports"].make(lambda path: path).decode()


def test_the_feeds_are_those_of_a_build(site: Site, group: Group, tmp_path: Path) -> None:
    """To the byte, also the one of a newsletter without an issue: a feed reader may change between them."""
    here = group.workspace
    build(here, tmp_path / "site")
    here.release()
    files = list((tmp_path / "site" / "feeds").rglob("*.*"))

    assert {path.parent.name for path in files} == {"weekly", "monthly"}
    for path in files:
        name = path.relative_to(tmp_path / "site").as_posix()
        assert get(site, f"/{name}").body.encode() == path.read_bytes(), name


# --------------------------------------------------------------------------- languages


def test_the_front_page_speaks_the_visitors_language(site: Site) -> None:
    """As the browser asks, or as ``?lang=`` says; caches know that; no cookie. It offers the others."""
    thai = get(site, "/", accept_language="th, en;q=0.5")
    arabic = get(site, "/?lang=ar", accept_language="th")
    unknown = get(site, "/", accept_language="xx")

    assert '<html lang="th"' in thai.body
    assert '<html lang="ar" dir="rtl"' in arabic.body
    assert '<html lang="en"' in unknown.body
    for answer, lang in ((thai, "th"), (arabic, "ar"), (unknown, "en")):
        assert answer.headers["vary"] == "accept-language"
        assert answer.headers["content-language"] == lang
        assert "set-cookie" not in answer.headers
    assert 'href="/?lang=ar"' in thai.body
    assert 'href="/?lang=th"' not in thai.body
    assert get(site, "/", accept_language="th", if_none_match=thai.headers["etag"]).status == 304
    assert get(site, "/", accept_language="ar", if_none_match=thai.headers["etag"]).status == 200


def test_a_built_front_page_keeps_the_publications_language(group: Group) -> None:
    """Nothing there could choose: it offers no others."""
    page = group.site(built=True).pages["/"].make(lambda path: path).decode()

    assert '<html lang="en"' in page
    assert "?lang=ar" not in page


def test_the_newest_issue_of_a_newsletter_is_known(group: Group) -> None:
    """For the pages that lead on to it: the one with the latest slot that went out; None before the first."""
    here = group.workspace
    newest = {name: latest_number(here.engine, here.mode, name) for name in ("weekly", "monthly", "never")}
    shelves = {shelf.name: shelf.editions for shelf in group.site().archive.shelves}
    here.release()

    assert newest["weekly"] == shelves["weekly"][0].number
    assert newest["never"] is None


# --------------------------------------------------------------------------- search


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("crane", ["Ports: who <checks> whom & why"]),
        ("CRANES stood", ["Ports: who <checks> whom & why"]),
        ("levinson", ["Ports: who <checks> whom & why"]),
        ("ميناء", ["قوارب في الميناء"]),
        ("เรือ", ["อวนและเรือ"]),
        ("sails crane", []),
        ("nobody", []),
        ("waiting", []),
    ],
)
def test_words_are_found_without_scripts(site: Site, question: str, found: list[str]) -> None:
    """In the headline, the text, the books; nothing that did not go out."""
    answer = get(site, f"/search?q={quote(question)}")

    assert answer.status == 200
    assert titles(answer) == found
    assert ("Nothing found." in answer.body) is (not found)


def test_a_search_may_keep_to_one_language(site: Site) -> None:
    assert titles(get(site, f"/search?q={quote('ข่าว')}&in=th")) == ["อวนและเรือ"]
    assert titles(get(site, f"/search?q={quote('ข่าว')}&in=en")) == []


@pytest.mark.parametrize(
    "question", ["<script>alert(1)</script>", '" onfocus="x', "%00%ff", "x" * 20_000, "&in=&in=xx"]
)
def test_no_question_breaks_the_page(site: Site, question: str) -> None:
    """It comes back as text in the field, and nowhere else."""
    answer = get(site, f"/search?q={quote(question, safe='&=%')}")

    assert answer.status == 200
    assert "<script>alert" not in answer.body
    assert ' onfocus="x' not in answer.body
    assert "xx" * 200 not in answer.body


# --------------------------------------------------------------------------- as things change


def test_a_change_is_seen_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new issue, a correction, a story taken back, a template: each at the next look."""
    monkeypatch.setattr(archive, "LOOK", 0.0)
    group = make_group(tmp_path / "group")
    path, own = group.root / "queue" / "ports.md", group.root / "templates" / "web" / "newsletter.html"
    own.parent.mkdir(parents=True)
    own.write_text("Theirs")
    with served(group.root) as site:
        before = get(site, "/items/ports")

        path.write_text(path.read_text().replace("Two cranes", "Three cranes"))
        corrected = get(site, "/items/ports", if_none_match=before.headers["etag"])
        group.item("ropes")
        group.print("ropes", number=2, slot=SLOT + timedelta(days=1))
        issue = get(site, "/issues/weekly/2")
        site.workspace.ledger.hold("ports", "held by mali", SLOT)
        held = get(site, "/items/ports")
        theirs = get(site, "/issues/weekly")
        own.write_text("Mine")
        mine = get(site, "/issues/weekly")

    assert "Three cranes" in corrected.body
    assert issue.status == 200
    assert "not shown any more" in held.body
    assert (theirs.body, mine.body) == ("Theirs", "Mine")
