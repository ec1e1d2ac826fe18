"""Mails as Gmail, Outlook, Apple Mail, Yahoo and Thunderbird show them: nothing a reader needs is lost."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.model import Credit, Form, Issue, Item, Newsletter, Publication, Reading
from bot.reader import read_queue
from bot.rendering.issue import render_issue
from bot.rendering.templates import Templates
from tests.support.mail_clients import faults, known

HERE = Path(__file__).parent.parent
TEMPLATES = Templates([HERE / "templates"])
TITLES = {"en": "The Weekly Shelf", "ar": "الرف الأسبوعي", "th": "ชั้นหนังสือประจำสัปดาห์"}
EVERYTHING = """\
A first paragraph with `code`, *weight* and **more**.[^1]

> Somebody else's words.

- one
- two
  1. inner

Term
: Its meaning.

| Year | Count |
|------|------:|
| 2020 | 5     |

    a listing

***

اقتباس بالعربية في قصة أخرى.

[^1]: A note.
"""


def a_newsletter(lang: str) -> Newsletter:
    return Newsletter(
        name="weekly",
        title=TITLES[lang],
        tagline="",
        lang=lang,
        langs=(),
        channel="mail",
        slots=("Fri 09:00",),
        sender="The Weekly Shelf <weekly@news.example.org>",
        reply_to="",
        list_id="weekly.news.example.org",
        greets=True,
    )


def a_publication(**changes: object) -> Publication:
    publication = Publication(
        title="Harbour Group",
        tagline="News & books",
        lang="en",
        zone=ZoneInfo("Asia/Bangkok"),
        postal_address="1 Harbour Road\n10110 Bangkok",
        site_url="https://news.example.org",
    )
    return replace(publication, **changes)  # type: ignore[arg-type]


def mail_of(
    lang: str, items: tuple[Item, ...], *, form: Form = Form.FULL, publication: Publication | None = None
) -> str:
    slot = datetime(2026, 11, 27, 2, tzinfo=ZoneInfo("UTC"))
    issue = Issue(newsletter="weekly", number=12, slot=slot, items=items)
    publication = publication or a_publication()
    return render_issue(issue, a_newsletter(lang), publication, TEMPLATES, form=form, named=True).html


@cache
def samples() -> tuple[Item, ...]:
    return tuple(sorted(read_queue(HERE / "queue").items, key=lambda item: item.id))


def an_item(lang: str) -> Item:
    """One that has everything a body can have."""
    return replace(
        samples()[0],
        id="everything",
        lang=lang,
        title="Ports",
        source="الأمم المتحدة" if lang != "ar" else "Example Times",
        body=EVERYTHING,
        content_warning="Mentions violence",
        also_reported_by=(Credit(source="راديو"), Credit(source="Post", url="https://post.example/")),
        further_reading=(Reading(title="كتاب", author="A. Writer"), Reading(title="A Book")),
    )


@pytest.mark.parametrize("form", [Form.FULL, Form.HEADLINES])
@pytest.mark.parametrize("lang", TITLES)
def test_every_sample_is_shown_by_every_mail_program(lang: str, form: Form) -> None:
    """In a left-to-right and a right-to-left newsletter: nothing is used that one of them lacks and needs."""
    half = len(samples()) // 2

    for items in (samples()[:half], samples()[half:]):
        assert faults(mail_of(lang, items, form=form)) == []


@pytest.mark.parametrize("lang", ["en", "ar"])
def test_whatever_a_body_can_hold_is_shown_by_every_mail_program(lang: str) -> None:
    """Quotation, lists, definitions, tables, notes and listings, in both directions, with an own colour."""
    html = mail_of("en", (an_item(lang),), publication=a_publication(color="#00bb55"))

    assert faults(html) == []


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ("<p><bdi>A</bdi></p>", "elements: bdi is unknown to Gmail"),
        (
            "<p style='padding-inline-start: 4px'>A</p>",
            "properties: padding-inline-start is unknown to Gmail",
        ),
        (
            "<style>p { text-align: start !important; }</style>",
            "values: text-align: start is unknown to Gmail",
        ),
        (
            "<style>@media print { p { margin: -4px } }</style>",
            "values: margin: negative is unknown to Gmail",
        ),
        ("<style>[dir=rtl] p { color: red }</style>", r"selectors: \[attribute\] is unknown to Gmail"),
        ("<p hidden>A</p>", "attributes: hidden is unknown to Gmail"),
        ("<style>p { zoom: 2 }</style>", "properties: zoom is not in mail_clients.toml; look it up"),
        ("<style>@font-face { color: red }</style>", "media: @font-face is not in mail_clients.toml"),
        ("<marquee>A</marquee>", "elements: marquee is not in mail_clients.toml"),
    ],
)
def test_the_lint_tells_what_is_lost_and_where(html: str, fault: str) -> None:
    """What no program lacks needs an entry, too: nothing is taken to be harmless unread."""
    assert re.match(fault, "\n".join(faults(html)))


def test_the_lints_table_says_its_source_and_names_known_programs() -> None:
    table = known()

    assert table["source"] == "https://www.caniemail.com/"
    assert table["date"].year >= 2025
    entries = [e for group in table.values() if isinstance(group, dict) for e in group.values()]
    lacks = {client for entry in entries if isinstance(entry, dict) for client in entry["lacks"]}
    assert lacks <= table["clients"].keys()


def rule(html: str, selector: str) -> str:
    found = re.search(rf"{re.escape(selector)}[^{{]*\{{([^}}]*)\}}", html)
    assert found, selector
    return found[1]


def test_sides_are_physical_by_the_direction_of_the_story() -> None:
    """Bullets and quotations stand in from the side where their lines begin, in every program."""
    html = mail_of("en", (an_item("ar"), replace(an_item("en"), id="b")))

    assert 'class="body rtl"' in html
    assert 'class="body ltr"' in html
    assert "0 0 14px 24px" in rule(html, ".ltr ul")
    assert "0 24px 14px 0" in rule(html, ".rtl ul")
    assert "border-left" in rule(html, ".ltr blockquote")
    assert "border-right" in rule(html, ".rtl blockquote")
    assert {"right", "left"} <= set(re.findall(r"<th[^>]*align=\"(\w+)\"", html))


def test_a_picture_that_is_not_loaded_makes_no_phone_wider() -> None:
    """It is as wide as its column, and no wider than itself; pixels alone would stretch the mail."""
    html = mail_of("en", tuple(item for item in samples() if item.image))

    styles = re.findall(r'<img [^>]*width="(\d+)" style="([^"]*)"', html)
    assert styles
    for width, style in styles:
        assert f"width:100%;max-width:{width}px" in style


def test_a_name_against_its_line_says_its_direction_and_is_followed_by_a_mark() -> None:
    """A span with a direction for programs that are browsers, a mark behind it for Word; no bdi."""
    html = mail_of("en", (an_item("en"),))

    assert '<span dir="rtl">الأمم المتحدة</span>&#x200e; · ' in html
    assert '<span dir="rtl">كتاب</span>&#x200e;' in html
    assert "<bdi" not in html


def test_a_name_that_runs_with_its_line_stands_bare() -> None:
    """Nothing is added where nothing could be mixed up: the mail stays small."""
    html = mail_of("en", (replace(an_item("en"), source="Example Times"),))

    assert ">Example Times · " in html
