"""The archive as pages, one for each path. ``bot serve`` answers with them, ``bot build`` writes them down.

Every page is made from the archive, the templates and bot.toml alone: the same three give the same bytes.
Titles in the tab name the newsletter and a number, never a topic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from urllib.parse import quote

from bot.app.archive import Archive, Edition, Shelf, Story
from bot.app.layout import Layout
from bot.app.pictures import content_of, image_of, picture_of
from bot.model import Item
from bot.rendering.issue import labels, one_line
from bot.rendering.languages import counted, fill, long_date, native_name
from bot.rendering.pictures import Picture
from bot.rendering.search import Document, Index
from bot.rendering.stories import Headline, Tale, headline, tale

Link = Callable[[str], str]

HTML = "text/html; charset=utf-8"
LATEST = 12  # stories on the front page


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """What stands at a path; ``make`` gets what turns a path of the site into an address."""

    path: str
    make: Callable[[Link], bytes]
    kind: str = HTML
    lang: str = ""
    changed: datetime | None = None  # for the sitemap; None: not in it
    about: object = None  # all that its bytes depend on besides bot.toml and templates; None: too much to say


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """An issue on one line."""

    path: str
    number: str
    date: str
    items: str
    year: int


@dataclass(frozen=True)
class Site:
    """Every page of an archive. ``built``: for a web space, where nothing answers but files."""

    archive: Archive
    layout: Layout
    built: bool = False

    @cached_property
    def pages(self) -> Mapping[str, Page]:
        """By path."""
        made = (
            self.fronts[self.lang],
            *self._lists(),
            *self._issues(),
            *self._stories(),
            *self._pictures(),
            *self._safely(),
        )
        return {page.path: page for page in made}

    @property
    def name(self) -> str:
        """What may stand in a tab: the newsletter's name, chosen to be seen by others."""
        shelves = self.archive.shelves
        return one_line(shelves[0].title if shelves else self.layout.settings.publication.title)

    @property
    def lang(self) -> str:
        """The language of pages that belong to no newsletter."""
        return self.layout.speaks(self.layout.settings.publication.language)

    def url(self, path: str) -> str:
        """Where the path is for ever, for whoever is not on the site."""
        return self.layout.settings.publication.site_url + quote(path)

    def html(self, template: str, lang: str, link: Link, path: str, **values: object) -> bytes:
        """A page of the archive."""
        values = {"site_name": self.name, "canonical": self.url(path), "built": self.built, **values}
        return replace(self.layout, link=link).page(template, lang, **values).encode()

    # ------------------------------------------------------------------ the front, the lists

    @cached_property
    def fronts(self) -> Mapping[str, Page]:
        """The front page by language; a web space, where nothing can choose, has the publication's only."""
        languages = {self.lang: ""} if self.built else self.layout.languages
        return {lang: self._front(lang, [tag for tag in languages if tag != lang]) for lang in languages}

    def _front(self, lang: str, others: Sequence[str]) -> Page:
        latest = [self.headline(story, item) for story, item in self.archive.shown()[:LATEST]]
        shelves = [
            (shelf, [self._row(e, lang) for e in shelf.editions[:1]]) for shelf in self.archive.shelves
        ]
        elsewhere = [(tag, self.layout.languages[tag], f"/?lang={tag}") for tag in others]

        def make(link: Link) -> bytes:
            return self.html(
                "front",
                lang,
                link,
                "/",
                shelves=shelves,
                latest=latest,
                feeds=[(shelf, self.feed_langs(shelf)) for shelf in self.archive.shelves],
                others=elsewhere,
            )

        return Page(path="/", make=make, lang=lang, changed=self.changed)

    @property
    def changed(self) -> datetime | None:
        """When the newest story went out."""
        return max((story.out_at for story in self.archive.stories.values()), default=None)

    def _lists(self) -> Iterator[Page]:
        for shelf in self.archive.shelves:
            yield self._list(shelf)

    def _list(self, shelf: Shelf) -> Page:
        lang = self.layout.speaks(shelf.lang)
        rows = [self._row(edition, lang) for edition in shelf.editions]

        def make(link: Link) -> bytes:
            langs = self.feed_langs(shelf)
            return self.html("newsletter", lang, link, shelf.path, shelf=shelf, rows=rows, langs=langs)

        newest = shelf.editions[0].slot if shelf.editions else self.changed
        return Page(path=shelf.path, make=make, lang=lang, changed=newest)

    def _row(self, edition: Edition, lang: str) -> Row:
        words = self.layout.templates.strings(lang)
        return Row(
            path=edition.path,
            number=fill(words["number"], number=edition.number),
            date=self.day(edition.slot, lang),
            items=counted(words, "items", len(edition.items)),
            year=edition.slot.astimezone(self.layout.settings.publication.timezone).year,
        )

    def day(self, moment: datetime, lang: str) -> str:
        """The day in words, where the publication is."""
        return long_date(moment.astimezone(self.layout.settings.publication.timezone).date(), lang)

    # ------------------------------------------------------------------ issues

    def _issues(self) -> Iterator[Page]:
        for shelf in self.archive.shelves:
            newer: Sequence[Edition | None] = [None, *shelf.editions]
            older: Sequence[Edition | None] = [*shelf.editions[1:], None]
            for after, edition, before in zip(newer, shelf.editions, older, strict=False):
                yield self._issue(shelf, edition, before, after)

    def _issue(self, shelf: Shelf, edition: Edition, before: Edition | None, after: Edition | None) -> Page:
        lang = self.layout.speaks(shelf.lang)
        around = [self._row(each, lang) if each else None for each in (before, after)]
        stories = [self.archive.stories[name] for name in edition.items]

        def make(link: Link) -> bytes:
            tales = [self._tale(story, link, lang, f"s{n}", 3) for n, story in enumerate(stories, 1)]
            return self.html(
                "issue",
                lang,
                link,
                edition.path,
                shelf=shelf,
                row=self._row(edition, lang),
                stories=tales,
                before=around[0],
                after=around[1],
            )

        images = [image_of(story.item) for story in stories if story.item]
        about = (shelf.title, shelf.tagline, lang, edition, [story.item for story in stories], images, around)
        return Page(path=edition.path, make=make, lang=lang, changed=edition.slot, about=about)

    # ------------------------------------------------------------------ items

    def _stories(self) -> Iterator[Page]:
        for story in self.archive.stories.values():
            yield self._story(story)

    def _story(self, story: Story) -> Page:
        path, lang = story_path(story.id), self._lang_of(story)
        edition = story.editions[0] if story.editions else None
        shelf = next((s for s in self.archive.shelves if edition and s.name == edition.newsletter), None)
        place = edition.items.index(story.id) + 1 if edition else 0
        before, after = self._neighbours(edition, place)
        printed = [(self._title(e), self._row(e, lang)) for e in story.editions]

        def make(link: Link) -> bytes:
            return self.html(
                "item",
                lang,
                link,
                path,
                story=self._tale(story, link, lang, "n", 2),
                shelf=shelf,
                place=place,
                printed=printed,
                posts=story.posts,
                before=before,
                after=after,
            )

        about = (story, image_of(story.item) if story.item else None, lang, place, printed, before, after)
        return Page(
            path=path, make=make, lang=lang, changed=story.out_at if story.item else None, about=about
        )

    def _lang_of(self, story: Story) -> str:
        """The item's language where the house speaks it, else the publication's."""
        if story.item is None:
            return self.lang
        return labels(story.item.lang, self.layout.settings.publication.language, self.layout.templates)[
            "lang"
        ]

    def _title(self, edition: Edition) -> str:
        return next(shelf.title for shelf in self.archive.shelves if shelf.name == edition.newsletter)

    def _neighbours(self, edition: Edition | None, place: int) -> tuple[Headline | None, Headline | None]:
        """The stories before and after it in its issue."""
        if edition is None:
            return None, None
        ids = edition.items
        around = (ids[place - 2] if place > 1 else "", ids[place] if place < len(ids) else "")
        found = [self.archive.shown([name] if name else []) for name in around]
        before, after = (self.headline(*each[0]) if each else None for each in found)
        return before, after

    def headline(self, story: Story, item: Item) -> Headline:
        """The story on one line."""
        return headline(item, story_path(story.id))

    def _tale(self, story: Story, link: Link, lang: str, anchor: str, top: int) -> Tale | None:
        return self.tale(story, story.item, link, lang, anchor, top) if story.item else None

    def tale(self, story: Story, item: Item, link: Link, lang: str, anchor: str = "n", top: int = 2) -> Tale:
        """The story in full, on a page in ``lang``."""
        image = image_of(item)
        return tale(
            item,
            story_path(story.id),
            self.layout.templates,
            image=replace(image, path=link(image.path)) if image else None,
            around=lang,
            anchor=anchor,
            top=top,
        )

    # ------------------------------------------------------------------ pictures

    def _pictures(self) -> Iterator[Page]:
        for _, item in self.archive.shown():
            image, picture = image_of(item), picture_of(item)
            if image and picture:
                yield Page(path=image.path, make=_content(picture), kind=picture.mime_type, about=image.path)

    # ------------------------------------------------------------------ reading safely

    def _safely(self) -> Iterator[Page]:
        if not self.built:  # the readers' pages answer themselves
            return
        for lang in self.layout.languages:
            path = f"/reading-safely/{lang}"
            yield Page(path=path, make=self._safely_in(lang), lang=lang)
        yield Page(path="/reading-safely", make=self._safely_in(self.lang), lang=self.lang)
        yield Page(path="/404.html", make=self._missing, lang=self.lang)

    def _safely_in(self, lang: str) -> Callable[[Link], bytes]:
        others = [(t, name, f"/reading-safely/{t}") for t, name in self.layout.languages.items() if t != lang]
        return lambda link: (
            replace(self.layout, link=link).page("reading-safely", lang, others=others).encode()
        )

    def _missing(self, link: Link) -> bytes:
        return replace(self.layout, link=link).page("error", self.lang, what="missing").encode()

    # ------------------------------------------------------------------ finding

    @cached_property
    def indexes(self) -> Mapping[str, Index]:
        """An index for each language, the one with most items first."""
        documents: dict[str, list[Document]] = {}
        for story, item in self.archive.shown():
            documents.setdefault(main_lang(item.lang), []).append(self.document(story, item))
        return {
            tag: Index(found) for tag, found in sorted(documents.items(), key=lambda d: (-len(d[1]), d[0]))
        }

    def document(self, story: Story, item: Item, *, text: bool = True) -> Document:
        """The story as something to find."""
        line = self.headline(story, item)
        books = " ".join(f"{book.title} {book.author}" for book in item.further_reading)
        others = " ".join(credit.source for credit in item.also_reported_by)
        pieces = (item.summary, item.region, " ".join(item.tags), books, others, item.body)
        return Document(
            path=line.path,
            title=line.title,
            lang=line.lang,
            dir=line.dir,
            source=line.source,
            day=self.day(story.out_at, item.lang),
            text="\n".join(pieces) if text else "",
        )

    def feed_langs(self, shelf: Shelf) -> list[tuple[str, str]]:
        """The languages of a newsletter's feeds, with their names: its own first, all together last.

        Its own has a feed even before the first issue, and when every story was withdrawn: somebody reads it.
        """
        found = {
            main_lang(i.lang) for edition in shelf.editions for _, i in self.archive.shown(edition.items)
        }
        own = main_lang(shelf.lang)
        langs = [own, *sorted(found - {own})]
        named = [(tag, native_name(tag)) for tag in langs]
        return [*named, ("mul", "")] if len(named) > 1 else named


def main_lang(tag: str) -> str:
    """Without region and script: whoever reads "en" reads "en-GB" too."""
    return tag.partition("-")[0].casefold()


def story_path(name: str) -> str:
    """Where an item is for ever."""
    return f"/items/{name}"


def _content(picture: Picture) -> Callable[[Link], bytes]:
    return lambda _: content_of(picture)
