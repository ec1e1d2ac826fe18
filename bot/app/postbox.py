"""Which box the bounces of a workspace lie in, as ``[bounces]`` says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bot.app.workspace import Workspace
from bot.audience.bounces.boxes import Box, Maildir, Pipe
from bot.audience.bounces.imap import Account, ImapBox
from bot.config import FILE
from bot.errors import ConfigError

KEPT = "bounces"  # in state/: a Maildir of what a pipe brought and nobody understood
_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def is_configured(workspace: Workspace) -> bool:
    """Whether there is something to read by itself."""
    return bool(workspace.settings.bounces.maildir or workspace.settings.bounces.imap_host)


def box_opener(workspace: Workspace, maildir: Path | None = None) -> Callable[[], Box]:
    """How the box is opened: the named Maildir, that of bot.toml, or the IMAP mailbox. ConfigError else."""
    table = workspace.settings.bounces
    folder = maildir or (workspace.root / table.maildir if table.maildir else None)
    if folder is not None:
        return lambda: Maildir(folder, table.done_folder)
    account = _account(workspace)
    return lambda: ImapBox(account)


def pipe(workspace: Workspace, raw: bytes) -> Pipe:
    """One mail; what is not understood is kept in the Maildir of bot.toml, or in state/bounces."""
    table = workspace.settings.bounces
    keep = workspace.root / table.maildir if table.maildir else workspace.state_folder / KEPT
    return Pipe(raw, keep)


def _account(workspace: Workspace) -> Account:
    table, file = workspace.settings.bounces, workspace.root / FILE
    if not table.imap_host:
        advice = "set imap_host or maildir there, name one with --maildir, or use --stdin"
        raise ConfigError(file, "bounces", "names no mailbox to read", advice)
    if not table.username:
        raise ConfigError(file, "bounces.username", "is missing", "write who logs in at the mailbox")
    if not table.password.get_secret_value():
        raise ConfigError(
            workspace.root / ".env", "BOT_BOUNCES__PASSWORD", "is empty", "the mailbox needs a password"
        )
    if table.imap_security == "none" and table.imap_host not in _THIS_MACHINE:
        advice = 'use "tls" or "starttls"'
        raise ConfigError(
            file, "bounces.imap_security", "would send the password in clear text over a network", advice
        )
    return Account(
        host=table.imap_host,
        port=table.imap_port,
        security=table.imap_security,
        username=table.username,
        password=table.password.get_secret_value(),
        folder=table.folder,
        done_folder=table.done_folder,
    )
