"""What can be read again: the issues and items that went out, in the words of the queue's files.

The ledger says what went out, the files say what it says now. What was never sent is not here at all; what
was sent and is no longer approved, is held, or has lost its file keeps its place without its words.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path

from bot.app.workspace import Workspace
from bot.model import Item, Newsletter, Publication, Status
from bot.store.published import Published, PublishedIssue, mark_of, read_published


@dataclass(frozen=True, kw_only=True, slots=True)
class Edition:
    """An issue that went out."""

    newsletter: str
    number: int
    slot: datetime
    items: tuple[str, ...]  # in the order of print

    @property
    def path(self) -> str:
        """Where it is for ever."""
        return f"/issues/{self.newsletter}/{self.number}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shelf:
    """A newsletter with its issues, the newest first."""

    name: str
    title: str
    tagline: str
    lang: str
    editions: tuple[Edition, ...]

    @property
    def path(self) -> str:
        """Where its issues are listed."""
        return f"/issues/{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """An item that went out, in an issue or as a post."""

    id: str
    item: Item | None  # None: its words are not shown any more
    out_at: datetime  # when it first went out
    editions: tuple[Edition, ...]  # in which it was printed, the oldest first
    posts: tuple[str, ...]  # addresses of posts about it


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """Everything there is to read."""

    shelves: tuple[Shelf, ...]
    stories: Mapping[str, Story]  # by id; the newest first, items of one issue in their order

    def shown(self, ids: Iterable[str] | None = None) -> list[tuple[Story, Item]]:
        """The stories that still have words, in this order."""
        chosen = self.stories.values() if ids is None else (self.stories[name] for name in ids)
        return [(story, story.item) for story in chosen if story.item is not None]


def read_archive(workspace: Workspace) -> Archive:
    """The archive as it is now, of this mode."""
    return archive_of(
        read_published(workspace.engine, workspace.mode),
        workspace.read_queue().items,
        workspace.settings.mailings,
        workspace.publication,
        held=workspace.ledger.holds().keys(),
    )


def mark(workspace: Workspace) -> tuple[object, ...]:
    """Something that differs when the pages do, for much less work; files count by their stamps."""
    queue = workspace.queue_folder.glob("*.md")
    templates = (
        path
        for folder in workspace.templates.folders
        for kind in ("web/*.html", "strings/*.toml")
        for path in folder.glob(kind)
    )
    files = hash(tuple(sorted(map(_stamp, chain(queue, templates)))))
    return (*mark_of(workspace.engine, workspace.mode), *sorted(workspace.ledger.holds()), files)


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        stat = path.stat()
    except OSError:  # it has just gone
        return (str(path), 0, 0)
    return (str(path), stat.st_mtime_ns, stat.st_size)


def archive_of(
    published: Published,
    items: Sequence[Item],
    newsletters: Sequence[Newsletter],
    publication: Publication,
    *,
    held: Collection[str] = (),
) -> Archive:
    """The ledger and the files put together."""
    words = {i.id: i for i in items if i.status is Status.APPROVED and i.id not in held}
    editions = [_edition(issue) for issue in published.issues]
    return Archive(
        shelves=_shelves(editions, newsletters, publication),
        stories={story.id: story for story in _stories(published, editions, words)},
    )


def _edition(issue: PublishedIssue) -> Edition:
    return Edition(newsletter=issue.newsletter, number=issue.number, slot=issue.slot, items=issue.items)


def _shelves(
    editions: Sequence[Edition], newsletters: Sequence[Newsletter], publication: Publication
) -> tuple[Shelf, ...]:
    """Those of bot.toml in its order, then those that only the ledger still knows: their links go on."""
    known = {each.name: (each.title, each.tagline, each.lang) for each in newsletters}
    for edition in editions:
        known.setdefault(edition.newsletter, (edition.newsletter, "", publication.lang))
    return tuple(
        Shelf(
            name=name,
            title=title,
            tagline=tagline,
            lang=lang,
            editions=tuple(e for e in reversed(editions) if e.newsletter == name),
        )
        for name, (title, tagline, lang) in known.items()
    )


def _stories(published: Published, editions: Sequence[Edition], words: Mapping[str, Item]) -> Iterable[Story]:
    printed: dict[str, list[Edition]] = {}
    first: dict[str, tuple[datetime, int]] = {}  # when, and its place there
    posts: dict[str, list[str]] = {}
    for edition in editions:
        for place, name in enumerate(edition.items):
            printed.setdefault(name, []).append(edition)
            first[name] = min(first.get(name, (edition.slot, place)), (edition.slot, place))
    for post in published.posts:
        posts.setdefault(post.item, []).extend([post.url] if post.url else [])
        first[post.item] = min(first.get(post.item, (post.at, 0)), (post.at, 0))
    newest = sorted(first, key=lambda name: (-first[name][0].timestamp(), first[name][1], name))
    for name in newest:
        yield Story(
            id=name,
            item=words.get(name),
            out_at=first[name][0],
            editions=tuple(printed.get(name, ())),
            posts=tuple(posts.get(name, ())),
        )
