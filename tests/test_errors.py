"""A fault that nobody thought of is told by its type and place, never by its text."""

from __future__ import annotations

import re

from bot.errors import fault_of
from bot.store.joining import mailbox_of
from bot.store.words import from_text


def test_a_fault_of_ours_says_where_in_the_program_it_is() -> None:
    """Several modules have one name: the folder belongs to it, but not where the program is installed."""
    try:
        mailbox_of(None)  # type: ignore[arg-type]
    except AttributeError as error:
        said = fault_of(error)

    assert re.fullmatch(r"AttributeError at bot/store/joining\.py:\d+", said)


def test_a_fault_elsewhere_keeps_its_words_to_itself() -> None:
    """The innermost place, and nothing of what a stranger typed."""
    try:
        from_text("mara@inbox.ngo")
    except ValueError as error:
        said = fault_of(error)

    assert re.fullmatch(r"JSONDecodeError at decoder\.py:\d+", said)


def test_a_fault_that_was_never_raised_has_only_a_type() -> None:
    """An answer may be kept as a value; it has no place."""
    assert fault_of(KeyError("mara@inbox.ngo")) == "KeyError"
