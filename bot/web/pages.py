"""A page as an answer: in the visitor's language, with the right headers."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from mimetypes import guess_type
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bot.app.branding import brand_files
from bot.app.layout import Layout
from bot.app.workspace import Workspace
from bot.errors import UserError

_log = logging.getLogger("bot.web")
PRIVATE = {"cache-control": "no-store", "vary": "accept-language", "x-robots-tag": "noindex, noarchive"}


class Pages:
    """The pages of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.layout = Layout(settings=workspace.settings, templates=workspace.templates)

    def language(self, request: Request) -> str:
        """What ``?lang=`` says, else what the browser asks for, else the publication's own."""
        asked = request.query_params.get("lang", "")
        return self.nearest([asked, *_preferred(request.headers.get("accept-language", ""))])

    def nearest(self, wanted: Sequence[str]) -> str:
        """The first of these languages that the pages speak."""
        known = self.layout.languages
        for tag in wanted:
            for form in (tag, tag.partition("-")[0].casefold()):
                if form in known:
                    return form
        return next(iter(known))

    def others(self, path: str, lang: str) -> list[tuple[str, str, str]]:
        """The page at ``path`` in the other languages; ``path`` ends where the tag belongs."""
        return [(tag, name, f"{path}{tag}") for tag, name in self.layout.languages.items() if tag != lang]

    def private(self, template: str, lang: str, *, status: int = 200, **values: object) -> HTMLResponse:
        """A page about one person, or about a moment: never kept by anybody, never indexed."""
        page = self.layout.page(template, lang, **values)
        headers = {**PRIVATE, "content-language": lang}
        return HTMLResponse(page, status_code=status, headers=headers)

    def public(self, request: Request, page: str, lang: str = "", *, age: int = 300) -> Response:
        """A page that is the same for everybody in this language; 304 for whoever has it already."""
        headers = {"content-language": lang, "vary": "accept-language"} if lang else {}
        return kept(request, page.encode(), "text/html; charset=utf-8", age=age, headers=headers)

    def static(self, request: Request, name: str) -> Response | None:
        """What bot.toml adds, or a file of ``templates/web/static``, the workspace's before the shipped."""
        plain = len(name) < 100 and name.isascii() and name.replace("-", "").replace(".", "", 1).isalnum()
        kind = guess_type(name)[0] or "application/octet-stream"
        text = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
        if (own := self._brand().get(name)) is not None:
            return kept(request, own, text, age=3600)
        path = self._static_file(f"web/static/{name}") if plain else None
        if path is None:
            return None
        return kept(request, path.read_bytes(), text, age=3600, changed=path.stat().st_mtime)

    def _brand(self) -> Mapping[str, bytes]:
        here = self.workspace
        return brand_files(here.root, here.settings.publication, here.templates)

    def _static_file(self, name: str) -> Path | None:
        try:
            return self.workspace.templates.path(name)
        except UserError as error:  # a link to a file that is not meant for the web
            _log.error("%s", error)
            return None


def kept(
    request: Request,
    body: bytes,
    kind: str,
    *,
    age: int,
    changed: float = 0.0,
    headers: dict[str, str] | None = None,
) -> Response:
    """An answer that caches may keep for ``age`` seconds, named by its bytes."""
    mark = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    shared = {"etag": mark, "cache-control": f"public, max-age={age}", **(headers or {})}
    if changed:
        shared["last-modified"] = formatdate(changed, usegmt=True)
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    if mark in known or "*" in known:
        return Response(status_code=304, headers=shared)
    return Response(body, media_type=kind, headers=shared)


def _preferred(header: str) -> list[str]:
    """The tags of Accept-Language, the most wanted first."""
    weighed: list[tuple[float, str]] = []
    for part in header[:500].split(","):
        tag, _, quality = part.partition(";q=")
        try:
            weighed.append((-float(quality or 1), tag.strip()))
        except ValueError:
            continue
    return [tag for _, tag in sorted(weighed, key=lambda each: each[0])]
