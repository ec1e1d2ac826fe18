"""Connections that never end, and too many of them: everybody else is served on."""

from __future__ import annotations

import http.client
import json
import logging
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from bot.web.connections import ConnectionLimits, Connections
from bot.web.folded_log import folded
from bot.web.serving import listening_socket
from tests.support.misbehaving import WAYS, add_large_file
from tests.support.site import make_site, served
from tests.support.standstill import Standstill, standstill

ROOT = Path(__file__).parents[1]
QUICK = ConnectionLimits(head=0.5, body=0.5, stalled=0.5, answer=2.0, idle=1)
WITHIN = 30.0  # seconds, on a machine that does other things as well


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A site that waits for nothing long."""
    here = make_site(tmp_path_factory.mktemp("site") / "news", mode="rehearsal")
    add_large_file(here)
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


@dataclass(kw_only=True)
class Attacked:
    """What came of an attack on ``bot serve``: what it held at the end, what others waited, what it wrote."""

    held: dict[str, int]
    waits: list[float]
    peak: int  # bytes of memory
    log: str


def attack(tmp_path: Path, *, count: int, networks: int, seconds: int) -> Attacked:
    """``bot serve`` alone, as a process; the misbehaving ones are another, and here a visitor reads on."""
    here, log = make_site(tmp_path / "news", mode="rehearsal"), tmp_path / "log"
    add_large_file(here)
    with serving_alone(here, log) as (server, port):
        script = [sys.executable, "-m", "tests.support.misbehaving"]
        numbers = map(str, (port, count, networks, seconds))
        others = subprocess.Popen([*script, *numbers], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        with standstill() as still:
            waits = list(waits_while(others, port, still))
        assert others.stdout
        held = json.loads(others.stdout.read())
        peak = memory_peak(server.pid)
        others.stdout.close()
    return Attacked(held=held, waits=waits, peak=peak, log=log.read_text())


@contextmanager
def serving_alone(here: Path, log: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The process and its port. Its log goes to a file: a pipe that nobody empties would stop it."""
    with log.open("w") as errors:
        command = [sys.executable, "-m", "bot", "--workspace", str(here), "serve", "--port", "0"]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert process.stdout
        found = re.search(r"http://localhost:(\d+)", process.stdout.readline())
        assert found
        httpx.get(f"http://localhost:{found[1]}/subscribe", timeout=60)  # templates are compiled once
        yield process, int(found[1])
    finally:
        process.terminate()
        process.communicate(timeout=60)


def waits_while(others: subprocess.Popen[str], port: int, still: Standstill) -> Iterator[float]:
    """What a visitor from another network waits for a page, without what the machine stood still."""
    while others.poll() is None:
        began = time.monotonic()
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as web:
            web.request("GET", "/subscribe")
            assert web.getresponse().status == 200
        ended = time.monotonic()
        yield ended - began - still.since(began, ended)
        time.sleep(0.1)


def memory_peak(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def test_sixty_that_misbehave_are_not_noticed(tmp_path: Path) -> None:
    """In all ways at once, for some seconds."""
    seen = attack(tmp_path, count=64, networks=4, seconds=3)

    assert len(seen.waits) > 5
    assert max(seen.waits) < 0.5
    assert "Traceback" not in seen.log
    assert len(seen.log) < 200_000


@pytest.mark.slow
def test_a_thousand_that_misbehave_are_all_hung_up_on_and_keep_nobody_out(tmp_path: Path) -> None:
    """From few networks and from many; each deadline has passed at the end, and no proxy helped."""
    seen = attack(tmp_path, count=1000, networks=20, seconds=50)

    print(f"waits: {len(seen.waits)}, longest {max(seen.waits):.3f} s; peak {seen.peak / 1e6:.0f} MB")
    assert seen.held == {}
    assert max(seen.waits) < 0.5
    assert seen.peak < 300e6
    assert "Traceback" not in seen.log
    assert "hung up on" in seen.log
    assert len(seen.log) < 200_000


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


# --------------------------------------------------------------------------- how many


def test_one_network_cannot_take_every_connection(tmp_path: Path) -> None:
    """Whoever is over its share is told so; the next network is served as ever."""
    here = make_site(tmp_path / "news", mode="rehearsal")
    with served(here, limits=ConnectionLimits(per_network=3)) as site, ExitStack() as open_ones:
        port = httpx.URL(site.url).port or 80
        mine = [open_ones.enter_context(connected(port, f"127.9.1.{last}")) for last in (1, 2, 3, 4)]
        other = open_ones.enter_context(connected(port, "127.9.2.1"))

        assert answer(mine[3]).startswith(b"HTTP/1.1 503")
        assert asked(mine[0]).startswith(b"HTTP/1.1 200")
        assert asked(other).startswith(b"HTTP/1.1 200")


def test_behind_a_proxy_its_visitors_are_not_one_network(tmp_path: Path) -> None:
    """They all come from its address: a limit on that would be one for everybody."""
    here = make_site(tmp_path / "news", mode="rehearsal", proxies=1)
    with served(here, limits=ConnectionLimits(per_network=1)) as site, ExitStack() as open_ones:
        port = httpx.URL(site.url).port or 80
        visitors = [open_ones.enter_context(connected(port, "127.0.0.1")) for _ in range(5)]

        assert all(asked(each).startswith(b"HTTP/1.1 200") for each in visitors)


def test_when_all_connections_are_taken_the_oldest_silent_one_goes(tmp_path: Path) -> None:
    """From however many networks they come: they keep no visitor out."""
    here = make_site(tmp_path / "news", mode="rehearsal")
    with served(here, limits=ConnectionLimits(total=3)) as site, ExitStack() as open_ones:
        port = httpx.URL(site.url).port or 80
        silent = [open_ones.enter_context(connected(port, f"127.9.{each}.1")) for each in range(3)]
        visitor = open_ones.enter_context(connected(port, "127.0.0.1"))

        assert asked(visitor).startswith(b"HTTP/1.1 200")
        with pytest.raises(ConnectionResetError):
            answer(silent[0])
        assert asked(silent[2]).startswith(b"HTTP/1.1 200")


def test_answers_that_nobody_takes_use_no_more_memory_than_they_may(tmp_path: Path) -> None:
    """Long before their deadlines; who fits goes on."""
    here = make_site(tmp_path / "news", mode="rehearsal")
    add_large_file(here)
    with served(here, limits=ConnectionLimits(untaken=1_000_000)) as site, ExitStack() as open_ones:
        peers = [open_ones.enter_context(closing(WAYS["answers never read"]())) for _ in range(3)]
        for peer in peers:
            peer.connect(httpx.URL(site.url).port or 80, "127.9.1.1")
        end = time.monotonic() + 10
        while sum(peer.is_held() for peer in peers) > 1 and time.monotonic() < end:
            time.sleep(0.05)

        assert [peer.is_held() for peer in peers].count(True) == 1


def connected(port: int, source: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))


def asked(wire: socket.socket) -> bytes:
    wire.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return answer(wire)


def answer(wire: socket.socket) -> bytes:
    return wire.recv(65_536)


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("198.41.0.7", "198.41.0.0/24"),
        ("::ffff:198.41.0.7", "198.41.0.0/24"),
        ("2606:4700:1:2:3::4", "2606:4700:1:2::/64"),
        ("10.0.0.1", ""),
        ("::ffff:127.0.0.1", ""),
        ("nothing known", "unknown"),
    ],
)
def test_behind_a_proxy_whoever_comes_past_it_is_counted(host: str, network: str) -> None:
    """Only a private address is taken for the proxy's."""
    assert Connections(ConnectionLimits(), behind_proxy=True).network(host) == network


# --------------------------------------------------------------------------- the log


def test_a_log_that_is_flooded_stays_short(caplog: pytest.LogCaptureFixture) -> None:
    """Equal lines are counted, and no traceback is written, which may quote what a stranger sent."""
    caplog.set_level(logging.INFO)
    now, log = [0.0], logging.getLogger("tests.flooded")
    with folded(lambda: now[0], ["tests.flooded"]):
        for number in range(5000):
            try:
                raise OSError(24, f"Too many open files {number}")
            except OSError:
                log.exception("socket.accept() out of system resource\nsocket: %d", number)
        now[0] = 61.0
        log.error("another matter")

    assert len(caplog.records) == 12
    assert "socket.accept() out of system resource: OSError at test_web_connections.py" in caplog.messages[0]
    assert "and 4990 more of: socket.accept() out of system resource" in caplog.messages[10]
    assert "Traceback" not in caplog.text
