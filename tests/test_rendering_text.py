"""The text part: as readable as the HTML, and as wide as a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.rendering.text import columns, to_text, wrap


def test_every_block_has_a_plain_form() -> None:
    """Headings, emphasis, lists in lists, quotations, code, definitions, notes, rules."""
    markdown = (
        "# Head\n\nA *b* **c** `d` ~~e~~[^1]\\\nnew\n\n- one\n  - two\n- three\n\n3. x\n4. y\n\n"
        "> q\n>\n> r\n\n    code  <b>\n\nT\n: d\n\n---\n\n[^1]: Note."
    )

    assert to_text(markdown) == (
        "Head\n\nA b c d ~e~[1]\nnew\n\n- one\n  - two\n- three\n\n3. x\n4. y\n\n> q\n>\n> r\n\n"
        "    code  <b>\n\nT\n    d\n\n* * *\n\n[1] Note."
    )


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("[words](https://e.org/a)", "words <https://e.org/a>"),
        ("<https://e.org/a>", "<https://e.org/a>"),
        ("<a@b.org>", "<a@b.org>"),
        ("![a picture](https://e.org/p.png)", "a picture <https://e.org/p.png>"),
        ("[x](javascript:y)", "x"),
    ],
)
def test_links_are_written_out(markdown: str, expected: str) -> None:
    """Once, when the words are the address already."""
    assert to_text(markdown) == expected


def test_a_table_stands_in_columns_or_in_records() -> None:
    """Wide characters count twice."""
    assert to_text("| 名 | n |\n|--|--|\n| a | 1 |") == "名  n\n--  -\na   1"
    wide = "x" * 50
    assert to_text(f"| a | b |\n|--|--|\n| {wide} | {wide} |") == f"a: {wide}\nb: {wide}"


@pytest.mark.parametrize(
    "paragraph",
    [
        "The quick brown fox jumps over the lazy dog. " * 9,
        "世界人权宣言，鉴于对人类家庭所有成员的固有尊严。" * 9,
        "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。" * 5,
        "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다 " * 6,
        "👩🏽‍🎨 💙 🏳️‍🌈 🇹🇭 " * 30,
        "འགྲོ་བ་མིའི་རིགས་རྒྱུད་ཡོངས་ལ་" * 9,
        "ክብርም፡ያለው፡ነው።፡" * 12,
        "अनुच्छेद सभी मनुष्यों को गौरव और अधिकारों के मामले में " * 5,
    ],
)
def test_lines_are_as_wide_as_a_terminal_counts(paragraph: str) -> None:
    """Wide characters, emoji and combining marks counted as they are shown; nothing is lost."""
    text = to_text(paragraph)

    assert max(columns(line) for line in text.split("\n")) <= 78
    assert text.replace("\n", "").replace(" ", "") == paragraph.replace(" ", "")


def test_thai_is_never_broken_inside_a_word() -> None:
    """Only at the spaces between its phrases, even when a line grows long."""
    phrase = "พระราชบัญญัติป้องกันและปราบปรามการค้ามนุษย์มีผลใช้บังคับเมื่อวันที่ห้ามิถุนายนแทน" * 2

    assert to_text(f"{phrase} {phrase}").split("\n") == [phrase, phrase]


def test_a_url_is_never_broken() -> None:
    """However long: a broken one cannot be clicked."""
    url = "https://e.org/" + "世界a-b/" * 30

    assert f"<{url}>" in wrap(f"words words <{url}> words").split("\n")


def test_no_line_begins_with_closing_punctuation() -> None:
    """The least that Chinese and Japanese line breaking asks for."""
    lines = to_text("世" * 39 + "。" + "界" * 40).split("\n")

    assert not any(line.startswith("。") for line in lines)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(st.sampled_from("abกั世👩🏽‍م、。-"), min_size=1, max_size=12), max_size=40))
def test_wrapping_loses_nothing(words: list[str]) -> None:
    """Only the white space changes."""
    text = " ".join(words)

    assert wrap(text).replace("\n", "").replace(" ", "") == text.replace(" ", "")
