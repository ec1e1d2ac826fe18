"""Return paths: short, signed, read in any case, and a forged one counts for nothing."""

from __future__ import annotations

import base64
import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.audience.verp import LONGEST_LOCAL_PART, ReturnPaths

KEY, OLD = b"k" * 40, b"o" * 40
READER = "00112233445566778899aabbccddeeff"
PATHS = ReturnPaths("bounce@news.example.org", [KEY])


def bounce_to(address: str) -> bytes:
    return f"To: <{address}>\r\nSubject: Undelivered\r\n\r\nno".encode()


@given(st.binary(min_size=16, max_size=16).map(bytes.hex))
def test_the_reader_of_a_return_path_is_found_again(reader: str) -> None:
    path = PATHS.of(reader)

    assert PATHS.reader_in(bounce_to(path)) == reader
    assert PATHS.reader_in(bounce_to(path.upper())) == reader


def test_it_fits_into_a_local_part_and_holds_nothing_but_letters_and_digits() -> None:
    local, _, domain = PATHS.of(READER).partition("@")

    assert domain == "news.example.org"
    assert len(local) == 49 <= LONGEST_LOCAL_PART
    assert local.removeprefix("bounce+").isalnum()
    assert local == local.lower()


def test_it_is_base32_of_the_id_and_ten_bytes() -> None:
    """The format is final: mails are on their way for days."""
    token = PATHS.of(READER).partition("+")[2].partition("@")[0]
    data = base64.b32decode(token.upper() + "======")

    assert data[:16].hex() == READER
    assert len(data) == 26
    assert token == "aaisem2ekvthpcezvk54zxpo77gy6cyi7ofgrrbtgq"


def test_a_forged_token_counts_for_nothing() -> None:
    """Every single character is covered by the signature."""
    name, _, rest = PATHS.of(READER).partition("+")
    token, _, domain = rest.partition("@")
    for place, letter in enumerate(token[:41]):
        forged = token[:place] + ("a" if letter != "a" else "b") + token[place + 1 :]

        assert PATHS.reader_in(bounce_to(f"{name}+{forged}@{domain}")) is None


def test_a_forged_token_does_not_hide_a_genuine_one() -> None:
    mail = bounce_to(f"bounce+{'a' * 42}@news.example.org") + PATHS.of(READER).encode()

    assert PATHS.reader_in(mail) == READER


def test_old_keys_go_on_verifying() -> None:
    before = ReturnPaths("bounce@news.example.org", [OLD]).of(READER)
    after = ReturnPaths("bounce@news.example.org", [KEY, OLD])

    assert after.reader_in(bounce_to(before)) == READER
    assert PATHS.reader_in(bounce_to(before)) is None


def test_a_return_path_written_with_an_equals_sign_is_read() -> None:
    """Quoted-printable and the envelope of a forwarder write the @ as "=40" or "="."""
    path = PATHS.of(READER)

    assert PATHS.reader_in(path.replace("@", "=40").encode()) == READER
    assert PATHS.reader_in(b"<SRS0=x=y=" + path.replace("@", "=").encode() + b">") == READER


@pytest.mark.parametrize(
    "address", ["", "bounce", "@example.org", "b+c@example.org", f"{'b' * 22}@example.org"]
)
def test_a_bounce_address_that_cannot_carry_a_token_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="bounce address"):
        ReturnPaths(address, [KEY])


def test_it_is_cheap_enough_for_every_letter() -> None:
    """A few microseconds; the bound is wide for a busy machine."""
    seconds = min(timeit.repeat(lambda: PATHS.of(READER), number=2_000, repeat=5)) / 2_000

    assert seconds < 20e-6


@given(st.binary(max_size=2_000))
def test_no_bytes_are_taken_for_a_reader(mail: bytes) -> None:
    assert PATHS.reader_in(mail) is None


def test_a_stand_in_without_an_id_gets_the_plain_address() -> None:
    """A test mail goes to somebody who is no reader."""
    assert PATHS.of_anybody(READER) == PATHS.of(READER)
    assert PATHS.of_anybody("trial") == "bounce@news.example.org"
