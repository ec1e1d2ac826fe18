"""The pages of readers in a real browser: by keyboard, without scripts, and out again quickly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from bot.app import joining
from bot.app.readers import add_reader
from bot.audience.confirming import confirm_token, form_stamp
from bot.store.joining import Limits
from bot.store.schema import signup
from tests.support.browser import DESK, PHONE, Sight, faults, visited
from tests.support.site import Site, make_site, served

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

TOPIC = re.compile("harbour|shelf|table|mara", re.IGNORECASE)
WEATHER = "https://weather.example.net/"


@dataclass(frozen=True, kw_only=True)
class Open:
    """The site, and the paths of pages that belong to somebody."""

    site: Site
    confirm: str
    reader: str  # weekly/TOKEN

    def url(self, path: str, lang: str = "en") -> str:
        known = {"confirm": self.confirm, "settings": f"/p/{self.reader}", "leave": f"/u/{self.reader}"}
        return f"{self.site.url}{known.get(path, path)}".replace("LANG", lang)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """A rehearsing site with a reader who pauses, and somebody who has asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BOT_MODE", raising=False)
        with served(make_site(tmp_path_factory.mktemp("site") / "news", mode="rehearsal")) as site:
            yield Open(
                site=site, confirm=asked(site, "asked@inbox.ngo"), reader=reading(site, "mara@inbox.ngo")
            )


def asked(site: Site, address: str) -> str:
    """The path in the mail of somebody who asked for both newsletters."""
    here, now = site.workspace, site.clock()
    stamp = form_stamp(here.settings.signing_keys, now - timedelta(minutes=1))
    form = joining.Form(address=address, newsletters=("weekly", "monthly"), lang="en", stamp=stamp)
    assert joining.ask(here, form, now=now) == joining.Answer()
    with here.engine.connect() as connection:
        undecided = (signup.c.address == address) & signup.c.decided_at.is_(None)
        (name,) = connection.scalars(select(signup.c.id).where(undecided))
    here.joining.decide(name, now=now, limits=Limits())
    return f"/c/{confirm_token(here.settings.signing_keys, signup=name)}"


def reading(site: Site, address: str) -> str:
    """The end of the links of a new reader who pauses."""
    add_reader(site.workspace, address, newsletters=["weekly"])
    kept = site.workspace.leaving.preferences(site.reader(address).id, "weekly")
    assert kept is not None
    return f"weekly/{site.token(address=address)}"


# --------------------------------------------------------------------------- for everybody

LOOKED_AT = [
    "/subscribe",
    "confirm",
    "settings",
    "leave",
    "/reading-safely/LANG",
    "/no/such/page",
    "/c/forged",
]


@pytest.mark.parametrize("lang", ["en", "ar"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_every_page_is_for_everybody(
    pages: Open, browser: Browser, width: int, scheme: str, lang: str
) -> None:
    """axe finds nothing, the browser complains of nothing, nothing leaves the machine, nothing runs wide."""
    for path in LOOKED_AT:
        url = f"{pages.url(path, lang)}?lang={lang}"
        with visited(browser, url, width=width, scheme=scheme) as seen:
            well(seen, pages.site, lang)


def well(seen: Sight, site: Site, lang: str) -> None:
    """Everything that holds for every page."""
    page = seen.page
    assert faults(seen) == [], page.url
    assert seen.complaints == []
    assert [url for url in seen.requests if not url.startswith(site.url)] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.url
    assert page.locator("html").get_attribute("lang") == lang
    assert page.locator("html").get_attribute("dir") == ("rtl" if lang == "ar" else "ltr")
    assert page.title()
    assert not TOPIC.search(page.title())
    assert page.locator("h1").count() == 1
    assert "mara" not in page.content()


@pytest.mark.parametrize("lang", ["en", "ar", "de", "es", "fr", "pt", "th"])
def test_answers_are_for_everybody_too(pages: Open, browser: Browser, lang: str) -> None:
    """What comes after a button, in every language, on a phone."""
    for path, press in PRESSED.items():
        with visited(browser, pages.url(path, lang) + f"?lang={lang}", width=PHONE) as seen:
            press(seen.page, pages.site)
            well(seen, pages.site, lang)


def _send(page: Page, site: Site) -> None:
    site.clock.move(timedelta(seconds=5))
    page.get_by_role("checkbox").first.check()
    page.locator("#address").fill("somebody@inbox.ngo")
    page.get_by_role("button").click()
    expect(page.locator("form")).to_have_count(0)


def _send_nothing(page: Page, site: Site) -> None:
    page.get_by_role("button").click()
    expect(page.locator("#wrong-address")).to_be_visible()


def _save(page: Page, site: Site) -> None:
    page.locator("#pause-weeks").check()
    page.get_by_role("button").click()
    expect(page.locator(".saved")).to_be_visible()
    expect(page.locator("#pause-keep")).to_be_checked()


PRESSED: dict[str, Callable[[Page, Site], None]] = {
    "/subscribe": _send,
    "settings": _save,
}


@pytest.mark.parametrize("lang", ["en", "ar"])
def test_a_mistake_is_tied_to_its_field(pages: Open, browser: Browser, lang: str) -> None:
    """One message, beside the field, which has the focus and says so itself; axe agrees."""
    with visited(browser, pages.url(f"/subscribe?lang={lang}"), width=PHONE) as seen:
        _send_nothing(seen.page, pages.site)
        well(seen, pages.site, lang)
        address = seen.page.locator("#address")
        assert address.get_attribute("aria-invalid") == "true"
        for name in (address.get_attribute("aria-describedby") or "").split():
            assert seen.page.locator(f"#{name}").inner_text()
        expect(address).to_be_focused()
        expect(seen.page.locator("[role=alert]:has-text('@')")).to_have_count(1)


def test_a_day_that_cannot_be_is_tied_to_its_field(pages: Open, browser: Browser) -> None:
    """And the choice is kept."""
    with visited(browser, pages.url("settings"), width=PHONE) as seen:
        lang = seen.page.locator("html").get_attribute("lang") or ""  # another test may have chosen it
        seen.page.locator("#pause-date").check()
        seen.page.get_by_role("button").click()
        well(seen, pages.site, lang)
        expect(seen.page.locator("#pause-date")).to_be_checked()
        assert seen.page.locator("#day").get_attribute("aria-describedby") == "wrong-day"


@pytest.mark.parametrize("path", ["/subscribe", "settings", "/reading-safely/th"])
def test_twice_the_size_on_a_small_screen(pages: Open, browser: Browser, path: str) -> None:
    """At 320 px and with letters of 200 % nothing is cut off."""
    with visited(browser, pages.url(path), width=320) as seen:
        seen.evaluate("document.documentElement.style.fontSize = '200%'")
        assert seen.evaluate("document.documentElement.scrollWidth") <= 320


def test_on_paper_there_are_only_words(pages: Open, browser: Browser) -> None:
    """Neither buttons nor the way out."""
    with visited(browser, pages.url("/reading-safely/en")) as seen:
        seen.page.emulate_media(media="print")
        expect(seen.page.locator(".exit")).to_be_hidden()
        expect(seen.page.get_by_role("heading", level=1)).to_be_visible()


# --------------------------------------------------------------------------- by keyboard


def test_the_keyboard_is_enough(pages: Open, browser: Browser) -> None:
    """To skip, to leave, to fill in and to send; one always sees where one is, and nothing is covered."""
    with visited(browser, pages.url("/subscribe")) as seen:
        page, order = seen.page, []
        for _ in range(9):
            page.keyboard.press("Tab")
            order.append(seen.evaluate(_FOCUS))
        assert order[0]["class"] == "skip"
        assert order[1]["exit"]
        assert "website" not in [each["id"] for each in order]
        assert all(each["seen"] for each in order)
        names = [each["id"] for each in order if each["id"]]
        assert names == ["newsletter", "newsletter-monthly", "address", "lang"]

        pages.site.clock.move(timedelta(seconds=5))
        page.locator("#newsletter").focus()
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.type("keys@inbox.ngo")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Look into your mailbox")


_FOCUS = """() => {
  const at = document.activeElement, box = at.getBoundingClientRect(), style = getComputedStyle(at);
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return { id: at.id, class: at.className, exit: at.hasAttribute("data-exit"),
    seen: (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2)
      && (at === top || at.contains(top) || top.contains(at)) };
}"""


def test_skipping_leads_to_the_words(pages: Open, browser: Browser) -> None:
    """The next Tab goes on from there."""
    with visited(browser, pages.url("/subscribe")) as seen:
        seen.page.keyboard.press("Tab")
        seen.page.keyboard.press("Enter")
        expect(seen.page.locator("#main")).to_be_focused()


# --------------------------------------------------------------------------- without scripts


def test_nothing_needs_a_script(pages: Open, browser: Browser) -> None:
    """Ask, confirm, settle, leave, and the way out."""
    site = pages.site
    with visited(browser, pages.url("/subscribe"), scripts=False) as seen:
        _send(seen.page, site)
        expect(seen.page.get_by_role("heading", level=1)).to_have_text("Look into your mailbox")
    with visited(browser, site.url + asked(site, "plain@inbox.ngo"), scripts=False) as seen:
        seen.page.get_by_role("button").click()
        expect(seen.page.get_by_role("heading", level=1)).to_have_text("Subscribed")
    end = reading(site, "leaver@inbox.ngo")
    with visited(browser, f"{site.url}/u/{end}", scripts=False) as seen:
        page = seen.page
        page.get_by_role("link", name="Or pause, or get less").click()
        page.get_by_label("Headlines only").check()
        page.get_by_role("button").click()
        expect(page.locator(".saved")).to_have_text("Saved.")
        page.get_by_role("link", name="Unsubscribe").click()
        page.get_by_role("button").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Unsubscribed")
        page.get_by_role("link", name="Leave this site quickly").click()
        expect(page).to_have_title("Weather")
    assert site.workspace.audience.find("plain@inbox.ngo") is not None
    assert site.workspace.audience.find("leaver@inbox.ngo") is None


# --------------------------------------------------------------------------- leaving quickly

COVERED = """() => [...document.querySelectorAll("main :is(a, button, input, select, label), footer a")]
  .filter(each => {
    const box = each.getBoundingClientRect(), x = box.left + box.width / 2, y = box.top + box.height / 2;
    if (!box.width || x < 0 || y < 0 || x > innerWidth || y > innerHeight) return false;
    const exit = document.elementFromPoint(x, y);
    return exit && exit.closest(".exit");
  }).map(each => each.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("width", [320, 360])
def test_the_quick_exit_lies_over_nothing_that_one_must_press(
    pages: Open, browser: Browser, width: int
) -> None:
    """On phones of any height, as the page opens and wherever a key leads."""
    for path in ("/subscribe", "confirm", "settings", "leave", "/"):
        with visited(browser, pages.url(path), width=width) as seen:
            for height in range(480, 961, 40):
                seen.page.set_viewport_size({"width": width, "height": height})
                assert seen.evaluate(COVERED) == [], (path, height)
            seen.page.set_viewport_size({"width": width, "height": 568})
            for control in seen.page.locator("main button, main input:visible, main select").all():
                control.focus()
                control.evaluate("each => each.scrollIntoView({block: 'nearest'})")
                box, exit_box = control.bounding_box(), seen.page.locator(".exit a").bounding_box()
                assert box is not None
                assert exit_box is not None
                assert box["y"] >= exit_box["y"] + exit_box["height"], (path, control)
            assert seen.evaluate("document.documentElement.scrollWidth") <= width


def test_there_is_no_way_back_to_the_page_that_was_left(pages: Open, browser: Browser) -> None:
    """Back leads to what was open before it."""
    with visited(browser, pages.url("/reading-safely/en")) as seen:
        page = seen.page
        page.goto(pages.url("/subscribe"))
        page.get_by_role("link", name="Leave this site quickly").click()
        expect(page).to_have_title("Weather")
        page.go_back()
        expect(page).to_have_title("Reading safely")


def test_each_language_leads_somewhere_usual(pages: Open, browser: Browser) -> None:
    """The destination is the one of the page's language."""
    with visited(browser, pages.url("/reading-safely/ar")) as seen:
        seen.page.locator("[data-exit]").click()
        seen.page.wait_for_url(f"{WEATHER}ar")


def test_the_page_is_hidden_at_once(pages: Open, browser: Browser) -> None:
    """On a slow line the other site takes its time; what was read is gone before."""
    with visited(browser, pages.url("/reading-safely/en")) as seen:
        at_once = seen.evaluate(
            """() => {
              document.querySelector("[data-exit]").click();
              const one = (at) => document.querySelector(at);
              const hidden = (at) => getComputedStyle(one(at)).visibility === "hidden";
              return [one(".veil").textContent, document.title, hidden("h1"), hidden(".name")];
            }"""
        )
        assert at_once == ["Leaving this site", "Leaving this site", True, True]
        expect(seen.page).to_have_title("Weather")


def test_shift_three_times(pages: Open, browser: Browser) -> None:
    """Said aloud and shown as it is counted."""
    with visited(browser, pages.url("/subscribe")) as seen:
        page, said = seen.page, seen.page.locator("[data-exit-said]")
        page.keyboard.press("Shift")
        expect(said).to_have_text("Press Shift two more times to leave this site.")
        expect(page.locator(".dots")).to_be_visible()
        page.keyboard.press("Shift")
        expect(said).to_have_text("Press Shift once more to leave this site.")
        page.keyboard.press("Shift")
        expect(page).to_have_title("Weather")


@pytest.mark.parametrize(
    "keys", [["Escape"] * 4, ["Shift", "Shift", "a", "Shift"], ["Shift+M", "Shift+A", "Shift+R", "Shift+A"]]
)
def test_other_keys_do_not_leave(pages: Open, browser: Browser, keys: list[str]) -> None:
    """Escape is for other things, and capitals are for names."""
    with visited(browser, pages.url("/subscribe")) as seen:
        seen.page.locator("#address").focus()
        for key in keys:
            seen.page.keyboard.press(key)
        assert seen.page.url.startswith(pages.site.url)
        assert seen.page.locator(".veil").count() == 0


def test_three_times_within_five_seconds(pages: Open, browser: Browser) -> None:
    """Later presses begin to count again."""
    with visited(browser, pages.url("/subscribe")) as seen:
        page = seen.page
        page.clock.install()
        page.reload()
        page.keyboard.press("Shift")
        page.keyboard.press("Shift")
        page.clock.fast_forward(5_001)
        expect(page.locator("[data-exit-said]")).to_have_text("")
        page.keyboard.press("Shift")
        assert page.url.startswith(pages.site.url)
        expect(page.locator("[data-exit-said]")).to_have_text(
            "Press Shift two more times to leave this site."
        )
