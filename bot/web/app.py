"""The application of ``bot serve``: the pages, each in its own module, behind one guard."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match, Router

import bot
from bot.app.joining import forget_until_stopped
from bot.app.workspace import Workspace
from bot.errors import StoreError
from bot.web import archive, notices, readers
from bot.web.pages import Pages
from bot.web.readers import Clock
from bot.web.security import Guard, hosts_of

# Readers' requests are nobody's business: FastAPI would hand them to whatever OpenTelemetry finds set up.
_NOT_WATCHED: Any = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
_log = logging.getLogger("bot.web")
_TITLES = {404: "missing", 405: "refused", 400: "refused"}
_LATER = {"retry-after": "120"}


def create_app(
    workspace: Workspace, *, hosts: Collection[str] = (), clock: Clock = readers.utc_now
) -> FastAPI:
    """The whole site. It answers to the name in ``site_url``, to this machine's, and to ``hosts``."""
    pages = Pages(workspace)
    routers = [archive.routes(pages, clock), readers.routes(pages, clock)]
    if workspace.settings.bounces.webhooks:  # where none is set up nobody can knock
        routers.append(notices.routes(workspace, clock))

    @asynccontextmanager
    async def while_open(_: FastAPI) -> AsyncIterator[None]:
        stop = asyncio.Event()
        forgetting = asyncio.create_task(forget_until_stopped(workspace, stop, clock=clock))
        yield
        stop.set()
        await forgetting
        await workspace.close()

    app = FastAPI(
        title="Broadside",
        version=bot.__version__,
        docs_url=None,  # its pages come from another site
        redoc_url=None,
        redirect_slashes=False,  # the guard takes care of them
        lifespan=while_open,
        telemetry=_NOT_WATCHED,
    )
    app.add_middleware(Guard, hosts=hosts_of(workspace.settings.publication.site_url, hosts))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        """The page for what is not there or cannot be done."""
        headers = {name.lower(): value for name, value in (error.headers or {}).items()}
        if error.status_code == 405:
            headers["allow"] = ", ".join(_allowed([app.router, *routers], request))
            if request.method == "OPTIONS":
                return Response(status_code=204, headers=headers)
        name = _TITLES.get(error.status_code, "refused")
        page = pages.private("error", pages.language(request), status=error.status_code, what=name)
        page.headers.update(headers)
        return page

    @app.exception_handler(StoreError)
    async def busy(request: Request, error: StoreError) -> Response:
        """The page for when the database is held by another program, away, or full."""
        _log.error("%s", error)
        page = await run_in_threadpool(
            pages.private, "error", pages.language(request), status=503, what="busy"
        )
        page.headers.update(_LATER)
        return page

    @app.get("/healthz", summary="Whether the site is up")
    async def health() -> JSONResponse:
        """Says nothing about anything else."""
        return JSONResponse({"status": "ok"}, headers={"cache-control": "no-store"})

    @app.get("/static/{name}", summary="A style sheet, a script or an ornament", responses={404: {}})
    def static(request: Request, name: str) -> Response:
        """Files that every page may load."""
        found = pages.static(request, name)
        if found is None:
            raise HTTPException(404)
        return found

    for router in routers:
        app.include_router(router)
    return app


def _allowed(routers: Iterable[Router], request: Request) -> Iterable[str]:
    """The methods that this path knows."""
    found: set[str] = set()
    for route in (route for router in routers for route in router.routes):
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return sorted(found | {"OPTIONS"} | ({"HEAD"} if "GET" in found else set()))
