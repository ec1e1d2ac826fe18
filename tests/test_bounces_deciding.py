"""When a reader is written to no longer, by what came back and what arrived."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.audience.bounces.deciding import reason_to_stop
from bot.store.bouncing import Bounce

START = datetime(2026, 9, 4, 2, 0, tzinfo=UTC)
KINDS = ["dead", "full", "sender", "complaint"]


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def weekly(count: int) -> list[datetime]:
    """When the letters of so many weekly issues went out."""
    return [day(7 * number) for number in range(count)]


def came_back(at: float, kind: str = "dead", *, source: str = "dsn", code: str = "5.1.1") -> Bounce:
    return Bounce(
        digest=f"{at}{kind}{source}", at=day(at), subscriber="0" * 32, kind=kind, source=source, code=code
    )


def test_one_report_that_leaves_no_doubt_is_enough() -> None:
    assert reason_to_stop([came_back(0.1)], weekly(1), day(0.2)) == "the address does not exist"


@pytest.mark.parametrize("code", ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"])
def test_codes_that_leave_no_doubt(code: str) -> None:
    assert reason_to_stop([came_back(0.1, code=code)], weekly(1), day(0.2))


@pytest.mark.parametrize(
    ("source", "code"),
    [("text", "5.1.1"), ("dsn", "5.0.0"), ("dsn", "550"), ("smtp", "550"), ("dsn", "4.1.1")],
)
def test_where_only_words_say_so_two_issues_are_needed(source: str, code: str) -> None:
    first, second = (came_back(at, source=source, code=code) for at in (0.1, 7.1))

    assert reason_to_stop([first], weekly(1), day(0.2)) is None
    assert reason_to_stop([first, second], weekly(2), day(7.2))


def test_two_mails_about_one_issue_count_once() -> None:
    """Some servers say it twice, and a DSN follows a forward."""
    words = [came_back(0.1, source="text"), came_back(0.3, source="text")]

    assert reason_to_stop(words, weekly(1), day(0.4)) is None


def test_two_letters_refused_while_sending_are_two_issues() -> None:
    refused = [came_back(0, source="smtp", code="550"), came_back(7, source="smtp", code="550")]

    assert reason_to_stop(refused[:1], [], day(0.1)) is None
    assert reason_to_stop(refused, [], day(7.1))


def test_a_full_mailbox_has_four_issues_and_three_weeks() -> None:
    full = [came_back(7 * week + 0.1, "full", code="5.2.2") for week in range(4)]

    assert reason_to_stop(full[:3], weekly(3), day(14.2)) is None
    assert reason_to_stop(full, weekly(4), day(21.2)) == "the mailbox took none of 4 issues in a row"


def test_a_daily_newsletter_does_not_give_up_within_days() -> None:
    daily = [day(number) for number in range(10)]
    full = [came_back(number + 0.1, "full", code="5.2.2") for number in range(10)]

    assert reason_to_stop(full, daily, day(9.2)) is None


def test_a_letter_that_arrived_makes_good_what_was_before() -> None:
    full = [came_back(7 * week + 0.1, "full", code="5.2.2") for week in (0, 1, 2, 4)]

    assert reason_to_stop(full, weekly(5), day(28.2)) is None


def test_a_letter_has_arrived_only_when_nothing_can_come_back_any_more() -> None:
    """Mail servers try for five days before they say that they could not."""
    words = [came_back(0.1, source="text"), came_back(7.1, source="text")]

    assert reason_to_stop(words, [*weekly(2), day(7.5)], day(8)) is not None
    assert reason_to_stop(words, [*weekly(2), day(7.5)], day(13)) is None


@given(st.lists(st.floats(0, 400), max_size=60))
def test_what_is_our_fault_never_counts(days: list[float]) -> None:
    faults = [came_back(at, "sender", code="5.7.26") for at in sorted(days)]

    assert reason_to_stop(faults, weekly(60), day(420)) is None


def test_a_complaint_is_heard_at_once_and_for_good() -> None:
    complaint = came_back(0.1, "complaint", source="arf", code="")

    assert reason_to_stop([complaint], weekly(1), day(0.1)) == "complained"
    assert reason_to_stop([complaint], weekly(9), day(90)) == "complained"


@given(st.lists(st.tuples(st.floats(0, 60), st.sampled_from(KINDS)), max_size=20), st.integers(0, 9))
def test_who_was_stopped_by_less_is_stopped_by_more(seen: list[tuple[float, str]], weeks: int) -> None:
    """Another report never speaks for a reader."""
    history = sorted((came_back(at, kind) for at, kind in seen), key=lambda bounce: bounce.at)
    more = [*history, came_back(61, "dead")]

    if reason_to_stop(history, weekly(weeks), day(61)):
        assert reason_to_stop(more, weekly(weeks), day(61))


def test_nothing_came_back() -> None:
    assert reason_to_stop([], weekly(3), day(30)) is None
