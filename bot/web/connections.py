"""Connections of the public pages: how many there may be, how long each may take, and who is hung up on.

uvicorn limits two things by itself, and both stay in use: how long a connection rests between two requests
(``timeout_keep_alive``) and how large a request's head may be. It has no deadline for a head that does not
end, for a body that nobody reads any more, or for an answer that is not taken. Its ``limit_concurrency``
counts only who has asked, and does not tell one network from another. Hence a protocol of our own.

A connection waits for one of three things at a time: the head of a request, its body, or the answer being
made and taken. Each has its deadline, so a whole exchange has one as well. Twice a second the server looks at
all connections; nothing is set or cancelled for a single request.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from typing import Any, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from bot.web.visitor import truncated

PIPELINED = 2048  # bytes of further requests that are kept while one is answered: no browser sends any
_AT_ONCE = struct.pack("ii", 1, 0)  # struct linger: what is left is thrown away

_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"retry-after: 10\r\nconnection: close\r\n\r\nToo many connections. Please try again soon.\n"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionLimits:
    """Times in seconds. The guard ends a slow body with a page of its own before ``body`` is over."""

    head: float = 10.0  # from the connection, or from the last answer, to a whole head
    body: float = 25.0  # from the head to the end of the body
    stalled: float = 20.0  # while nothing of the answer is taken
    answer: float = 120.0  # from the end of the request to the last byte taken
    idle: int = 5  # between two requests
    untaken: int = 32 * 1024 * 1024  # bytes of all answers that wait to be taken
    total: int = 1000
    per_network: int = 100  # one IPv4 /24 or IPv6 /64


class Waiting(Enum):
    """What a connection waits for."""

    HEAD = "head"
    BODY = "body"
    ANSWER = "answer"


class Connections(ServerState):
    """All connections of a server. ``behind_proxy``: proxies of ours are not counted as one network."""

    def __init__(self, limits: ConnectionLimits, *, behind_proxy: bool = False) -> None:
        super().__init__()
        self.limits, self.behind_proxy = limits, behind_proxy
        self.hung_up: Counter[str] = Counter()  # by reason, since the log was last told
        self._networks: Counter[str] = Counter()
        self._by_age: dict[DeadlineProtocol, str] = {}  # in the order in which they came

    def enter(self, connection: DeadlineProtocol, host: str) -> str:
        """Count a connection from there. The reason why there is no room for it, else ""."""
        network = self.network(host)
        self._networks[network] += 1
        self._by_age[connection] = network
        if network and self._networks[network] > self.limits.per_network:
            return f"over {self.limits.per_network} from one network"
        if len(self._by_age) > self.limits.total and not self._make_room(connection):
            return f"over {self.limits.total} in all"
        return ""

    def leave(self, connection: DeadlineProtocol) -> None:
        network = self._by_age.pop(connection, None)
        if network is None:  # room was made of its place
            return
        self._networks[network] -= 1
        if not self._networks[network]:
            del self._networks[network]

    def _make_room(self, newest: DeadlineProtocol) -> bool:
        """The oldest of those that are not being answered goes: who fills the house keeps nobody out."""
        for connection in self._by_age:
            if connection is not newest and connection.waiting() is not Waiting.ANSWER:
                self.leave(connection)
                connection.hang_up(f"the oldest of over {self.limits.total}")
                return True
        return False

    def network(self, host: str) -> str:
        """The network whose connections are counted together; "" for a proxy of ours.

        Behind a proxy every visitor comes from the proxy's address: a limit on that would be one for all of
        them. Only a private address is taken for it, so whoever comes past the proxy is counted.
        """
        if self.behind_proxy and _is_private(host):
            return ""
        return truncated(host, six=64) or "unknown"

    def hang_up_on_overdue(self, now: float) -> None:
        for connection in list(self._by_age):
            connection.hang_up_if_overdue(now)
        self._bound_answers()

    def _bound_answers(self) -> None:
        """Answers that are not taken cost memory: over a bound those go that were taken from least lately."""
        untaken = sum(connection.left for connection in self._by_age)
        for connection in sorted(self._by_age, key=lambda each: each.taken_at):
            if untaken <= self.limits.untaken:
                return
            if connection.left:
                untaken -= connection.left
                connection.hang_up("too much of all answers not taken")


def _is_private(host: str) -> bool:
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_private


class DeadlineProtocol(H11Protocol):
    """HTTP/1.1 by h11, with a deadline for everything."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._all = cast(Connections, server_state)
        self._since = self.taken_at = self.loop.time()
        self._seen: tuple[Waiting, object] = (Waiting.HEAD, None)
        self.left = 0  # bytes of answers that the other side has not taken

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        if reason := self._all.enter(self, self.client[0] if self.client else ""):
            self._all.leave(self)
            self._all.hung_up[reason] += 1
            self.transport.write(_FULL)
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.flow.read_paused and len(self.conn.trailing_data[0]) > PIPELINED:
            self.hang_up("a flood of requests at once")

    def send_400_response(self, msg: str) -> None:
        """Once an answer has begun there is no room for another: uvicorn would raise."""
        self._all.hung_up["no HTTP"] += 1
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.abort()

    def hang_up_if_overdue(self, now: float) -> None:
        seen, left = (self.waiting(), self.cycle), self.transport.get_write_buffer_size()
        if seen != self._seen:
            self._seen, self._since = seen, now
        if left != self.left or not left:
            self.left, self.taken_at = left, now
        if reason := overdue(self._all.limits, seen[0], now - self._since, now - self.taken_at):
            self.hang_up(reason)

    def waiting(self) -> Waiting:
        """What for, at this moment."""
        if self.conn.their_state is h11.SEND_BODY:
            return Waiting.BODY
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering or self.transport.get_write_buffer_size():
            return Waiting.ANSWER
        return Waiting.HEAD

    def hang_up(self, reason: str) -> None:
        """At once: ``close`` would wait, here and in the kernel, until what is left has been taken."""
        self._all.hung_up[reason] += 1
        if wire := self.transport.get_extra_info("socket"):
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        self.transport.abort()


def overdue(limits: ConnectionLimits, waiting: Waiting, since: float, stalled: float) -> str:
    """Why a connection is hung up on that waits for that long; "" while it may go on."""
    if stalled > limits.stalled:
        return f"nothing of an answer taken in {limits.stalled:g} s"
    limit = {Waiting.HEAD: limits.head, Waiting.BODY: limits.body, Waiting.ANSWER: limits.answer}[waiting]
    if since <= limit:
        return ""
    return {
        Waiting.HEAD: f"no whole request in {limit:g} s",
        Waiting.BODY: f"no whole body in {limit:g} s",
        Waiting.ANSWER: f"an answer not taken in {limit:g} s",
    }[waiting]
