"""What is configured, what is missing, which channel answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from bot.app.before_live import before_live, missing_of
from bot.app.hooks import statuses
from bot.app.joining import refused_forms
from bot.app.own_templates import template_findings
from bot.app.pacing import halts, told
from bot.app.publish import holds
from bot.app.unsigned import told_of_unsigned
from bot.app.workspace import Workspace
from bot.errors import StoreError
from bot.files import is_open_to_others
from bot.model import Finding, Level
from bot.sender.wicket import in_words


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """What was found, and what stands between here and live: nothing of that when it is live already."""

    findings: tuple[Finding, ...]
    before_live: tuple[Finding, ...] = ()

    @property
    def is_faulty(self) -> bool:
        """Something that is set up does not work."""
        return any(finding.level is Level.BLOCK for finding in self.findings)

    @property
    def forbids_live(self) -> bool:
        """Live mode would stand still, or mail what nobody should get."""
        return self.is_faulty or any(finding.level is Level.BLOCK for finding in self.before_live)


async def examine(workspace: Workspace, *, offline: bool = False) -> Examination:
    """Settings, queue and templates; then, unless offline, each channel's own check: in rehearsal too."""
    findings = [*_settings(workspace), *_queue(workspace), *template_findings(workspace)]
    findings += [*_open_to_others(workspace), _mode(workspace)]
    findings += [*_stops(workspace), *_paces(workspace), *_hooks(workspace)]
    findings += [*_unsigned(workspace), *_signups(workspace), *_readers(workspace)]
    missing = tuple(before_live(workspace))
    if not offline:
        checks = await asyncio.gather(*(_channel(workspace, name) for name in workspace.settings.channels))
        findings += [finding for found in checks for finding in found]
    if workspace.mode == "live":
        return Examination(findings=(*findings, *missing, *_limits(workspace)))
    return Examination(findings=(*findings, *_limits(workspace)), before_live=missing)


def _mode(workspace: Workspace) -> Finding:
    if workspace.mode == "live":
        return _info("mode", "Live: what is due is sent for real")
    return _info("mode", "Rehearsal: nothing leaves this computer. 'bot go-live' sends for real.")


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
    return findings


def _open_to_others(workspace: Workspace) -> list[Finding]:
    """What holds addresses or secrets and can be read by other users of this machine."""
    private = (workspace.state_folder, workspace.outbox_folder, workspace.root / ".env")
    return [
        _warn("private", f"{path} can be read by other users of this computer: chmod go= {path}")
        for path in private
        if is_open_to_others(path)
    ]


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


def _readers(workspace: Workspace) -> list[Finding]:
    """How many each newsletter has; none is told before going live."""
    findings = []
    for name in workspace.settings.newsletters:
        try:
            count = workspace.audience.count(name)
        except StoreError:
            continue  # told with the accounts
        if count:
            findings.append(_info("readers", f"newsletter {name} has {count:,} reader{'s' * (count != 1)}"))
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


def _signups(workspace: Workspace) -> list[Finding]:
    """Hours in which people could not sign up, because very many forms came."""
    try:
        return [_warn("signups", said) for said in refused_forms(workspace, datetime.now(UTC))]
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


async def _channel(workspace: Workspace, name: str) -> list[Finding]:
    """What the channel's server says; one that nobody has set up is told before going live, and not asked."""
    if missing_of(workspace, name):
        return []
    channel = workspace.connect_live(name)
    try:
        found = await channel.check()
    finally:
        await channel.close()
    return found or [_info("channel", f"{name} answers")]


def _limits(workspace: Workspace) -> list[Finding]:
    """What posts are fitted to: what each service told last, and when."""
    found, now = [], datetime.now(UTC)
    for name in workspace.settings.channels:
        limits = workspace.connect_outbox(name).limits
        if limits.read:
            age = in_words(now - limits.read).removeprefix("about ")
            found.append(_info("limits", f"{name}: {limits.characters:,} characters, read {age} ago"))
    return found


def _info(rule: str, message: str) -> Finding:
    return Finding(level=Level.INFO, rule=f"doctor.{rule}", message=message)


def _warn(rule: str, message: str) -> Finding:
    return Finding(level=Level.WARN, rule=f"doctor.{rule}", message=message)
