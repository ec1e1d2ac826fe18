"""The use case of looking ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from bot.app.publish import blocking, history
from bot.app.workspace import Workspace
from bot.model import Item, Status
from bot.planner import Outlook, forecast


def outlook(
    workspace: Workspace, now: datetime, *, days: int, items: Sequence[Item] | None = None
) -> Outlook:
    """What goes out in the next days if nobody changes anything, and why the rest waits.

    ``items`` are those of the whole queue, where the caller has read it already.
    """
    settings = workspace.settings
    items = workspace.read_queue().items if items is None else items
    blocked = frozenset(
        item.id
        for item in items
        if item.status is Status.APPROVED and blocking(item, now, workspace.settings)
    )
    return forecast(
        items,
        settings.mailings,
        settings.postings,
        history(workspace, now),
        now,
        zone=settings.publication.timezone,
        days=days,
        blocked=blocked,
    )


def planned_times(seen: Outlook) -> Mapping[tuple[str, str], datetime]:
    """When each item goes out in which newsletter or on which channel, in the time looked at."""
    issues = {
        (item.id, issue.newsletter): moment
        for moment, plan in seen.moments
        for issue in plan.issues
        for item in issue.items
    }
    return issues | {(post.id, post.channel): moment for moment, plan in seen.moments for post in plan.posts}
