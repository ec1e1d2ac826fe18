"""What stands between the network and the pages, as plain ASGI: hosts, sizes, headers, the log.

No cookie is ever set, no address of a visitor is logged, and a token in a path is logged as its place only.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect

from bot.errors import fault_of

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST_BODY = 64 * 1024  # a form; the one-click POST of a mailbox provider has 26 bytes
LARGEST_NOTICE = 1024 * 1024  # a mail service tells up to a thousand events at once
NOTICES = "/bounces/"  # below it only they are taken
LONGEST_BODY = 20.0  # seconds that it may take to come

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "interest-cohort=(), browsing-topics=()",
}
_is_host = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[\w.-]+))(?::\d{1,5})?", re.ASCII).fullmatch
_RAW = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
_log = logging.getLogger("bot.web")


class Guard:
    """The outermost layer. ``hosts`` are the names that this site answers to."""

    def __init__(self, app: App, *, hosts: Collection[str], patience: float = LONGEST_BODY) -> None:
        self._app, self._hosts, self._patience = app, frozenset(hosts), patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method, began = scope["method"], time.perf_counter()
        answer = _Answer(send, bare=method == "HEAD")
        try:
            await self._guarded(scope, receive, answer)
        except _TooLarge:
            await answer.plain(413, "This is too much for a form.")
        except _TooSlow:
            await answer.plain(408, "This took too long.")
        except ClientDisconnect:  # nobody is left to answer, and it is no fault of ours
            pass
        except Exception as error:  # what went wrong is told without what the visitor sent
            _log.error("%s", fault_of(error))
            await answer.plain(500, "A fault on our side. Please try again in some minutes.")
        _log_line(scope, method, answer.status, began)

    async def _guarded(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        if _host(scope) not in self._hosts:
            await answer.plain(421, "This site has another name.")
        elif _announced(scope) > (most := _largest(scope)):
            await answer.plain(413, "This is too much for a form.")
        else:
            if scope["method"] == "HEAD":  # whatever can be got can be asked about
                scope["method"] = "GET"
            # A folder of "bot build" ends with a slash: no redirect, which would need a name and a scheme.
            scope["path"] = scope["path"].rstrip("/") or "/"
            await self._app(scope, _measured(receive, self._patience, most), answer)


class _Answer:
    """Passes an answer on, with our headers; for HEAD without its body."""

    def __init__(self, send: Send, *, bare: bool) -> None:
        self._send, self._bare = send, bare
        self.status = 0

    async def __call__(self, event: Event) -> None:
        if event["type"] == "http.response.start":
            self.status = event["status"]
            ours = {name for name, _ in _RAW}
            kept = [(name, value) for name, value in event.get("headers", []) if name.lower() not in ours]
            event = {**event, "headers": [*kept, *_RAW]}
        elif self._bare and event["type"] == "http.response.body":
            event = {**event, "body": b""}
        await self._send(event)

    async def plain(self, status: int, words: str) -> None:
        """A sentence, where no page can be made; nothing when an answer has begun already."""
        if self.status:
            return
        body = f"{words}\n".encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
        length = (b"content-length", str(len(body)).encode())
        close = (b"connection", b"close")
        await self({"type": "http.response.start", "status": status, "headers": [*headers, length, close]})
        await self({"type": "http.response.body", "body": body})


class _TooLarge(Exception):
    """More came than was announced."""


class _TooSlow(Exception):
    """It came drop by drop."""


def _measured(receive: Receive, patience: float, most: int) -> Receive:
    """The same body, cut off where it grows too large or takes too long."""
    total, whole = 0, False
    end = asyncio.get_running_loop().time() + patience

    async def measured() -> Event:
        nonlocal total, whole
        try:
            async with asyncio.timeout_at(None if whole else end):
                event = await receive()
        except TimeoutError:
            raise _TooSlow from None
        whole = not event.get("more_body", False)
        total += len(event.get("body", b""))
        if total > most:
            raise _TooLarge
        return event

    return measured


def _header(scope: Scope, name: bytes) -> str:
    found = [value for key, value in scope["headers"] if key == name]
    return found[0].decode("latin-1") if len(found) == 1 else ""


def _announced(scope: Scope) -> int:
    length = _header(scope, b"content-length")
    return int(length) if length.isdecimal() and len(length) < 16 else 0


def _largest(scope: Scope) -> int:
    return LARGEST_NOTICE if str(scope["path"]).startswith(NOTICES) else LARGEST_BODY


def _host(scope: Scope) -> str:
    """The name that was asked for, without a port; "" for what is no name."""
    found = _is_host(_header(scope, b"host"))
    return (found["six"] or found["name"]).lower() if found else ""


def hosts_of(site_url: str, more: Iterable[str] = ()) -> frozenset[str]:
    """The names of the site, and those of this machine for whoever tries it out."""
    return frozenset({urlsplit(site_url).hostname or "", "localhost", "127.0.0.1", "::1", *more} - {""})


def _log_line(scope: Scope, method: str, status: int, began: float) -> None:
    route = getattr(scope.get("route"), "path", "(no such page)")
    took = (time.perf_counter() - began) * 1000
    known = method if method in ("GET", "HEAD", "POST", "OPTIONS") else "other"
    _log.info("%s %s %d %.0f ms", known, route, status, took)
