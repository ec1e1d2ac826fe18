"""Markdown: what an item may say in a mail, and what stays words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.rendering.markdown import clean, to_html

SAFE_TAG = re.compile(r"</?[a-z0-6]+(?: (?:href|title|id|dir|lang|class|align|scope|start)=\"[^\"<]*\")*>")


@pytest.mark.parametrize(
    "words",
    [
        "{{ config }} {% raw %}",
        r"C:\path\new",
        "<!-- x",
        "<script>alert(1)</script>",
        '<img src="https://evil.example/p.gif">',
        '<a onclick="x">y</a>',
        "5 < 6 && 7 > 3",
    ],
)
def test_what_looks_like_markup_stays_words(words: str) -> None:
    """An item is words; it cannot reach the templates or the reader's machine."""
    html = to_html(words)

    assert set(re.findall(r"<[^>]*>", html)) <= {"<p>", "</p>"}
    assert words in html.unescape()


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:x",
        "data:text/html,x",
        "//evil.example",
        "/local",
        "vbscript:x",
        "file:///etc",
        "https://bank.example@evil.example",
        "https://user:pass@evil.example/",
        r"https://bank.example\@evil.example",
    ],
)
def test_a_link_that_leads_elsewhere_becomes_words(link: str) -> None:
    """Only http, https and mailto are links; the words of the others stay."""
    assert to_html(f"[words]({link})") == "<p>words</p>\n"


def test_good_links_stay() -> None:
    """With their title, in angle brackets too."""
    html = to_html(
        '[a](https://e.org/?x=1&y=2 "t") <https://e.org> [m](mailto:a@b.org) [p](https://e.org/@p)'
    )

    assert '<a href="https://e.org/?x=1&amp;y=2" title="t">a</a>' in html
    assert '<a href="https://e.org">https://e.org</a>' in html
    assert '<a href="mailto:a@b.org">m</a>' in html
    assert '<a href="https://e.org/@p">p</a>' in html


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("![words](https://e.org/p.png)", '<p><a href="https://e.org/p.png">words</a></p>\n'),
        ("![](https://e.org/p.png)", '<p><a href="https://e.org/p.png">https://e.org/p.png</a></p>\n'),
        ("![words](local.png)", "<p>words</p>\n"),
        ("[![words](https://e.org/p.png)](https://l.org)", '<p><a href="https://l.org">words</a></p>\n'),
    ],
)
def test_a_picture_in_the_body_becomes_a_link(markdown: str, expected: str) -> None:
    """The mail loads nothing from elsewhere; the description is what the link says."""
    assert to_html(markdown) == expected


def test_headings_stay_below_the_item_headline() -> None:
    """The mail has one h1 and an h2 for each item; the steps between an item's headings stay."""
    assert re.findall(r"<(h\d)>", to_html("## a\n\n### b\n\n## c\n\n###### d")) == ["h3", "h4", "h3", "h6"]
    assert re.findall(r"<(h\d)>", to_html("# a")) == ["h3"]


def test_notes_of_two_items_do_not_meet() -> None:
    """Both have a first note; their anchors differ."""
    one, two = to_html("x[^1]\n\n[^1]: note", anchor="s1"), to_html("x[^1]\n\n[^1]: note", anchor="s2")

    assert 'href="#fn-s1-1"' in one
    assert 'id="fn-s1-1"' in one
    assert 'href="#fn-s2-1"' in two


def test_tables_tasks_definitions_and_deletions() -> None:
    """The parts beyond CommonMark that organisers use."""
    html = to_html("| a | b |\n|---|:-:|\n| 1 | 2 |\n\n- [ ] x\n- [x] y\n\nT\n: d\n\n~~s~~")

    assert '<th align="center" scope="col">b</th>' in html
    assert "<li>☐ x</li>\n<li>☑ y</li>" in html
    assert "<dt>T</dt>\n<dd>d</dd>" in html
    assert "<s>s</s>" in html


def test_a_table_too_wide_for_a_phone_becomes_records() -> None:
    """Each row is a block of "Heading: value" lines; a link in it still works."""
    heads = "| Organisation | Headquarters | Established | Membership |\n|--|--|--|--|\n"
    html = to_html(heads + "| [IOM](https://iom.int) | Geneva | 1951 | 175 |")

    assert "<table" not in html
    assert '<strong>Organisation</strong>: <a href="https://iom.int">IOM</a><br>' in html
    assert "<strong>Membership</strong>: 175" in html


def test_a_table_with_a_word_that_cannot_be_broken_becomes_records() -> None:
    """An address has no place to break, so it would push the phone's edge; Thai may break nearly anywhere."""
    row = "| a | b |\n|---|---|\n| {} | c |"

    assert "<table" not in to_html(row.format("<https://example.org/" + "x" * 30 + ">"))
    assert "<table" in to_html(row.format("<https://example.org/>"))
    assert "<table" in to_html(row.format("พระราชบัญญัติป้องกันและปราบปรามการค้ามนุษย์มีผลใช้บังคับแล้ว"))
    assert "<table" in to_html(row.format("世界人口販売反対の日に関する国連総会決議について話し合いました"))


def test_a_paragraph_against_the_direction_of_its_item_says_so() -> None:
    """An Arabic quotation in an English story, an English one in an Arabic story."""
    assert (
        to_html("> مرحبا بالعالم\n\nHello")
        == '<blockquote>\n<p dir="rtl">مرحبا بالعالم</p>\n</blockquote>\n<p>Hello</p>\n'
    )
    assert (
        to_html("Hello world\n\nمرحبا (UN)", direction="rtl")
        == '<p dir="ltr">Hello world</p>\n<p>مرحبا (UN)</p>\n'
    )


@pytest.mark.parametrize(
    "markdown", ["> " * 200 + "deep", "- " * 100 + "deep", "*a **b " * 100 + "deep" + "** x*" * 100]
)
def test_deep_nesting_loses_no_word(markdown: str) -> None:
    """Beyond the cap the source itself is shown; the parser would drop it in silence."""
    html = to_html(markdown)

    assert "deep" in html
    assert html.startswith("<p>")


def test_characters_that_break_a_mail_are_mended() -> None:
    """Gmail clips a mail that holds U+0092; it is a quote of Windows-1252 that lost its way."""
    assert clean("a\x92b\x00c\u2028d\ufdd0e\r\nf\x81") == "a’bc\nde\nf"


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("ab<>&\"'`*_[]()!#|-:\\\n ~^=/{}1.xjavascript:ก\u200d\u0301م"), max_size=120))
def test_whatever_is_written_only_known_tags_come_out(markdown: str) -> None:
    """No attribute beyond the list, and every bracket is a tag of ours."""
    html = re.sub(SAFE_TAG, "", str(to_html(markdown)))

    assert "<" not in html
