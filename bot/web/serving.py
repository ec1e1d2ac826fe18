"""How uvicorn runs the site: no log of visitors, no header that names it, signals left to the command."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 15  # seconds for what is on its way when the server is told to stop
SILENCE = 20.0  # seconds in which a visitor has to say what they want


class Server(uvicorn.Server):
    """Stops when ``should_exit`` is set; whoever runs it listens to the signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Impatient(H11Protocol):
    """Hangs up on whoever connects and does not ask: uvicorn alone would keep them for ever."""

    silence = SILENCE
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._rest()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Half a question sets the clock, more of it does not set it back, a whole one stops it."""
        if self.conn.their_state is not h11.IDLE:
            self._rest()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.silence, self.transport.close)

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def server_for(app: FastAPI) -> Server:
    """A server that listens nowhere yet: ``serve(sockets=[...])`` says where."""
    config = uvicorn.Config(
        app,
        http=Impatient,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,  # its lines hold addresses and tokens; ours hold neither
        proxy_headers=False,  # [site] trusted_proxies says whom we believe
        server_header=False,
        timeout_graceful_shutdown=PATIENCE,
    )
    return Server(config)
