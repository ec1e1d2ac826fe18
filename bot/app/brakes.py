"""What stands still because somebody said so, or an account's health: quick to look at, again and again."""

from __future__ import annotations

import os

from bot.app.workspace import STOP_FILE, Workspace


def has_stop_file(workspace: Workspace) -> bool:
    """Whether somebody laid a file called STOP into the folder; a link that leads nowhere counts too."""
    return os.path.lexists(workspace.root / STOP_FILE)


def brakes(workspace: Workspace) -> frozenset[str]:
    """A name for each hold, for STOP, and for each account that pauses or rests. Fewer: something goes on."""
    held = {f"hold {scope}" for scope in workspace.ledger.holds()}
    stopped = {STOP_FILE} if has_stop_file(workspace) else set[str]()
    rests = {f"account {halt.account} {halt.domain}" for halt in workspace.pace.halts()}
    return frozenset(held | stopped | rests)
