"""The final words of what is planned, and how many they go to: the same for a tick, a preview and a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from bot.app.workspace import Workspace
from bot.audience.tokens import unsubscribe_token
from bot.errors import StoreError, UserError, fault_of
from bot.model import Form, Issue, Message, Newsletter, Post, Recipient, Variant
from bot.rendering.issue import HTML_BYTES, render_issue
from bot.rendering.personal import personalised
from bot.rendering.posts import render_post


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """One thing of the plan with its final words, and how many it goes to."""

    what: Issue | Post
    channel: str
    message: Message
    variants: Mapping[str, Message] = field(default_factory=dict)  # other words for some readers, by name
    recipients: int
    length: int
    limit: int
    left_out: tuple[str, ...] = ()  # items of the plan that cannot be rendered, and why


def issue_words(workspace: Workspace, issue: Issue) -> Outgoing:
    """The ordinary final words of an issue and how many readers it has.

    An item that cannot be rendered even by itself stays out, by name, and waits; the others go. Where no
    item can be, the fault is not an item's: it is raised.
    """
    try:
        return _issue_words(workspace, issue)
    except StoreError:
        raise
    except Exception:
        faults = {item.id: _fault(workspace, replace(issue, items=(item,))) for item in issue.items}
        kept = tuple(item for item in issue.items if not faults[item.id])
        if len(kept) in (0, len(issue.items)):
            raise
        left_out = tuple(f"{name}: left out of {issue.id}: {why}" for name, why in faults.items() if why)
        return replace(_issue_words(workspace, replace(issue, items=kept)), left_out=left_out)


def _fault(workspace: Workspace, issue: Issue) -> str:
    """Why this cannot be rendered; empty when it can."""
    try:
        _issue_words(workspace, issue)
    except StoreError:
        raise
    except UserError as error:
        return str(error)
    except Exception as error:
        return f"could not be rendered: {fault_of(error)}; please report it"
    return ""


def _issue_words(workspace: Workspace, issue: Issue) -> Outgoing:
    newsletter = workspace.newsletter(issue.newsletter)
    message = render_issue(issue, newsletter, workspace.publication, workspace.templates)
    return Outgoing(
        what=issue,
        channel=newsletter.channel,
        message=message,
        recipients=count_readers(workspace, newsletter),
        length=len(message.html.encode()),
        limit=HTML_BYTES,
    )


def issue_variants(workspace: Workspace, issue: Issue) -> dict[str, Message]:
    """Its other words for some readers, by name: for whoever records it, or would."""
    newsletter = workspace.newsletter(issue.newsletter)
    publication, templates = workspace.publication, workspace.templates
    found: dict[str, Message] = {}
    for of, lang, form in (("", newsletter.lang, Form.FULL), *_wishes(workspace, newsletter)):
        for named in (False, True) if newsletter.greets else (False,):
            if name := Variant(of, form, named).name:
                spoken = replace(newsletter, lang=lang)
                found[name] = render_issue(issue, spoken, publication, templates, form=form, named=named)
    return found


def _wishes(workspace: Workspace, newsletter: Newsletter) -> Iterator[tuple[str, str, Form]]:
    """The languages and forms that its readers want beside the ordinary one.

    First as their readers wrote it, then as we know it: for a language that the house has no words in, it
    is the newsletter's own.
    """
    if workspace.mode == "rehearsal":
        wished = {(reader.lang, "") for reader in workspace.settings.rehearsal_readers}
    else:
        wished = set(workspace.audience.wishes(newsletter.name))
    wished |= {("", form) for _, form in wished}
    for of, form in sorted(wished):
        lang = workspace.templates.strings(of)["lang"] if of else newsletter.lang
        speaks_it = of.casefold().startswith(lang.casefold())
        if of and (not speaks_it or lang == newsletter.lang):
            continue
        if of or form:
            yield of, lang, Form(form)


def post_words(workspace: Workspace, post: Post) -> Outgoing:
    """The final words of a post, fitted to its channel."""
    channel = workspace.channels[post.channel]
    limits = channel.limits
    message = render_post(
        post.item,
        kind=workspace.settings.channels[post.channel].type,
        templates=workspace.templates,
        length=channel.length,
        characters=limits.characters,
        caption=limits.caption,
        alt_text=limits.alt_text,
        media=limits.media > 0,
    )
    note = channel.length(message.content_note) if message.content_note else 0
    return Outgoing(
        what=post,
        channel=post.channel,
        message=replace(message, date=post.slot),
        recipients=1,
        length=channel.length(message.text) + note,
        limit=(limits.caption or limits.characters) if message.media else limits.characters,
    )


def count_readers(workspace: Workspace, newsletter: Newsletter) -> int:
    """How many that are."""
    if workspace.mode == "rehearsal":
        return len(workspace.settings.rehearsal_readers)
    return workspace.audience.count(newsletter.name)


def personal(workspace: Workspace, message: Message, to: Recipient, newsletter: str) -> Message:
    """The message with this reader's own unsubscribe link, and their name where it has a place."""
    token = unsubscribe_token(workspace.settings.signing_keys, subscriber=to.id, newsletter=newsletter)
    return personalised(message, {"unsubscribe_token": token, "name": to.name})
