"""What a running bot does about mail that comes back, every few minutes, beside the sending."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bot.app.bounces import Readings, read_bounces, sweep_refusals
from bot.app.chores import repeat_until_stopped
from bot.app.postbox import box_opener, is_configured
from bot.app.workspace import Workspace
from bot.audience.bounces.boxes import Box

EVERY = timedelta(minutes=5)


def attend(
    workspace: Workspace, open_box: Callable[[], Box] | None, now: datetime, *, dry_run: bool = False
) -> list[Readings]:
    """One round: the ledger's refusals, then the box where there is one."""
    found = [sweep_refusals(workspace, now=now, dry_run=dry_run)]
    if open_box:
        box = open_box()
        try:
            found.append(read_bounces(workspace, box, now=now, dry_run=dry_run))
        finally:
            box.close()
    return found


async def attend_until_stopped(workspace: Workspace, stop: asyncio.Event) -> None:
    """A round now and every few minutes; a mailbox that does not answer stops nothing else."""
    if workspace.mode != "live":
        return

    async def look() -> None:
        await asyncio.to_thread(_look, workspace)

    await repeat_until_stopped(look, stop, every=EVERY, failed="bounces were not read")


def _look(workspace: Workspace) -> None:
    opener = box_opener(workspace) if is_configured(workspace) else None
    attend(workspace, opener, datetime.now(UTC))
