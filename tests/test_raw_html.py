"""HTML in an item, as people write it: understood, left out, or told with its line before readers see it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from time import process_time

import pytest

from bot.app.markup import markup_findings
from bot.model import Item, Level
from bot.reader import read_item
from bot.rendering.markdown import remarks, to_html
from bot.rendering.text import to_text

FRONT = "---\ntitle: T\nurl: https://example.org\nsource: S\npublished: 2026-05-04\nsummary: {}\n---\n\n"


def written(folder: Path, body: str, summary: str = "Short.") -> Item:
    """An item as it stands on disk; its body begins on line 9."""
    path = folder / "story.md"
    path.write_text(FRONT.format(summary) + body, "utf-8")
    return read_item(path)


def told(item: Item) -> list[tuple[str, int]]:
    """The rules that have something to say, each with its line."""
    return [(finding.rule, finding.line) for finding in markup_findings(item)]


@pytest.mark.parametrize(
    ("markdown", "html", "text"),
    [
        ("<strong>a *b*</strong>", "<strong>a <em>b</em></strong>", "a b"),
        ("<b class='x'>a</b>", "<strong>a</strong>", "a"),
        ("<em>a</em> <i>b</i>", "<em>a</em> <em>b</em>", "a b"),
        ("a<br>\nb<br/>c", "a<br>\nb<br>\nc", "a\nb\nc"),
        ("<small>a</small>", "<small>a</small>", "a"),
        ("10<sup>2</sup> m", "10<sup>2</sup> m", "10² m"),
        ("H<sub>2</sub>O", "H<sub>2</sub>O", "H₂O"),
        ("the 1<sup>st</sup>", "the 1<sup>st</sup>", "the 1st"),
        (
            "<a href='https://e.org/?a=1&amp;b=2' onclick='x()'>y</a>",
            '<a href="https://e.org/?a=1&amp;b=2">y</a>',
            "y <https://e.org/?a=1&b=2>",
        ),
        ('<a href="javascript:alert(1)">y</a>', "y", "y"),
        ("a <!-- hidden --> b", "a  b", "a  b"),
    ],
)
def test_the_tags_that_people_write_are_understood(markdown: str, html: str, text: str) -> None:
    """In the mail and in its text part, without their attributes."""
    assert to_html(markdown) == f"<p>{html}</p>\n"
    assert to_text(markdown) == text
    assert [remark for remark in remarks(markdown) if remark.kind == "tag"] == []


@pytest.mark.parametrize("markdown", ["*a <b>c* d</b>", "[x <b>y](https://e.org)</b>", "<b>a", "a</sup>"])
def test_tags_that_are_not_well_nested_are_text_and_told(markdown: str) -> None:
    """No tag of an item reaches beyond its paragraph."""
    assert "&lt;" in to_html(markdown)
    assert {remark.kind for remark in remarks(markdown)} == {"tag"}


def test_a_comment_is_left_out_with_a_note(tmp_path: Path) -> None:
    """Also over several paragraphs, and in a list."""
    item = written(tmp_path, "One.\n\n<!-- not\n\nyet -->\n\n- two\n  <!-- x -->\n  three\n")

    assert "not" not in to_text(item.body)
    assert "<li>two\nthree</li>" in to_html(item.body)
    assert told(item) == [("body.comment", 11)]
    assert [finding.level for finding in markup_findings(item)] == [Level.INFO]


def test_a_comment_that_never_ends_hides_nothing(tmp_path: Path) -> None:
    """What follows it is still read by people, and the mark is told."""
    item = written(tmp_path, "One.\n\n<!-- two\n\nthree\n")

    assert "three" in to_text(item.body)
    assert told(item) == [("body.html", 11)]


def test_a_tag_that_will_be_shown_is_told_with_its_line_and_what_to_write(tmp_path: Path) -> None:
    """Once for each tag, however often it stands there."""
    item = written(tmp_path, "One.\n\nTwo\n<div align=center>three</div>\n\n<div>four</div> <b>five\n")
    first, second = markup_findings(item)

    assert str(first).startswith(f"{item.path}:12: `<div align=center>` will be shown as text; delete it (4")
    assert str(second).startswith(f"{item.path}:14: `<b>` will be shown as text; write **…**")


@pytest.mark.parametrize(
    "body", ["`<b>` and `<div>`", "    <b>", r"\<b>", "Vec<T> and Option<u8>", "5 < 6 > 4"]
)
def test_what_is_meant_to_be_read_is_not_told(body: str) -> None:
    """Code, escapes, and what programmers write."""
    assert remarks(body) == ()


def test_a_picture_without_words_is_told(tmp_path: Path) -> None:
    """It would become a bare address."""
    item = written(tmp_path, "Text.\n\n![ ](https://e.org/p.png) ![words](https://e.org/q.png)\n")

    assert told(item) == [("body.picture.alt.missing", 11)]


@pytest.mark.parametrize(
    ("summary", "rule"),
    [
        ("Some **bold** words", "summary.markdown"),
        ("See [this](https://e.org)", "summary.markdown"),
        ("Some <strong>bold</strong> words", "summary.html"),
        ("Fish &amp; chips", "summary.html"),
    ],
)
def test_markup_in_a_summary_is_told(tmp_path: Path, summary: str, rule: str) -> None:
    """A summary is plain text wherever it is shown."""
    assert told(written(tmp_path, "Text.", summary)) == [(rule, 6)]


@pytest.mark.parametrize(
    "summary", ["5 * 3 * 2", "a_b_c", "who <checks> whom", "At 3 < 4 & more", "<https://e.org>"]
)
def test_a_plain_summary_is_not_told(tmp_path: Path, summary: str) -> None:
    """Stars, bars and signs that mark nothing."""
    assert told(written(tmp_path, "Text.", summary)) == []


@pytest.mark.parametrize(
    ("markdown", "strong"),
    [
        ("これは**「強制労働」**が", "「強制労働」"),
        ("**重要。**次に", "重要。"),
        ("请看**《公约》**第三条", "《公约》"),
        ("그는 **“한국”**에서", "“한국”"),
        ("**“ไทย”**ข้อความ", "“ไทย”"),
    ],
)
def test_bold_beside_punctuation_works_where_no_spaces_are_written(markdown: str, strong: str) -> None:
    """CommonMark alone leaves the stars, as a space is missing that the language does not have."""
    assert f"<strong>{strong}</strong>" in to_html(markdown)


@pytest.mark.parametrize("markdown", ["a**“b”**c", "5 ** 3 ** 2", "** 重要 **"])
def test_elsewhere_the_rule_of_commonmark_stands(markdown: str) -> None:
    """Only what stands beside such a script is read otherwise."""
    assert "<strong>" not in to_html(markdown)


@pytest.mark.parametrize("piece", ["<!--", "<b>", "<a href='", "<b></i>", "<!-- -->\n\n", "<br>\n", "<div "])
def test_attack_many_tags_cost_no_more_than_their_number(piece: str) -> None:
    """A body of nothing but tags, open comments or half tags is read in well under a second."""
    began = process_time()
    to_html(piece * (50_000 // len(piece)))
    to_html(piece * (5_900 // sum(map(piece.count, "[]!*_~`<&|\n:^>\\"))))

    assert process_time() - began < 2


def test_an_item_that_is_nowhere_on_disk_is_told_without_a_line() -> None:
    """As 'bot add --dry-run' needs it."""
    item = Item(
        id="x",
        path=Path("/nowhere/x.md"),
        title="T",
        url="u",
        source="S",
        published=date(2026, 1, 1),
        body="<p>",
    )

    assert told(item) == [("body.html", 0)]
