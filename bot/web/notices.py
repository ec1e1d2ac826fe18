"""Where mail services tell what came back: ``POST /bounces/<service>``, signed, and set up in bot.toml."""

from __future__ import annotations

import base64
import binascii
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from hashlib import sha256
from typing import Any

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from bot.app.bounces import take_notices
from bot.app.workspace import Workspace
from bot.audience.bounces.notice_signatures import (
    OLDEST,
    certificate_url,
    is_mailguns,
    is_of_topic,
    is_secret,
    is_sendgrids,
    subscribe_url,
)
from bot.audience.bounces.notices import notices_of
from bot.config.tables import WebhookTable
from bot.remote.limits import Limits
from bot.remote.with_httpx import event_hooks
from bot.web.places import Places

Certificate = Callable[[str], Awaitable[bytes]]
_log = logging.getLogger("bot.web")
_ANSWERS: dict[int | str, dict[str, Any]] = {
    status: {"description": words}
    for status, words in {
        400: "No JSON",
        403: "Not signed by the service that is set up",
        404: "This service is not set up",
        408: "It came too slowly",
        413: "Too much at once",
        503: "The database is held by another program, or away: try again",
    }.items()
}


def routes(
    workspace: Workspace, clock: Callable[[], datetime], certificate: Certificate | None = None
) -> APIRouter:
    """The one route. ``certificate`` gets that of Amazon from its address."""
    router, places, tokens = APIRouter(), Places(), _Tokens()
    certificate = certificate or _Certificates().get

    @router.post("/bounces/{service}", summary="What a mail service tells", responses=_ANSWERS)
    async def take(request: Request, service: str) -> Response:
        """Bounces and complaints, as the service writes them; the answer says how many events counted."""
        table = {str(name): table for name, table in workspace.settings.bounces.webhooks.items()}.get(service)
        if table is None:
            raise HTTPException(404)
        body, now = await request.body(), clock()
        payload = _json(body)
        if not await _is_signed(request, service, table, body, payload, now, certificate):
            _log.warning("a call of %s about bounces is not signed as set up: nothing was taken", service)
            raise HTTPException(403)
        if service == "mailgun" and not tokens.fits(str(payload["signature"]["token"]), body, now):
            _log.warning("a call of mailgun repeats a token with other words: nothing was taken")
            raise HTTPException(403)
        if service == "ses" and payload.get("Type") != "Notification":
            _tell_the_organiser(payload)
            return JSONResponse({"taken": 0}, headers=_PRIVATE)
        notices = notices_of(service, payload)
        read = await places.run(take_notices, workspace, service, notices, now=now)
        unknown = sum(bool(notice.unknown) for notice in notices)
        return JSONResponse({"taken": sum(read.kinds.values()), "unknown": unknown}, headers=_PRIVATE)

    return router


_PRIVATE = {"cache-control": "no-store"}


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400) from None


async def _is_signed(
    request: Request,
    service: str,
    table: WebhookTable,
    body: bytes,
    payload: Any,
    now: datetime,
    certificate: Certificate,
) -> bool:
    secret = table.secret.get_secret_value()
    if service == "mailgun":
        return is_mailguns(payload, secret, now)
    if service == "sendgrid":
        return is_sendgrids(request.headers, body, secret, now)
    if service == "ses":
        url = certificate_url(payload, table.topic)
        return bool(url) and is_of_topic(payload, table.topic, await certificate(url), now)
    return any(is_secret(given, secret) for given in _given(request))


def _given(request: Request) -> list[str]:
    """The secret as a service can bring it: behind ``?token=``, or as the password of a login."""
    kind, _, login = request.headers.get("authorization", "").partition(" ")
    found = [request.query_params.get("token", "")]
    if kind.lower() == "bearer":
        found.append(login.strip())
    if kind.lower() == "basic":
        try:
            found.append(base64.b64decode(login, validate=True).decode().partition(":")[2])
        except (binascii.Error, ValueError):
            return found
    return found


def _tell_the_organiser(payload: Any) -> None:
    """Only a person subscribes to a topic; the address is shown, and never opened here."""
    if url := subscribe_url(payload):
        _log.warning("Amazon SNS asks whether its topic may tell bounces here; to say yes, open %s", url)


class _Tokens:
    """Mailgun signs a token and not the body: a token goes with the events that it came with first."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[bytes, datetime]] = {}

    def fits(self, token: str, body: bytes, now: datetime) -> bool:
        """Whether it is new, or the same call again."""
        for old, (_, at) in list(self._known.items()):  # the oldest first
            if at > now - OLDEST and len(self._known) < _TOKENS:
                break
            del self._known[old]
        events = sha256(json.dumps(json.loads(body).get("event-data"), sort_keys=True).encode()).digest()
        return self._known.setdefault(token, (events, now))[0] == events


class _Certificates:
    """Amazon's certificates; each is fetched once."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    async def get(self, url: str) -> bytes:
        """PEM; empty when it cannot be had now, which proves nothing."""
        import httpx  # only where Amazon SES is set up

        if url not in self._known:
            try:
                async with httpx.AsyncClient(
                    follow_redirects=False, trust_env=False, event_hooks=event_hooks(_LIMITS)
                ) as http:
                    answer = await http.get(url)
            except (httpx.HTTPError, OSError) as error:
                _log.warning("Amazon's certificate was not fetched: %s", type(error).__name__)
                return b""
            if answer.status_code != 200:
                return b""
            if len(self._known) >= 10:
                self._known.clear()
            self._known[url] = answer.content
        return self._known[url]


_TOKENS = 20_000  # that are remembered
_LIMITS = Limits(seconds=10, size=64 * 1024)
