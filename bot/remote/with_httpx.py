"""The limits for whoever calls by httpx."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx

from bot.remote.limits import AnswerUnusable, Exchange, Limits, unpacked, words_may_be_cut

_FAILED = (TimeoutError, AnswerUnusable, httpx.HTTPError)


async def body_of(response: httpx.Response, exchange: Exchange, *, cut: bool) -> bytes:
    """The body within the limits. ``cut``: what came of it, whatever became of the rest; else an error."""
    found, encoding = bytearray(), response.headers.get("Content-Encoding", "")
    try:
        async with asyncio.timeout(exchange.seconds_left()):
            async for piece in response.stream:  # type: ignore[union-attr]
                found += piece
                exchange.count(len(piece))
    except _FAILED:
        if not cut:
            raise
    return unpacked(bytes(found), encoding, exchange.limits.size, cut=cut)


def event_hooks(limits: Limits) -> dict[str, list[Callable[..., Awaitable[None]]]]:
    """For ``httpx.AsyncClient``: every body, once its head is here, comes within the limits.

    The head has limits of httpx's own for its size. The time of the whole is the caller's to watch.
    """

    async def read(response: httpx.Response) -> None:
        try:
            cut = words_may_be_cut(response.status_code)
            body = await body_of(response, Exchange(limits), cut=cut)
        finally:
            await response.stream.aclose()  # type: ignore[union-attr]
        response.headers.pop("Content-Encoding", None)
        response.stream = httpx.ByteStream(body)

    return {"response": [read]}
