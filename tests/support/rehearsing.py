"""A publication that still rehearses, but whose mail account is a real server on this machine."""

from __future__ import annotations

from pathlib import Path

from bot.app.readers import add_reader
from bot.app.workspace import Workspace
from tests.support.live_workspace import ENCRYPTED, PASSWORD, SETTINGS, addresses, make_live


def make_rehearsing(here: Path, port: int, certificate: Path, *, readers: int = 3) -> Path:
    """Everything is filled in; only ``mode`` is missing for a live run."""
    settings = SETTINGS.format(port=port) + ENCRYPTED.format(certificate=certificate)
    make_live(here, settings.replace('mode = "live"', 'mode = "rehearsal"  # for now'))
    with (here / ".env").open("a") as file:
        file.write(f'BOT_CHANNELS__MAIL__PASSWORD="{PASSWORD}"\n')
    workspace = Workspace(here)
    for address in addresses(readers):
        add_reader(workspace, address)
    workspace.release()
    for file in (here / ".env", here / "bot.toml"):
        file.chmod(0o600)
    return here


def edit(here: Path, old: str, new: str, *, file: str = "bot.toml") -> None:
    """Change a setting, as a person would."""
    path = here / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
