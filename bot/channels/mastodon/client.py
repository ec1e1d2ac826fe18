"""Mastodon.py, tamed: one account, one call at a time, no waiting, no second request nobody asked for."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

import requests
from mastodon import Mastodon

from bot.channels.mastodon.failures import Answer
from bot.channels.mastodon.options import Options
from bot.errors import DeliveryError
from bot.remote.limits import Limits
from bot.remote.with_requests import LimitedAdapter

_CONNECT_SECONDS = 10.0
_WHOLE_CALL = 3  # times the limit of one exchange: looking for a status takes several
_LONGEST_ANSWER = 4_000_000  # bytes; a page of forty long statuses has a tenth of that

# Mastodon.py would do arithmetic on the first three, and warn on the last, after the post was accepted:
# a strange header would then look like a failure. We read them ourselves.
_OURS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Deprecation")

T = TypeVar("T")


class Failed(Exception):
    """A call that ended in ``error``, with what had come over the wire by then."""

    def __init__(self, error: Exception, answer: Answer | None) -> None:
        self.error, self.answer = error, answer
        super().__init__(str(error))


class Client:
    """The library is synchronous and not thread-safe: every call runs in a thread, under one lock."""

    def __init__(self, options: Options, user_agent: str) -> None:
        seconds = min(_CONNECT_SECONDS, options.timeout) + options.timeout
        self._adapter, self._seconds = LimitedAdapter(Limits(seconds=seconds, size=_LONGEST_ANSWER)), seconds
        self._session, self._answer = _Session(self._remember, self._adapter), cast("Answer | None", None)
        self._base, self._lock = options.api_base_url, threading.Lock()
        self.api = Mastodon(
            api_base_url=options.api_base_url,
            ratelimit_method="throw",
            request_timeout=options.timeout,
            version_check_mode="none",
            feature_set="mainline",
            user_agent=user_agent,
            session=self._session,
        )
        # requests takes a pair: seconds to connect, seconds to wait for the answer.
        vars(self.api)["request_timeout"] = (min(_CONNECT_SECONDS, options.timeout), options.timeout)
        # Given to the constructor, a token that happens to be a file's name would be read as that file.
        self.api.access_token = options.access_token.get_secret_value()
        self.use_media_v2(wanted=options.media_api != "v1")

    def use_media_v2(self, *, wanted: bool) -> None:
        """Choose the upload endpoint.

        Left alone, Mastodon.py asks the server's version first, and calls itself without end when that
        question fails (hundreds of requests, then RecursionError). Nothing else we call asks for a version.
        """
        vars(self.api)["verify_minimum_version"] = lambda version, cached=False: wanted
        self.uses_media_v2 = wanted

    async def call(self, function: Callable[[], T]) -> T:
        """Run one call of ``self.api``. Raises Failed, or the DeliveryError that the call itself raises."""
        return await asyncio.to_thread(self._run, function)

    async def instance(self) -> Mapping[str, object]:
        """What the server says about itself, in the newer form where there is one.

        Asked without Mastodon.py: it adds a slash to the path that not every server takes.
        """
        return await self.call(self._instance)

    async def is_media_ready(self, media_id: str) -> bool:
        """206 while it is processed, 200 when it can be attached."""

        def ask() -> bool:
            self.api.media(media_id)
            return self._answer is not None and self._answer.status == 200

        return await self.call(ask)

    def close(self) -> None:
        self._session.close()

    def _run(self, function: Callable[[], T]) -> T:
        with self._lock:
            self._answer = None
            self._adapter.no_later = time.monotonic() + _WHOLE_CALL * self._seconds
            try:
                return function()
            except DeliveryError:
                raise
            except Exception as error:
                raise Failed(error, self._answer) from error

    def _instance(self) -> Mapping[str, object]:
        for path in ("/api/v2/instance", "/api/v1/instance"):
            answer = self._session.get(
                self._base + path,
                headers={"User-Agent": str(self.api.user_agent)},
                timeout=self.api.request_timeout,
            )
            if answer.ok:
                return cast("Mapping[str, object]", answer.json())
        answer.raise_for_status()
        raise requests.RequestException(f"HTTP {answer.status_code}")

    def _remember(self, response: requests.Response | None) -> None:
        if response is None:
            self._answer = None
            return
        headers = {name.lower(): value for name, value in response.headers.items()}
        self._answer = Answer(status=response.status_code, headers=headers)
        for name in _OURS:
            response.headers.pop(name, None)


class _Session(requests.Session):
    """Says before each request that no answer is there yet, and tells each answer as it comes."""

    def __init__(self, tell: Callable[[requests.Response | None], None], adapter: LimitedAdapter) -> None:
        super().__init__()
        self.mount("https://", adapter)
        self.mount("http://", adapter)
        self._tell = tell
        # A redirect would turn the POST into a GET and carry the token elsewhere.
        self.max_redirects = 0
        self.headers["Connection"] = "close"
        self.headers["Accept-Encoding"] = "identity"
        # First its status: that is known, whatever becomes of the words.
        self.hooks["response"] += [lambda response, *args, **kwargs: tell(response), adapter.read_body]

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        self._tell(None)
        # Always a fresh connection: on a kept one that the server has closed meanwhile, the post is lost
        # before it arrives, and looks like an answer that is lost after.
        self.close()
        return super().request(*args, **kwargs)
