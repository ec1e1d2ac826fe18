"""What a rehearsal, or a preview, shows people: the newsletter as a page, posts as cards, one index."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import nh3
from markupsafe import Markup

from bot.app.words import Outgoing
from bot.app.workspace import Workspace
from bot.files import make_private_folder, write_atomically
from bot.model import Delivery, Media, Message, State
from bot.rendering.issue import HTML_BYTES
from bot.rendering.languages import Direction, direction
from bot.rendering.personal import personalised

TELEGRAM_TAGS = {
    "a",
    "b",
    "blockquote",
    "code",
    "del",
    "em",
    "i",
    "ins",
    "pre",
    "s",
    "strong",
    "tg-spoiler",
    "u",
}
SHOWN = 200  # posts on the index page; older ones stay on disk
LISTED = 12  # mails of an issue with a link of their own

# What the page may do in a browser: show itself. A preview must not tell anybody that it was opened.
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
)
_AWAY = re.compile(r'<a (?=[^<>]*href="https?:)')
_URL = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:!?)\]]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Edition:
    """One issue on the index page."""

    title: str
    newsletter: str
    lang: str
    dir: Direction
    when: datetime | None
    page: str  # the newsletter's HTML, relative to the index
    text: str
    size: int
    limit: int
    mails: tuple[str, ...]  # .eml files, relative to the index
    more_mails: int = 0  # not listed
    shortened: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """One post on the index page."""

    channel: str
    kind: str
    when: datetime | None
    item: str
    lang: str
    dir: Direction
    note: str
    text: Markup
    length: int
    limit: int
    picture: str  # a data: URI
    alt: str
    request: str  # the exact request's file, relative to the index; empty in a preview
    shortened: tuple[str, ...]


def write_index(workspace: Workspace) -> Path:
    """``outbox/index.html``: everything that rehearsals delivered, from the ledger, the newest first."""
    make_private_folder(workspace.outbox_folder)
    sent = workspace.ledger.deliveries(states=[State.SENT], limit=100_000)[::-1]
    editions = [_edition(workspace, group) for group in _by_issue(sent)]
    posts = [delivery for delivery in sent if delivery.kind == "post"][:SHOWN]
    cards = [_card_of(workspace, delivery) for delivery in posts]
    return write_page(workspace, workspace.outbox_folder, editions, cards, heading="Outbox")


def write_page(
    workspace: Workspace, folder: Path, editions: Sequence[Edition], cards: Sequence[Card], *, heading: str
) -> Path:
    """The index page of a folder."""
    page = workspace.templates.render(
        "web/outbox.html",
        heading=heading,
        publication=workspace.publication,
        timezone=workspace.settings.publication.timezone,
        editions=editions,
        cards=cards,
    )
    path = folder / "index.html"
    write_atomically(path, page.encode())
    return path


def write_edition(folder: Path, message: Message, *, name: str, newsletter: str, limit: int) -> Edition:
    """The newsletter as a page and as text, its pictures inside; ``name`` names the files."""
    page, text = folder / f"{name}.html", folder / f"{name}.txt"
    shown = personalised(message, {"unsubscribe_token": "each-readers-own", "name": "…"})
    write_atomically(page, to_look_at(shown).encode())
    write_atomically(text, shown.text.encode())
    return Edition(
        title=message.subject,
        newsletter=newsletter,
        lang=message.lang,
        dir=direction(message.lang),
        when=message.date,
        page=page.name,
        text=shown.text,
        size=len(message.html.encode()),
        limit=limit,
        mails=(),
        shortened=message.shortened,
    )


def card(workspace: Workspace, out: Outgoing) -> Card:
    """A post as a card, without a time: which slot it gets is up to the plan."""
    shown = _card(workspace, out.message, channel=out.channel, item=out.what.id, request="")
    return replace(shown, when=None)


def to_look_at(message: Message) -> str:
    """The HTML for a browser: its pictures inside, nothing loaded from elsewhere, links in a new window."""
    html = _AWAY.sub('<a target="_blank" rel="noopener noreferrer" ', message.html)
    for media in message.media:
        html = html.replace(f"cid:{media.cid}", data_uri(media))
    return html.replace("<head>", f"<head>{_POLICY}", 1)


def data_uri(media: Media) -> str:
    """A picture as text."""
    return f"data:{media.mime_type};base64,{base64.b64encode(media.path.read_bytes()).decode()}"


def _by_issue(sent: Iterable[Delivery]) -> list[list[Delivery]]:
    groups: dict[str, list[Delivery]] = {}
    for delivery in sent:
        if delivery.kind == "issue":
            groups.setdefault(delivery.subject, []).append(delivery)
    return list(groups.values())


def _edition(workspace: Workspace, deliveries: Sequence[Delivery]) -> Edition:
    first, message = deliveries[0], _ordinary(workspace, deliveries)
    name = first.subject.replace("@", "-").replace(":", "")
    edition = write_edition(
        workspace.outbox_folder, message, name=name, newsletter=first.subject.split("@")[0], limit=HTML_BYTES
    )
    mails = sorted(d.receipt.remote_id for d in deliveries if d.receipt)
    return replace(edition, mails=tuple(mails[:LISTED]), more_mails=len(mails[LISTED:]))


def _ordinary(workspace: Workspace, deliveries: Sequence[Delivery]) -> Message:
    """The issue's words as most get them, where not all get the same."""
    newsletter = workspace.newsletter(deliveries[0].subject.split("@")[0])
    words = [workspace.ledger.message(digest) for digest in dict.fromkeys(d.message for d in deliveries)]
    return next((message for message in words if message.lang == newsletter.lang), words[0])


def _card_of(workspace: Workspace, delivery: Delivery) -> Card:
    message = workspace.ledger.message(delivery.message)
    request = delivery.receipt.remote_id if delivery.receipt else ""
    return _card(workspace, message, channel=delivery.channel, item=delivery.subject, request=request)


def _card(workspace: Workspace, message: Message, *, channel: str, item: str, request: str) -> Card:
    via = workspace.channels[channel]
    kind = workspace.settings.channels[channel].type
    note = via.length(message.content_note) if message.content_note and kind == "mastodon" else 0
    media = message.media[0] if message.media else None
    return Card(
        channel=channel,
        kind=kind,
        when=message.date,
        item=item,
        lang=message.lang,
        dir=direction(message.lang),
        note=message.content_note if kind == "mastodon" else "",
        text=_shown(message, kind),
        length=via.length(message.text) + note,
        limit=(via.limits.caption or via.limits.characters) if media else via.limits.characters,
        picture=data_uri(media) if media else "",
        alt=media.alt if media else "",
        request=request,
        shortened=message.shortened,
    )


def _shown(message: Message, kind: str) -> Markup:
    """HTML as the service shows it; plain text as it stands, its addresses as links."""
    if kind == "telegram":
        return Markup(nh3.clean(message.text, tags=TELEGRAM_TAGS))  # noqa: S704 - cleaned just now
    words, place = Markup(), 0
    for match in _URL.finditer(message.text):
        link = Markup('<a dir="ltr" href="{0}" rel="noopener noreferrer">{0}</a>').format(match[0])
        words, place = words + message.text[place : match.start()] + link, match.end()
    return words + message.text[place:]
