"""One attempt of one call. It follows no redirect, and reads no more of the answer than is kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import httpx

from bot.hooks.answers import Answer, kept
from bot.remote import numbers
from bot.remote.limits import Exchange, Limits
from bot.remote.with_httpx import body_of

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
                # What comes soon: the answer was given with its status, whatever becomes of its words.
                limits = Limits(seconds=patience / 5, size=_READ)
                words = await body_of(response, Exchange(limits), cut=True)
                asked = response.headers.get("Retry-After", "")
                return Answer(
                    status=response.status_code,
                    said=kept(response.status_code, words),
                    retry_after=numbers.wait(asked),  # no date: it is that of a clock we do not know
                )
    except (TimeoutError, httpx.TimeoutException):
        return Answer(said=f"no answer within {patience:g} seconds")
    except httpx.HTTPError as error:
        return Answer(said=f"no answer: {type(error).__name__}")  # its words may hold the address
    except (httpx.InvalidURL, UnicodeError):
        return Answer(said="the address cannot be used")
