"""Where every item stands: draft, planned, on hold, sent ..., for each newsletter and channel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bot.app.plan import outlook, planned_times
from bot.app.publish import holds
from bot.app.workspace import Workspace
from bot.model import Item, Newsletter, Posting, State, Status
from bot.planner.eligibility import mismatch
from bot.planner.scene import name_of
from bot.store.item_history import ItemHistory, PostedAs, PrintedIn, read_item_history

DAYS_AHEAD = 7  # what goes out later is told as waiting


class ItemState(StrEnum):
    """What a person has to know first stands first."""

    UNKNOWN = "unknown"  # it may have gone out
    FAILED = "failed"
    HELD = "held"
    DRAFT = "draft"
    CANCELLED = "cancelled"
    DELAYED = "delayed"  # tried, and will be tried again
    PLANNED = "planned"
    WAITING = "waiting"  # approved, and not planned in the next days
    SENDING = "sending"
    SENT = "sent"
    NOWHERE = "nowhere"  # no newsletter or channel takes it


_WORST_FIRST = list(ItemState)
_OF_POST = {
    State.PLANNED: ItemState.SENDING,
    State.CLAIMED: ItemState.SENDING,
    State.DEFERRED: ItemState.DELAYED,
    State.SENT: ItemState.SENT,
    State.FAILED: ItemState.FAILED,
    State.UNKNOWN: ItemState.UNKNOWN,
    State.CANCELLED: ItemState.CANCELLED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One newsletter or channel that takes the item."""

    where: str
    state: ItemState
    at: datetime | None = None  # when it went out, or will
    detail: str = ""  # "issue 3", or why it is on hold, waits or failed
    url: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemStanding:
    """An item, and how it stands at each place; the worst first."""

    item: Item
    places: tuple[Place, ...]

    @property
    def state(self) -> ItemState:
        if self.places:
            return self.places[0].state
        return ItemState.DRAFT if self.item.status is Status.DRAFT else ItemState.NOWHERE


def item_standings(workspace: Workspace, items: Sequence[Item], now: datetime) -> list[ItemStanding]:
    """Every item of the queue in its order, with what plan, holds and ledger say of it."""
    looked = _Look(workspace, items, now)
    return [looked.standing(item) for item in items]


class _Look:
    """All that is asked once, for every item."""

    def __init__(self, workspace: Workspace, items: Sequence[Item], now: datetime) -> None:
        settings = workspace.settings
        self._schedules: tuple[Newsletter | Posting, ...] = (*settings.mailings, *settings.postings)
        self._zone, self._site = settings.publication.timezone, settings.publication.site_url
        self._holds = holds(workspace)
        self._history: ItemHistory = read_item_history(workspace.engine, workspace.mode)
        seen = outlook(workspace, now, days=DAYS_AHEAD, items=items)
        self._planned = planned_times(seen)
        self._waiting = {(each.item, each.schedule): each.reason for each in seen.waiting}

    def standing(self, item: Item) -> ItemStanding:
        places = [place for schedule in self._schedules for place in self._places(item, schedule)]
        places.sort(key=lambda place: _WORST_FIRST.index(place.state))
        return ItemStanding(item=item, places=tuple(places))

    def _places(self, item: Item, schedule: Newsletter | Posting) -> Iterator[Place]:
        where = name_of(schedule)
        if found := self._history.issues.get((item.id, where)):
            yield self._printed(where, found)
        elif post := self._history.posts.get((item.id, where)):
            yield self._posted(where, post)
        elif not mismatch(item, schedule):
            yield self._to_come(item, schedule, where)

    def _printed(self, where: str, issue: PrintedIn) -> Place:
        states = {"done": ItemState.SENT, "cancelled": ItemState.CANCELLED}
        detail = f"issue {issue.number}"
        if issue.state != "done" and issue.sent:
            detail += f", {issue.sent:,} of {issue.total:,} sent"
        return Place(
            where=where,
            state=states.get(issue.state, ItemState.SENDING),
            at=issue.slot.astimezone(self._zone),
            detail=detail,
            url=f"{self._site}/issues/{where}/{issue.number}",
        )

    def _posted(self, where: str, post: PostedAs) -> Place:
        state, at = _OF_POST[post.state], post.at.astimezone(self._zone)
        return Place(where=where, state=state, at=at, detail=post.error, url=post.url)

    def _to_come(self, item: Item, schedule: Newsletter | Posting, where: str) -> Place:
        if item.status is Status.DRAFT:
            return Place(where=where, state=ItemState.DRAFT)
        if item.status is Status.HELD:
            return Place(where=where, state=ItemState.HELD, detail="its file says 'status: held'")
        for scope in ("*", item.id, where, schedule.channel):
            if why := self._holds.get(scope):
                what = {"*": "everything", item.id: "this item"}.get(scope, scope)
                return Place(where=where, state=ItemState.HELD, detail=f"{what} is on hold: {why}")
        if at := self._planned.get((item.id, where)):
            return Place(where=where, state=ItemState.PLANNED, at=at)
        reason = self._waiting.get((item.id, where)) or self._waiting.get((item.id, ""), "")
        return Place(where=where, state=ItemState.WAITING, detail=reason)
