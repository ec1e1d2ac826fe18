"""The signed links of confirmation mails, and the stamp that says when a form was opened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.audience.confirming import (
    QUICKEST,
    SLOWEST,
    confirm_token,
    form_stamp,
    read_confirm_token,
    read_form_stamp,
)
from bot.audience.tokens import read_unsubscribe_token, unsubscribe_token

KEYS = [b"a-signing-key-of-the-tests"]
OPENED = datetime(2026, 11, 25, 5, 0, tzinfo=UTC)
ids = st.binary(min_size=16, max_size=16).map(bytes.hex)


@given(ids)
def test_a_token_says_which_signup_it_is_for(signup: str) -> None:
    """And is as short as the other one."""
    token = confirm_token(KEYS, signup=signup)

    assert read_confirm_token(KEYS, token) == signup
    assert len(token) == 43


@given(ids, st.integers(0, 42), st.sampled_from("ABCxyz059-_"))
def test_one_changed_letter_opens_nothing(signup: str, place: int, letter: str) -> None:
    """Wherever it stands: there is one spelling."""
    token = confirm_token(KEYS, signup=signup)
    changed = token[:place] + letter + token[place + 1 :]

    assert read_confirm_token(KEYS, changed) == (signup if changed == token else None)


@given(st.text(max_size=60))
def test_whatever_is_typed_is_refused_quietly(text: str) -> None:
    """No token of ours, and no error either."""
    assert read_confirm_token(KEYS, text) is None
    assert read_form_stamp(KEYS, text, OPENED) is None


@given(ids)
def test_a_link_for_one_purpose_serves_no_other(person: str) -> None:
    """Whoever may leave cannot confirm, and the other way round."""
    leave = unsubscribe_token(KEYS, subscriber=person, newsletter="weekly")
    come = confirm_token(KEYS, signup=person)

    assert read_confirm_token(KEYS, leave) is None
    assert read_unsubscribe_token(KEYS, come, newsletter="weekly") is None


def test_an_old_key_still_opens() -> None:
    """Links that are out survive a rotation; a key that is gone opens nothing."""
    token = confirm_token([b"old"], signup="ab" * 16)

    assert read_confirm_token([b"new", b"old"], token) == "ab" * 16
    assert read_confirm_token([b"new"], token) is None


def test_an_id_of_another_length_is_a_mistake_of_ours() -> None:
    """It would make a token that nobody can read."""
    with pytest.raises(ValueError, match="32 hex digits"):
        confirm_token(KEYS, signup="ab")


@pytest.mark.parametrize(
    ("after", "good"),
    [
        (timedelta(0), False),
        (QUICKEST - timedelta(milliseconds=2), False),
        (QUICKEST, True),
        (timedelta(hours=3), True),
        (SLOWEST, True),
        (SLOWEST + timedelta(seconds=1), False),
        (timedelta(seconds=-5), False),
    ],
)
def test_a_form_takes_people_a_while(after: timedelta, good: bool) -> None:
    """Not an instant, and not more than a day."""
    assert (read_form_stamp(KEYS, form_stamp(KEYS, OPENED), OPENED + after) is not None) is good


def test_a_stamp_of_somebody_else_is_none() -> None:
    """Nor is a confirmation token a stamp."""
    assert read_form_stamp(KEYS, form_stamp([b"other"], OPENED), OPENED + timedelta(minutes=1)) is None
    assert read_form_stamp(KEYS, confirm_token(KEYS, signup="00" * 16), OPENED) is None
