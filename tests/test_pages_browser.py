"""What people look at, in a real browser: the outbox, the preview and the newsletter.

Fonts differ between machines, so nothing here compares pictures: the document, its boxes and what the browser
says about them are what counts.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Frame

from bot.app.workspace import Workspace
from bot.model import Item
from bot.rendering.languages import direction
from tests.support.browser import DESK, LONG_ITEM, PHONE, Sight, faults, opened
from tests.support.commands import MONDAY, NEXT_MONDAY, bot

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

# MJML lays a mail out in tables; a mail client brings its own landmarks.
NOT_FOR_MAIL = ("landmark-one-main", "region")
PAGES = ["outbox", "preview", "newsletter", "arabic", "thai"]
ARABIC, THAI = "17-ar-world-day", "16-th-anti-trafficking-act-2551"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A rehearsed week, a preview with very long words, and previews of an Arabic and a Thai newsletter."""
    root = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.upper().startswith("BOT_")]:
            patch.delenv(name)
        for name in ("week", "english", "arabic", "thai"):
            assert bot("init", "--sample", root / name).code == 0
        (root / "english" / "queue" / "90-long-words.md").write_text(LONG_ITEM, encoding="utf-8")
        _in_language(root / "arabic", "ar", "الرفّ الأسبوعي")
        _in_language(root / "thai", "th", "ชั้นหนังสือประจำสัปดาห์")
        assert bot("run", "--now", MONDAY, "--until", NEXT_MONDAY, workspace=root / "week").code == 0
        for name in ("english", "arabic", "thai"):
            assert bot("preview", "--now", MONDAY, workspace=root / name).code == 0
    return {name: root / name for name in ("week", "english", "arabic", "thai")}


@pytest.fixture(scope="module")
def pages(folders: dict[str, Path]) -> dict[str, Path]:
    """The pages by a plain name."""
    return {
        "outbox": folders["week"] / "outbox" / "index.html",
        "preview": folders["english"] / "outbox" / "preview" / "index.html",
        "newsletter": folders["english"] / "outbox" / "preview" / "weekly.html",
        "arabic": folders["arabic"] / "outbox" / "preview" / "weekly.html",
        "thai": folders["thai"] / "outbox" / "preview" / "weekly.html",
    }


def _in_language(workspace: Path, lang: str, title: str) -> None:
    settings = workspace / "bot.toml"
    before = '[newsletters.weekly]\ntitle = "The Weekly Shelf"'
    text = settings.read_text(encoding="utf-8")
    assert before in text
    after = f'[newsletters.weekly]\nlanguage = "{lang}"\ntitle = "{title}"'
    settings.write_text(text.replace(before, after), encoding="utf-8")


def _items(workspace: Path) -> dict[str, Item]:
    return {item.id: item for item in Workspace(workspace, readonly=True).read_queue().items}


def _newsletter_inside(sight: Sight) -> Frame:
    """The newsletter within the index page; it loads when it comes into view."""
    sight.page.locator("iframe").scroll_into_view_if_needed()
    (frame,) = sight.page.frames[1:]
    frame.wait_for_load_state()
    frame.wait_for_selector("h1")
    frame.wait_for_function("document.readyState === 'complete'")
    return frame


# --------------------------------------------------------------------------- for everybody


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(
    browser: Browser, pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    """Contrast, names, headings, languages, sizes of targets: on a phone and a desk, by day and by night."""
    with opened(browser, pages[name], width=width, scheme=scheme) as sight:
        assert faults(sight, without=() if name in ("outbox", "preview") else NOT_FOR_MAIL) == []


@pytest.mark.parametrize("width", [320, PHONE, 700])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_has_to_be_scrolled_sideways(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    """Also with words of eighty letters, addresses of 150 and tables of both."""
    with opened(browser, pages[name], width=width) as sight:
        assert sight.evaluate("document.documentElement.scrollWidth") <= width
        assert sight.evaluate(
            """[...document.querySelectorAll('body *')]
               .filter(e => e.getBoundingClientRect().right > innerWidth + 1
                         || (e.getBoundingClientRect().width && e.getBoundingClientRect().left < -1))
               .map(e => e.outerHTML.slice(0, 80))"""
        ) == []  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_everything_can_be_read_without_scripts(browser: Browser, pages: dict[str, Path], name: str) -> None:
    """The pages have no script of their own: nothing opens, loads or appears by one."""
    with opened(browser, pages[name], scripts=False) as sight:
        with opened(browser, pages[name]) as with_scripts:
            assert sight.page.locator("script").count() == 0
            assert sight.page.inner_text("body") == with_scripts.page.inner_text("body")
        for summary in sight.page.locator("summary").all():
            summary.click()
        for closed in sight.page.locator("details > :not(summary)").all():
            assert closed.is_visible()


def test_the_keyboard_reaches_every_link_and_shows_where_it_is(
    browser: Browser, pages: dict[str, Path]
) -> None:
    """Each stop on the way from the top has a ring that differs from no ring."""
    with opened(browser, pages["outbox"]) as sight:
        assert sight.page.locator("a, summary").count() > 7
        for _ in range(6):  # then comes the newsletter in its frame
            sight.page.keyboard.press("Tab")
            where, style, width = sight.evaluate(
                "(e => [e.tagName, getComputedStyle(e).outlineStyle, getComputedStyle(e).outlineWidth])"
                "(document.activeElement)"
            )
            assert where in ("A", "SUMMARY")
            assert style != "none"
            assert width != "0px"


# --------------------------------------------------------------------------- nothing gets out


@pytest.mark.parametrize("name", PAGES)
def test_no_page_asks_another_machine_for_anything(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    """Every request is for a file or data within the page, and the browser has nothing to complain about."""
    with opened(browser, pages[name]) as sight:
        if name in ("outbox", "preview"):
            _newsletter_inside(sight)

        assert sight.requests
        assert sight.left == []
        assert sight.complaints == []


@pytest.mark.parametrize("name", PAGES)
def test_a_picture_from_elsewhere_is_refused(browser: Browser, pages: dict[str, Path], name: str) -> None:
    """Even when a template asks for one: looking at a preview tells nobody."""
    with opened(browser, pages[name]) as sight:
        refused = sight.evaluate(
            """new Promise(done => {
                 document.addEventListener('securitypolicyviolation', e => done(e.blockedURI));
                 setTimeout(() => done('nothing was refused'), 30000);
                 document.body.append(Object.assign(new Image(), {src: 'https://example.org/seen.png'}));
               })"""
        )

    assert refused == "https://example.org/seen.png"


def test_a_link_in_the_newsletter_opens_beside_the_page(browser: Browser, pages: dict[str, Path]) -> None:
    """The frame goes nowhere; its own contents still lead down to the stories."""
    with opened(browser, pages["outbox"]) as sight:
        frame = _newsletter_inside(sight)
        url = frame.url

        with sight.page.context.expect_page() as beside:
            frame.locator("a.head").first.click()
        beside.value.wait_for_load_state()  # it was told that it may not go there
        frame.locator(".contents a").last.click()

        frame.wait_for_url(f"{url}#s25")
        frame.wait_for_function("scrollY > 10_000")
        assert sight.left == [frame.locator("a.head").first.get_attribute("href")]


# --------------------------------------------------------------------------- the newsletter


def test_the_frame_shows_the_newsletter_with_its_pictures(browser: Browser, pages: dict[str, Path]) -> None:
    """The pictures of the mail, which a browser cannot fetch from it, are inside the page."""
    with opened(browser, pages["outbox"], width=PHONE) as sight:
        frame = _newsletter_inside(sight)
        shown = frame.evaluate(
            "[...document.images].map(i => [i.complete, i.naturalWidth > 0, i.alt.length > 10])"
        )
        box = sight.page.locator("iframe").bounding_box()

    assert shown == [[True, True, True]] * 6
    assert box is not None
    assert 380 <= box["height"] < 900  # enough to read in, and a thumb can still scroll past it


@pytest.mark.parametrize("name", ["arabic", "english", "thai"])
def test_every_item_says_its_language_and_direction(
    browser: Browser, pages: dict[str, Path], folders: dict[str, Path], name: str
) -> None:
    """In the newsletter's contents, in its stories and on the cards, whatever its own language is."""
    items = {item.title: item for item in _items(folders[name]).values()}
    page = folders[name] / "outbox" / "preview"
    said = "e => [e.lang, e.dir]"
    with opened(browser, page / "weekly.html") as sight:
        stories = {
            story.locator("h2").inner_text(): story.evaluate(said)
            for story in sight.page.locator(".story").all()
        }
        contents = [
            [cell.inner_text(), *cell.evaluate(said)]
            for cell in sight.page.locator(".contents td[lang]").all()
        ]
    with opened(browser, page / "index.html") as sight:
        cards = [
            [card.get_by_role("heading").inner_text(), *card.locator(".text").evaluate(said)]
            for card in sight.page.locator(".card").all()
        ]

    wanted = {title: [item.lang, direction(item.lang)] for title, item in items.items()}
    assert len(stories) == 25
    assert stories == {title: wanted[title] for title in stories}
    assert contents == [[title, *wanted[title]] for title in stories]
    ways = {item.id: [item.lang, direction(item.lang)] for item in items.values()}
    assert len(cards) >= 50
    assert cards == [[name, *ways[name]] for name, *_ in cards]


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("name", ["newsletter", "arabic"])
def test_the_arabic_item_reads_from_the_right(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    """Each of its paragraphs and list entries starts at the right edge, and the bullets stand there."""
    with opened(browser, pages[name], width=width) as sight:
        story = sight.page.locator('.story[lang="ar"]')
        edge = story.evaluate("e => e.getBoundingClientRect().right")
        starts = story.locator("h2, p, li").evaluate_all(
            """all => all.map(e => {
                 const words = document.createRange(); words.selectNodeContents(e);
                 const ends = [...words.getClientRects()].map(box => box.right);
                 return [getComputedStyle(e).direction, Math.max(...ends)];
               })"""
        )

    assert len(starts) > 7
    assert {way for way, _ in starts} == {"rtl"}
    assert all(edge - 26 <= right <= edge + 1 for _, right in starts)  # 24 pixels for the bullets


def test_the_english_item_of_an_arabic_newsletter_reads_from_the_left(
    browser: Browser, pages: dict[str, Path]
) -> None:
    """And the Arabic head above it from the right."""
    with opened(browser, pages["arabic"]) as sight:
        left = sight.page.locator('.story[lang="en"] h2').first
        head = sight.page.locator("h1")
        words = """e => { const words = document.createRange(); words.selectNodeContents(e);
            const [line] = words.getClientRects(), box = e.getBoundingClientRect();
            return [line.left - box.left, box.right - line.right]; }"""

        assert left.evaluate(words)[0] < 1
        assert head.evaluate(words)[1] < 1


def test_a_picture_that_does_not_load_leaves_its_description(
    browser: Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    """Many clients show no pictures: the words in their place are as readable as the rest."""
    blocked = tmp_path / "blocked.html"
    html = pages["newsletter"].read_text(encoding="utf-8")
    blocked.write_text(re.sub(r'src="data:[^"]*"', 'src="cid:gone"', html), encoding="utf-8")
    with opened(browser, blocked, width=PHONE) as sight:
        looks = sight.page.locator(".story img").evaluate_all(
            "all => all.map(e => [e.alt.length > 10, parseFloat(getComputedStyle(e).lineHeight)"
            " / parseFloat(getComputedStyle(e).fontSize), e.getBoundingClientRect().width > 200])"
        )

    assert looks == [[True, 1.5, True]] * 6


# --------------------------------------------------------------------------- the cards


def test_a_card_shows_what_the_service_shows(browser: Browser, pages: dict[str, Path]) -> None:
    """Telegram: picture above the words. Mastodon: note, words, picture with its description."""
    with opened(browser, pages["preview"]) as sight:
        name = "24-more-literature-combining-marks"
        mastodon, telegram = sight.page.locator(".card", has_text=name).all()
        parts = """e => [...e.querySelectorAll('.note, .text, img, figcaption, .bar')]
            .map(part => part.className || part.tagName)"""

        assert mastodon.evaluate(parts) == ["note", "text", "IMG", "FIGCAPTION", "bar near"]
        assert telegram.evaluate(parts) == ["IMG", "text", "bar"]
        assert mastodon.locator("img").evaluate("i => i.naturalWidth") > 0


def test_an_address_in_an_arabic_post_keeps_its_order(browser: Browser, pages: dict[str, Path]) -> None:
    """As on Mastodon, where each link stands for itself; otherwise the last slash would jump to the front."""
    with opened(browser, pages["preview"]) as sight:
        link = sight.page.locator(".card", has_text=ARABIC).first.locator(".text a")
        first, last = link.evaluate(
            """e => { const letter = document.createRange(), [words] = e.childNodes;
                 return [0, words.length - 1].map(at => {
                   letter.setStart(words, at); letter.setEnd(words, at + 1);
                   return letter.getBoundingClientRect().left;
                 }); }"""
        )

        assert link.get_attribute("href") == link.inner_text() == "https://www.un.org/"
        assert first < last


def test_the_newest_stands_first(browser: Browser, pages: dict[str, Path]) -> None:
    """After each run, what is new is at the top."""
    with opened(browser, pages["outbox"]) as sight:
        for channel in ("mastodon", "telegram"):
            times = sight.page.locator(f"#on-{channel} + .cards time").evaluate_all(
                "all => all.map(e => e.dateTime)"
            )
            assert len(times) >= 6
            assert times == sorted(times, reverse=True)


def test_the_preview_has_the_date_of_the_slot(browser: Browser, pages: dict[str, Path]) -> None:
    """On Monday, the preview of Friday's newsletter says Friday's date; no post claims a time of its own."""
    with opened(browser, pages["preview"]) as sight:
        assert "27 November 2026" in _newsletter_inside(sight).locator(".soft", has_text="No. 1").inner_text()
        assert sight.page.locator(".card time").count() == 0


def test_no_mark_of_ours_is_left_for_people_to_see(browser: Browser, pages: dict[str, Path]) -> None:
    """Where each reader's own token will stand, the page says so in words."""
    with opened(browser, pages["preview"]) as sight:
        sight.page.get_by_text("The plain-text part").click()
        text = sight.page.locator("pre").first.inner_text()
        link = _newsletter_inside(sight).locator('a[href*="/u/weekly/"]').get_attribute("href")

    assert link == "https://news.example.org/u/weekly/each-readers-own"
    assert f"<{link}>" in text
    assert not any(0xFDD0 <= ord(char) <= 0xFDEF for char in text)
