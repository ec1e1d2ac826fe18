"""Opening the workspace for one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bot.app.workspace import Workspace


def opened(root: Path, *, readonly: bool = False) -> Workspace:
    """The workspace; its database is let go when the command ends, however it ends."""
    from bot.app.workspace import Workspace

    here = Workspace(root, readonly=readonly)
    click.get_current_context().call_on_close(here.release)
    return here
