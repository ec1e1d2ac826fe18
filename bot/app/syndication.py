"""What is not read as a page: feeds, search, the sitemap; and all of the site in one mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from bot.app.archive import Shelf, Story
from bot.app.site import Link, Page, Site, main_lang, story_path
from bot.model import Item
from bot.rendering.feeds import NOT_YET, Entry, Feed, absolute, atom, json_feed, tag, urn
from bot.rendering.languages import counted, native_name
from bot.rendering.search import Document
from bot.rendering.stories import Tale

LONGEST_FEED = 50
FOUND = 100  # answers on one page
ATOM, JSON_FEED = "application/atom+xml; charset=utf-8", "application/feed+json; charset=utf-8"
JSON, XML, TEXT = "application/json", "application/xml; charset=utf-8", "text/plain; charset=utf-8"
_SITEMAP = "http://www.sitemaps.org/schemas/sitemap/0.9"


def whole(site: Site) -> Mapping[str, Page]:
    """Everything of the site by its path, files of the style aside."""
    more = (*_feeds(site), *_search(site), _robots(site))
    found = {**site.pages, **{page.path: page for page in more}}
    found["/sitemap.xml"] = _sitemap(site, [page for page in found.values() if page.changed])
    return found


# --------------------------------------------------------------------------- feeds


def feed_path(shelf: Shelf, lang: str, kind: str) -> str:
    """Where a feed is for ever; ``mul`` is the one in all languages."""
    return f"/feeds/{shelf.name}/{lang}.{kind}"


def _feeds(site: Site) -> Iterator[Page]:
    for shelf in site.archive.shelves:
        for lang, _ in site.feed_langs(shelf):
            yield Page(path=feed_path(shelf, lang, "atom"), kind=ATOM, make=_made(site, shelf, lang, atom))
            yield Page(
                path=feed_path(shelf, lang, "json"), kind=JSON_FEED, make=_made(site, shelf, lang, json_feed)
            )


def _made(site: Site, shelf: Shelf, lang: str, form: Callable[[Feed], bytes]) -> Callable[[Link], bytes]:
    return lambda _: form(feed_of(site, shelf, lang))


def feed_of(site: Site, shelf: Shelf, lang: str) -> Feed:
    """The newest items of a newsletter in one language, or in all (``mul``); empty before its first issue."""
    found = [
        (story, item)
        for edition in shelf.editions
        for story, item in site.archive.shown(edition.items)
        if lang in ("mul", main_lang(item.lang))
    ]
    host = urlsplit(site.url("")).hostname or "localhost"
    newest = shelf.editions[0].slot if shelf.editions else NOT_YET
    return Feed(
        id=urn(host, "feeds", shelf.name, lang),
        title=shelf.title,
        lang=lang,
        home=site.url(shelf.path),
        atom_url=site.url(feed_path(shelf, lang, "atom")),
        json_url=site.url(feed_path(shelf, lang, "json")),
        icon=site.url("/static/mark.svg"),
        updated=max((story.out_at for story, _ in found), default=newest),
        entries=[_entry(site, host, story, item) for story, item in found[:LONGEST_FEED]],
    )


def _entry(site: Site, host: str, story: Story, item: Item) -> Entry:
    url = site.url(story_path(story.id))
    found = site.tale(story, item, site.url, item.lang)
    html = site.layout.templates.render("web/entry.html", story=found)
    return Entry(
        id=tag(host, story.out_at, "items", story.id),
        url=url,
        title=found.title,
        lang=item.lang,
        source_url=found.url,
        summary=_summary(found),
        html=absolute(html, url).strip(),
        published=story.out_at,
        updated=story.out_at,
        tags=item.tags,
    )


def _summary(found: Tale) -> str:
    """What a reader sees before opening it; the content note comes first."""
    note = f"{found.words['content_note']}: {found.note}" if found.note else ""
    return "\n".join(part for part in (note, found.summary) if part)


# --------------------------------------------------------------------------- search


def _search(site: Site) -> Iterator[Page]:
    yield Page(path="/search", lang=site.lang, make=lambda link: found_page(site, link, "", site.lang))
    if site.built:
        for lang in site.indexes:
            about = site.indexes[lang].documents
            yield Page(path=index_path(lang), kind=JSON, make=_index(site, lang), about=about)


def index_path(lang: str) -> str:
    """The index of one language, for the script of the search page."""
    return f"/search/{lang}.json"


def _index(site: Site, lang: str) -> Callable[[Link], bytes]:
    return lambda link: site.indexes[lang].to_json(link)


def found_page(site: Site, link: Link, question: str, lang: str, wanted: str = "") -> bytes:
    """The search page; where the site is built, the script asks, and all headlines stand below."""
    words = site.layout.templates.strings(lang)
    found = find(site, question, wanted)
    tongues = [(tag, native_name(tag), index_path(tag)) for tag in site.indexes]
    return site.html(
        "search",
        lang,
        link,
        "/search",
        question=question,
        wanted=wanted,
        found=found[:FOUND],
        count=counted(words, "site_found", len(found)) if question else "",
        tongues=tongues,
        years=_by_year(site) if site.built else {},
        forms={
            key.removeprefix("site_found_"): text
            for key, text in words.items()
            if key.startswith("site_found_")
        },
    )


def find(site: Site, question: str, lang: str = "") -> list[Document]:
    """The stories that hold these words, of one language or of all."""
    indexes = [index for tag, index in site.indexes.items() if lang in ("", tag)]
    return [document for index in indexes for document in index.find(question)]


def _by_year(site: Site) -> Mapping[int, list[Document]]:
    years: dict[int, list[Document]] = {}
    zone = site.layout.settings.publication.timezone
    for story, item in site.archive.shown():
        years.setdefault(story.out_at.astimezone(zone).year, []).append(
            site.document(story, item, text=False)
        )
    return years


# --------------------------------------------------------------------------- for machines that look around


def _sitemap(site: Site, pages: list[Page]) -> Page:
    lines = [
        f"<url><loc>{escape(site.url(page.path))}</loc><lastmod>{page.changed:%Y-%m-%d}</lastmod></url>"
        for page in pages
        if page.changed
    ]
    text = "\n".join(
        ['<?xml version="1.0" encoding="UTF-8"?>', f'<urlset xmlns="{_SITEMAP}">', *lines, "</urlset>", ""]
    )
    return Page(path="/sitemap.xml", kind=XML, make=lambda _: text.encode())


def _robots(site: Site) -> Page:
    """A rehearsal is nobody's to find; a live archive may be found, its search need not."""
    rehearsal = site.layout.settings.mode == "rehearsal"
    rule = "Disallow: /" if rehearsal else "Disallow: /search\n"
    lines = ["User-agent: *", rule, *([] if rehearsal else [f"Sitemap: {site.url('/sitemap.xml')}"])]
    return Page(path="/robots.txt", kind=TEXT, make=lambda _: ("\n".join(lines) + "\n").encode())
