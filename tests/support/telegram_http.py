"""The HTTP side of the stand-in for Telegram: three forms of parameters in, JSON out."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.absurd import Absurd, answer_absurdly

Answer = Callable[[str, str, dict[str, Any]], bytes]  # token, method, parameters -> body of a 200


class ApiError(Exception):
    """An answer other than 200."""

    def __init__(self, code: int, description: str, **parameters: Any) -> None:
        super().__init__(description)
        self.code, self.description, self.parameters = code, description, parameters

    @property
    def body(self) -> dict[str, Any]:
        body = {"ok": False, "error_code": self.code, "description": self.description}
        return body | ({"parameters": self.parameters} if self.parameters else {})


class Dropped(Exception):
    """The connection ends without an answer."""


class Absurdly(Exception):
    """Something else comes instead of an answer."""

    def __init__(self, how: Absurd, stopping: threading.Event) -> None:
        super().__init__(how)
        self.how, self.stopping = how, stopping


def handler_for(answer: Answer) -> type[BaseHTTPRequestHandler]:
    """Serves ``/bot<token>/<method>`` with what ``answer`` says."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                self._reply(200, self._answered(body))
            except ApiError as error:
                is_page = error.description.startswith("<")
                self._reply(error.code, (error.description if is_page else json.dumps(error.body)).encode())
            except Absurdly as order:
                self.close_connection = True
                answer_absurdly(order.how, self.wfile.write, order.stopping)
            except (Dropped, BrokenPipeError, ConnectionResetError):  # we or the client hung up
                self.close_connection = True

        def _answered(self, body: bytes) -> bytes:
            parts = urlsplit(self.path)
            token, _, method = parts.path.removeprefix("/bot").partition("/")
            values = dict(parse_qsl(parts.query)) | _values(self.headers.get("Content-Type", ""), body)
            return answer(token, method, values)

        def _reply(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Tests stay quiet."""

    return Handler


def _values(content_type: str, body: bytes) -> dict[str, Any]:
    """The parameters of a call, in whichever of the three forms they came."""
    if content_type.startswith("multipart/form-data"):
        return dict(_parts(content_type, body))
    if content_type.startswith("application/json"):
        return dict(json.loads(body))
    return {name: _read(name, value) for name, value in parse_qsl(body.decode(), keep_blank_values=True)}


def _parts(content_type: str, body: bytes) -> Iterator[tuple[str, Any]]:
    boundary = b"--" + content_type.partition("boundary=")[2].strip('"').encode()
    for part in (b"\r\n" + body).split(b"\r\n" + boundary)[1:-1]:
        head, _, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        heading = head.decode()
        name = heading.partition('name="')[2].partition('"')[0]
        yield name, value if "filename=" in heading else _read(name, value.decode())


def _read(name: str, value: str) -> Any:
    """Objects and lists come as JSON; words stay words."""
    if name in ("text", "caption") or value[:1] not in ("{", "["):
        return value
    return json.loads(value)
