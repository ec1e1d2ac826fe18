"""An issue as one mail: HTML by MJML, a text part, its pictures and its mailing-list fields.

Nothing personal but the unsubscribe address, nothing remote, and nothing that depends on the clock: two
renderings of the same issue are the same to the byte. Subject and preheader name no topic: others may see the
reader's inbox.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from urllib.parse import quote, urlsplit

from markupsafe import Markup

from bot.errors import TemplateError, UserError
from bot.model import Form, Issue, Item, ListFields, Media, Message, Newsletter, Publication, placeholder
from bot.rendering.bidi import apart
from bot.rendering.colors import readable
from bot.rendering.languages import Direction, counted, direction, fill, long_date
from bot.rendering.markdown import clean, is_safe, text_direction, to_html
from bot.rendering.masthead import imprint, logo_of
from bot.rendering.mjml import compile_mjml, lint, without_jinja
from bot.rendering.pictures import Picture, read_picture
from bot.rendering.templates import Templates
from bot.rendering.text import to_text, wrap

HTML_BYTES = 95_000  # Gmail shows 102 kB and cuts the rest, with the unsubscribe link in it
MJML, TEXT = "email/issue.mjml", "email/issue.txt"
FEW_BOOKS = 3  # of "More literature", in an issue that is too large even without bodies
COLUMN, LOGO_WIDTH = 568, 240  # pixels: the widest a picture and a logo are shown

# After the preheader an inbox would go on with the first headline; invisible spaces push it out of sight.
_HEADING_CELL = re.compile(r"<th(?=[ >])(?![^<>]*\balign=)")
_PREVIEW_END = "\u2007\u034f" * 110


@dataclass(frozen=True, kw_only=True, slots=True)
class _Book:
    title: str
    author: str
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Image:
    src: str
    alt: str
    width: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Story:
    """An item as the templates see it. Labels are in the item's language where the house has its words."""

    id: str
    anchor: str
    title: str
    url: str
    source: str
    dateline: tuple[str, ...]
    lang: str
    dir: Direction
    note: str
    summary: str
    body: Markup
    text: str
    image: _Image | None
    also: tuple[tuple[str, str], ...]
    books: tuple[_Book, ...]
    more_books: str = ""
    read_at: str
    own_url: str  # its page in our archive
    continue_at: str = ""  # in words, where its body is not in the mail
    words: Mapping[str, str] = field(hash=False)


def render_issue(
    issue: Issue,
    newsletter: Newsletter,
    publication: Publication,
    templates: Templates,
    *,
    form: Form = Form.FULL,
    named: bool = False,
) -> Message:
    """The issue as a mail for everyone; ``personalised`` then fills in the addresses with the reader's token.

    With ``named`` it is for readers whose name is known, and a greeting says it.

    The newsletter's language is the language of everything around the stories.
    Raises TemplateError, QueueError for a picture that cannot be used, and UserError when even the shortest
    form is too large.
    """
    words = templates.strings(newsletter.lang)
    shows_pictures = form is Form.FULL
    pictures = {
        item.id: read_picture(path, item=item.path)
        for item in issue.items
        if shows_pictures and (path := item.image_path)
    }
    logo = logo_of(publication) if shows_pictures else None
    stories = tuple(
        _story(number, item, pictures.get(item.id), newsletter, publication.site_url, templates)
        for number, item in enumerate(issue.items, 1)
    )
    if form is Form.HEADLINES:
        stories = tuple(map(_headline, stories))
    page = _page(issue, newsletter, publication, words, named=named)
    page["logo"] = logo and _image(logo, publication.title, newsletter.list_id, widest=LOGO_WIDTH)
    shown = [(publication.title, logo), *((item.alt, pictures.get(item.id)) for item in issue.items)]
    page["contents"] = form is not Form.HEADLINES  # which would say each headline twice
    html, stories, shortened = ("", stories, ()) if form is Form.PLAIN else _fitting(page, stories, templates)
    return Message(
        kind="issue",
        lang=newsletter.lang,
        subject=str(page["subject"]),
        html=html,
        text=_text(page, stories, templates),
        media=_media(shown, newsletter.list_id),
        mailing=_mailing(page, newsletter, publication),
        date=issue.slot,
        shortened=shortened,
    )


# --------------------------------------------------------------------------- what the templates see


def _page(
    issue: Issue, newsletter: Newsletter, publication: Publication, words: Mapping[str, str], *, named: bool
) -> dict[str, object]:
    """Everything around the stories."""
    day = long_date(issue.slot.astimezone(publication.zone).date(), newsletter.lang)
    title = one_line(newsletter.title)
    publisher = "" if publication.title == newsletter.title else one_line(publication.title)
    address = [one_line(line) for line in publication.postal_address.splitlines() if line.strip()]
    said = {
        "title": title,
        "items": counted(words, "items", len(issue.items)),
        "number": issue.number,
        "date": day,
    }
    return {
        "lang": newsletter.lang,
        "dir": direction(newsletter.lang),
        "words": words,
        "title": title,
        "tagline": one_line(newsletter.tagline or publication.tagline),
        "publisher": publisher,
        "color": publication.color,
        "date": day,
        "number": fill(words["number"], number=issue.number),
        "subject": fill(words["subject"], **said),
        "preheader": fill(words["preheader"], **said),
        "preview_end": _PREVIEW_END,
        "greeting": _greeting(words, named=named) if newsletter.greets else (),
        "reason": one_line(publication.reason) or words["reason"],
        "imprint": imprint(publisher or title, address),
        "address": ", ".join(address),  # for templates that a workspace copied before there was an imprint
        "archive_url": f"{publication.site_url}/issues/{newsletter.name}/{issue.number}",
        "unsubscribe_url": f"{publication.site_url}/u/{newsletter.name}/{placeholder('unsubscribe_token')}",
        "preferences_url": f"{publication.site_url}/p/{newsletter.name}/{placeholder('unsubscribe_token')}",
    }


def _greeting(words: Mapping[str, str], *, named: bool) -> tuple[str, str, str]:
    """What stands before the reader's name, the name, and what stands behind it."""
    if not named:
        return words["greeting"], "", ""
    before, _, after = words["greeting_named"].partition("{name}")
    return before, placeholder("name"), after


def _story(
    number: int,
    item: Item,
    picture: Picture | None,
    newsletter: Newsletter,
    site_url: str,
    templates: Templates,
) -> _Story:
    words, way = labels(item.lang, newsletter.lang, templates), direction(item.lang)
    source, anchor = one_line(item.source), f"s{number}"
    return _Story(
        id=item.id,
        anchor=anchor,
        title=one_line(item.title),
        url=clean(item.url),
        source=source,
        dateline=dateline(source, item.published, item),
        lang=item.lang,
        dir=way,
        note=one_line(item.content_warning),
        summary=one_line(item.summary),
        body=_with_aligned_headings(to_html(item.body, anchor=anchor, direction=way), way),
        text=to_text(item.body),
        image=_image(picture, item.alt, newsletter.list_id) if picture else None,
        also=tuple((one_line(credit.source), safe_link(credit.url)) for credit in item.also_reported_by),
        books=tuple(
            _Book(title=one_line(book.title), author=one_line(book.author), url=safe_link(book.url))
            for book in item.further_reading
        ),
        read_at=fill(words["read_at"], source=isolated_name(source, words["dir"])),
        own_url=f"{site_url}/items/{quote(item.id)}",
        words=words,
    )


def _with_aligned_headings(body: Markup, way: Direction) -> Markup:
    """A table's headings begin where its cells do; many mail programs know no ``text-align: start``."""
    side = "right" if way == "rtl" else "left"
    return Markup(_HEADING_CELL.sub(f'<th align="{side}"', str(body)))  # noqa: S704 -- it was safe before


def labels(lang: str, fallback: str, templates: Templates) -> Mapping[str, str]:
    """Our own words in the item's language, or else in the newsletter's."""
    own = templates.strings(lang)
    known = direction(lang) == own["dir"] and (own["lang"] != "en" or lang.casefold().startswith("en"))
    return own if known else templates.strings(fallback)


def dateline(source: str, published: date, item: Item) -> tuple[str, ...]:
    """Who said it, when and where, as far as it is known."""
    region = one_line(item.region).replace("/", " / ")
    return tuple(part for part in (source, long_date(published, item.lang), region) if part)


def _image(picture: Picture, alt: str, domain: str, *, widest: int = COLUMN) -> _Image:
    width = min(picture.width or widest, widest)
    return _Image(src=f"cid:{picture.cid(domain)}", alt=one_line(alt), width=width)


def safe_link(url: str) -> str:
    """The address where it may stand in a mail, else nothing."""
    return clean(url) if is_safe(url) else ""


def one_line(text: str) -> str:
    """Words without line breaks and doubled spaces; no-break spaces stay."""
    return re.sub(r"[ \t\n]+", " ", clean(text)).strip()


def isolated_name(text: str, way: str) -> str:
    """The name between isolates where it runs against its sentence, so that neither turns the other round."""
    return f"\u2068{text}\u2069" if text_direction(text) not in ("", way) else text


# --------------------------------------------------------------------------- final words


def _fitting(
    page: Mapping[str, object], stories: tuple[_Story, ...], templates: Templates
) -> tuple[str, tuple[_Story, ...], tuple[str, ...]]:
    """The HTML within its size. What does not fit is left to its source, longest body first; never cut."""
    shortened: list[str] = []
    html = _html(page, stories, templates)
    while (excess := _size(html) - HTML_BYTES) > 0:
        stories, said = _shorter(stories, excess)
        if not said:
            raise UserError(
                f"{page['subject']}: the mail is {_size(html)} bytes even without any body; "
                f"{HTML_BYTES} fit; lower max_items"
            )
        shortened += said
        html = _html(page, stories, templates)
    return html, stories, tuple(shortened)


def _shorter(stories: tuple[_Story, ...], excess: int) -> tuple[tuple[_Story, ...], list[str]]:
    """A step shorter, and what it was, for people; nothing when nothing is left to shorten."""
    if bare := _to_be_bared(stories, excess):
        said = [f"{story.id}: summary and link only" for story in bare]
        return tuple(_bared(story) if story in bare else story for story in stories), said
    if any(len(story.books) > FEW_BOOKS for story in stories):
        return tuple(map(_with_few_books, stories)), [f"further reading: {FEW_BOOKS} titles for each item"]
    return stories, []


def _to_be_bared(stories: tuple[_Story, ...], excess: int) -> list[_Story]:
    """The longest bodies that surely must go: at least one, and never one more than needed."""
    chosen: list[_Story] = []
    for story in sorted((s for s in stories if s.body), key=lambda s: _size(s.body), reverse=True):
        # In the mail a body may be longer than here, by its invisible characters: a quarter covers that.
        if chosen and sum(_size(s.body) for s in chosen) * 5 // 4 >= excess:
            break
        chosen.append(story)
    return chosen


def _headline(story: _Story) -> _Story:
    """What is left for readers who want headlines only; the content note stays."""
    return replace(story, summary="", body=Markup(""), text="", image=None, also=(), books=())


def _bared(story: _Story) -> _Story:
    return replace(story, body=Markup(""), text="", continue_at=_continue_at(story))


def _continue_at(story: _Story) -> str:
    """In words: at our own page of it, which has the whole body."""
    site = urlsplit(story.own_url).hostname or ""
    return fill(story.words["continue_at"], source=isolated_name(site, story.words["dir"]))


def _with_few_books(story: _Story) -> _Story:
    left = len(story.books) - FEW_BOOKS
    if left <= 0:
        return story
    return replace(story, books=story.books[:FEW_BOOKS], more_books=counted(story.words, "more_books", left))


def _size(text: str) -> int:
    return len(text.encode())


def _html(page: Mapping[str, object], stories: Sequence[_Story], templates: Templates) -> str:
    helpers = {"apart": apart, "readable": readable}
    source = templates.render(MJML, **page, **helpers, stories=stories)
    path = templates.path(MJML)
    assert path is not None  # noqa: S101 -- it has just been rendered
    try:
        return compile_mjml(source, path=path)
    except TemplateError as error:
        # This line is one of the filled-in document; where the template alone shows the fault, name its line.
        for finding in lint(without_jinja(path.read_text(encoding="utf-8")), path):
            raise TemplateError(path, line=finding.line, problem=finding.message) from error
        raise TemplateError(path, problem=f"{error.problem} (line {error.line} when filled in)") from error


def _text(page: Mapping[str, object], stories: Sequence[_Story], templates: Templates) -> str:
    text = templates.render(TEXT, **page, stories=stories, wrap=wrap)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _media(shown: Sequence[tuple[str, Picture | None]], domain: str) -> tuple[Media, ...]:
    """Each picture once, also when two items show the same; the first one's words describe it."""
    found = {
        picture.digest: Media(
            path=picture.path, mime_type=picture.mime_type, alt=one_line(alt), cid=picture.cid(domain)
        )
        for alt, picture in reversed(shown)
        if picture
    }
    return tuple(reversed(found.values()))


def _mailing(page: Mapping[str, object], newsletter: Newsletter, publication: Publication) -> ListFields:
    return ListFields(
        sender=newsletter.sender,
        reply_to=newsletter.reply_to,
        list_id=newsletter.list_id,
        list_name=str(page["title"]),
        archive_url=str(page["archive_url"]),
        help_url=f"{publication.site_url}/",
        unsubscribe_url=str(page["unsubscribe_url"]),
    )
