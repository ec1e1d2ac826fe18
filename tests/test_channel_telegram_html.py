"""Telegram's HTML: our reading agrees with Telegram's own parser, letter by letter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.channels.telegram.html import HtmlError, check_html, holds_all, parse, text_length, utf16_length
from tests.support.telegram_parser import Refused, telegram_parse

VECTORS = Path(__file__).parent / "data" / "vectors"
PARSING = json.loads((VECTORS / "telegram_html_parse.json").read_text("utf-8"))
LENGTHS = json.loads((VECTORS / "telegram_lengths.json").read_text("utf-8"))["cases"]

MARKUP = """
<b> </b> <i> </i> <B> <em> <a> </a> </> <code> <pre> </pre> </code> <blockquote> </blockquote> <p> <br/>
<span> <tg-spoiler> </tg-spoiler> </span> < > & &amp; &lt &quot; &nbsp; &#39; &#x1F600; &#xD83D; &#0; &#;
&#1114111; &#00000065; = ' " / x ports. 港 😀 é <tg-time </b </ <i
"""
PIECES = [
    *MARKUP.split(),
    " ",
    "\n",
    "<a href='https://a.example/?b&amp;c'>",
    '<a href="x">',
    "<a href=x.y>",
    "<a href=http://x>",
    '<span class="tg-spoiler">',
    "<blockquote expandable>",
    "<i a = >",
    "<i =a>",
    '<tg-emoji emoji-id="5">',
    "<tg-emoji>",
    "</tg-emoji>",
    '<tg-time unix="5" format="rt">',
    '<tg-time unix="5", format="wDT">',
    "</tg-time>",
]


def ours(html: str) -> tuple[str, str]:
    """Our verdict: the text, or the reason why not."""
    try:
        return parse(html).text, ""
    except HtmlError as error:
        return "", str(error)


def theirs(html: str) -> tuple[str, str]:
    """Telegram's verdict in the same form."""
    try:
        return telegram_parse(html).text, ""
    except Refused as error:
        return "", str(error).removeprefix("Can't parse entities: ")


@pytest.mark.parametrize("case", PARSING["valid"], ids=lambda case: case["html"][:30])
def test_accepted_markup_gives_the_text_and_length_of_telegrams_own_tests(case: dict[str, Any]) -> None:
    """All 71 accepted samples of TDLib's test suite."""
    parsed = parse(case["html"])

    assert parsed.text == case["text"]
    assert utf16_length(parsed.text) == case["len_utf16"]


@pytest.mark.parametrize("case", PARSING["invalid"], ids=lambda case: case["html"][:30])
def test_refused_markup_is_refused_in_telegrams_words(case: dict[str, Any]) -> None:
    """All 18 refused samples of TDLib's test suite, with the same text and byte offset."""
    with pytest.raises(HtmlError) as caught:
        check_html(case["html"])

    assert str(caught.value) == case["error"]


@pytest.mark.parametrize("case", LENGTHS, ids=lambda case: case["html"][:12])
def test_lengths_at_the_limit(case: dict[str, Any]) -> None:
    """The boundary of 4,096, counted in UTF-16 units: never fewer than Telegram's code points."""
    length = text_length(case["html"])

    assert length == case.get("after_len_utf16", case["after_len_codepoints"])
    if case["ok"] is True:
        assert 0 < length <= 4096
    else:  # among them 4,096 emoji, which TDLib takes and our careful gate does not
        assert not 0 < length <= 4096


@settings(max_examples=600, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@example("<a href='x&#39;>")
@example("<b\x0b>x</b>")
@example("<span class=TG-SPOILER>x</span>")
@example("<tg-emoji></tg-emoji>")
def test_any_markup_is_judged_as_telegram_judges_it(html: str) -> None:
    """The same text when Telegram accepts, the same reason when it refuses."""
    assert ours(html) == theirs(html)


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_is_judged_as_telegram_judges_it(text: str) -> None:
    """Also text in any script that was never meant as markup."""
    assert ours(text) == theirs(text)


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.sampled_from(["x", "a & b", "&lt;3", "ไทย", "😀", "\n"]),
        lambda inner: st.tuples(
            st.sampled_from(["b", "i", "u", "s", "code", "pre", "blockquote", "tg-spoiler"]), st.lists(inner)
        ).map(lambda node: f"<{node[0]}>{''.join(node[1])}</{node[0]}>"),
        max_leaves=12,
    )
)
def test_well_formed_markup_of_any_depth_is_accepted_and_counted(html: str) -> None:
    """Nesting is Telegram's to sort out, never a reason to refuse."""
    expected = telegram_parse(html)

    assert parse(html).text == expected.text
    assert parse(html).entities >= len(expected.entities)


def test_an_address_does_not_count() -> None:
    """Only what readers see is counted."""
    assert text_length('<a href="https://example.org/a/very/long/address">Read</a>') == 4


def test_space_around_the_text_does_not_count() -> None:
    """Telegram trims before it counts."""
    assert text_length("\n <b>ports</b>\t\n") == 5


def test_an_emoji_counts_twice() -> None:
    """UTF-16 units, the careful reading."""
    assert text_length("😀") == 2


def test_names_that_telegram_does_not_know_stay_as_they_are() -> None:
    """Readers would see them, so they count."""
    assert parse("a&nbsp;b").text == "a&nbsp;b"


def test_more_links_than_telegram_keeps_are_refused() -> None:
    """It would drop the rest in silence."""
    check_html('<a href="https://a.example">x</a>' * 100)

    with pytest.raises(HtmlError, match="101 links"):
        check_html('<a href="https://a.example">x</a>' * 101)


def test_half_a_character_is_refused() -> None:
    """A lone surrogate cannot be sent."""
    with pytest.raises(HtmlError, match="UTF-8"):
        check_html("\ud83d")


def test_a_text_that_telegram_cut_does_not_hold_all() -> None:
    """Tags and spaces do not count; letters that are missing do."""
    assert holds_all("Tom & Ann win", "<b>Tom</b> &amp; Ann  win")
    assert not holds_all("Tom &", "<b>Tom</b> &amp; Ann win")
