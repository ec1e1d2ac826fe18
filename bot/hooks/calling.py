"""One attempt of one call. It follows no redirect, and reads no more of the answer than is kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

import httpx

from bot.hooks.answers import Answer, kept

PATIENCE = 10.0  # seconds for a whole attempt
_READ = 2_000  # bytes of an answer

# httpx writes every address into its log at INFO, and such an address may hold a key of the other side.
logging.getLogger("httpx").setLevel(logging.WARNING)


def client(user_agent: str) -> httpx.AsyncClient:
    """A client for all calls of a while; the caller closes it."""
    return httpx.AsyncClient(
        headers={"User-Agent": user_agent, "Accept": "*/*"}, timeout=PATIENCE, follow_redirects=False
    )


async def call(
    http: httpx.AsyncClient, url: str, *, headers: Mapping[str, str], body: bytes, patience: float = PATIENCE
) -> Answer:
    """POST it once; whatever happens is an Answer."""
    try:
        async with asyncio.timeout(patience):
            sent = {**headers, "Content-Type": "application/json"}
            async with http.stream("POST", url, headers=sent, content=body) as response:
                return Answer(
                    status=response.status_code,
                    said=kept(response.status_code, await _beginning(response, patience / 5)),
                    retry_after=_retry_after(response.headers.get("Retry-After", "")),
                )
    except (TimeoutError, httpx.TimeoutException):
        return Answer(said=f"no answer within {patience:g} seconds")
    except httpx.HTTPError as error:
        return Answer(said=f"no answer: {type(error).__name__}")  # its words may hold the address
    except (httpx.InvalidURL, UnicodeError):
        return Answer(said="the address cannot be used")


async def _beginning(response: httpx.Response, patience: float) -> bytes:
    """What comes soon: the answer was given with its status, whatever becomes of its words."""
    found = b""
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(patience):
            async for piece in response.aiter_raw():
                found += piece
                if len(found) >= _READ:
                    break
    return found[:_READ]


def _retry_after(text: str) -> timedelta | None:
    """Only seconds: a date would be that of a clock we do not know."""
    return timedelta(seconds=int(text)) if text.isascii() and text.isdigit() and len(text) < 7 else None
