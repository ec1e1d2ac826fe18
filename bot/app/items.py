"""Use cases about items: add, check, approve. They write into ``queue/`` because a person said so."""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from urllib.parse import urlsplit

from bot.app.samples import sample_findings
from bot.app.workspace import Workspace
from bot.checks import check_item, check_queue
from bot.errors import QueueError
from bot.files import write_atomically
from bot.model import Finding, Item, Level, Status
from bot.reader import item_id, item_text, parse_item, set_fields


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What the checks say of the items they looked at."""

    findings: tuple[Finding, ...]
    errors: tuple[QueueError, ...]
    checked: int

    @property
    def blocked(self) -> int:
        return len({finding.path for finding in self.findings if finding.level is Level.BLOCK})


def findings_of(workspace: Workspace, items: Iterable[Item]) -> tuple[Finding, ...]:
    """What each item's own checks say, and whether every part of it can be made."""
    from bot.app.rendered import rendering_findings  # the whole site: too much for 'bot add'

    now = datetime.now(workspace.settings.publication.timezone)
    found = list[Finding]()
    for item in items:
        own = item_findings(item, now.date(), mode=workspace.mode)
        found += own
        if not any(finding.level is Level.BLOCK for finding in own):
            found += rendering_findings(workspace, item, now)
    return tuple(found)


def item_findings(item: Item, today: date, *, mode: str) -> tuple[Finding, ...]:
    """What stops or troubles this item on its way out in this mode."""
    return (*sample_findings([item], mode=mode), *check_item(item, today=today))


def check_items(workspace: Workspace, names: Sequence[str] = ()) -> Checked:
    """The named items, or the whole queue with what only shows between items (duplicates)."""
    if names:
        items = [workspace.item(name) for name in names]
        return Checked(findings=findings_of(workspace, items), errors=(), checked=len(items))
    queue = workspace.read_queue()
    findings = (*findings_of(workspace, queue.items), *check_queue(queue.items))
    return Checked(findings=findings, errors=queue.errors, checked=len(queue.items))


def add_text(workspace: Workspace, text: str, *, name: str = "", dry_run: bool = False) -> Path:
    """Save a whole item file as a draft, whatever status it brought; QueueError when it cannot be read."""
    item = parse_item(text, workspace.queue_folder / f"{name or 'new-item'}.md")
    taken = _taken(workspace)
    stem = name if name and name not in taken else item_id(item.title, taken)
    path = workspace.queue_folder / f"{stem}.md"
    if not dry_run:
        write_atomically(path, text.encode())
        if item.status is not Status.DRAFT or item.approved_by:
            set_fields(path, status=Status.DRAFT.value, approved_by=[])
    return path


def add_item(
    workspace: Workspace,
    *,
    title: str,
    url: str,
    source: str = "",
    published: datetime | None = None,
    summary: str = "",
    lang: str = "",
    tags: tuple[str, ...] = (),
    added_by: str = "",
    dry_run: bool = False,
) -> Path:
    """Save a new draft made of a title and a link."""
    stem = item_id(title, _taken(workspace))
    path = workspace.queue_folder / f"{stem}.md"
    zone = workspace.settings.publication.timezone
    item = Item(
        id=stem,
        path=path,
        title=title,
        url=url,
        source=source or (urlsplit(url).hostname or ""),
        published=published.date() if published else datetime.now(zone).date(),
        summary=summary,
        lang=lang or workspace.settings.publication.language,
        tags=tags,
        added_by=added_by,
    )
    text = item_text(item)
    parse_item(text, path)  # the same strictness as for a file written by hand
    if not dry_run:
        write_atomically(path, text.encode())
    return path


def approve(
    workspace: Workspace, names: Sequence[str], *, by: str = "", today: date, dry_run: bool = False
) -> list[Item]:
    """Approve all of them or, when a check blocks one, none: QueueError says which and why."""
    items = [workspace.item(name) for name in names]
    for item in items:
        approved = replace(item, status=Status.APPROVED)
        for finding in item_findings(approved, today, mode=workspace.mode):
            if finding.level is Level.BLOCK:
                raise QueueError(
                    item.path,
                    line=finding.line or 1,
                    problem=finding.message,
                    advice="mend it, then approve again",
                )
    editor = by or getpass.getuser()
    done = []
    for item in items:
        names_now = list(dict.fromkeys((*item.approved_by, editor)))
        if not dry_run:
            set_fields(item.path, status=Status.APPROVED.value, approved_by=names_now)
        done.append(replace(item, status=Status.APPROVED, approved_by=tuple(names_now)))
    return done


def _taken(workspace: Workspace) -> set[str]:
    return {path.stem for path in workspace.queue_folder.glob("*.md")}
