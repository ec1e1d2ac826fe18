"""Slots: wall-clock times in a named zone, and the moments they become. Pure; the clock is an argument.

A slot that the clocks jump over fires at the first moment after the jump; one in a repeated hour fires once,
the first time. Cron lines with a star for minute or hour mean an interval and follow real time instead.

Datetimes are compared in UTC throughout: Python compares two times of the same zone by the hands of the
clock, and calls a time in a repeated hour unequal to itself in another zone.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import lru_cache
from heapq import heappop, heappush, merge
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

MISSED_KEPT = 50  # of the slots missed in a long absence only the latest are told
SHORTEST_LOOK_BACK = timedelta(hours=1)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)

_ADVICE = "Write 'Fri 09:00', 'Mon-Fri 12:30' or cron '0 9 * * 5'"
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NUMBER_OF_DAY = {name.casefold(): n for n, day in enumerate(_DAYS) for name in (day, day[:3])}
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_ORDINAL = re.compile(r"([1-9]|[12]\d|3[01])(?:st|nd|rd|th)", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """One line of a schedule as a person wrote it, and the cron lines that mean the same."""

    text: str
    crons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """What a look at the clock found: the slot to act on now, and those it is too late for."""

    fire: datetime | None = None
    missed: tuple[datetime, ...] = ()


# --------------------------------------------------------------------------- reading what people write


def parse_slots(texts: Sequence[str]) -> tuple[Slot, ...]:
    """Slots from lines such as ``Fri 09:00``, ``Mon-Fri 09:00,12:30``, ``daily 18:00``, ``1st 09:00``,
    ``last Fri 09:00`` or a cron line of five fields.

    Raises ValueError with one line: what is wrong, and what would be right.
    """
    return tuple(parse_slot(text) for text in texts)


@lru_cache(maxsize=256)
def parse_slot(text: str) -> Slot:
    """One slot; raises ValueError like ``parse_slots``."""
    words = re.sub(r" ?([,\-]) ?", r"\1", " ".join(text.replace("\u2013", "-").split())).split()
    try:
        crons = (_cron(" ".join(words)),) if len(words) == 5 else _crons(words)
    except ValueError as error:
        raise ValueError(f"'{text}': {error} {_ADVICE}") from None
    return Slot(text=text, crons=crons)


def _cron(line: str) -> str:
    """The line itself, once cronsim has understood it."""
    try:
        CronSim(line, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        field = str(error).removeprefix("Bad ")
        raise ValueError(f"the {field} of this cron line is wrong.") from error
    return line


def _crons(words: Sequence[str]) -> tuple[str, ...]:
    if not words:
        raise ValueError("a slot cannot be empty.")
    *days, times = words
    if not days and not times[0].isdigit():
        raise ValueError("there is no time of day.")
    if not days:
        raise ValueError(f"there is no day; did you mean 'daily {times}'?")
    clock = [_time(time) for time in times.split(",")]
    day_of_month, day_of_week = _day_fields(days)
    return tuple(f"{minute} {hour} {day_of_month} * {day_of_week}" for hour, minute in clock)


def _time(text: str) -> tuple[int, int]:
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is no time of day; hours go from 00:00 to 23:59.")
    return int(found[1]), int(found[2])


def _day_fields(words: Sequence[str]) -> tuple[str, str]:
    """Cron's day-of-month and day-of-week."""
    ordinal = _ORDINAL.fullmatch(words[0].casefold())
    match [word.casefold() for word in words]:
        case ["daily"]:
            return "*", "*"
        case [_] if ordinal:
            return ordinal[1], "*"
        case [_]:
            return "*", _weekdays(words[0])
        case ["last", _]:
            return "*", f"{_weekday(words[1])}L"
        case [_, _] if ordinal and int(ordinal[1]) <= 5:
            return "*", f"{_weekday(words[1])}#{ordinal[1]}"
    raise ValueError(f"'{' '.join(words)}' names no days.")


def _weekdays(text: str) -> str:
    """Cron's list for "Mon-Fri,Sun"; a range may run over the weekend."""
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        start, end = _weekday(first), _weekday(last or first)
        days |= {(start + n) % 7 for n in range((end - start) % 7 + 1)}
    return ",".join(str(day) for day in sorted(days))


def _weekday(name: str) -> int:
    if name.casefold() in _NUMBER_OF_DAY:
        return _NUMBER_OF_DAY[name.casefold()]
    # Short names are compared with short ones, or "Fry" would be told to become "Friday".
    known = [day for day in _NUMBER_OF_DAY if (len(day) == 3) == (len(name) <= 4)]
    likely = get_close_matches(name.casefold(), ["daily", *known], n=1, cutoff=0.5)
    hint = f"; did you mean '{likely[0].capitalize()}'?" if likely else "."
    raise ValueError(f"no day called '{name}'{hint}")


# --------------------------------------------------------------------------- moments


def utc(moment: datetime) -> datetime:
    """The same moment in UTC, where datetimes compare as moments; ValueError without a zone."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; write one, e.g. {moment.isoformat()}+00:00")
    return moment.astimezone(UTC)


def spoken(moment: datetime, *, year: int | None = None) -> str:
    """``Fri 27 Nov 09:00``, as its own zone's clock shows it; with the year when it is not ``year``."""
    day = _DAYS[moment.isoweekday() % 7][:3]
    shown_year = "" if year in (None, moment.year) else f" {moment.year}"
    return f"{day} {moment.day} {_MONTHS[moment.month - 1]}{shown_year} {moment:%H:%M}"


def slots_between(
    slots: Sequence[Slot], zone: ZoneInfo, after: datetime, until: datetime
) -> Iterator[datetime]:
    """Every moment in (after, until], each once, in order, in ``zone``."""
    end = utc(until)
    return takewhile(lambda moment: utc(moment) <= end, _moments(slots, zone, after))


def next_slot(slots: Sequence[Slot], zone: ZoneInfo, after: datetime) -> datetime | None:
    """The first moment after ``after``; None when there is none."""
    return next(_moments(slots, zone, after), None)


def due_slot(
    slots: Sequence[Slot], zone: ZoneInfo, after: datetime, now: datetime, max_lateness: timedelta
) -> Due:
    """The latest slot in (after, now] if it is at most ``max_lateness`` old; the others are missed.

    However long ago ``after`` is, only the latest ``MISSED_KEPT`` missed slots are told.
    """
    found = _latest(slots, zone, after, now, look_back=max(max_lateness, SHORTEST_LOOK_BACK))
    if not found or utc(now) - utc(found[-1]) > max_lateness:
        return Due(missed=tuple(found[-MISSED_KEPT:]))
    return Due(fire=found[-1], missed=tuple(found[-MISSED_KEPT - 1 : -1]))


def _latest(
    slots: Sequence[Slot], zone: ZoneInfo, after: datetime, now: datetime, *, look_back: timedelta
) -> list[datetime]:
    """The last slots in (after, now], looking back further and further until there are enough."""
    start, end = utc(after), utc(now)
    while start < end:
        begin = end - look_back if end - start > look_back else start
        found = deque(slots_between(slots, zone, begin, end), maxlen=MISSED_KEPT + 1)
        if begin == start or len(found) > MISSED_KEPT:
            return list(found)
        look_back *= 4
    return []


def _moments(slots: Sequence[Slot], zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    start = utc(after)
    last = start
    crons = dict.fromkeys(cron for slot in slots for cron in slot.crons)
    for moment in merge(*(_fires(cron, zone, start) for cron in crons)):
        if moment > last:  # overlapping slots, and those of a jump, meet at one moment
            last = moment
            yield moment.astimezone(zone)


def _fires(cron: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """The moments of one cron line, in UTC and in order; a few may lie before ``after``.

    cronsim only moves the hands of the clock, by UTC. What they mean in the zone is decided here: cronsim
    itself loses a moment of an interval where a jump is at midnight (Cairo) or of half an hour (Lord Howe).
    """
    # When the clock is about to be set back, times that it showed already will come again.
    behind = min(_hands(after, zone), _hands(after + DAY, zone) - DAY)
    hands = iter(CronSim(cron, behind.replace(tzinfo=UTC)))
    if any(field.startswith("*") for field in cron.split()[:2]):
        return _every(hands, zone)
    return (_once(shown.replace(tzinfo=None), zone) for shown in hands)


def _once(shown: datetime, zone: ZoneInfo) -> datetime:
    """The first moment at which the clock shows this time or, if it jumps over it, a later one."""
    while _hands(moment := _moment(shown, zone), zone) != shown:
        shown += MINUTE
    return moment


def _every(hands: Iterator[datetime], zone: ZoneInfo) -> Iterator[datetime]:
    """All moments at which the clock shows these times: none in a jump, two in a repeated hour."""
    held: list[datetime] = []  # those of a second time around wait for the end of the first
    for shown in (hand.replace(tzinfo=None) for hand in hands):
        first = _moment(shown, zone)
        while held and held[0] <= first:
            yield heappop(held)
        for moment in {first, _moment(shown, zone, fold=1)}:
            if _hands(moment, zone) == shown:
                heappush(held, moment)
    yield from sorted(held)


def _moment(shown: datetime, zone: ZoneInfo, *, fold: int = 0) -> datetime:
    return shown.replace(tzinfo=zone, fold=fold).astimezone(UTC)


def _hands(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the clock on the wall shows."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)
