"""Connections that never end, and too many of them: everybody else is served on."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from bot.web.connections import ConnectionLimits
from bot.web.serving import listening_socket
from tests.support.misbehaving import WAYS
from tests.support.site import make_site, served

QUICK = ConnectionLimits(head=0.5, body=0.5, stalled=0.5, answer=2.0, idle=1)
WITHIN = 30.0  # seconds, on a machine that does other things as well


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A site that waits for nothing long."""
    here = make_site(tmp_path_factory.mktemp("site") / "news", mode="rehearsal")
    with served(here, limits=QUICK) as site:
        yield httpx.URL(site.url).port or 80


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_that_misbehaves_ends(port: int, way: str) -> None:
    """In each of these ways; nobody needs a proxy for that."""
    peer = WAYS[way]()
    with closing(peer):
        peer.connect(port, "127.9.1.1")
        end = time.monotonic() + WITHIN
        while peer.is_held():
            assert time.monotonic() < end, "it is never hung up on"
            time.sleep(0.1)
            peer.a_second_passes()


def test_an_answer_over_a_connection_that_stays_does_not_wait(port: int) -> None:
    """Without TCP_NODELAY each takes 40 ms: the second packet waits for the receipt of the first."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as web:
        took = []
        for _ in range(21):
            began = time.perf_counter()
            web.request("GET", "/healthz")
            web.getresponse().read()
            took.append(time.perf_counter() - began)

    assert sorted(took)[10] < 0.035


def test_what_is_accepted_speaks_tcp() -> None:
    """asyncio sets TCP_NODELAY only where the listening socket says so; uvloop does it in any case."""
    with listening_socket("127.0.0.1", 0) as door:
        assert door.proto == socket.IPPROTO_TCP
