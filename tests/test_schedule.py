"""What people write as a schedule, and the moments it becomes across clock changes."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.schedule import (
    MISSED_KEPT,
    Due,
    due_slot,
    next_slot,
    parse_slots,
    slots_between,
    spoken,
    utc,
)

LONDON = ZoneInfo("Europe/London")
BANGKOK = ZoneInfo("Asia/Bangkok")


def moments(slot, zone, after, until):
    """The moments of one slot as text, from and to a local day (the last day excluded)."""
    start = datetime.fromisoformat(after).replace(tzinfo=ZoneInfo(zone)) - timedelta(microseconds=1)
    end = datetime.fromisoformat(until).replace(tzinfo=ZoneInfo(zone)) - timedelta(microseconds=1)
    found = slots_between(parse_slots([slot]), ZoneInfo(zone), start, end)
    return [moment.isoformat(timespec="minutes") for moment in found]


# --------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fri 09:00", ["06 09:00", "13 09:00", "20 09:00", "27 09:00"]),
        ("friday 9:00", ["06 09:00", "13 09:00", "20 09:00", "27 09:00"]),
        ("Mon,Fri 08:00", ["02 08:00", "06 08:00", "09 08:00", "13 08:00"]),
        ("Mon - Tue 09:00, 12:30", ["02 09:00", "02 12:30", "03 09:00", "03 12:30"]),
        ("Sat\u2013Mon 10:15", ["01 10:15", "02 10:15", "07 10:15", "08 10:15"]),
        ("daily 18:00", ["01 18:00", "02 18:00", "03 18:00", "04 18:00"]),
        ("1st 09:00", ["01 09:00"]),
        ("22nd 23:59", ["22 23:59"]),
        ("2nd Tue 09:00", ["10 09:00"]),
        ("last Fri 09:00", ["27 09:00"]),
        ("0 9 * * 5", ["06 09:00", "13 09:00", "20 09:00", "27 09:00"]),
        ("30 7 1,15 * *", ["01 07:30", "15 07:30"]),
        ("0 9 * * MON-TUE", ["02 09:00", "03 09:00", "09 09:00", "10 09:00"]),
    ],
)
def test_a_slot_is_read_as_a_person_means_it(text, expected):
    """November 2026 begins on a Sunday."""
    found = moments(text, "Asia/Bangkok", "2026-11-01", "2026-12-01")

    assert [f"{m[8:10]} {m[11:16]}" for m in found[:4]] == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Fry 09:00", "'Fry 09:00': no day called 'Fry'; did you mean 'Fri'?"),
        ("Thersday 09:00", "did you mean 'Thursday'?"),
        ("daly 09:00", "did you mean 'Daily'?"),
        ("Fri,Xyz 09:00", "no day called 'Xyz'."),
        ("09:00", "there is no day; did you mean 'daily 09:00'?"),
        ("Fri", "there is no time of day"),
        ("Fri 9am", "'9am' is no time of day"),
        ("Fri 24:00", "'24:00' is no time of day; hours go from 00:00 to 23:59."),
        ("Fri 09:60", "'09:60' is no time of day"),
        ("Fri \u0669:\u0660\u0660", "is no time of day"),
        ("", "a slot cannot be empty"),
        ("   ", "a slot cannot be empty"),
        ("Fri, 09:00", "there is no time of day"),
        ("6th Fri 09:00", "'6th Fri' names no days"),
        ("every second Fri 09:00", "'every second Fri' names no days"),
        ("61 9 * * 5", "the minute of this cron line is wrong"),
        ("0 9 30 2 *", "the day-of-month of this cron line is wrong"),
        ("0 0 9 * * 5", "is no time of day"),
        ("@weekly", "there is no time of day"),
    ],
)
def test_a_bad_slot_says_what_is_wrong_and_what_would_be_right(text, part):
    """One line, and always an example to copy."""
    with pytest.raises(ValueError) as error:
        parse_slots(["Mon 09:00", text])

    assert part in str(error.value)
    assert "Write 'Fri 09:00', 'Mon-Fri 12:30' or cron '0 9 * * 5'" in str(error.value)
    assert "\n" not in str(error.value)


@given(text=st.text(max_size=20) | st.from_regex(r"[A-Za-z,\- ]{0,12}[0-9:,]{0,6}", fullmatch=True))
@settings(max_examples=200)
def test_any_text_is_a_slot_or_a_value_error(text):
    """Nothing else ever escapes."""
    try:
        slots = parse_slots([text])
    except ValueError:
        return

    assert slots[0].crons


# --------------------------------------------------------------------------- clock changes


@pytest.mark.parametrize(
    ("zone", "slot", "after", "until", "expected"),
    [
        # The repeated hour: once, the first time.
        ("Europe/London", "daily 01:30", "2026-10-25", "2026-10-26", ["2026-10-25T01:30+01:00"]),
        ("America/New_York", "daily 01:30", "2026-11-01", "2026-11-02", ["2026-11-01T01:30-04:00"]),
        ("Australia/Lord_Howe", "daily 01:45", "2026-04-05", "2026-04-06", ["2026-04-05T01:45+11:00"]),
        ("Africa/Casablanca", "daily 02:30", "2026-02-15", "2026-02-16", ["2026-02-15T02:30+01:00"]),
        # The hour that is not there: the first moment after it.
        ("Europe/London", "daily 01:30", "2027-03-28", "2027-03-29", ["2027-03-28T02:00+01:00"]),
        ("America/New_York", "daily 02:30", "2027-03-14", "2027-03-15", ["2027-03-14T03:00-04:00"]),
        ("Australia/Lord_Howe", "daily 02:15", "2026-10-04", "2026-10-05", ["2026-10-04T02:30+11:00"]),
        ("Africa/Casablanca", "daily 02:30", "2026-03-22", "2026-03-23", ["2026-03-22T03:00+01:00"]),
        ("Africa/Cairo", "daily 00:15", "2026-04-23T12:00", "2026-04-25", ["2026-04-24T01:00+03:00"]),
        # Several slots that the jump brings together are one moment.
        ("Europe/London", "daily 01:00,01:30,02:00", "2027-03-28", "2027-03-29", ["2027-03-28T02:00+01:00"]),
        # Samoa had no 30 December 2011, a Friday.
        ("Pacific/Apia", "Fri 09:00", "2011-12-29", "2012-01-01", ["2011-12-31T00:00+14:00"]),
        # Slots far from the jump keep to the clock on the wall.
        ("Europe/London", "Sun 09:00", "2026-10-24", "2026-10-26", ["2026-10-25T09:00+00:00"]),
        ("Asia/Bangkok", "Sun 09:00", "2026-10-24", "2026-10-26", ["2026-10-25T09:00+07:00"]),
    ],
)  # fmt: skip
def test_a_wall_clock_time_fires_once_on_a_day_the_clocks_change(zone, slot, after, until, expected):
    """In the gap at the first valid moment after it, in the repeated hour the first time."""
    assert moments(slot, zone, after, until) == expected


def test_an_interval_follows_real_time():
    """Every half hour means every half hour, also in an hour that comes twice."""
    assert moments("*/30 1 * * *", "Europe/London", "2026-10-25", "2026-10-26") == [
        "2026-10-25T01:00+01:00",
        "2026-10-25T01:30+01:00",
        "2026-10-25T01:00+00:00",
        "2026-10-25T01:30+00:00",
    ]


def test_a_second_look_within_the_repeated_hour_finds_nothing():
    """The second 01:10 on the clock is after the slot of the first 01:30."""
    second = datetime(2026, 10, 25, 1, 10, tzinfo=LONDON, fold=1)

    found = next_slot(parse_slots(["Sun 01:30"]), LONDON, second)

    assert found == datetime(2026, 11, 1, 1, 30, tzinfo=LONDON)


def test_an_interval_looks_forward_to_the_hour_that_comes_again():
    """At the first 01:45 the next half hour is 01:00, on the clock that was set back."""
    first = datetime(2026, 10, 25, 1, 45, tzinfo=LONDON)

    found = next_slot(parse_slots(["*/30 1 * * *"]), LONDON, first)

    assert found.isoformat() == "2026-10-25T01:00:00+00:00"


def test_an_interval_goes_on_after_a_jump_at_midnight_or_of_half_an_hour():
    """Cairo's Friday began at 01:00; Lord Howe's clock went back by half an hour at two."""
    cairo = moments("*/30 * * * 5", "Africa/Cairo", "2026-04-23T12:00", "2026-04-24T02:00")
    lord_howe = moments("7 */2 * * *", "Australia/Lord_Howe", "2026-04-05", "2026-04-05T05:00")

    assert cairo == ["2026-04-24T01:00+03:00", "2026-04-24T01:30+03:00"]
    assert [moment[11:16] for moment in lord_howe] == ["00:07", "02:07", "04:07"]


def test_an_interval_on_a_day_that_does_not_exist_never_fires():
    """Samoa's clock never showed a time of Friday, 30 December 2011."""
    assert moments("*/10 * * * 5", "Pacific/Apia", "2011-12-29", "2012-01-01") == []


# --------------------------------------------------------------------------- moments

ZONES = ["Europe/London", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Bangkok"]
CHANGES = [datetime(2026, 10, 25), datetime(2026, 11, 1), datetime(2027, 3, 28), datetime(2026, 4, 5)]  # noqa: DTZ001
instants = st.builds(
    lambda day, minutes: day.replace(tzinfo=UTC) + timedelta(minutes=minutes),
    st.sampled_from(CHANGES),
    st.integers(-2880, 2880),
)
clock_times = st.builds(
    lambda h, m: f"daily {h:02}:{m:02}", st.integers(0, 23), st.sampled_from([0, 1, 15, 30, 59])
)
lists_of_slots = st.lists(
    clock_times | st.sampled_from(["Sun 02:00", "Sat-Sun 01:30,02:30", "*/20 0-3 * * *", "30 */2 * * 0"]),
    min_size=1,
    max_size=3,
)


@given(slots=lists_of_slots, zone=st.sampled_from(ZONES), times=st.tuples(instants, instants, instants))
@settings(max_examples=60, deadline=None)
def test_looking_twice_sees_the_same_as_looking_once(slots, zone, times):
    """Wherever a stretch of time is cut, its slots are those of the two pieces: none lost, none twice."""
    first, middle, last = sorted(times)
    parsed, place = parse_slots(slots), ZoneInfo(zone)

    whole = [utc(m) for m in slots_between(parsed, place, first, last)]
    pieces = [
        utc(m)
        for start, end in ((first, middle), (middle, last))
        for m in slots_between(parsed, place, start, end)
    ]

    assert whole == pieces
    assert whole == sorted(set(whole))
    assert all(first < moment <= last for moment in whole)


@given(slot=clock_times, zone=st.sampled_from(ZONES), start=instants)
@settings(max_examples=60, deadline=None)
def test_a_daily_slot_comes_once_on_each_day(slot, zone, start):
    """Ten days across a change hold ten slots, one on each date."""
    place = ZoneInfo(zone)
    midnight = start.astimezone(place).replace(hour=0, minute=0, fold=0)
    end = midnight + timedelta(days=10)  # wall-clock arithmetic: ten dates
    just_before = utc(midnight) - timedelta(microseconds=1)

    found = list(slots_between(parse_slots([slot]), place, just_before, utc(end) - timedelta(microseconds=1)))

    assert [m.date() for m in found] == [(midnight + timedelta(days=n)).date() for n in range(10)]


def test_overlapping_slots_are_one_moment():
    """Friday 09:00 is also every day at 09:00."""
    slots = parse_slots(["Fri 09:00", "daily 09:00", "0 9 * * *"])
    start = datetime(2026, 11, 26, 12, tzinfo=BANGKOK)

    found = list(slots_between(slots, BANGKOK, start, start + timedelta(days=2)))

    assert [m.day for m in found] == [27, 28]


def test_the_end_belongs_to_the_stretch_and_the_start_does_not():
    """(after, until], so that stretches laid end to end never share a slot."""
    slots, nine = parse_slots(["daily 09:00"]), datetime(2026, 11, 27, 9, tzinfo=BANGKOK)

    assert list(slots_between(slots, BANGKOK, nine - timedelta(seconds=1), nine)) == [nine]
    assert list(slots_between(slots, BANGKOK, nine, nine + timedelta(hours=1))) == []


def test_no_slots_have_no_moments():
    """A schedule without slots is allowed: it never fires."""
    now = datetime(2026, 11, 27, tzinfo=UTC)

    assert next_slot((), BANGKOK, now) is None
    assert due_slot((), BANGKOK, now - timedelta(days=9), now, timedelta(hours=1)) == Due()


def test_a_time_without_a_zone_is_refused():
    """It would silently mean the time zone of the machine."""
    with pytest.raises(ValueError, match="has no time zone"):
        next_slot(parse_slots(["daily 09:00"]), BANGKOK, datetime(2026, 11, 27, 9))  # noqa: DTZ001


# --------------------------------------------------------------------------- due


def due(slots, after, now, lateness):
    return due_slot(parse_slots(slots), BANGKOK, after, now, lateness)


FRIDAY = datetime(2026, 11, 27, 9, tzinfo=BANGKOK)
HOUR = timedelta(hours=1)


def test_a_slot_is_due_until_it_is_too_late():
    """Exactly ``max_lateness`` old is still in time."""
    week = FRIDAY - timedelta(days=1)

    assert due(["Fri 09:00"], week, FRIDAY - timedelta(seconds=1), 6 * HOUR) == Due()
    assert due(["Fri 09:00"], week, FRIDAY, 6 * HOUR) == Due(fire=FRIDAY)
    assert due(["Fri 09:00"], week, FRIDAY + 6 * HOUR, 6 * HOUR) == Due(fire=FRIDAY)
    assert due(["Fri 09:00"], week, FRIDAY + 6 * HOUR + timedelta(seconds=1), 6 * HOUR) == Due(
        missed=(FRIDAY,)
    )


def test_there_is_one_catch_up_at_most():
    """After a long morning only the latest slot fires; the others are missed though not too late."""
    found = due(["daily 09:00,10:00,11:00"], FRIDAY - HOUR, FRIDAY + 2.5 * HOUR, 6 * HOUR)

    assert found == Due(fire=FRIDAY + 2 * HOUR, missed=(FRIDAY, FRIDAY + HOUR))


def test_a_slot_that_was_dealt_with_is_not_due_again():
    """Also not when the clock of the machine is set back."""
    assert due(["Fri 09:00"], FRIDAY, FRIDAY, 6 * HOUR) == Due()
    assert due(["Fri 09:00"], FRIDAY, FRIDAY - 5 * HOUR, 6 * HOUR) == Due()


@pytest.mark.parametrize("slot", ["* * * * *", "daily 09:00", "Mon-Fri 09:00,12:30"])
def test_an_absence_of_years_tells_the_latest_slots_only(slot):
    """Thirty years of every minute would be fifteen million."""
    found = due([slot], FRIDAY - timedelta(days=30 * 365), FRIDAY, 6 * HOUR)

    assert found.fire == FRIDAY
    assert len(found.missed) == MISSED_KEPT
    assert found.missed[-1] < FRIDAY


def test_a_rare_slot_is_found_however_long_the_absence():
    """29 February comes every four years."""
    leap_day = datetime(2024, 2, 29, tzinfo=BANGKOK)

    found = due(["0 0 29 2 *"], FRIDAY - timedelta(days=3 * 365), FRIDAY, 6 * HOUR)

    assert found == Due(missed=(leap_day,))


def test_a_moment_is_spoken_without_a_locale():
    """English names whatever the machine speaks; the year only when it is another one."""
    assert spoken(FRIDAY) == "Fri 27 Nov 09:00"
    assert spoken(FRIDAY, year=2026) == "Fri 27 Nov 09:00"
    assert spoken(FRIDAY, year=2025) == "Fri 27 Nov 2026 09:00"
