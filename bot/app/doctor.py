"""What is configured, what is missing, which channel answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from bot.app.hooks import statuses
from bot.app.own_templates import template_findings
from bot.app.pacing import halts, told
from bot.app.publish import holds
from bot.app.samples import approved_samples
from bot.app.unsigned import told_of_unsigned
from bot.app.workspace import Workspace, secret_name
from bot.config import is_for_examples
from bot.errors import StoreError
from bot.files import is_open_to_others
from bot.model import Finding, Item, Level
from bot.sender.wicket import in_words


async def examine(workspace: Workspace, *, offline: bool = False) -> list[Finding]:
    """Settings, queue and templates; then each channel's own check, unless offline or in rehearsal."""
    findings = [*_settings(workspace), *_queue(workspace), *template_findings(workspace)]
    findings += _open_to_others(workspace)
    if workspace.mode == "rehearsal":
        findings.append(
            _info(
                "mode", 'Rehearsal: nothing leaves this computer. mode = "live" in bot.toml sends for real.'
            )
        )
    findings += [*_missing_secrets(workspace), *_stops(workspace), *_paces(workspace), *_hooks(workspace)]
    findings += _unsigned(workspace)
    if workspace.mode == "live":
        findings += _live(workspace)
    if offline:
        return [*findings, *_limits(workspace)]
    checks = await asyncio.gather(*(_channel(workspace, name) for name in workspace.settings.channels))
    answers = (finding for found in checks for finding in found)
    return [*findings, *answers, *_limits(workspace)]


def _settings(workspace: Workspace) -> list[Finding]:
    settings = workspace.settings
    names = ", ".join(settings.newsletters) or "none"
    channels = ", ".join(f"{name} ({table.type})" for name, table in settings.channels.items()) or "none"
    return [
        _info("settings", f"bot.toml reads well: newsletters {names}; channels {channels}"),
        _info("settings.zone", f"Times are in {settings.publication.timezone}"),
    ]


def _queue(workspace: Workspace) -> list[Finding]:
    queue = workspace.read_queue()
    approved = sum(item.status == "approved" for item in queue.items)
    items = "1 item" if len(queue.items) == 1 else f"{len(queue.items):,} items"
    findings = [_info("queue", f"{items} in {workspace.queue_folder}, {approved} approved")]
    findings += [Finding(level=Level.WARN, rule="queue.unreadable", message=str(e)) for e in queue.errors]
    findings += _samples(queue.items, workspace.mode)
    return findings


def _open_to_others(workspace: Workspace) -> list[Finding]:
    """What holds addresses or secrets and can be read by other users of this machine."""
    private = (workspace.state_folder, workspace.outbox_folder, workspace.root / ".env")
    return [
        _warn("private", f"{path} can be read by other users of this computer: chmod go= {path}")
        for path in private
        if is_open_to_others(path)
    ]


def _samples(items: Sequence[Item], mode: str) -> list[Finding]:
    """Approved sample items: readers must never get them."""
    samples = approved_samples(items)
    if not samples:
        return []
    names = ", ".join(item.id for item in samples[:3]) + (", ..." if len(samples) > 3 else "")
    words = f"{len(samples)} approved items are samples that come with the program ({names}); delete them"
    level = Level.BLOCK if mode == "live" else Level.WARN
    return [Finding(level=level, rule="doctor.samples", message=words)]


def _stops(workspace: Workspace) -> list[Finding]:
    """What a person holds: nothing of it goes out, and nobody may remember."""
    try:
        held = holds(workspace)
    except StoreError:
        return []  # told with the accounts
    return [
        _warn("hold", f"{'everything' if scope == '*' else scope} stands still: {why}; see 'bot resume'")
        for scope, why in held.items()
    ]


def _live(workspace: Workspace) -> list[Finding]:
    """What a first real send is likely to forget."""
    findings = [_info("mode", "Live: what is due is sent for real")]
    for name, newsletter in workspace.settings.newsletters.items():
        domain = newsletter.sender.rpartition("@")[2].rstrip(">")
        if is_for_examples(domain):
            words = f"newsletter {name}: the sender's domain {domain} is a name for examples; write your own"
            findings.append(_warn("sender", words))
        try:
            count = workspace.audience.count(name)
        except StoreError:
            continue  # told with the accounts
        words = f"newsletter {name} has {count:,} reader{'s' * (count != 1)}"
        findings.append(_info("readers", words) if count else _warn("readers", f"{words}: import some"))
    return findings


def _paces(workspace: Workspace) -> list[Finding]:
    """Accounts that stand still; a paused one sends nothing until a person says so."""
    zone = workspace.settings.publication.timezone
    try:
        found = halts(workspace, datetime.now(UTC))
    except StoreError as error:
        return [Finding(level=Level.BLOCK, rule="doctor.store", message=str(error))]
    return [
        Finding(level=Level.BLOCK if halt.why else Level.INFO, rule="doctor.pace", message=told(halt, zone))
        for halt in found
    ]


def _unsigned(workspace: Workspace) -> list[Finding]:
    """Reports about readers that anybody may have written."""
    try:
        return [_warn("unsigned", said) for said in told_of_unsigned(workspace, datetime.now(UTC))]
    except StoreError:
        return []  # told with the accounts


def _hooks(workspace: Workspace) -> list[Finding]:
    """Other programs that are told what happens; one that takes nothing any more needs a person."""
    if not workspace.settings.hooks:
        return []
    found = []
    for hook in statuses(workspace, limit=1):
        if hook.paused:
            found.append(_warn("hook", f"hook {hook.name} is paused: {hook.paused}"))
        elif hook.counts.failed:
            said = hook.failed[0].said if hook.failed else ""
            again = f"'bot hooks retry {hook.name}' tells it again"
            found.append(
                _warn("hook", f"hook {hook.name} did not take {hook.counts.failed} ({said}); {again}")
            )
        else:
            found.append(_info("hook", f"hook {hook.name}: {hook.to} is told of {', '.join(hook.events)}"))
    return found


def _missing_secrets(workspace: Workspace) -> list[Finding]:
    """Secrets that a live run needs and nobody gave; with the name to put into ``.env``."""
    level = Level.WARN if workspace.mode == "rehearsal" else Level.BLOCK
    findings = []
    if len(workspace.settings.secret_key.get_secret_value()) < 32:
        findings.append(
            _missing(level, "BOT_SECRET_KEY", "unsubscribe links cannot be signed for real readers")
        )
    for name in workspace.settings.channels:
        findings += [
            _missing(level, secret_name(name, secret), f"channel {name} cannot send")
            for secret in workspace.options(name).missing()
        ]
    return findings


async def _channel(workspace: Workspace, name: str) -> list[Finding]:
    """What the channel says of itself; one that misses a secret was told already and is not asked."""
    if _lacks_secret(workspace, name):
        return []
    channel = workspace.connect(name)
    try:
        found = await channel.check()
    finally:
        await channel.close()
    return found or ([] if workspace.mode == "rehearsal" else [_info("channel", f"{name} answers")])


def _limits(workspace: Workspace) -> list[Finding]:
    """What posts are fitted to: what each service told last, and when."""
    found, now = [], datetime.now(UTC)
    for name in workspace.settings.channels:
        limits = workspace.connect(name).limits if not _lacks_secret(workspace, name) else None
        if limits and limits.read:
            age = in_words(now - limits.read).removeprefix("about ")
            found.append(_info("limits", f"{name}: {limits.characters:,} characters, read {age} ago"))
    return found


def _lacks_secret(workspace: Workspace, name: str) -> bool:
    return workspace.mode == "live" and bool(workspace.options(name).missing())


def _info(rule: str, message: str) -> Finding:
    return Finding(level=Level.INFO, rule=f"doctor.{rule}", message=message)


def _warn(rule: str, message: str) -> Finding:
    return Finding(level=Level.WARN, rule=f"doctor.{rule}", message=message)


def _missing(level: Level, variable: str, why: str) -> Finding:
    return Finding(level=level, rule="doctor.secret", message=f"{variable} is empty: {why}. Put it into .env")
