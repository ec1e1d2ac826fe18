"""How uvicorn runs the site: no log of visitors, no header that names it, signals left to the command."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import uvicorn
from fastapi import FastAPI

from bot.web.connections import ConnectionLimits, Connections, DeadlineProtocol
from bot.web.folded_log import folded

PATIENCE = 15  # seconds for what is on its way when the server is told to stop
LOOK = 5  # ticks of uvicorn, of a tenth of a second each
REPORT = 600  # the same
BACKLOG = 1024  # connections that wait to be accepted; over it the kernel lets visitors try again in a second
UNTAKEN = 128 * 1024  # bytes of answers that the kernel keeps for a connection
UNTAKEN_FOR = 30_000  # milliseconds that it keeps them for
FILES = 4096  # open files that are asked for
OTHER_FILES = 512  # databases, pages, and connections that are accepted only to be refused
_log = logging.getLogger("bot.web")


class Server(uvicorn.Server):
    """Stops when ``should_exit`` is set; whoever runs it listens to the signals."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self.server_state: Connections = connections

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        with folded(time.monotonic):
            await super().serve(sockets)
            self._report()

    async def on_tick(self, counter: int) -> bool:
        if counter % LOOK == 0:
            self.server_state.hang_up_on_overdue(asyncio.get_running_loop().time())
        if counter % REPORT == 0:
            self._report()
        return await super().on_tick(counter)

    def _report(self) -> None:
        """One line for all who were hung up on since the last."""
        hung_up = self.server_state.hung_up
        if hung_up:
            reasons = ", ".join(f"{count} ({reason})" for reason, count in hung_up.most_common())
            _log.warning(
                "hung up on %d connections since the last of these lines: %s", hung_up.total(), reasons
            )
            hung_up.clear()


def limits_of_this_process() -> ConnectionLimits:
    """The usual limits, or as many connections as may be open here; asks the system for more files first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    usual = ConnectionLimits()
    return replace(usual, total=max(min(usual.total, files - OTHER_FILES), files // 4))


def server_for(app: FastAPI, *, limits: ConnectionLimits | None = None, behind_proxy: bool = False) -> Server:
    """A server that listens nowhere yet: ``serve(sockets=[...])`` says where."""
    limits = limits or ConnectionLimits()
    config = uvicorn.Config(
        app,
        http=DeadlineProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,  # its lines hold addresses and tokens; ours hold neither
        proxy_headers=False,  # [site] trusted_proxies says whom we believe
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=limits.idle,
        timeout_graceful_shutdown=PATIENCE,
    )
    return Server(config, Connections(limits, behind_proxy=behind_proxy))


def listening_socket(host: str, port: int) -> socket.socket:
    """Where visitors connect. OSError when it cannot be had.

    It says that it speaks TCP: ``create_server`` leaves the protocol open (0), asyncio then does not set
    TCP_NODELAY on what it accepts, and an answer of two packets waits 40 ms for the other side's receipt.

    What is accepted inherits the rest: an answer that nobody takes stays with us, where it has a deadline.
    The kernel would keep megabytes of it after the connection was closed here, for many minutes.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    plain = socket.create_server((host, port), family=family, backlog=BACKLOG)
    door = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=plain.detach())
    door.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNTAKEN)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        door.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNTAKEN_FOR)
    return door
