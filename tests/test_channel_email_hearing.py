"""A mail server's answers out of its bytes, however they were cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.channels.email.hearing import LONGEST_ANSWER, Hearing

WORDS = st.text(st.characters(codec="ascii", exclude_characters="\r\n"), max_size=20).map(str.encode)
ANSWERS = st.tuples(st.integers(200, 599), st.lists(WORDS, min_size=1, max_size=4))


def _bytes(code: int, lines: list[bytes]) -> bytes:
    marks = [b"-"] * (len(lines) - 1) + [b" "]
    return b"".join(b"%d%b%b\r\n" % (code, mark, line) for mark, line in zip(marks, lines, strict=True))


@given(answers=st.lists(ANSWERS, max_size=6), cuts=st.lists(st.integers(0, 400), max_size=12))
def test_where_packets_end_makes_no_difference(
    answers: list[tuple[int, list[bytes]]], cuts: list[int]
) -> None:
    """Within a code, a line, a line end, or between two answers."""
    whole = b"".join(_bytes(*answer) for answer in answers)
    places = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    hearing = Hearing()

    heard = [one for start, end in pairwise(places) for one in hearing.answers(whole[start:end])]

    assert [code for code, _ in heard] == [code for code, _ in answers]
    assert [words.replace(b"\r", b"") for _, words in heard] == [b"\n".join(lines) for _, lines in answers]
    assert hearing.nonsense is None
    assert not hearing.is_amid


@given(st.binary(max_size=300))
def test_whatever_comes_is_an_answer_or_nonsense(data: bytes) -> None:
    """Never a crash, never a code outside 200 to 599."""
    hearing = Hearing()

    assert all(200 <= code < 600 for code, _ in hearing.answers(data))


def test_a_bare_code_is_an_answer() -> None:
    """Some servers have nothing to add; some end their lines with LF alone."""
    assert Hearing().answers(b"250\r\n354\n") == [(250, b""), (354, b"")]


@pytest.mark.parametrize(
    "line", [b"25\n", b"25\r\n", b"25 ok\r\n", b"199 ok\r\n", b"600 ok\r\n", b"250_ok\r\n", b"\r\n"]
)
def test_what_has_no_code_of_three_digits_is_no_answer(line: bytes) -> None:
    """Nor has any other mark than a space or a hyphen behind it."""
    hearing = Hearing()

    assert hearing.answers(line) == []
    assert hearing.nonsense == line[:-1]


def test_after_nonsense_nothing_is_understood() -> None:
    """The answers before it are."""
    hearing = Hearing()

    assert [code for code, _ in hearing.answers(b"250 ok\r\nhello\r\n250 ok\r\n")] == [250]
    assert hearing.nonsense == b"hello\r"


def test_the_lines_of_one_answer_have_one_code() -> None:
    """Otherwise it is unclear what was said."""
    hearing = Hearing()

    assert hearing.answers(b"250-yes\r\n550 no\r\n") == []
    assert hearing.nonsense is not None


def test_an_endless_line_is_nonsense() -> None:
    """It is not kept."""
    hearing = Hearing()
    hearing.answers(b"2" * (LONGEST_ANSWER + 1))

    assert hearing.nonsense is not None
