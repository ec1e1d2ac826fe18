"""Which items may go out now, and where; a refusal is a sentence, so that rule and reason never differ."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot.model import Item, Moment, Newsletter, Posting, Status, speaks
from bot.planner.scene import ALWAYS, NEVER, Scene, Schedule, added_at, had, name_of
from bot.schedule import utc

Obstacle = tuple[str, datetime | None]  # why, and until when as far as that is known


def ready_items(items: Iterable[Item], scene: Scene) -> list[Item]:
    """Items that may go out now, the most important first, then the newest."""
    free = [item for item in items if obstacle(item, scene) is None]
    # A date that is still to come is most likely a slip: it does not go before what is new today.
    today = scene.local(scene.now).date()
    return sorted(free, key=lambda item: (-item.priority, -min(item.published, today).toordinal(), item.id))


def fitting(ready: Iterable[Item], schedule: Schedule, scene: Scene) -> list[Item]:
    """Those of the ready items that this schedule may take and has not had, in order."""
    done = had(schedule, scene.history)
    return [
        item
        for item in ready
        if item.id not in done and not mismatch(item, schedule) and not before_channel(item, schedule, scene)
    ]


def obstacle(item: Item, scene: Scene) -> Obstacle | None:
    """What keeps the item from going anywhere now."""
    if item.status is Status.DRAFT:
        return "a draft: an editor has to approve it", None
    if item.status is not Status.APPROVED:
        return "held in its own file (status: held)", None
    if item.id in scene.history.holds:
        return f"on hold ({scene.history.holds[item.id]})", None
    if item.id in scene.blocked:
        return "a check blocks it; 'bot check' says which and why", None
    return _out_of_time(item, scene)


def _out_of_time(item: Item, scene: Scene) -> Obstacle | None:
    if item.not_before is not None and (start := starts(item.not_before, scene.zone)) > scene.now:
        return f"not before {scene.spoken(start)}", scene.local(start)
    if item.expires is not None and ends(item.expires, scene.zone) <= scene.now:
        return f"expired {last_moment(item.expires, scene)}", None
    return None


def mismatch(item: Item, schedule: Schedule) -> str:
    """Why the schedule never takes such an item; empty: it does."""
    name = name_of(schedule)
    if not item.is_for(name):
        return f"its channels are {', '.join(item.channels)}"
    if not speaks(item.lang, schedule.langs):
        return f"its language is '{item.lang}', {name} takes {', '.join(schedule.langs)}"
    if isinstance(schedule, Posting) and schedule.tags and not set(schedule.tags) & set(item.tags):
        return f"{name} takes only items tagged {', '.join(schedule.tags)}"
    return ""


def before_channel(item: Item, schedule: Schedule, scene: Scene) -> bool:
    """Whether it was approved before the channel was added: a new channel does not repeat old news."""
    if isinstance(schedule, Newsletter) or schedule.backfill:
        return False
    # What the ledger has not noted yet was first seen now.
    approved = scene.history.approved_at.get(item.id, scene.now)
    return utc(approved) <= added_at(schedule, scene)


def starts(moment: Moment, zone: ZoneInfo) -> datetime:
    """In UTC; a date begins at midnight in the zone."""
    if moment.year in (ALWAYS.year, NEVER.year):
        return ALWAYS if moment.year == ALWAYS.year else NEVER
    at = moment if isinstance(moment, datetime) else datetime.combine(moment, time())
    return utc(at if at.tzinfo else at.replace(tzinfo=zone))


def ends(moment: Moment, zone: ZoneInfo) -> datetime:
    """In UTC; a date ends when the next one begins."""
    if isinstance(moment, datetime) or moment.year == NEVER.year:
        return starts(moment, zone)
    return starts(moment + timedelta(days=1), zone)


def last_moment(moment: Moment, scene: Scene) -> str:
    """The end of ``expires`` in words: the last minute of a date."""
    if isinstance(moment, datetime):
        return scene.spoken(starts(moment, scene.zone))
    return scene.spoken(datetime.combine(moment, time(23, 59), tzinfo=scene.zone))
