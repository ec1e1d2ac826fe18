"""Use cases about items: add, check, approve. They write into ``queue/`` because a person said so."""

from __future__ import annotations

import getpass
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from urllib.parse import urlsplit

from bot.app.samples import sample_findings
from bot.app.workspace import Workspace
from bot.checks import check_item, check_queue, name_findings
from bot.checks.duplicates import Stories
from bot.checks.queue_wide import duplicates, region_findings
from bot.config import Settings
from bot.errors import QueueError
from bot.files import write_atomically
from bot.model import Finding, Item, Level, Status
from bot.reader import item_id, item_text, parse_item, set_fields, stray_files
from bot.store.published import posted_addresses, read_published

DUPLICATES = frozenset({"url.duplicate", "title.duplicate"})
_MEND = "mend it, then approve again"


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
        own = item_findings(item, now.date(), workspace.settings)
        found += own
        if not any(finding.level is Level.BLOCK for finding in own):
            found += rendering_findings(workspace, item, now)
    return tuple(found)


def item_findings(item: Item, today: date, settings: Settings) -> tuple[Finding, ...]:
    """What stops or troubles this item on its way out in this mode."""
    samples = sample_findings([item], mode=settings.mode)
    return (*samples, *check_item(item, today=today), *name_findings(item, _destinations(settings)))


def _destinations(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Everything that an item may name in ``channels``, with the languages it takes."""
    newsletters = {each.name: each.langs for each in settings.mailings}
    return newsletters | {
        name: table.languages for name, table in settings.channels.items() if name not in _carriers(settings)
    }


def _carriers(settings: Settings) -> set[str]:
    """Channels that only carry newsletters: an item names the newsletter."""
    return {each.channel for each in settings.mailings}


def story_findings(workspace: Workspace, items: Sequence[Item]) -> tuple[Finding, ...]:
    """What only shows beside the other items and what went out: the same story, a region spelt otherwise."""
    queue = workspace.read_queue().items
    everything = {item.id: item for item in (*_gone(workspace, queue), *queue, *items)}
    others, out = Stories(everything.values()), _when_out(workspace)
    regions = Counter(item.region for item in everything.values())
    return tuple(
        finding
        for item in items
        for finding in (*duplicates(item, others, out), *region_findings(item, regions))
    )


def _when_out(workspace: Workspace) -> dict[str, str]:
    """Where each item went out first, as a person says it."""
    published = read_published(workspace.engine, workspace.mode)
    posts = {post.item: f"on {post.channel}" for post in reversed(published.posts)}
    printed = {
        item: f"in {issue.newsletter} no. {issue.number}"
        for issue in reversed(published.issues)
        for item in issue.items
    }
    return posts | printed


def _gone(workspace: Workspace, queue: Iterable[Item]) -> Iterator[Item]:
    """What was posted and has lost its file: its address and its name are still known."""
    left = {item.id for item in queue}
    for name, url in posted_addresses(workspace.engine, workspace.mode).items():
        if name not in left and url:
            path = workspace.queue_folder / f"{name}.md"
            title = name.replace("-", " ")
            yield Item(id=name, path=path, title=title, url=url, source="", published=date.min)


def check_items(workspace: Workspace, names: Sequence[str] = ()) -> Checked:
    """The named items, or the whole queue with what only shows between items (duplicates)."""
    if names:
        items = [workspace.item(name) for name in names]
        findings = (*findings_of(workspace, items), *story_findings(workspace, items))
        return Checked(findings=findings, errors=(), checked=len(items))
    queue = workspace.read_queue()
    between = (*check_queue(queue.items), *stray_findings(workspace))
    findings = (*findings_of(workspace, queue.items), *between)
    return Checked(findings=findings, errors=queue.errors, checked=len(queue.items))


def stray_findings(workspace: Workspace) -> tuple[Finding, ...]:
    """Files of the queue folder that nothing reads."""
    message = "is not read: only files that end with .md are items; rename it, or move it away"
    return tuple(
        Finding(level=Level.WARN, rule="queue.stray", message=message, path=path)
        for path in stray_files(workspace.queue_folder)
    )


def added_findings(workspace: Workspace, item: Item) -> tuple[Finding, ...]:
    """What there is to say of a new draft; what is made of it is tried when it is approved."""
    from bot.app.markup import markup_findings  # Markdown takes a while to load

    today = datetime.now(workspace.settings.publication.timezone).date()
    own = item_findings(item, today, workspace.settings)
    return (*own, *markup_findings(item), *story_findings(workspace, [item]))


def add_text(workspace: Workspace, text: str, *, name: str = "", dry_run: bool = False) -> Item:
    """Save a whole item file as a draft, whatever status it brought; QueueError when it cannot be read."""
    item = parse_item(text, workspace.queue_folder / f"{name or 'new-item'}.md")
    taken = _taken(workspace)
    stem = name if name and name not in taken else item_id(item.title, taken)
    path = workspace.queue_folder / f"{stem}.md"
    if not dry_run:
        write_atomically(path, text.encode())
        if item.status is not Status.DRAFT or item.approved_by:
            set_fields(path, status=Status.DRAFT.value, approved_by=[])
    return replace(item, id=stem, path=path, status=Status.DRAFT, approved_by=())


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
) -> Item:
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
    return item


def approval_findings(workspace: Workspace, names: Sequence[str]) -> tuple[Finding, ...]:
    """All that ``bot check`` would say of these items once they are approved."""
    items = [replace(workspace.item(name), status=Status.APPROVED) for name in names]
    return (*findings_of(workspace, items), *story_findings(workspace, items))


def is_duplicate(finding: Finding) -> bool:
    """Whether a person has to say that it is another story all the same."""
    return finding.rule in DUPLICATES


def approve(
    workspace: Workspace,
    names: Sequence[str],
    findings: Iterable[Finding],
    *,
    by: str = "",
    duplicate_ok: bool = False,
    dry_run: bool = False,
) -> list[Item]:
    """Approve all of them or, when one of the ``approval_findings`` stops one, none: QueueError says it."""
    items = [workspace.item(name) for name in names]
    for finding in findings:
        if finding.level is Level.BLOCK or (is_duplicate(finding) and not duplicate_ok):
            advice = "--duplicate-ok approves it all the same" if is_duplicate(finding) else _MEND
            path = finding.path or workspace.queue_folder
            raise QueueError(path, line=finding.line or 1, problem=finding.message, advice=advice)
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
