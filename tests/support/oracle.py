"""Whoever measures how long the pages take after a form: what they see of known and of unknown addresses."""

from __future__ import annotations

import http.client
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from urllib.parse import urlencode

ROOT = Path(__file__).parents[2]
PINGS = 12  # requests after each form

SINK = """
import asyncio
from tests.support.smtp_server import smtp_server
async def main():
    async with smtp_server() as mail:
        print(mail.port, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""
PROXY = """
import asyncio, sys
async def pump(source, target):
    while part := await source.read(65536):
        target.write(part)
        await target.drain()
    target.close()
async def visit(reader, writer):
    inside = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
    await asyncio.gather(pump(reader, inside[1]), pump(inside[0], writer), return_exceptions=True)
async def main():
    server = await asyncio.start_server(visit, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """How long the answer to a form took, and each request after it; in seconds."""

    answer: float
    pings: tuple[float, ...]


SIGHTS: dict[str, Callable[[Seen], float]] = {  # what a measurer would look at
    "answer": lambda seen: seen.answer,
    "mean": lambda seen: fmean(seen.pings),
    "worst": lambda seen: max(seen.pings),
    "first": lambda seen: seen.pings[0],
}


@contextmanager
def beside(script: str, *args: object) -> Iterator[int]:
    """A process of its own that serves; the port that it tells."""
    with _running("-c", script, *map(str, args)) as said:
        yield int(said)


@contextmanager
def bot_serve(here: Path) -> Iterator[int]:
    """``bot serve`` with all that it starts; its port. Its log goes nowhere: nobody reads it meanwhile."""
    with _running("-m", "bot", "--workspace", str(here), "serve", "--port", "0") as said:
        found = re.search(r"http://localhost:(\d+)", said)
        assert found, said
        yield int(found[1])


@contextmanager
def _running(*args: str) -> Iterator[str]:
    """A Python of its own; its first line."""
    process = subprocess.Popen(
        [sys.executable, *args],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout
        yield process.stdout.readline()
    finally:
        process.terminate()
        process.communicate(timeout=60)


def look(port: int, addresses: Sequence[str], stamps: Iterator[str], *, rest: float = 0.05) -> list[Seen]:
    """Send one form after the other over a connection that stays, and ping after each."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as web:
        return [_look_once(web, address, next(stamps), rest) for address in addresses]


def _look_once(web: http.client.HTTPConnection, address: str, stamp: str, rest: float) -> Seen:
    body = urlencode({"address": address, "newsletter": "weekly", "stamp": stamp})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    status, answer = _timed(web, "POST", "/subscribe", body, headers)
    assert status == 200
    pings = tuple(_timed(web, "GET", "/healthz")[1] for _ in range(PINGS))
    time.sleep(rest)  # what one form left behind is over before the next
    return Seen(answer=answer, pings=pings)


def _timed(
    web: http.client.HTTPConnection,
    method: str,
    path: str,
    body: str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, float]:
    began = time.perf_counter()
    web.request(method, path, body, headers or {})
    answer = web.getresponse()
    answer.read()
    return answer.status, time.perf_counter() - began


def shuffled(known: Sequence[str], unknown: Sequence[str], *, seed: int = 9) -> list[str]:
    """In pairs, each in a random order: whatever else the machine does falls on both."""
    order = random.Random(seed)
    return [each for pair in zip(known, unknown, strict=True) for each in order.sample(pair, 2)]


def auc(some: Sequence[float], others: Sequence[float]) -> float:
    """How often one of ``some`` is above one of the ``others``: 0.5 tells nothing, 1.0 everything."""
    wins = sum((a > b) + (a == b) / 2 for a in some for b in others)
    return wins / (len(some) * len(others))


def told_apart(seen: Sequence[tuple[str, Seen]], known: frozenset[str]) -> dict[str, float]:
    """For each thing to look at: the AUC of unknown addresses above known ones."""
    return {
        name: auc(
            [sight(one) for address, one in seen if address not in known],
            [sight(one) for address, one in seen if address in known],
        )
        for name, sight in SIGHTS.items()
    }
