"""Beginning a rehearsal anew."""

from __future__ import annotations

import shutil

from bot.app.workspace import Workspace
from bot.store.forgetting import forget_rehearsal, rehearsed_slots
from bot.store.lock import tick_lock


def forget(workspace: Workspace, *, dry_run: bool = False) -> int:
    """Take back what was rehearsed and empty ``outbox/``; how many slots are free again.

    Readers, holds, and everything that was sent for real stay as they are. BusyError while a run is at work.
    """
    if dry_run:
        return rehearsed_slots(workspace.engine)
    with tick_lock(workspace.state_folder):
        slots = forget_rehearsal(workspace.engine)
        if workspace.outbox_folder.is_dir():
            for path in workspace.outbox_folder.iterdir():
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return slots
