"""The plan of one moment: each schedule looks at its slots and takes its turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bot.model import Firing, History, Issue, Item, Newsletter, Plan, Post, Posting
from bot.planner.eligibility import fitting, ready_items
from bot.planner.reasons import waiting
from bot.planner.scene import (
    Scene,
    Schedule,
    added_at,
    free_at,
    ids,
    most_items,
    name_of,
    on_hold,
    too_few,
)
from bot.schedule import MISSED_KEPT, Due, due_slot, next_slot, parse_slots, spoken, utc

NOTHING_TO_POST = "nothing to post"
INSTANT = timedelta(microseconds=1)


def plan(
    items: Sequence[Item],
    newsletters: Sequence[Newsletter],
    postings: Sequence[Posting],
    history: History,
    now: datetime,
    *,
    zone: ZoneInfo,
    blocked: frozenset[str] = frozenset(),
    explain: bool = False,
    ahead: bool = False,
) -> Plan:
    """The issues and posts due at ``now``, the slots given up, and what people should be told.

    ``blocked`` are ids of items that a check stops. Reasons for waiting are given only when ``explain`` is
    true: a tick with nothing due does not look at the items at all. ``ahead``: ``now`` is still to come.
    """
    scene = Scene(history=history, now=utc(now), zone=zone, blocked=blocked, ahead=ahead)
    schedules: tuple[Schedule, ...] = (*newsletters, *postings)
    turns = [(schedule, due) for schedule in schedules if (due := _due(schedule, scene)) != Due()]
    early = _together(_before_the_first_run(schedule, scene) for schedule in schedules)
    if not turns and not explain:
        return early
    ready = ready_items(items, scene)
    done = _together((early, *(_turn(schedule, due, ready, scene) for schedule, due in turns)))
    return replace(done, waiting=waiting(items, schedules, ready, done, scene)) if explain else done


def next_items(
    items: Sequence[Item],
    newsletter: Newsletter,
    history: History,
    now: datetime,
    *,
    zone: ZoneInfo,
    blocked: frozenset[str] = frozenset(),
) -> tuple[Item, ...]:
    """What an issue made now would hold, for a preview: also when it is not due, held or too small."""
    scene = Scene(history=history, now=utc(now), zone=zone, blocked=blocked)
    return tuple(fitting(ready_items(items, scene), newsletter, scene)[: most_items(newsletter)])


def played(history: History, plan: Plan, now: datetime) -> History:
    """What the ledger would know once ``plan`` was recorded at ``now``."""
    printed = {
        i.newsletter: history.printed.get(i.newsletter, frozenset()) | ids(i.items) for i in plan.issues
    }
    posted = {p.channel: history.posted.get(p.channel, frozenset()) | {p.id} for p in plan.posts}
    return replace(
        history,
        last_slot=_last_slots(history, plan),
        printed={**history.printed, **printed},
        posted={**history.posted, **posted},
        last_post={**history.last_post, **{post.channel: now for post in plan.posts}},
        next_number={**history.next_number, **{i.newsletter: i.number + 1 for i in plan.issues}},
    )


def _last_slots(history: History, plan: Plan) -> dict[str, datetime]:
    fired = [
        *((firing.schedule, firing.slot) for firing in plan.skipped),
        *((issue.newsletter, issue.slot) for issue in plan.issues),
        *((post.channel, post.slot) for post in plan.posts),
    ]
    last = dict(history.last_slot)
    for name, slot in fired:
        last[name] = max(utc(slot), utc(last.get(name, slot)))
    return last


def _due(schedule: Schedule, scene: Scene) -> Due:
    """A slot at the very moment the schedule was first seen counts; nothing before that does."""
    after = scene.history.last_slot.get(name_of(schedule)) or added_at(schedule, scene) - INSTANT
    return due_slot(parse_slots(schedule.slots), scene.zone, after, scene.now, schedule.max_lateness)


def _turn(schedule: Schedule, due: Due, ready: Sequence[Item], scene: Scene) -> Plan:
    """What one schedule makes of its slots."""
    items = fitting(ready, schedule, scene)
    missed = _given_up(schedule, due, items, scene)
    if due.fire is None:
        return missed
    if isinstance(schedule, Newsletter):
        return _together((missed, _issue(schedule, due.fire, items, scene)))
    return _together((missed, _post(schedule, due.fire, items, scene)))


def _issue(newsletter: Newsletter, slot: datetime, items: Sequence[Item], scene: Scene) -> Plan:
    """The issue of this slot, or the notice that it is held."""
    if problem := on_hold(newsletter, scene.history) or too_few(newsletter, len(items)):
        return Plan(notices=(_waits(newsletter, slot, problem, scene),))
    number = scene.history.next_number.get(newsletter.name, 1)
    chosen = tuple(items[: most_items(newsletter)])
    return Plan(issues=(Issue(newsletter=newsletter.name, number=number, slot=slot, items=chosen),))


def _post(posting: Posting, slot: datetime, items: Sequence[Item], scene: Scene) -> Plan:
    """The post of this slot; a slot with nothing to say is given up quietly."""
    if not items:
        return Plan(skipped=(_skipped(posting, slot, NOTHING_TO_POST),))
    if problem := on_hold(posting, scene.history):
        return Plan(notices=(_waits(posting, slot, problem, scene),))
    if free_at(posting, scene.history) > scene.now:
        return Plan()
    return Plan(posts=(Post(channel=posting.channel, slot=slot, item=items[0]),))


# --------------------------------------------------------------------------- slots given up


def _given_up(schedule: Schedule, due: Due, items: Sequence[Item], scene: Scene) -> Plan:
    """The missed slots, each with its reason, and one notice for all of them."""
    if not due.missed:
        return Plan()
    if isinstance(schedule, Posting) and not items:
        return Plan(skipped=tuple(_skipped(schedule, slot, NOTHING_TO_POST) for slot in due.missed))
    cause = on_hold(schedule, scene.history) or _unready(schedule, items, scene)
    skipped = tuple(_skipped(schedule, slot, _detail(schedule, slot, cause, scene)) for slot in due.missed)
    return Plan(skipped=skipped, missed=(_missed_notice(schedule, skipped, scene),))


def _before_the_first_run(schedule: Schedule, scene: Scene) -> Plan:
    """One sentence when a slot had just passed when the schedule was written down: it is not made up for."""
    name, history, first = name_of(schedule), scene.history, added_at(schedule, scene)
    if name in history.added_at or name in history.last_slot:
        return Plan()
    due = due_slot(
        parse_slots(schedule.slots),
        scene.zone,
        scene.now - schedule.max_lateness,
        first - INSTANT,
        schedule.max_lateness,
    )
    if due.fire is None:
        return Plan()
    what = f"the {_thing(schedule)} of {spoken(due.fire)} is skipped"
    why = "its time had passed before bot.toml was saved"
    return Plan(missed=(f"{name}: {what}: {why}{_next_one(schedule, scene)}",))


def _unready(schedule: Schedule, items: Sequence[Item], scene: Scene) -> str:
    if isinstance(schedule, Newsletter):
        return too_few(schedule, len(items))
    return "too soon after the last post" if free_at(schedule, scene.history) > scene.now else ""


def _detail(schedule: Schedule, slot: datetime, cause: str, scene: Scene) -> str:
    """Why this slot was missed; a younger slot takes the place of one that is not yet too late."""
    late = scene.now - utc(slot) > schedule.max_lateness
    what = f"more than {_length(schedule.max_lateness)} late" if late else "the next slot took its place"
    return f"{cause}; {what}" if cause else what


def _missed_notice(schedule: Schedule, skipped: Sequence[Firing], scene: Scene) -> str:
    last = skipped[-1]
    if len(skipped) == 1:
        what = f"the {_thing(schedule)} of {spoken(last.slot)} was skipped"
    else:
        least = "at least " if len(skipped) >= MISSED_KEPT else ""
        what = f"{least}{len(skipped)} slots were skipped, the latest of {spoken(last.slot)}"
    return f"{name_of(schedule)}: {what}: {last.detail}{_next_one(schedule, scene)}"


def _next_one(schedule: Schedule, scene: Scene) -> str:
    following = next_slot(parse_slots(schedule.slots), scene.zone, scene.now)
    return f"; the next is {scene.spoken(following)}" if following else ""


def _waits(schedule: Schedule, slot: datetime, problem: str, scene: Scene) -> str:
    end = scene.local(utc(slot) + schedule.max_lateness)
    until = f"{end:%H:%M}" if end.date() == slot.date() else spoken(end)
    waits = "will wait" if scene.ahead else "waits"
    return f"{name_of(schedule)}: {problem}; the {_thing(schedule)} of {spoken(slot)} {waits} until {until}"


def _skipped(schedule: Schedule, slot: datetime, detail: str) -> Firing:
    return Firing(schedule=name_of(schedule), slot=slot, outcome="skipped", detail=detail)


def _thing(schedule: Schedule) -> str:
    return "issue" if isinstance(schedule, Newsletter) else "post"


def _length(duration: timedelta) -> str:
    """``6 h``, ``1 h 30 min``: whole minutes."""
    hours, minutes = divmod(duration // timedelta(minutes=1), 60)
    return " ".join([f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes or not hours))


def _together(plans: Iterable[Plan]) -> Plan:
    """One plan of many."""
    parts = tuple(plans)
    return Plan(
        issues=tuple(issue for part in parts for issue in part.issues),
        posts=tuple(post for part in parts for post in part.posts),
        skipped=tuple(firing for part in parts for firing in part.skipped),
        missed=tuple(sentence for part in parts for sentence in part.missed),
        notices=tuple(notice for part in parts for notice in part.notices),
    )
