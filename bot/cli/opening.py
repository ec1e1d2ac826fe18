"""Opening the workspace for one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

if TYPE_CHECKING:
    from bot.app.workspace import Workspace


def opened(
    root: Path, *, readonly: bool = False, mode: Literal["rehearsal", "live"] | None = None
) -> Workspace:
    """The workspace, as it is or would be in ``mode``; its database is let go however the command ends."""
    from bot.app.workspace import Workspace

    here = Workspace(root, readonly=readonly, mode=mode)
    click.get_current_context().call_on_close(here.release)
    return here
