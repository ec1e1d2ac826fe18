"""Connections that misbehave: sixteen ways to use up a web server without asking it for much.

    python -m tests.support.misbehaving PORT COUNT NETWORKS SECONDS

As a program: so many of them at once, and at its end how many the server still holds, by way, as JSON.
"""

from __future__ import annotations

import json
import resource
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
GET = HEAD + b"\r\n"
LARGE = GET.replace(b"/ ", b"/static/large.css ", 1)
FORM = b"POST /subscribe HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(185))


def add_large_file(here: Path) -> None:
    """What ``LARGE`` asks that workspace for: more than the kernel takes for somebody who does not read."""
    static = here / "templates" / "web" / "static"
    static.mkdir(parents=True)
    (static / "large.css").write_bytes(b" " * 1_000_000)


@dataclass(kw_only=True)
class Peer:
    """One connection: what it says at first, what it says each second, whether it listens."""

    way: str
    first: bytes = b""
    each: bytes = b""
    reads: int = 65_536  # bytes of an answer in a second; 0: none, ever
    resets: bool = False
    wire: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    is_over: bool = False

    def connect(self, port: int, source: str) -> None:
        """From an address of this machine, 127.0.0.0/8."""
        if self.reads < 65_536:
            self.wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.wire.bind((source, 0))
        self.wire.settimeout(10)
        self.wire.connect(("127.0.0.1", port))
        self.wire.setblocking(False)
        self._say(self.first)
        if self.resets:
            self.wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close()

    def a_second_passes(self) -> None:
        """It notices that it was hung up on, if it listens; else the next byte tells."""
        if self.is_over:
            return
        self._say(self.each)
        if self.reads:
            self._hear()

    def close(self) -> None:
        self.wire.close()
        self.is_over = True

    def is_held(self) -> bool:
        """Whether the server keeps this connection, as the kernel sees it."""
        if self.is_over:
            return False
        info = self.wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
        return info[0] == _ESTABLISHED

    def _say(self, words: bytes) -> None:
        try:
            while words and not self.is_over:
                words = words[self.wire.send(words) :]
        except BlockingIOError:
            return
        except OSError:
            self.close()

    def _hear(self) -> None:
        try:
            if not self.wire.recv(self.reads):
                self.close()
        except BlockingIOError:
            return
        except OSError:
            self.close()


_ESTABLISHED = 1  # TCP_ESTABLISHED in <netinet/tcp.h>

WAYS: dict[str, Callable[[], Peer]] = {
    way: lambda way=way, how=how: Peer(way=way, **how)  # type: ignore[misc]
    for way, how in {
        "no request": {},
        "half a request line": {"first": b"GET /sub"},
        "half a head": {"first": HEAD + b"X-A: "},
        "a head of one byte a second": {"first": HEAD, "each": b"a"},
        "half a body": {"first": FORM + b"Content-Length: 400\r\n\r\naddress=mara"},
        "one byte of a body": {"first": FORM + b"Content-Length: 400\r\n\r\na"},
        "a body of one byte a second": {"first": FORM + b"Content-Length: 4000\r\n\r\n", "each": b"a"},
        "a body that nobody wants": {"first": HEAD + b"Content-Length: 4000\r\n\r\n", "each": b"a"},
        "a body too large": {
            "first": FORM + b"Content-Length: 9999999\r\n\r\naddress=",
            "each": b"a" * 999,
        },
        "chunks without end": {"first": FORM + b"Transfer-Encoding: chunked\r\n\r\n", "each": b"1\r\na\r\n"},
        "answers never read": {"first": LARGE, "reads": 0},
        "answers read one byte a second": {"first": LARGE, "reads": 1},
        "a flood of requests at once": {"first": GET * 20_000, "each": GET * 20_000, "reads": 0},
        "no HTTP": {"first": TLS_HELLO},
        "connected and reset": {"first": GET, "resets": True},
        "kept alive and idle": {"first": GET},
    }.items()
}


def held_after(port: int, *, count: int, networks: int, seconds: float) -> Counter[str]:
    """The connections that are still held, by way."""
    peers = [way() for way in WAYS.values() for _ in range(-(-count // len(WAYS)))][:count]
    for number, peer in enumerate(peers):
        peer.connect(port, f"127.9.{number % networks}.1")
        time.sleep(0.005)  # 200 a second: it is the connections that are tested, not a flood of them
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        for peer in peers:
            peer.a_second_passes()
        time.sleep(max(0.0, began + 1 - time.monotonic()))
    held = Counter(peer.way for peer in peers if peer.is_held())
    for peer in peers:
        peer.close()
    return held


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    port, count, networks, seconds = map(int, sys.argv[1:])
    print(json.dumps(held_after(port, count=count, networks=networks, seconds=seconds)))
