"""What would go out, as pages to look at: the same words as the real thing, in ``outbox/preview/``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from bot.app.outbox import card, write_edition, write_page
from bot.app.plan import outlook, planned_times
from bot.app.publish import history
from bot.app.words import Outgoing, issue_words, post_words
from bot.app.workspace import Workspace
from bot.errors import NotFoundError
from bot.files import make_private_folder
from bot.model import Issue, Item, Newsletter, Post
from bot.planner import next_items
from bot.schedule import next_slot, parse_slots

DAYS_AHEAD = 60  # posts that go out later are not shown


def preview(
    workspace: Workspace, names: Sequence[str], *, newsletter: str | None, now: datetime, folder: Path
) -> tuple[Path, tuple[Outgoing, ...]]:
    """Write the next issue of each newsletter and the posts of its items; or those of the named items."""
    outgoing = draft(workspace, names, newsletter=newsletter, now=now)
    if folder.is_relative_to(workspace.outbox_folder):
        make_private_folder(workspace.outbox_folder)
    editions = [
        write_edition(
            folder, out.message, name=out.what.newsletter, newsletter=out.what.newsletter, limit=out.limit
        )
        for out in outgoing
        if isinstance(out.what, Issue)
    ]
    cards = [card(workspace, out) for out in outgoing if isinstance(out.what, Post)]
    return write_page(workspace, folder, editions, cards, heading="Preview"), outgoing


def draft(
    workspace: Workspace, names: Sequence[str], *, newsletter: str | None, now: datetime
) -> tuple[Outgoing, ...]:
    """The words of each newsletter's next issue (or the named one's), and its posts at their own slots.

    Named items are shown on every channel that takes them, at its next slot where they are not planned.
    """
    mailings = [workspace.newsletter(newsletter)] if newsletter else workspace.settings.mailings
    named = [workspace.item(name) for name in names]
    issues = [issue for m in mailings if (issue := next_issue(workspace, m, named, now)).items]
    items = {item.id: item for issue in issues for item in issue.items} or {item.id: item for item in named}
    if not items:
        raise NotFoundError(
            "there is nothing to preview: no approved item waits; name items to see them anyway"
        )
    posts = sorted(_posts(workspace, items.values(), named=bool(named), now=now), key=lambda post: post.slot)
    return tuple(
        [issue_words(workspace, issue) for issue in issues] + [post_words(workspace, post) for post in posts]
    )


def _posts(workspace: Workspace, items: Iterable[Item], *, named: bool, now: datetime) -> Iterator[Post]:
    planned = planned_times(outlook(workspace, now, days=DAYS_AHEAD))
    for posting in workspace.settings.postings:
        following = _slot(workspace, posting.slots, now) if named else None
        for item in items:
            slot = planned.get((item.id, posting.channel), following)
            if slot and item.is_for(posting.channel):
                yield Post(channel=posting.channel, slot=slot, item=item)


def next_issue(workspace: Workspace, mailing: Newsletter, named: Sequence[Item], now: datetime) -> Issue:
    """What a newsletter prints next, or would of the named items; without items when none waits."""
    known = history(workspace, now)
    items = tuple(named) or next_items(
        workspace.read_queue().items, mailing, known, now, zone=workspace.settings.publication.timezone
    )
    number = known.next_number.get(mailing.name, 1)
    slot = _slot(workspace, mailing.slots, now)
    return Issue(newsletter=mailing.name, number=number, slot=slot, items=items)


def _slot(workspace: Workspace, slots: Sequence[str], now: datetime) -> datetime:
    """When it would go out: the date in a newsletter's head is that of its own slot."""
    return next_slot(parse_slots(slots), workspace.settings.publication.timezone, now) or now
