"""From rehearsal to live and back: what live would send, and the change of ``mode``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from bot.app.plan import outlook
from bot.app.words import Outgoing, issue_words
from bot.app.workspace import Workspace
from bot.config import FILE, load_settings, mode_override, write_mode
from bot.errors import ConfigError
from bot.planner import Outlook

FAR = 31  # days ahead in which a next issue is looked for


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """What would go out from now on if it were live, and the words of each newsletter's next issue."""

    coming: Outlook
    issues: tuple[Outgoing, ...]


def launch(live: Workspace, now: datetime) -> Launch:
    """For a workspace that was opened as live: its ledger, its readers, its clock."""
    coming = outlook(live, now, days=FAR)
    first = {
        issue.newsletter: issue for _, plan in reversed(coming.moments) for issue in reversed(plan.issues)
    }
    return Launch(coming=coming, issues=tuple(issue_words(live, issue) for issue in first.values()))


def change_mode(root: Path, mode: Literal["rehearsal", "live"]) -> None:
    """Write it into bot.toml. ConfigError, with nothing changed, when it would not hold."""
    check_override(root, mode)
    load_settings(root, mode=mode)  # raises for what live mode refuses
    write_mode(root, mode)


def check_override(root: Path, mode: str) -> None:
    """BOT_MODE wins over bot.toml: where it says something else, the file would say what is not so."""
    if place := mode_override(root):
        raise ConfigError(
            place,
            "BOT_MODE",
            f"wins over {root / FILE}, so that mode cannot be set to {mode} there",
            "remove it and try again",
        )
