"""What every decision looks at, and the plain facts about one schedule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from bot.model import History, Item, Newsletter, Posting
from bot.schedule import spoken, utc

Schedule = Newsletter | Posting

# The first and last years of the calendar stand for always and never; no zone can move them over its edge.
ALWAYS = datetime(1, 1, 1, tzinfo=UTC)
NEVER = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """The moment and all that is known at it. ``now`` is in UTC."""

    history: History
    now: datetime
    zone: ZoneInfo
    blocked: frozenset[str] = frozenset()
    ahead: bool = False  # a look at a moment that is still to come

    def local(self, moment: datetime) -> datetime:
        """The moment on the publication's clock."""
        return moment if moment.year in (ALWAYS.year, NEVER.year) else moment.astimezone(self.zone)

    def spoken(self, moment: datetime) -> str:
        """``Fri 27 Nov 09:00`` on the publication's clock, with the year when it is not this one."""
        return spoken(self.local(moment), year=self.local(self.now).year)


def added_at(schedule: Schedule, scene: Scene) -> datetime:
    """When the schedule was first seen, in UTC; one that no run has seen yet is as old as the settings."""
    history = scene.history
    return utc(history.added_at.get(name_of(schedule)) or history.settings_written or scene.now)


def name_of(schedule: Schedule) -> str:
    """The key of the schedule in bot.toml and in the ledger."""
    return schedule.name if isinstance(schedule, Newsletter) else schedule.channel


def had(schedule: Schedule, history: History) -> frozenset[str]:
    """Ids of the items that already went out there."""
    known = history.printed if isinstance(schedule, Newsletter) else history.posted
    return known.get(name_of(schedule), frozenset())


def on_hold(schedule: Schedule, history: History) -> str:
    """Who or what holds the schedule, its channel or everything, in words; empty: nobody."""
    if "*" in history.holds:
        return f"everything is on hold ({history.holds['*']})"
    reasons = [history.holds[n] for n in (name_of(schedule), schedule.channel) if n in history.holds]
    return f"on hold ({reasons[0]})" if reasons else ""


def too_few(newsletter: Newsletter, items: int) -> str:
    """``2 of 3 items approved`` when that is not enough for an issue; an issue is never empty."""
    least = max(newsletter.min_items, 1)
    return f"{items} of {least} item{'s' * (least != 1)} approved" if items < least else ""


def most_items(newsletter: Newsletter) -> int:
    """How many items an issue holds."""
    return max(newsletter.max_items, 1)


def free_at(posting: Posting, history: History) -> datetime:
    """When the channel may post again, in UTC."""
    last = history.last_post.get(posting.channel)
    return last.astimezone(UTC) + posting.spacing if last else ALWAYS


def ids(items: tuple[Item, ...]) -> frozenset[str]:
    """The names of items."""
    return frozenset(item.id for item in items)
