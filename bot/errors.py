"""What can go wrong, by what the caller should do next.

    BroadsideError
    +-- UserError                 a person can mend it: says what, where, and what to do
    |   +-- ConfigError           bot.toml, .env or the environment
    |   +-- QueueError            an item file: path, line, problem, advice
    |   +-- TemplateError         a template: path and line
    |   +-- AudienceError         an address, or a row of an import
    |   +-- NotFoundError         no such item, channel, delivery
    +-- BusyError                 another run holds the lock: come back later
    +-- StoreError                the database cannot be used: missing, newer than the program, damaged
    |   +-- ChangedError          it can, but somebody else has changed this delivery meanwhile
    +-- Lost                      another worker has this part of the issue now: drop it and take another
    +-- DeliveryError             a channel could not deliver; exactly three kinds:
        +-- TemporaryFailure      not sent; come back later
        +-- PermanentFailure      not sent; stop
        +-- UnknownOutcome        it may have gone out; settle it, never silently try again

Every error is one line for a person: what, where, and what to do. ``exit_code`` is what the ``bot``
command ends with when the error reaches the top (docs/operators.md lists them all).
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from bot.printable import printable, without_tokens

LONGEST_WAIT = timedelta(days=1)  # that a remote may ask for: a person looks before anything longer
_OURS = Path(__file__).parent


class BroadsideError(Exception):
    """Everything this program raises on purpose. Its words may quote strangers: they are shown escaped."""

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class UserError(BroadsideError):
    """A person can mend it."""

    exit_code = 3


class ConfigError(UserError):
    """A setting is wrong: ``file: key: problem; advice``."""

    def __init__(self, file: Path | str, key: str, problem: str, advice: str = "") -> None:
        self.file, self.key, self.problem, self.advice = file, key, problem, advice
        place = f"{file}: {key}" if key else f"{file}"
        super().__init__(f"{place}: {problem}" + (f"; {advice}" if advice else ""))


class QueueError(UserError):
    """An item file cannot be used: ``path:line: problem; advice``. Lines count from 1."""

    exit_code = 4

    def __init__(self, path: Path | str, *, line: int = 1, problem: str, advice: str = "") -> None:
        self.path, self.line, self.problem, self.advice = Path(path), line, problem, advice
        super().__init__(f"{path}:{line}: {problem}" + (f"; {advice}" if advice else ""))

    def __reduce__(self) -> tuple[object, ...]:
        """Keyword-only arguments would otherwise be lost in a pickle."""
        return (_queue_error, (self.path, self.line, self.problem, self.advice))


def _queue_error(path: Path, line: int, problem: str, advice: str) -> QueueError:
    return QueueError(path, line=line, problem=problem, advice=advice)


class TemplateError(UserError):
    """A template cannot be used: ``path:line: problem; advice``. Line 0 means the whole file."""

    def __init__(self, path: Path | str, *, line: int = 0, problem: str, advice: str = "") -> None:
        self.path, self.line, self.problem, self.advice = Path(path), line, problem, advice
        place = f"{path}:{line}" if line else f"{path}"
        super().__init__(f"{place}: {problem}" + (f"; {advice}" if advice else ""))


class AudienceError(UserError):
    """An address or a row of an import cannot be used."""


class NotFoundError(UserError):
    """There is no such item, channel, newsletter or delivery."""


class BusyError(BroadsideError):
    """Another run holds the lock of this workspace."""

    exit_code = 5


class StoreError(BroadsideError):
    """The database cannot be used."""

    exit_code = 6


class ChangedError(StoreError):
    """Somebody else was quicker: what was to be written is not true any more."""


class Lost(BroadsideError):
    """Another worker has this part of an issue now; whatever is still in hand of it must not be sent."""

    exit_code = 5


class Blame(StrEnum):
    """Whose fault a refusal is; it decides who must act."""

    MESSAGE = "message"  # these words cannot be sent: too long, refused content
    RECIPIENT = "recipient"  # this address or chat does not take it; others may
    SENDER = "sender"  # our account, token, relay or domain: every further call would fail too


class DeliveryError(BroadsideError):
    """A channel could not deliver. ``code`` is the remote's own (SMTP reply, HTTP status), if any."""

    def __init__(self, problem: str, *, code: int | None = None) -> None:
        self.problem, self.code = printable(without_tokens(problem)), code  # it is stored, and shown later
        super().__init__(self.problem)


class TemporaryFailure(DeliveryError):
    """Certainly not sent; a later try may work. ``retry_after``: as the remote said, a day at most."""

    def __init__(
        self, problem: str, *, code: int | None = None, retry_after: timedelta | None = None
    ) -> None:
        self.retry_after = None if retry_after is None else min(retry_after, LONGEST_WAIT)
        super().__init__(problem, code=code)


class PermanentFailure(DeliveryError):
    """Certainly not sent; trying again would fail again. ``Blame.SENDER`` stops the whole channel."""

    def __init__(self, problem: str, *, code: int | None = None, blame: Blame = Blame.MESSAGE) -> None:
        self.blame = blame
        super().__init__(problem, code=code)


class UnknownOutcome(DeliveryError):
    """It may have gone out: the answer was lost after the irreversible call began."""


def fault_of(error: BaseException) -> str:
    """Type and place of what nobody thought of: "KeyError at bot/web/app.py:12".

    Never its text, which may hold an address, a token, or what a stranger typed.
    """
    trace = error.__traceback__
    if trace is None:
        return type(error).__name__
    while trace.tb_next:
        trace = trace.tb_next
    file = Path(trace.tb_frame.f_code.co_filename)
    place = file.relative_to(_OURS.parent) if file.is_relative_to(_OURS) else file.name
    return f"{type(error).__name__} at {place}:{trace.tb_lineno}"
