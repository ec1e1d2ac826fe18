"""Use cases of a reader who follows the link in an issue: how the newsletter comes, a pause, the end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot.app.workspace import Workspace
from bot.model import Form
from bot.store.leaving import Preferences

NO_PAUSE, KEEP, UNTIL = "none", "keep", "date"
PAUSES = {"weeks": timedelta(weeks=2), "month": timedelta(days=30), "months": timedelta(days=91)}
DAY, LONGEST = timedelta(days=1), timedelta(days=366)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """The settings form as it came in; nothing of it can be trusted."""

    lang: str
    form: str
    pause: str  # NO_PAUSE, KEEP, UNTIL or a key of PAUSES
    day: str  # with UNTIL: "2026-12-24", the first day with mail again


def change(
    workspace: Workspace, subscriber: str, newsletter: str, wish: Wish, *, now: datetime
) -> Preferences | None:
    """What is kept now; None when nobody reads the newsletter under this id. ValueError for a bad day."""
    before = workspace.leaving.preferences(subscriber, newsletter)
    if before is None:
        return None
    after = wished(before, wish, now=now, zone=workspace.settings.publication.timezone)
    return after if workspace.leaving.prefer(subscriber, newsletter, after, now) else None


def wished(before: Preferences, wish: Wish, *, now: datetime, zone: ZoneInfo) -> Preferences:
    """The settings after this wish; what it does not say, or says wrongly, stays as it was."""
    return replace(
        before,
        lang=wish.lang or before.lang,
        form=Form(wish.form) if wish.form in set(Form) else before.form,
        paused_until=_pause(before, wish, now, zone),
    )


def _pause(before: Preferences, wish: Wish, now: datetime, zone: ZoneInfo) -> datetime | None:
    if wish.pause == NO_PAUSE:
        return None
    if wish.pause in PAUSES:
        return _midnight((now + PAUSES[wish.pause]).astimezone(zone).date(), zone)
    if wish.pause == UNTIL:
        return _chosen(wish.day, now, zone)
    return before.paused_until


def _chosen(text: str, now: datetime, zone: ZoneInfo) -> datetime:
    """The beginning of that day in the publication's zone."""
    day, today = date.fromisoformat(text), now.astimezone(zone).date()
    if not today < day <= today + LONGEST:
        raise ValueError(f"{day} is not between tomorrow and a year from now")
    return _midnight(day, zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)
