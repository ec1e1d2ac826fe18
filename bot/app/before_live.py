"""What stands between this workspace and live: a list with levels as live mode would have them."""

from __future__ import annotations

import re
from email.utils import parseaddr

from bot.app.samples import approved_samples
from bot.app.workspace import Workspace, secret_name
from bot.config import is_for_examples, is_loopback, problems_before_live
from bot.errors import StoreError
from bot.model import Finding, Level, Status


def before_live(workspace: Workspace) -> list[Finding]:
    """Empty when only ``mode`` is missing. What blocks in live mode blocks here, too."""
    return [
        *_settings(workspace),
        *_channels(workspace),
        *_senders(workspace),
        *_postal_address(workspace),
        *_items(workspace),
        *_subscribers(workspace),
    ]


def missing_of(workspace: Workspace, channel: str) -> list[Finding]:
    """What a person has not filled in of a channel: it cannot be asked, and cannot send."""
    options = workspace.options(channel)
    found = [
        _block(
            "secret",
            f"{secret_name(channel, name)} is empty: channel {channel} cannot send. Put it into .env",
        )
        for name in options.missing()
    ]
    examples = [host for host in options.hosts if is_for_examples(host) and not is_loopback(host)]
    found += [
        _block("host", f"channel {channel}: {host} is a name for examples; write your own server")
        for host in examples
    ]
    return found


def _settings(workspace: Workspace) -> list[Finding]:
    """What live mode would not even open with."""
    problems = problems_before_live(workspace.settings, workspace.root)
    return [_block("settings", f"{error.key}: {error.problem}; {error.advice}") for error in problems]


def _channels(workspace: Workspace) -> list[Finding]:
    return [finding for name in workspace.settings.channels for finding in missing_of(workspace, name)]


def _senders(workspace: Workspace) -> list[Finding]:
    senders = {name: parseaddr(table.sender)[1] for name, table in workspace.settings.newsletters.items()}
    domains = {name: sender.rpartition("@")[2] for name, sender in senders.items()}
    return [
        _block(
            "sender",
            f"newsletter {name}: the sender's domain {domain} is a name for examples; write your own",
        )
        for name, domain in domains.items()
        if is_for_examples(domain)
    ]


def _postal_address(workspace: Workspace) -> list[Finding]:
    address = workspace.settings.publication.postal_address
    if not re.search(r"\bexample", address, re.IGNORECASE):
        return []
    return [_warn("postal", f"publication.postal_address is an example ({address}); write your own")]


def _items(workspace: Workspace) -> list[Finding]:
    approved = [item for item in workspace.read_queue().items if item.status is Status.APPROVED]
    if not approved:
        return [_warn("items", "no item is approved: 'bot approve NAME' lets one go out")]
    samples = approved_samples(approved)
    if not samples:
        return []
    names = ", ".join(item.id for item in samples[:3]) + (", ..." if len(samples) > 3 else "")
    words = f"{len(samples)} approved items are samples that come with the program ({names}); delete them"
    return [_block("samples", words)]


def _subscribers(workspace: Workspace) -> list[Finding]:
    found = []
    for name in workspace.settings.newsletters:
        try:
            count = workspace.audience.count(name)
        except StoreError:
            continue  # told with the accounts
        if not count:
            found.append(_warn("readers", f"newsletter {name} has 0 readers: import some"))
    return found


def _block(rule: str, message: str) -> Finding:
    return Finding(level=Level.BLOCK, rule=f"live.{rule}", message=message)


def _warn(rule: str, message: str) -> Finding:
    return Finding(level=Level.WARN, rule=f"live.{rule}", message=message)
