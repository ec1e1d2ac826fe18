"""The limits for whoever calls by requests."""

from __future__ import annotations

import io
import math
from contextlib import suppress
from contextvars import ContextVar
from http.client import HTTPResponse
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from bot.remote.limits import Exchange, Limits, unpacked, words_may_be_cut
from bot.remote.sockets import LimitedReader

_STROKE = 16_384  # bytes: one record of TLS, which has a time-out of its own
_exchange: ContextVar[Exchange] = ContextVar("exchange")


class RequestNotSent(OSError):
    """The time was over before the last byte of the request was given away: it cannot have been done."""


class LimitedAdapter(HTTPAdapter):
    """Every exchange within the limits; never a second try. Mount it, and add ``read_body`` to the hooks.

    None goes on after ``no_later``, a moment of the monotonic clock.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits, self.no_later = limits, math.inf
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        _exchange.set(Exchange(self._limits, no_later=self.no_later))
        return super().send(*args, **kwargs)

    def read_body(self, response: requests.Response, *_args: Any, **_kwargs: Any) -> None:
        """Read the body, so that requests finds it read, and unpacked within the limits."""
        cut = words_may_be_cut(response.status_code)
        encoding = response.headers.pop("Content-Encoding", "")
        body = unpacked(_as_it_came(response, cut=cut), encoding, self._limits.size, cut=cut)
        response.raw = io.BytesIO(body)


def _as_it_came(response: requests.Response, *, cut: bool) -> bytes:
    found = bytearray()
    try:
        for piece in response.raw.stream(_STROKE, decode_content=False):
            found += piece
    except (HTTPError, OSError) as error:
        if not cut:
            raise requests.ConnectionError(error) from error
    finally:
        with suppress(OSError):
            response.raw.close()
    return bytes(found)


# --------------------------------------------------------------------------- at the socket


class _Answer(HTTPResponse):
    """Reads its head and its body within the limits of the exchange."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        patience = sock.gettimeout() or _exchange.get().limits.seconds
        self.fp = io.BufferedReader(LimitedReader(sock, _exchange.get, patience=patience))


def _send(connection: HTTPConnection, data: Any, send: Any) -> None:
    """In strokes, each with what is left of the time."""
    pieces = [data]
    if isinstance(data, bytes | bytearray):
        pieces = [data[start : start + _STROKE] for start in range(0, len(data), _STROKE)] or [data]
    for piece in pieces:
        try:
            if connection.sock is not None:
                connection.sock.settimeout(_exchange.get().seconds_left())
            send(piece)
        except TimeoutError as error:
            raise RequestNotSent("the request could not be sent in time") from error


class _Connection(HTTPConnection):
    response_class = _Answer

    def send(self, data: Any) -> None:
        _send(self, data, super().send)


class _SecureConnection(HTTPSConnection):
    response_class = _Answer

    def send(self, data: Any) -> None:
        _send(self, data, super().send)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}
