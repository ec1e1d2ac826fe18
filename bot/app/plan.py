"""The use case of looking ahead."""

from __future__ import annotations

from datetime import datetime

from bot.app.publish import history
from bot.app.workspace import Workspace
from bot.planner import Outlook, forecast


def outlook(workspace: Workspace, now: datetime, *, days: int) -> Outlook:
    """What goes out in the next days if nobody changes anything, and why the rest waits."""
    settings = workspace.settings
    return forecast(
        workspace.read_queue().items,
        settings.mailings,
        settings.postings,
        history(workspace),
        now,
        zone=settings.publication.timezone,
        days=days,
    )
