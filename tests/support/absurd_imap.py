"""An IMAP server that answers as a test orders, however absurdly; in clear text on loopback.

    with AbsurdImap({"SELECT": b"* 1000000000000 EXISTS\\r\\n"}) as server:

An order is said before the "OK" of its command. One that is a ``Drip`` never ends.
"""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

PAUSE = 0.1


@dataclass(frozen=True)
class Drip:
    """This byte by byte, slowly, again and again; or at once, again and again."""

    words: bytes
    pause: float = PAUSE


class AbsurdImap:
    """``commands`` are the verbs that came."""

    def __init__(self, orders: Mapping[str, bytes | Drip]) -> None:
        self.orders, self.commands = dict(orders), list[str]()
        self.stopping = threading.Event()
        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Talk)
        self._server.daemon_threads = True
        self._server.imap = self  # type: ignore[attr-defined]

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> AbsurdImap:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()


class _Talk(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.imap: AbsurdImap = self.server.imap  # type: ignore[attr-defined]
        with suppress(OSError):
            self._say("GREETING")
            self.wfile.write(b"* OK ready\r\n")
            for line in self.rfile:
                tag, *words = line.split()
                verb = words[1 if words[0] == b"UID" else 0].decode()
                self.imap.commands.append(verb)
                if verb == "CAPABILITY":
                    self.wfile.write(b"* CAPABILITY IMAP4rev1\r\n")
                self._say(verb)
                self.wfile.write(tag + b" OK done\r\n")

    def _say(self, verb: str) -> None:
        order = self.imap.orders.get(verb, b"")
        if isinstance(order, bytes):
            self.wfile.write(order)
            return
        while not self.imap.stopping.is_set():
            if not order.pause:
                self.wfile.write(order.words)
                continue
            for place in range(len(order.words)):
                self.wfile.write(order.words[place : place + 1])
                if self.imap.stopping.wait(order.pause):
                    return
