"""The archive in a real browser, served and built: for everybody, in three scripts, unscripted, on paper."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from bot.rendering.search import entries, terms
from tests.support.archives import Group, make_group
from tests.support.browser import DESK, LONG_ITEM, PHONE, Sight, faults, opened, visited
from tests.support.commands import MONDAY, bot
from tests.support.site import served

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

NAMES = ("front", "list", "issue", "english", "arabic", "thai", "long", "gone", "search", "safely", "missing")


@dataclass(frozen=True)
class Sites:
    """The samples' archive: built for a web space in English, Arabic and Thai, and served."""

    url: str  # of the web space
    served: str
    files: Path  # for reading from a disk

    def at(self, name: str, lang: str = "en") -> str:
        places = {
            "front": "",
            "list": "issues/weekly/",
            "issue": "issues/weekly/1/",
            "english": "items/22-forced-labour-protocol-footnote/",
            "arabic": "items/17-ar-world-day/",
            "thai": "items/16-th-anti-trafficking-act-2551/",
            "long": "items/90-long-words/",
            "gone": "items/13-global-estimates-2022/",
            "search": "search/",
            "safely": f"reading-safely/{lang}/",
            "missing": "404.html",
        }
        return f"{self.url}/{lang}/{places[name]}"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Tests read what the browser says."""


@contextmanager
def web_space(folder: Path) -> Iterator[str]:
    """A server that knows nothing but files."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, name="web space")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _rehearsed(root: Path, lang: str) -> Path:
    """The samples and a story with very long words, in one issue; one story is taken back."""
    assert bot("init", "--sample", root).code == 0
    (root / "queue" / "90-long-words.md").write_text(LONG_ITEM, encoding="utf-8")
    settings = root / "bot.toml"
    text = settings.read_text(encoding="utf-8")
    text = text.replace('\nlanguage = "en"\n', f'\nlanguage = "{lang}"\n', 1).replace(
        "max_items = 25", "max_items = 30"
    )
    text = text.replace("\nbackfill = true", "")
    text = text.replace("https://news.example.org", f"https://news.example.org/{lang}")
    settings.write_text(text, encoding="utf-8")
    assert bot("run", "--now", MONDAY, "--until", "2026-11-27 09:01", workspace=root).code == 0
    taken_back = root / "queue" / "13-global-estimates-2022.md"
    taken_back.write_text(taken_back.read_text().replace("status: approved", "status: held"))
    return root


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    root = tmp_path_factory.mktemp("sites")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.upper().startswith("BOT_")]:
            patch.delenv(name)
        for lang in ("en", "ar", "th"):
            here = _rehearsed(root / f"group-{lang}", lang)
            assert bot("build", "--to", root / "space" / lang, workspace=here).code == 0
        files = root / "disk"
        assert bot("build", "--plain-files", "--to", files, workspace=root / "group-en").code == 0
        with web_space(root / "space") as url, served(root / "group-en") as site:
            yield Sites(url=url, served=site.url, files=files)


# --------------------------------------------------------------------------- for everybody


@pytest.mark.parametrize("lang", ["en", "ar", "th"])
@pytest.mark.parametrize("name", NAMES)
def test_axe_finds_nothing(browser: Browser, pages: Sites, name: str, lang: str) -> None:
    """On a phone by night and on a desk by day: contrast, names, headings, languages, sizes of targets."""
    for width, scheme in ((PHONE, "dark"), (DESK, "light")):
        with visited(browser, pages.at(name, lang), width=width, scheme=scheme) as sight:
            assert faults(sight) == []
            assert sight.complaints == []


@pytest.mark.parametrize(
    "path",
    ["/", "/issues/weekly", "/issues/weekly/1", "/search", "/search?q=labour", "/items/17-ar-world-day"],
)
def test_axe_finds_nothing_where_it_is_served(browser: Browser, pages: Sites, path: str) -> None:
    for width, scheme in ((PHONE, "light"), (DESK, "dark")):
        with visited(browser, pages.served + path, width=width, scheme=scheme) as sight:
            assert faults(sight) == []
            assert sight.complaints == []


@pytest.mark.parametrize("width", [320, PHONE, 700])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_has_to_be_scrolled_sideways(browser: Browser, pages: Sites, name: str, width: int) -> None:
    """Also with words of eighty letters, addresses of 150 and tables of both."""
    with visited(browser, pages.at(name), width=width) as sight:
        assert sight.evaluate("document.documentElement.scrollWidth") <= width
        assert sight.evaluate(
            """[...document.querySelectorAll('main *')]
               .filter(e => !e.closest('.quiet') && e.getBoundingClientRect().right > innerWidth + 1)
               .map(e => e.outerHTML.slice(0, 80))"""
        ) == []  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_asked_of_another_machine(browser: Browser, pages: Sites, name: str) -> None:
    """Every request is for a file of the same site."""
    with visited(browser, pages.at(name)) as sight:
        assert sight.requests
        assert [url for url in sight.requests if not url.startswith(pages.url)] == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "search"])
def test_everything_can_be_read_without_scripts(browser: Browser, pages: Sites, name: str) -> None:
    """Not a word less."""
    with (
        visited(browser, pages.at(name), scripts=False) as without,
        visited(browser, pages.at(name)) as with_scripts,
    ):
        assert without.page.inner_text("main") == with_scripts.page.inner_text("main")


def test_the_arabic_pages_run_from_the_right(browser: Browser, pages: Sites) -> None:
    """The page and its list; within it each story in its own direction."""
    for name in ("front", "issue"):
        with visited(browser, pages.at(name, "ar")) as sight:
            body = sight.evaluate("getComputedStyle(document.body).direction")
            ways = sight.page.locator(".story[lang], .headlines > li").evaluate_all(
                "all => all.map(e => [e.lang === 'ar', getComputedStyle(e).direction])"
            )

        assert body == "rtl"
        assert [False, "ltr"] in ways
        assert {way for arabic, way in ways if arabic} <= {"rtl"}
        assert {way for arabic, way in ways if not arabic} == {"ltr"}


def test_the_keyboard_reaches_every_story_and_shows_where_it_is(browser: Browser, pages: Sites) -> None:
    """First the way past everything, then the way out, then the page in its order."""
    with visited(browser, pages.at("issue")) as sight:
        stops = []
        for _ in range(8):
            sight.page.keyboard.press("Tab")
            stops.append(sight.evaluate(
                "(e => [e.textContent.trim(), getComputedStyle(e).outlineStyle])(document.activeElement)"
            ))  # fmt: skip
        headline = sight.page.locator(".contents a").first.inner_text()

    assert [words for words, _ in stops][:5] == [
        *(
            "Skip to the content",
            "Leave this site quickly",
            "Human Trafficking News",
            "The Weekly Shelf",
            headline,
        ),
    ]
    assert {style for _, style in stops} == {"solid"}


def test_the_way_past_everything_leads_to_the_page(browser: Browser, pages: Sites) -> None:
    with visited(browser, pages.at("issue")) as sight:
        sight.page.keyboard.press("Tab")
        sight.page.keyboard.press("Enter")

        sight.comes_true("document.activeElement.id === 'main'")


def test_the_contents_lead_to_the_stories(browser: Browser, pages: Sites) -> None:
    """And the headline there is not under the way out."""
    with visited(browser, pages.at("issue"), width=PHONE) as sight:
        sight.page.locator(".contents a").last.click()

        sight.comes_true(
            """{
                 const heading = [...document.querySelectorAll('.story')].at(-1).querySelector('h2');
                 const {top} = heading.getBoundingClientRect();
                 return 0 <= top && top <= 600;
               }"""
        )


# --------------------------------------------------------------------------- pictures


def test_pictures_are_shown_and_described(browser: Browser, pages: Sites) -> None:
    with visited(browser, pages.at("issue")) as sight:
        sight.evaluate("document.querySelectorAll('img').forEach(i => { i.loading = 'eager'; })")
        sight.comes_true("[...document.images].every(i => i.complete)")
        shown = sight.evaluate("[...document.images].map(i => [i.naturalWidth > 0, i.alt.length > 10])")

    assert shown == [[True, True]] * 5


# --------------------------------------------------------------------------- paper


def test_an_issue_prints_as_an_issue(browser: Browser, pages: Sites) -> None:
    """Without the way out, without what only clicks; addresses are written out; nothing is cut off."""
    with visited(browser, pages.at("issue")) as sight:
        sight.page.emulate_media(media="print")
        hidden = [
            sight.page.locator(place).first.is_visible() for place in (".exit", ".turn", "footer", ".skip")
        ]
        address = sight.page.locator(".go a").first.evaluate("e => getComputedStyle(e, '::after').content")
        contents = sight.page.locator(".contents a").first.evaluate(
            "e => getComputedStyle(e, '::after').content"
        )
        pdf = sight.page.pdf(format="A4")

    assert hidden == [False] * 4
    assert "https://" in address
    assert contents in ("none", "normal")
    assert len(pdf) > 50_000


# --------------------------------------------------------------------------- search


def shown(sight: Sight) -> list[str]:
    return sight.page.locator("[data-found] a").all_inner_texts()


def asked(sight: Sight, question: str) -> str:
    """Type it, and wait for what is said about it."""
    said = sight.page.locator("[data-said]")
    sight.page.fill("#q", question)
    sight.page.keyboard.press("Enter")
    sight.page.wait_for_function(  # "Looking ..." is said first
        "() => /[^…]$/.test(document.querySelector('[data-said]').textContent.trim())"
    )
    return said.inner_text()


@pytest.mark.parametrize(
    ("question", "first", "said"),
    [
        ("protocol december", "UN trafficking protocol becomes binding law on 25 December 2003", "found"),
        ("hà noi sao", "More literature: a shelf for São Paulo", "1 story found"),
        ("الاشخاص", "اليوم العالمي", "1 story found"),
        ("ค้ามนุษย์", "พระราชบัญญัติ", "1 story found"),
        ("zeppelin", "", "Nothing found."),
    ],
)
def test_a_built_site_finds_words_without_a_server(
    browser: Browser, pages: Sites, question: str, first: str, said: str
) -> None:
    """The headlines step aside, and the answer is announced."""
    with visited(browser, pages.at("search")) as sight:
        words = asked(sight, question)
        found = shown(sight)

        assert said in words
        assert (found[0] if found else "").startswith(first)
        assert sight.page.locator("[data-everything]").is_visible() is (not found)
        assert faults(sight) == []
        assert sight.complaints == []


def test_a_found_story_opens(browser: Browser, pages: Sites) -> None:
    with visited(browser, pages.at("search")) as sight:
        asked(sight, "protocol binding")
        sight.page.locator("[data-found] a").first.click()

        sight.page.wait_for_url("**/items/03-palermo-protocol-in-force/")


def test_the_history_does_not_tell_what_was_looked_for(browser: Browser, pages: Sites) -> None:
    """The question stays in the field: the address of the page does not change."""
    with visited(browser, pages.at("search")) as sight:
        asked(sight, "palermo")

        assert sight.page.url == pages.at("search")
        assert sight.evaluate("history.length") <= 2


def test_only_the_chosen_language_is_loaded(browser: Browser, pages: Sites) -> None:
    """A library computer on a thin line need not load the others."""
    with visited(browser, pages.at("search")) as sight:
        assert [url for url in sight.requests if url.endswith(".json")] == []

        sight.page.select_option("#in", "th")
        asked(sight, "ค้ามนุษย์")

        assert [url.rpartition("/")[2] for url in sight.requests if url.endswith(".json")] == ["th.json"]


def test_a_search_that_cannot_load_says_so(browser: Browser, pages: Sites) -> None:
    """And all headlines are still there."""
    with visited(browser, pages.at("search")) as sight:
        sight.page.context.route("**/*.json", lambda route: route.abort())
        words = asked(sight, "palermo")

        assert words == "The search did not load. All headlines stand below."
        assert sight.page.locator("[data-everything] a").count() == 25


def test_without_scripts_all_headlines_stand_there(browser: Browser, pages: Sites) -> None:
    """And no field that would do nothing."""
    with visited(browser, pages.at("search"), scripts=False) as sight:
        assert not sight.page.locator("form").is_visible()
        assert sight.page.locator("[data-everything] a").count() == 25


def test_a_server_finds_words_without_scripts(browser: Browser, pages: Sites) -> None:
    """From the front page, by the keyboard."""
    with visited(browser, f"{pages.served}/", scripts=False) as sight:
        sight.page.fill("#q", "binding december")
        sight.page.keyboard.press("Enter")
        sight.page.wait_for_url("**/search?q=binding+december")

        assert shown(sight)[0].startswith("UN trafficking protocol")
        assert sight.page.input_value("#q") == "binding december"


WORDS = (
    *(
        "São Paulo",
        "Hà Nội",
        "STRASSE ß ẞ",
        "İstanbul ısı",
        "ΟΔΟΣ Οδός",
        "naïve co\u00adoperation",
        "Œuvre Æsir Łódź",
    ),
    *("l’esclavage aujourd'hui", "US$236 billion", "2024/3015", "e\u0301e\u0323\u0302", "ﬁn ½ ② ｶﾀｶﾅ"),
    *(
        "مُكافَحة الاتجار بالأشخاص",
        "إدارة أمن آخر ٱلله",
        "للأطفال والاتجار وبالاتجار",
        "٣٠ تموز",
        "کتاب یک",
        "می\u200cخواهم",
    ),
    *(
        "พระราชบัญญัติ พ.ศ. ๒๕๕๑",
        "น้ำ",
        "ลาว ລາວ ໑໒",
        "မြန်မာ",
        "ភាសាខ្មែរ",
        "人身売買の防止",
        "𠮷野家",
        "한국어 인신매매를",
    ),
    *(
        "हिन्दी किताब १२",
        "বাংলা",
        "தமிழ்",
        "שָׁלוֹם",
        "ሰላም",
        "བོད་ཡིག",
        "🕯️💙",
        "a_b-c",
        "constructor __proto__",
        "x" * 60,
    ),
)


def test_browser_and_server_mean_the_same_words(browser: Browser, pages: Sites, tmp_path: Path) -> None:
    """One definition: for each of these the script makes the entries and terms that Python makes."""
    script = (pages.files / "static" / "search.js").read_text("utf-8")
    exposed = script.replace("  let wait = 0;", "  window.words = { entries, terms, load };\n  let wait = 0;")
    assert exposed != script
    with visited(browser, pages.at("search")) as sight:
        sight.page.context.route(
            "**/search.js", lambda route: route.fulfill(body=exposed, content_type="text/javascript")
        )
        sight.page.reload()
        found = sight.page.evaluate(
            """async texts => {
                 const index = await words.load(document.querySelector('[data-index]').dataset.index);
                 return texts.map(text => [[...words.entries(index, text)], words.terms(index, text)]);
               }""",
            list(WORDS),
        )

    for text, (made, wanted) in zip(WORDS, found, strict=True):
        assert set(made) == entries(text), text
        assert [(t["text"], t["begins"]) for t in wanted] == [(t.text, t.begins) for t in terms(text)], text


# --------------------------------------------------------------------------- from a disk


def test_it_can_be_read_from_a_disk(browser: Browser, pages: Sites) -> None:
    """Without a server: styles, pictures, links from page to page."""
    with opened(browser, pages.files / "index.html") as sight:
        sight.page.get_by_role("link", name="The latest issue").click()
        sight.page.wait_for_url("**/issues/weekly/1/index.html")
        sight.page.locator(".story h2 a").first.click()
        sight.page.wait_for_url("**/items/*/index.html")

        assert sight.evaluate("getComputedStyle(document.body).fontFamily").startswith('"Iowan')
        assert sight.left == []
        assert sight.complaints == []


def test_the_way_out_works_in_the_archive(browser: Browser, tmp_path: Path) -> None:
    """Shift three times, on a page that was built."""
    group: Group = make_group(tmp_path / "group")
    assert bot("build", "--to", tmp_path / "site", workspace=group.root).code == 0
    with web_space(tmp_path / "site") as url, visited(browser, f"{url}/items/ports/") as sight:
        for _ in range(3):
            sight.page.keyboard.press("Shift")
        sight.page.wait_for_url("https://weather.example.net/")

        assert sight.page.inner_text("body") == "Rain"
