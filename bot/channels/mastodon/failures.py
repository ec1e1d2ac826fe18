"""From what happened on the wire to one of the three failures.

    nothing reached the server        TemporaryFailure
    429, 408, 425, not yet processed  TemporaryFailure, with the server's own time
    503                               TemporaryFailure where keys make a repeat safe, else UnknownOutcome
    401, 403, 404, 405, 410, 3xx      PermanentFailure: the account or the address of the server is wrong
    every other 4xx                   PermanentFailure: these words
    the answer was lost, other 5xx,   UnknownOutcome
    an answer that cannot be read

After 400, 401, 403 and 422 the channel asks about the token before a message is blamed (``blamed``).
By status alone: the texts are localised. They are shown, never read; the one exception is marked.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import urllib3.exceptions

from bot.channels.mastodon.server import KEY_WINDOW
from bot.errors import Blame, DeliveryError, PermanentFailure, TemporaryFailure, UnknownOutcome
from bot.printable import without_tokens
from bot.remote import numbers
from bot.remote.with_requests import RequestNotSent

_SENDER = {401, 403, 404, 405, 410}
_LATER = {408, 425, 429}
_LONGEST_TEXT = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came back over the wire: status and headers, names in lower case."""

    status: int
    headers: Mapping[str, str]


def failure(
    error: Exception, answer: Answer | None, *, now: datetime, keyed: bool = False, posting: bool = True
) -> DeliveryError:
    """What to raise when a call ended in ``error``: the one that publishes, if it is ``posting``.

    ``keyed``: the server knows keys.
    """
    if answer is None:
        return _unanswered(error, posting=posting)
    problem = f"HTTP {answer.status}: {_told(error)}"
    if answer.status in _LATER or _is_unprocessed(error, answer):
        return TemporaryFailure(problem, code=answer.status, retry_after=retry_after(answer, now))
    if answer.status in _SENDER or 300 <= answer.status < 400:
        return PermanentFailure(_with_advice(problem, answer), code=answer.status, blame=Blame.SENDER)
    if 400 <= answer.status < 500:
        return PermanentFailure(problem, code=answer.status, blame=Blame.MESSAGE)
    if answer.status == 503 and keyed:
        return _unavailable(problem, answer, now)
    if answer.status < 300:
        problem = f"HTTP {answer.status}, but the answer cannot be read; it may be a proxy's"
    return UnknownOutcome(problem, code=answer.status)


def harmless(error: DeliveryError) -> DeliveryError:
    """The same for a call that publishes nothing: what is unknown can be tried again."""
    if isinstance(error, UnknownOutcome):
        return TemporaryFailure(error.problem, code=error.code)
    return error


def blamed(refusal: PermanentFailure, check: DeliveryError) -> DeliveryError:
    """Whose fault a refusal is, after asking about the token failed, too: the token's, or nobody knows yet.

    A 403 there says no more than that the token may not read the account: the server knows it.
    """
    if check.code == 403:
        return refusal
    if isinstance(check, PermanentFailure):
        problem = f"the server does not accept access_token ({refusal.problem})"
        return PermanentFailure(problem, code=refusal.code, blame=Blame.SENDER)
    if refusal.blame is Blame.SENDER:
        return refusal
    problem = f"{refusal.problem}; whether the token still works could not be asked"
    return TemporaryFailure(problem, code=refusal.code)


def retry_after(answer: Answer, now: datetime) -> timedelta | None:
    """The wait that the server asks for: Retry-After or X-RateLimit-Reset, the longer; None: it did not say.

    The reset is ISO 8601 on Mastodon and unix seconds on GoToSocial; it is the server's clock, so the
    server's own ``Date`` is what it is held against.
    """
    server_now = numbers.http_date(answer.headers.get("date", "")) or now
    told = (
        numbers.rate_limit_reset(answer.headers.get("x-ratelimit-reset", ""), now=server_now),
        numbers.retry_after(answer.headers.get("retry-after", ""), now=server_now),
    )
    waits = [wait for wait in told if wait is not None]
    return max(*waits, timedelta(seconds=1)) if waits else None


def _unanswered(error: Exception, *, posting: bool) -> DeliveryError:
    causes = list(_causes(error))
    names = next((type(c).__name__ for c in causes[1:]), type(error).__name__)
    if any(_never_left(cause) for cause in causes):
        return TemporaryFailure(f"the server was not reached ({names})")
    if not posting:
        return UnknownOutcome(f"the server did not answer ({names})")
    return UnknownOutcome(f"the answer was lost after the post began ({names})")


def _never_left(cause: BaseException) -> bool:
    """Whether it proves that the server has no whole request: no name, no connection, a part of it only."""
    before = (
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        urllib3.exceptions.LocationParseError,
        ConnectionRefusedError,
        socket.gaierror,
        ssl.SSLCertVerificationError,
        RequestNotSent,
    )
    return isinstance(cause, before)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and everything below it: Mastodon.py and requests keep the cause in different places."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        below = (one.__cause__, one.__context__, getattr(one, "reason", None), *one.args)
        waiting += [cause for cause in below if isinstance(cause, BaseException)]


def _unavailable(problem: str, answer: Answer, now: datetime) -> DeliveryError:
    """A 503 may come after the work was done: a repeat is safe only while the key is remembered."""
    wait = retry_after(answer, now)
    if wait is not None and wait > KEY_WINDOW:
        return UnknownOutcome(problem, code=answer.status)
    return TemporaryFailure(problem, code=answer.status, retry_after=wait)


def _is_unprocessed(error: Exception, answer: Answer) -> bool:
    # The status is the same 422 as for wrong words; only the (English) text tells them apart.
    return answer.status == 422 and "not finished processing" in _told(error)


def _told(error: Exception) -> str:
    """The server's own words, on one line. Mastodon.py puts them fourth."""
    words = error.args[3] if len(error.args) == 4 else ""
    line = " ".join(str(words or (error.args[2] if len(error.args) == 4 else "no reason given")).split())
    return without_tokens(line)[:_LONGEST_TEXT]


def _with_advice(problem: str, answer: Answer) -> str:
    if answer.status in {401, 403}:
        return f"{problem}; check access_token and its scopes"
    return f"{problem}; check api_base_url"
