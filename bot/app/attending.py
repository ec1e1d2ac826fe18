"""What a running bot does about mail that comes back, every few minutes, beside the sending."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from bot.app.bounces import Readings, read_bounces, sweep_refusals
from bot.app.chores import repeat_until_stopped
from bot.app.postbox import box_opener, is_configured
from bot.app.workspace import Workspace
from bot.audience.bounces.boxes import Box

EVERY = timedelta(minutes=5)


def attend(
    workspace: Workspace,
    open_box: Callable[[], Box] | None,
    now: datetime,
    *,
    dry_run: bool = False,
    stopping: Callable[[], bool] = lambda: False,
) -> list[Readings]:
    """One round: the ledger's refusals, then the box where there is one, until ``stopping``."""
    found = [sweep_refusals(workspace, now=now, dry_run=dry_run)]
    if open_box:
        box = open_box()
        try:
            found.append(read_bounces(workspace, box, now=now, dry_run=dry_run, stopping=stopping))
        finally:
            box.close()
    return found


async def attend_until_stopped(workspace: Workspace, stop: asyncio.Event) -> None:
    """A round now and every few minutes; a mailbox that does not answer stops nothing else."""
    if workspace.mode != "live":
        return

    async def look() -> None:
        await asyncio.to_thread(_look, workspace, stop.is_set)

    await repeat_until_stopped(look, stop, every=EVERY, failed="bounces were not read")


async def attend_once(workspace: Workspace, stopping: Callable[[], bool]) -> str:
    """A round, and what it brought in a line; nothing in a rehearsal, whose mail went nowhere."""
    if workspace.mode != "live":
        return ""
    return told_in_a_line(await asyncio.to_thread(_look, workspace, stopping))


def _look(workspace: Workspace, stopping: Callable[[], bool]) -> list[Readings]:
    opener = box_opener(workspace) if is_configured(workspace) else None
    return attend(workspace, opener, datetime.now(UTC), stopping=stopping)


def told_in_a_line(found: Sequence[Readings]) -> str:
    """What came back, whom that stopped, and what needs a person; empty for nothing."""
    kinds = sum((Counter(each.kinds) for each in found), Counter[str]())
    stopped = sum((Counter(each.stopped) for each in found), Counter[str]())
    parts = [f"came back: {', '.join(f'{count:,} {kind}' for kind, count in kinds.items())}"] if kinds else []
    parts += [f"stopped writing to {count:,} ({reason})" for reason, count in stopped.items()]
    left = sum(each.left_by_mail for each in found)
    parts += [f"{left:,} unsubscribed by mail"] if left else []
    return "; ".join([*parts, *dict.fromkeys(said for each in found for said in each.problems)])
