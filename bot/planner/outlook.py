"""The coming days: plans played forward over a history that only exists in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import heappop, heappush
from zoneinfo import ZoneInfo

from bot.model import History, Item, Newsletter, Plan, Posting, Status, Waiting
from bot.planner.eligibility import starts
from bot.planner.plans import plan, played
from bot.planner.scene import Schedule, free_at, name_of
from bot.schedule import parse_slots, slots_between, utc


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What goes out when, and why the other items wait."""

    moments: tuple[tuple[datetime, Plan], ...]
    waiting: tuple[Waiting, ...]
    missed: tuple[str, ...] = ()  # slots that passed without being used, a sentence for each schedule


def forecast(
    items: Sequence[Item],
    newsletters: Sequence[Newsletter],
    postings: Sequence[Posting],
    history: History,
    now: datetime,
    *,
    zone: ZoneInfo,
    days: int,
    blocked: frozenset[str] = frozenset(),
) -> Outlook:
    """From ``now`` to ``days`` later, as if the bot ran all the time and nobody changed anything.

    Each notice is told once, at the first moment it comes up.
    """
    schedules: tuple[Schedule, ...] = (*newsletters, *postings)
    start, end = utc(now), utc(now) + timedelta(days=days)
    known = seen = _seen(history, items, schedules, now)
    approved = [item for item in items if item.status is Status.APPROVED]
    coming = _wake_times(approved, schedules, seen, start, end, zone)
    moments: list[tuple[datetime, Plan]] = []
    told: set[str] = set()
    missed: tuple[str, ...] = ()
    while coming:
        at = heappop(coming)
        ahead = at > start
        step = plan(approved, newsletters, postings, known, at, zone=zone, blocked=blocked, ahead=ahead)
        known = played(known, step, at)
        if not ahead:  # a slot that will be given up later is told when its turn comes
            missed = step.missed
        fresh = tuple(notice for notice in step.notices if notice not in told)
        told.update(fresh)
        if fresh or not step.is_empty:
            moments.append((at.astimezone(zone), replace(step, notices=fresh)))
        for pause in _pauses(step, postings, at, end):
            heappush(coming, pause)
    first = plan(items, newsletters, postings, seen, now, zone=zone, blocked=blocked, explain=True)
    return Outlook(moments=tuple(moments), waiting=_still_waiting(first.waiting, moments), missed=missed)


def _seen(history: History, items: Sequence[Item], schedules: Sequence[Schedule], now: datetime) -> History:
    """The history after a first look: every schedule and approved item is known from then on."""
    approved = {item.id: now for item in items if item.status is Status.APPROVED}
    return replace(
        history,
        added_at={**{name_of(s): history.settings_written or now for s in schedules}, **history.added_at},
        approved_at={**approved, **history.approved_at},
    )


def _wake_times(
    items: Iterable[Item],
    schedules: Sequence[Schedule],
    history: History,
    start: datetime,
    end: datetime,
    zone: ZoneInfo,
) -> list[datetime]:
    """``start`` and the moments up to ``end`` at which a plan may change by itself, as a heap."""
    slots = {
        utc(slot)
        for schedule in schedules
        for slot in slots_between(parse_slots(schedule.slots), zone, start, end)
    }
    embargoes = {starts(item.not_before, zone) for item in items if item.not_before is not None}
    pauses = {free_at(schedule, history) for schedule in schedules if isinstance(schedule, Posting)}
    return sorted({start} | {moment for moment in slots | embargoes | pauses if start < moment <= end})


def _pauses(step: Plan, postings: Sequence[Posting], at: datetime, end: datetime) -> list[datetime]:
    """When the channels that just posted may post again: a slot may wait for that."""
    busy = {post.channel for post in step.posts}
    ends = {at + posting.spacing for posting in postings if posting.channel in busy}
    return sorted(moment for moment in ends if at < moment <= end)


def _still_waiting(
    waiting: Iterable[Waiting], moments: Iterable[tuple[datetime, Plan]]
) -> tuple[Waiting, ...]:
    """Those reasons whose item does not go out in the time looked at."""
    gone = {
        (schedule, item)
        for _, step in moments
        for schedule, items in (
            *((issue.newsletter, [item.id for item in issue.items]) for issue in step.issues),
            *((post.channel, [post.id]) for post in step.posts),
        )
        for item in items
    }
    somewhere = {item for _, item in gone}
    return tuple(
        reason
        for reason in waiting
        if (reason.schedule, reason.item) not in gone and (reason.schedule or reason.item not in somewhere)
    )
