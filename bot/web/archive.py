"""The archive, its feeds and its search. The same for everybody: nothing here knows who asks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from bot.app.archive import mark, read_archive
from bot.app.layout import as_it_is
from bot.app.pictures import KINDS
from bot.app.site import Page, Site
from bot.app.syndication import ATOM, JSON_FEED, TEXT, XML, found_page, whole
from bot.errors import StoreError
from bot.web.describing import page
from bot.web.pages import PRIVATE, Pages, kept

LOOK = 2.0  # seconds between two looks at what changed
AGE = 300  # seconds that a cache may keep a page
LONG_AGE = 31_536_000  # a picture's name changes with the picture
LONGEST_QUESTION = 200
MOST_KEPT, LARGEST_KEPT = 300, 400_000  # pages in memory, bytes of the largest
_log = logging.getLogger("bot.web")


def _file(*kinds: str) -> dict[str, Any]:
    """What OpenAPI says of a path that is no page: its kinds, and the page where there is none such."""
    content = {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in kinds}
    return {
        "response_class": Response,
        "responses": {200: {"description": "A file", "content": content}, **page(404, 503)},
    }


def routes(pages: Pages, clock: Callable[[], datetime]) -> APIRouter:
    """All of them. A change is seen after ``LOOK`` seconds at the latest."""
    router = APIRouter(default_response_class=HTMLResponse)
    current = _Current(pages)

    def answer(request: Request, path: str, *, age: int = AGE) -> Response:
        made = current.made()
        found = made.pages.get(path)
        if found is None:
            raise HTTPException(404)
        return given(request, made, found, age=age)

    def given(request: Request, made: _Made, found: Page, *, age: int = AGE, **more: str) -> Response:
        headers = more | ({"content-language": found.lang} if found.lang else {})
        # A rehearsal may be of next week, and nothing can have changed later than now.
        changed = found.changed if found.changed and found.changed <= clock() else None
        seconds = changed.timestamp() if changed else 0.0
        return kept(request, made.content(found), found.kind, age=age, changed=seconds, headers=headers)

    @router.get("/", summary="The front page", responses=page(200, 503))
    def front(request: Request) -> Response:
        """Newsletters and the latest stories, in the visitor's language or the one of ``?lang=``."""
        made = current.made()
        return given(request, made, made.site.fronts[pages.language(request)], vary="accept-language")

    @router.get("/issues/{newsletter}", summary="A newsletter's issues", responses=page(200, 404, 503))
    def issues(request: Request, newsletter: str) -> Response:
        """The newest first."""
        return answer(request, f"/issues/{newsletter}")

    @router.get("/issues/{newsletter}/{number}", summary="An issue", responses=page(200, 404, 503))
    def issue(request: Request, newsletter: str, number: str) -> Response:
        """Every story of it."""
        return answer(request, f"/issues/{newsletter}/{number}")

    @router.get("/items/{name}", summary="A story", responses=page(200, 404, 503))
    def item(request: Request, name: str) -> Response:
        """For ever at the same place."""
        return answer(request, f"/items/{name}")

    @router.get("/pictures/{name}", summary="A story's picture", **_file(*KINDS))
    def picture(request: Request, name: str) -> Response:
        """Without what the camera wrote into it."""
        return answer(request, f"/pictures/{name}", age=LONG_AGE)

    @router.get("/feeds/{newsletter}/{name}", summary="A feed", **_file(ATOM, JSON_FEED))
    def feed(request: Request, newsletter: str, name: str) -> Response:
        """``en.atom`` or ``en.json``; ``mul`` for all languages."""
        return answer(request, f"/feeds/{newsletter}/{name}")

    @router.get("/sitemap.xml", summary="Every page, for search engines", **_file(XML))
    def sitemap(request: Request) -> Response:
        return answer(request, "/sitemap.xml")

    @router.get("/robots.txt", summary="What search engines may look at", **_file(TEXT))
    def robots(request: Request) -> Response:
        return answer(request, "/robots.txt")

    @router.get("/search", summary="Find stories by their words", responses=page(200, 503))
    def search(question: str = Query("", alias="q"), wanted: str = Query("", alias="in")) -> Response:
        """Nobody keeps the answer: it would tell what was asked."""
        site = current.made().site
        text = found_page(site, as_it_is, question[:LONGEST_QUESTION], site.lang, wanted)
        return HTMLResponse(text, headers={**PRIVATE, "content-language": site.lang})

    return router


class _Made:
    """One state of the archive, and what was asked of it so far."""

    def __init__(self, site: Site) -> None:
        self.site, self.pages = site, whole(site)
        self._contents: dict[tuple[str, str], bytes] = {}

    def content(self, page: Page) -> bytes:
        """A few hundred pages are kept: what is asked once is asked again."""
        key = (page.path, page.lang)
        content = self._contents.get(key)
        if content is None:
            content = page.make(as_it_is)
            if len(self._contents) < MOST_KEPT and len(content) < LARGEST_KEPT:
                self._contents[key] = content
        return content


class _Current:
    """The archive as it is now: made anew when the ledger, a template or a file of the queue says so."""

    def __init__(self, pages: Pages) -> None:
        self._layout, self._workspace = pages.layout, pages.workspace
        self._lock = threading.Lock()
        self._mark: object = None
        self._until = 0.0
        self._made: _Made | None = None

    def made(self) -> _Made:
        with self._lock:
            if self._made is None or time.monotonic() >= self._until:
                try:
                    self._made = self._newest(self._made)
                except StoreError as error:
                    if self._made is None:
                        raise
                    _log.warning("the archive is shown as it was: %s", error)
                self._until = time.monotonic() + LOOK
            return self._made

    def _newest(self, before: _Made | None) -> _Made:
        now = mark(self._workspace)
        if before is not None and now == self._mark:
            return before
        site = Site(archive=read_archive(self._workspace), layout=self._layout)
        self._mark = now
        return _Made(site)
