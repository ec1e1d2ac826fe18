"""Which of the three failures an exception of python-telegram-bot means.

The order of the cases matters: BadRequest and TimedOut are NetworkErrors to the library.
"""

from __future__ import annotations

from datetime import timedelta

import httpx
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
)

from bot.channels.telegram.redaction import redacted
from bot.errors import Blame, DeliveryError, PermanentFailure, TemporaryFailure, UnknownOutcome

# The request never left this machine, or no connection to Telegram ever stood.
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

# Refusals of the chat, not of these words: the next post would fail in the same way.
_ABOUT_THE_CHAT = (
    "chat not found",
    "thread not found",
    "topic_closed",
    "topic_deleted",
    "not enough rights",
    "administrator rights",
    "have no rights",
    "chat_write_forbidden",
    "chat_admin_required",
    "chat_restricted",
    "peer_id_invalid",
)


class Refused(TelegramError):
    """A 4xx answer that the library would take for a broken network."""

    __slots__ = ("code", "retry_after")

    def __init__(self, message: str, *, code: int, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.code, self.retry_after = code, retry_after


def failure(error: Exception, *, irreversible: bool) -> DeliveryError:
    """What happened, for the sender. Of a call that changes nothing, no outcome is ever unknown."""
    problem = redacted(str(error) or type(error).__name__)
    if refusal := _refusal(error, problem):
        return refusal
    if not irreversible and not isinstance(error, NetworkError):
        return TemporaryFailure(f"Telegram's answer cannot be read: {problem}")
    if not irreversible or isinstance(error.__cause__, _NEVER_LEFT):
        return TemporaryFailure(f"Telegram could not be reached: {problem}")
    return UnknownOutcome(
        f"no clear answer from Telegram: {problem}; look into the chat whether the post is there"
    )


def safe_cause(error: Exception) -> Exception | None:
    """The exception as a cause to keep, unless it or one of its own causes would show the token."""
    link: BaseException | None = error
    while link is not None:
        if redacted(repr(link)) != repr(link) or redacted(str(link)) != str(link):
            return None
        link = link.__cause__ or link.__context__
    return error


def _refusal(error: Exception, problem: str) -> DeliveryError | None:
    match error:
        case Refused(code=429):
            return TemporaryFailure(
                "Telegram asks for a pause: too many posts", code=429, retry_after=error.retry_after
            )
        case RetryAfter():
            return TemporaryFailure("Telegram asks for a pause: too many posts", code=429)
        case Refused():
            return PermanentFailure(f"Telegram refuses it: {problem}", code=error.code)
        case ChatMigrated():
            advice = f'write chat = "{error.new_chat_id}" in bot.toml'
            return PermanentFailure(f"the group has a new number; {advice}", code=400, blame=Blame.SENDER)
        case BadRequest():
            return PermanentFailure(f"Telegram refuses it: {problem}", code=400, blame=_blame(problem))
        case _:
            return _refused_account(error, problem)


def _refused_account(error: Exception, problem: str) -> DeliveryError | None:
    match error:
        case Forbidden():
            advice = "make the bot an administrator of the chat that may post"
            return PermanentFailure(f"{problem}; {advice}", code=403, blame=Blame.SENDER)
        case InvalidToken():
            advice = "copy it again from @BotFather into .env"
            return PermanentFailure(
                f"Telegram does not accept the bot's token; {advice}", code=401, blame=Blame.SENDER
            )
        case Conflict():
            return PermanentFailure(
                f"{problem}; stop the other program that uses this token", code=409, blame=Blame.SENDER
            )
        case _:
            return None


def _blame(problem: str) -> Blame:
    said = problem.casefold()
    return Blame.SENDER if any(phrase in said for phrase in _ABOUT_THE_CHAT) else Blame.MESSAGE
