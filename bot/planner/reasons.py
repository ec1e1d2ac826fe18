"""Why items wait. An item that went out everywhere it belongs does not wait and is left out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.model import Item, Newsletter, Plan, Posting, Waiting
from bot.planner.eligibility import Obstacle, before_channel, ends, fitting, last_moment, mismatch, obstacle
from bot.planner.scene import Scene, Schedule, free_at, had, most_items, name_of, on_hold, too_few
from bot.schedule import next_slot, parse_slots, utc


def waiting(
    items: Sequence[Item], schedules: Sequence[Schedule], ready: Sequence[Item], done: Plan, scene: Scene
) -> tuple[Waiting, ...]:
    """One reason for each schedule that still wants an item, or one without a schedule (``""``) when nothing
    could take it now. An item that suits one schedule is not said to wait for those it does not suit.
    """
    general = [reason for item in items for reason in _general(item, schedules, scene)]
    return (*general, *(reason for s in schedules for reason in _line(s, ready, done, scene)))


def _general(item: Item, schedules: Sequence[Schedule], scene: Scene) -> list[Waiting]:
    """What does not depend on slots."""
    suited = [schedule for schedule in schedules if not mismatch(item, schedule)]
    if not suited:
        why = "; ".join(dict.fromkeys(mismatch(item, schedule) for schedule in schedules))
        reason = f"no newsletter or channel takes it: {why or 'there is none'}"
        return [Waiting(item=item.id, schedule="", reason=reason)]
    wanted = [schedule for schedule in suited if item.id not in had(schedule, scene.history)]
    if wanted and (found := obstacle(item, scene)):
        return [Waiting(item=item.id, schedule="", reason=found[0], until=found[1])]
    late = "approved before the channel was added; set backfill = true to post it"
    new = [name_of(schedule) for schedule in wanted if before_channel(item, schedule, scene)]
    return [Waiting(item=item.id, schedule=name, reason=late) for name in new]


def _line(schedule: Schedule, ready: Sequence[Item], done: Plan, scene: Scene) -> list[Waiting]:
    """Why each item that the schedule could take is not in the plan."""
    gone = _taken(schedule, done)
    line = [item for item in fitting(ready, schedule, scene) if item.id not in gone]
    following = next_slot(parse_slots(schedule.slots), scene.zone, scene.now)
    common = _common(schedule, len(line), following, scene)

    def waits(place: int, item: Item) -> Waiting:
        special = common or _expiring(item, following, scene)
        why, until = special or _place(schedule, place, following, bool(gone), scene)
        ahead = place if special is None and isinstance(schedule, Posting) else 0
        return Waiting(item=item.id, schedule=name_of(schedule), reason=why, until=until, ahead=ahead)

    return [waits(place, item) for place, item in enumerate(line)]


def _common(schedule: Schedule, count: int, following: datetime | None, scene: Scene) -> Obstacle | None:
    """What the whole line waits for."""
    if problem := on_hold(schedule, scene.history):
        return problem, None
    if following is None:
        return "its schedule has no slot to come", None
    if isinstance(schedule, Newsletter) and (problem := too_few(schedule, count)):
        return f"waits for more items: {problem}", None
    return None


def _place(schedule: Schedule, place: int, following: datetime | None, full: bool, scene: Scene) -> Obstacle:
    """What the item at this place of the line waits for."""
    if isinstance(schedule, Posting):
        return _turn_of(schedule, place, following, scene)
    most = most_items(schedule)
    if place >= most:
        return f"the next issue is full ({most} items)", None
    return f"this issue is full ({most} items)" if full else "waits for the next issue", following


def _turn_of(posting: Posting, place: int, following: datetime | None, scene: Scene) -> Obstacle:
    if place:
        return f"waits for its turn; {place} item{'s' * (place != 1)} before it", None
    pause = free_at(posting, scene.history)
    if following is None or pause <= utc(following):
        return "waits for the next slot", following
    return "too soon after the last post", scene.local(pause)


def _expiring(item: Item, following: datetime | None, scene: Scene) -> Obstacle | None:
    if item.expires is None or following is None or ends(item.expires, scene.zone) > utc(following):
        return None
    return (
        f"expires {last_moment(item.expires, scene)}, before the next slot ({scene.spoken(following)})",
        None,
    )


def _taken(schedule: Schedule, done: Plan) -> frozenset[str]:
    """Ids of the items that the plan gives to this schedule."""
    if isinstance(schedule, Newsletter):
        return frozenset(item.id for i in done.issues if i.newsletter == schedule.name for item in i.items)
    return frozenset(post.id for post in done.posts if post.channel == schedule.channel)
