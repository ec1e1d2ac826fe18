"""What would stop an item on its way out, found before: every part that is made of it is made once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial

from bot.app.archive import Archive, Edition, Shelf, Story
from bot.app.layout import Layout
from bot.app.markup import markup_findings
from bot.app.site import Site
from bot.app.syndication import whole
from bot.app.words import post_words
from bot.app.workspace import Workspace
from bot.errors import ConfigError, StoreError, UserError, fault_of
from bot.model import Finding, Issue, Item, Level, Newsletter, Post
from bot.rendering.issue import render_issue
from bot.rendering.markdown import plain_because


def rendering_findings(workspace: Workspace, item: Item, now: datetime) -> Iterator[Finding]:
    """What stops a part of the item, and whether its text is shown without its marks."""
    if reason := plain_because(item.body):
        message = f"the text {reason}; it is shown as plain paragraphs; simplify or shorten it"
        yield Finding(level=Level.WARN, rule="body.plain", message=message, path=item.path)
    yield from markup_findings(item)
    for part, make in _parts(workspace, item, now):
        if problem := _problem(make):
            message = f"{part} cannot be made: {problem}"
            yield Finding(level=Level.BLOCK, rule="rendering.failed", message=message, path=item.path)


def _problem(make: Callable[[], object]) -> str:
    """Why it cannot be made; empty when it can, or when it is the settings' fault."""
    try:
        make()
    except (ConfigError, StoreError):
        return ""  # not the item's; bot doctor tells
    except UserError as error:
        return str(error)
    except Exception as error:
        return f"{fault_of(error)}; please report it"
    return ""


def _parts(workspace: Workspace, item: Item, now: datetime) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each thing that is made of the item, by name, and how."""
    for newsletter in workspace.settings.mailings:
        if item.is_for(newsletter.name):
            yield f"the mail of {newsletter.name}", partial(_mail, workspace, item, newsletter, now)
    for posting in workspace.settings.postings:
        if item.is_for(posting.channel):
            post = Post(channel=posting.channel, slot=now, item=item)
            yield f"the post on {posting.channel}", partial(post_words, workspace, post)
    yield "a page of the archive or a feed", partial(_pages, workspace, item, now)


def _mail(workspace: Workspace, item: Item, newsletter: Newsletter, now: datetime) -> None:
    """HTML and text, as the only item of an issue; the other forms say less of the same."""
    issue = Issue(newsletter=newsletter.name, number=1, slot=now, items=(item,))
    render_issue(issue, newsletter, workspace.publication, workspace.templates)


def _pages(workspace: Workspace, item: Item, now: datetime) -> None:
    """Its own page, its issue, the feeds and the index, as if it alone had gone out."""
    settings = workspace.settings
    edition = Edition(newsletter="check", number=1, slot=now, items=(item.id,))
    shelf = Shelf(
        name="check",
        title=settings.publication.title,
        tagline="",
        lang=settings.publication.language,
        editions=(edition,),
    )
    story = Story(id=item.id, item=item, out_at=now, editions=(edition,), posts=())
    archive = Archive(shelves=(shelf,), stories={item.id: story})
    site = Site(archive=archive, layout=Layout(settings=settings, templates=workspace.templates))
    for page in whole(site).values():
        if page.path.startswith(("/items/", "/issues/check/", "/feeds/", "/search")):
            page.make(str)
    for index in site.indexes.values():
        index.to_json()
