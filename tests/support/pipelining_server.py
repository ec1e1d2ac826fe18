"""An SMTP server of our own that advertises PIPELINING and does every wrong thing on order.

It answers all the commands of one packet in one packet, as real servers do, and counts what it accepted by
Message-ID. With CHUNKING among its extensions it takes BDAT (RFC 3030). Each MAIL command takes the next
entry of ``script``: a ``Fault`` for that letter, or None.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.listening import end

STEPS = ("MAIL", "RCPT", "DATA", "DOT")
DROP = "drop"  # the connection is cut instead of an answer; at DOT the letter is lost
TAKE_AND_DROP = "take and drop"  # at DOT: the letter is accepted, and nobody learns of it
SILENT = "silent"  # no answer, now or later
DRIP = "drip"  # an answer of one byte at a time, without an end
ENDLESS = "endless"  # an answer of ever more lines
GO_AHEAD = "354 go ahead"
_ID = re.compile(rb"(?im)^Message-ID: *(<[^>]*>)")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens at one step of one letter instead of the right answer.

    Steps: MAIL RCPT DATA DOT, or BODY: the first byte of the body is here, and nothing is read any more.
    DOT is also the end of the last chunk.
    ``answer`` may hold several lines, parted by CR LF.
    """

    step: str
    answer: str


@dataclass(kw_only=True)
class Server:
    """The server as a test sees it."""

    port: int = 0
    extensions: list[str] = field(
        default_factory=lambda: ["PIPELINING", "SIZE 50000000", "SMTPUTF8", "8BITMIME"]
    )
    before_tls: list[str] | None = None  # what EHLO says before STARTTLS, where that differs
    greeting: str = "220 relay.example.test ESMTP"
    greetings: deque[str] = field(default_factory=deque)  # for the next connections, before ``greeting``
    script: deque[Fault | None] = field(default_factory=deque)
    crumbs: bool = False  # every answer leaves in packets of one byte
    injected: bytes = b""  # sent in clear text right behind the 220 to STARTTLS
    always_grants: bool = False  # DATA is answered by 354 even where no recipient was taken
    per_connection: int = 0  # letters; then 421
    accepted: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, bytes] = field(default_factory=dict)
    finished: Counter[str] = field(default_factory=Counter)  # the final dot came, whatever the answer was
    packets: list[list[str]] = field(default_factory=list)  # the verbs that came together
    commands: list[str] = field(default_factory=list)
    connections: int = 0
    most_at_once: int = 0
    talks: set[_Talk] = field(default_factory=set)

    def fail(self, step: str, answer: str) -> None:
        """Order a fault for the next letter that has none."""
        self.script.append(Fault(step=step, answer=answer))

    def say(self, text: str) -> None:
        """Say something that nobody asked for, to everyone."""
        for talk in self.talks:
            talk.transport.write(text.encode() + b"\r\n")

    def hang_up(self) -> None:
        for talk in list(self.talks):
            talk.transport.abort()


class _Talk(asyncio.Protocol):
    def __init__(self, server: Server, tls: ssl.SSLContext | None) -> None:
        self._server, self._tls = server, tls
        self.transport: asyncio.Transport
        self._buffer, self._reply = b"", b""
        self._in_body = self._mute = self._encrypted = self._upgrading = False
        self._chunk: int | None = None  # bytes of the body that BDAT announced
        self._chunks, self._last = b"", False
        self._letters = 0
        self._has_sender = self._has_recipient = False
        self._fault: Fault | None = None
        self._upgrade: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        if self._encrypted:
            return
        server = self._server
        server.connections += 1
        server.talks.add(self)
        server.most_at_once = max(server.most_at_once, len(server.talks))
        greeting = server.greetings.popleft() if server.greetings else server.greeting
        if greeting == DROP:
            self.transport.abort()
        elif greeting in (DRIP, ENDLESS):
            self._answer_with(greeting)
        elif greeting != SILENT:
            self.transport.write(greeting.encode() + b"\r\n")
            if not greeting.startswith("220"):
                self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._server.talks.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgrading:
            self._packet()

    def _packet(self) -> None:
        self._server.packets.append([])
        while not self._mute and not self.transport.is_closing():
            if not (self._body() if self._in_body else self._command()):
                break
        self._flush()

    def _flush(self) -> None:
        reply, self._reply = self._reply, b""
        if not reply or self.transport.is_closing():
            return
        if not self._server.crumbs:
            self.transport.write(reply)
            return
        for place in range(len(reply)):
            self.transport.write(reply[place : place + 1])

    def _body(self) -> bool:
        if self._fault is not None and self._fault.step == "BODY":
            if self._buffer:
                self._mute = True
                self.transport.pause_reading()
                self._answer_with(self._fault.answer)
            return False
        if self._chunk is not None:
            return self._bytes_of_chunk(self._chunk)
        body, dot, rest = (b"\r\n" + self._buffer).partition(b"\r\n.\r\n")
        if not dot:
            return False
        self._buffer, self._in_body = rest, False
        self._server.packets[-1].append("BODY")
        self._finished(re.sub(rb"(?m)^\.\.", b".", (body[2:] + b"\r\n") if len(body) > 2 else b""))
        return True

    def _bytes_of_chunk(self, size: int) -> bool:
        if len(self._buffer) < size:
            return False
        self._chunks += self._buffer[:size]
        self._buffer, self._in_body, self._chunk = self._buffer[size:], False, None
        self._server.packets[-1].append("BODY")
        if not self._last:
            self._say(f"250 2.0.0 {size} bytes" if self._has_recipient else "503 5.5.1 need RCPT")
            return True
        body, self._chunks = self._chunks, b""
        self._finished(body)
        return True

    def _finished(self, body: bytes) -> None:
        found = _ID.search(body)
        name = found[1].decode() if found else ""
        if name:
            self._server.finished[name] += 1
        order = self._order("DOT")
        has_recipient, self._has_sender, self._has_recipient = self._has_recipient, False, False
        if not has_recipient:
            self._say("554 5.5.1 no valid recipients")
            return
        if order is None or order == TAKE_AND_DROP or order.startswith("2"):
            self._server.accepted[name] += 1
            self._server.bodies[name] = body
        if order is None:
            self._say("250 2.0.0 Ok: queued as 4Bx7")
        else:
            self._answer_with(order)

    def _command(self) -> bool:
        line, end, rest = self._buffer.partition(b"\r\n")
        if not end:
            return False
        self._buffer = rest
        text = line.decode()
        verb = text.split(" ", 1)[0].split(":")[0].upper()
        self._server.packets[-1].append(verb)
        self._server.commands.append(text)
        actions: dict[str, Callable[[], None]] = {
            "EHLO": self._ehlo,
            "STARTTLS": self._starttls,
            "MAIL": self._mail,
            "RCPT": self._rcpt,
            "DATA": self._data,
            "BDAT": lambda: self._bdat(*text.split()[1:]),
            "RSET": self._rset,
            "QUIT": self._quit,
        }
        actions.get(verb, lambda: self._say("500 5.5.2 what?"))()
        return verb != "STARTTLS"

    def _ehlo(self) -> None:
        words = self._server.extensions
        if self._tls is not None and not self._encrypted:
            words = ["STARTTLS", *(self._server.before_tls if self._server.before_tls is not None else words)]
        for word in ["relay.example.test", *words]:
            self._say(f"250-{word}")
        self._say("250 HELP")

    def _mail(self) -> None:
        script = self._server.script
        self._fault = script.popleft() if script else None
        self._letters += 1
        if self._server.per_connection and self._letters > self._server.per_connection:
            self._answer_with("421 4.7.0 enough for one connection")
        elif self._has_sender:
            self._say("503 5.5.1 nested MAIL")
        else:
            self._has_sender = self._act("MAIL", "250 2.1.0 Ok")

    def _rcpt(self) -> None:
        if self._has_sender:
            self._has_recipient = self._act("RCPT", "250 2.1.5 Ok")
        else:
            self._say("503 5.5.1 need MAIL")

    def _data(self) -> None:
        order = self._order("DATA")
        if order is None and self._server.always_grants:
            order = GO_AHEAD
        if order is not None and order.startswith("354"):
            self._answer_with(order)
            self._in_body = True
        elif self._has_recipient:
            self._in_body = self._act("DATA", GO_AHEAD)
        else:
            self._answer_with(order or "503 5.5.1 need RCPT")

    def _bdat(self, size: str = "", last: str = "") -> None:
        if "CHUNKING" not in self._server.extensions or not size.isdigit():
            self._say("500 5.5.2 what?")
            return
        self._in_body, self._chunk, self._last = True, int(size), last.upper() == "LAST"

    def _rset(self) -> None:
        self._chunks = b""
        self._has_sender = self._has_recipient = False
        self._say("250 2.0.0 Ok")

    def _quit(self) -> None:
        self._say("221 2.0.0 Bye")
        self._flush()
        self.transport.close()

    def _act(self, step: str, welcome: str) -> bool:
        """Do what was ordered, or what is right; True when the step was granted."""
        order = self._order(step)
        self._answer_with(order or welcome)
        return order is None or order[:3] == welcome[:3]

    def _order(self, step: str) -> str | None:
        return self._fault.answer if self._fault is not None and self._fault.step == step else None

    def _answer_with(self, order: str) -> None:
        if order in (DROP, TAKE_AND_DROP):
            self._flush()
            self.transport.close()
        elif order in (SILENT, DRIP, ENDLESS):
            self._mute = True
            if order != SILENT:
                self._go_on_for_ever(b"2" if order == DRIP else b"250-and more\r\n" * 100)
        else:
            self._say(order)
            if order.split("\r\n")[-1].startswith("421"):
                self._flush()
                self.transport.close()

    def _go_on_for_ever(self, piece: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(piece)
            asyncio.get_running_loop().call_later(0.05, self._go_on_for_ever, piece)

    def _say(self, text: str) -> None:
        self._reply += text.encode() + b"\r\n"

    def _starttls(self) -> None:
        self._say("220 2.0.0 go ahead")
        self._reply += self._server.injected
        self._flush()
        self.transport.pause_reading()
        self._upgrade = asyncio.ensure_future(self._encrypt())

    async def _encrypt(self) -> None:
        assert self._tls is not None
        self._encrypted, self._upgrading, self._buffer = True, True, b""
        try:
            loop = asyncio.get_running_loop()
            transport = await loop.start_tls(self.transport, self, self._tls, server_side=True)
        except OSError:
            self._server.talks.discard(self)
            return
        assert transport is not None
        self.transport, self._upgrading = transport, False
        if self._buffer:
            self._packet()


@asynccontextmanager
async def pipelining_server(
    script: Sequence[Fault | None] = (), *, certificate: Path | None = None, **options: object
) -> AsyncIterator[Server]:
    """A server on a free port of loopback; with a certificate it offers STARTTLS."""
    server = Server(script=deque(script), **options)  # type: ignore[arg-type]
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    listener = await asyncio.get_running_loop().create_server(lambda: _Talk(server, tls), "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        await end(listener, server.hang_up)
