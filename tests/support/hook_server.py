"""A program that is told what happens: a real HTTP server that checks each signature and answers as asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


@dataclass(frozen=True, kw_only=True)
class Reply:
    """How the server answers once."""

    status: int = 204
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0  # before it answers
    drip: float = 0.0  # between the bytes of the body
    hang_up: bool = False


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One call, its signature checked by the standard's own library."""

    id: str
    event: dict[str, Any]
    headers: dict[str, str]
    body: bytes


class HookServer:
    """Answers with each of ``replies``, and then with the last of them for ever."""

    def __init__(self, port: int) -> None:
        self.port, self.heard, self.replies = port, list[Heard](), [Reply()]
        self.arrived = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/tell/private-part"

    @property
    def ids(self) -> list[str]:
        return [heard.id for heard in self.heard]

    def next_reply(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


def _check(headers: dict[str, str], body: bytes) -> None:
    """As ``Webhook.verify`` does, but for the age of the call: the tests pass a clock."""
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    signed = Webhook(SECRET).sign(headers["webhook-id"], at, body.decode())
    assert headers["webhook-signature"] == signed, "the signature is wrong"


@contextmanager
def hook_server(*replies: Reply) -> Iterator[HookServer]:
    """A server on a port of its own, for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sent = {name.lower(): value for name, value in self.headers.items()}
            _check(sent, body)  # raises: no answer, and the test fails
            here.heard.append(Heard(id=sent["webhook-id"], event=json.loads(body), headers=sent, body=body))
            here.arrived.set()
            self._answer(here.next_reply())

        def _answer(self, reply: Reply) -> None:
            time.sleep(reply.wait)
            if reply.hang_up:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            pieces = [bytes([byte]) for byte in reply.body] if reply.drip else [reply.body]
            for piece in pieces:
                self.wfile.write(piece)
                time.sleep(reply.drip)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """A client that hung up is part of some tests."""

    server = Server(("127.0.0.1", 0), Handler)
    here = HookServer(server.server_address[1])
    here.replies = list(replies) or [Reply()]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
