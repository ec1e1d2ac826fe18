"""Tokens, addresses and spreadsheets."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.audience.addresses import valid_address
from bot.audience.spreadsheet import Refused, Row, read_rows
from bot.audience.tokens import read_unsubscribe_token, unsubscribe_token
from bot.errors import AudienceError

READER = "00112233445566778899aabbccddeeff"
NEW, OLD = b"new-key", b"old-key"


def test_a_token_names_its_reader_and_hides_the_rest() -> None:
    """43 characters that are safe in a URL, always the same ones."""
    token = unsubscribe_token([NEW], subscriber=READER, newsletter="weekly")

    assert len(token) == 43
    assert token == unsubscribe_token([NEW], subscriber=READER, newsletter="weekly")
    assert read_unsubscribe_token([NEW], token, newsletter="weekly") == READER


def test_a_token_survives_a_change_of_keys() -> None:
    """Links in old mails work for ever: former keys go on verifying."""
    token = unsubscribe_token([OLD], subscriber=READER, newsletter="weekly")

    assert read_unsubscribe_token([NEW, OLD], token, newsletter="weekly") == READER
    assert read_unsubscribe_token([NEW], token, newsletter="weekly") is None


def test_a_token_is_for_one_newsletter() -> None:
    """Another newsletter's page does not take it."""
    token = unsubscribe_token([NEW], subscriber=READER, newsletter="weekly")

    assert read_unsubscribe_token([NEW], token, newsletter="monthly") is None


@given(st.integers(0, 42), st.sampled_from("ABCxyz019-_"))
def test_no_changed_token_is_taken(place: int, letter: str) -> None:
    """One letter more or less right is wrong."""
    token = unsubscribe_token([NEW], subscriber=READER, newsletter="weekly")
    changed = token[:place] + letter + token[place + 1 :]

    taken = read_unsubscribe_token([NEW], changed, newsletter="weekly")

    assert taken == (READER if changed == token else None)


@given(st.text(max_size=60))
def test_anything_else_is_no_token(text: str) -> None:
    """Whatever a stranger types, the answer is no, never an error."""
    assert read_unsubscribe_token([NEW], text, newsletter="weekly") is None


@pytest.mark.parametrize(
    ("typed", "kept"),
    [(" ana@Example.ORG ", "ana@example.org"), ("josé@bücher.example", "josé@bücher.example")],
)
def test_an_address_is_kept_in_one_form(typed: str, kept: str) -> None:
    """The domain in lower case, spaces gone."""
    assert valid_address(typed) == kept


@pytest.mark.parametrize(
    "typed", ["", "ana", "ana@", "a b@example.org", "ana@example.org\nBcc: x@example.org"]
)
def test_what_is_no_address_is_told(typed: str) -> None:
    """The message names what was typed."""
    with pytest.raises(AudienceError, match="is not a mail address"):
        valid_address(typed)


def rows_of(path: Path, data: bytes) -> list[Row | Refused]:
    path.write_bytes(data)
    return list(read_rows(path))


@pytest.mark.parametrize(
    "data",
    [
        "email,name\nana@example.org,Zoë\n".encode(),
        "Name;E-Mail\r\nZoë;ana@example.org\r\n".encode("utf-8-sig"),
        "Email Address\tFirst Name\nana@example.org\tZoë\n".encode("utf-16"),
        "address,name\nana@example.org,Zoë\n".encode("cp1252"),
        '"name","email"\n\n"Zoë","ana@example.org"\n'.encode(),
    ],
    ids=["plain", "Excel with semicolons and a mark", "UTF-16 with tabs", "Windows", "quotes, blank line"],
)
def test_a_spreadsheet_from_any_program(tmp_path: Path, data: bytes) -> None:
    """Encodings, delimiters, orders and titles of columns differ; the reader is the same."""
    (row,) = rows_of(tmp_path / "list.csv", data)

    assert isinstance(row, Row)
    assert (row.address, row.name) == ("ana@example.org", "Zoë")


def test_a_bad_row_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    """With its line in the file."""
    rows = rows_of(tmp_path / "list.csv", b"email,name\nana@example.org,Ana\nnobody,Bo\nli@example.org\n")

    assert [type(row).__name__ for row in rows] == ["Row", "Refused", "Row"]
    assert rows[1].line == 3


def test_a_spreadsheet_without_addresses_is_refused(tmp_path: Path) -> None:
    """The first line has to name the columns."""
    with pytest.raises(AudienceError, match=r"list.csv:1: no column is called 'email'"):
        rows_of(tmp_path / "list.csv", b"ana@example.org\n")
