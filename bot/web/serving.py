"""How uvicorn runs the site: no log of visitors, no header that names it, signals left to the command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

PATIENCE = 15  # seconds for what is on its way when the server is told to stop


class Server(uvicorn.Server):
    """Stops when ``should_exit`` is set; whoever runs it listens to the signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server_for(app: FastAPI) -> Server:
    """A server that listens nowhere yet: ``serve(sockets=[...])`` says where."""
    config = uvicorn.Config(
        app,
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
