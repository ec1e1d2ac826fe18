"""What every channel is: one attempt at one irreversible call, and the limits of its service.

A channel does not render, plan, store, retry, sleep or log. Adding one is one module in this folder and
one template: the module names its ``TYPE``, its ``Options`` (what ``[channels.<name>]`` may hold) and a
``connect`` function; nothing else in the house needs to know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, SecretStr

from bot.errors import DeliveryError
from bot.model import Delivery, Finding, Message, Receipt, Recipient

CUT = "the server cut the text"  # in a receipt's note: readers do not have all the words


class Options(BaseModel):
    """Base of every channel's options in bot.toml: strict, frozen, secrets as SecretStr."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @classmethod
    def secrets(cls) -> tuple[str, ...]:
        """The options that belong into ``.env``."""
        return tuple(name for name, field in cls.model_fields.items() if field.annotation is SecretStr)

    def missing(self) -> tuple[str, ...]:
        """The secrets without which nothing can be sent; a rehearsal works without them."""
        return tuple(name for name in self.secrets() if not getattr(self, name).get_secret_value())

    @property
    def hosts(self) -> tuple[str, ...]:
        """The servers that bot.toml names: one with a name for examples is not written yet."""
        return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a service takes. Lengths are counted by ``Channel.length``, never by ``len``."""

    characters: int
    caption: int = 0  # with a picture, where the service counts that differently; 0: same as characters
    media: int = 0
    alt_text: int = 0  # characters of one picture's description; 0: the service has no such field
    idempotency: timedelta = timedelta(0)  # how long the service remembers a key; 0: never
    assumed: tuple[str, ...] = ()  # names of values that the server did not tell us
    read: datetime | None = None  # when the server told the others; None: never


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Exactly what ``send`` hands to the service, without secrets: rehearsal writes it to disk.

    ``suffix`` names the file (".eml", ".json"); ``summary`` is one line for people.
    """

    suffix: str
    body: bytes
    summary: str
    media: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelContext:
    """What a channel may know beyond its own options."""

    name: str  # its key in bot.toml
    user_agent: str = "Broadside/0.1"
    site_url: str = ""
    postal_address: str = ""
    senders: tuple[str, ...] = ()  # the From addresses of the newsletters that leave by it
    folder: Path = Path()  # files named in its options are looked for from here
    return_path: Callable[[str], str] | None = None  # by a reader's id: where their bounces go
    told: Path | None = None  # where it may keep what its service told last
    published: Callable[[], Sequence[str]] = (
        tuple  # the service's ids of our last posts, as the ledger has them
    )
    unsubscribe_path: Callable[[str], str] | None = None  # by the token of a link: a mail there unsubscribes


class Channel(Protocol):
    """A configured destination. One instance for each ``[channels.<name>]``."""

    type: ClassVar[str]
    name: str

    @property
    def limits(self) -> Limits:
        """Limits of the service: those it told last, else the documented defaults."""
        ...

    def length(self, text: str) -> int:
        """How long the service says this text is."""
        ...

    def request(self, message: Message, to: Recipient, *, key: str) -> Request:
        """The exact request that ``send`` would make; pure, no network."""
        ...

    async def refresh(self) -> None:
        """Read the live limits where the server tells them; never raises, keeps the defaults."""
        ...

    async def send(self, message: Message, to: Recipient, *, key: str) -> Receipt:
        """One attempt. Raises exactly TemporaryFailure, PermanentFailure or UnknownOutcome."""
        ...

    async def settle(self, delivery: Delivery, message: Message) -> Receipt | None:
        """Did that unknown one go out? A receipt: yes. None: certainly not, send it again.

        Raises UnknownOutcome when the service cannot tell and a person must.
        """
        ...

    async def check(self) -> list[Finding]:
        """For ``bot doctor``: token, rights, limits. Sends nothing."""
        ...

    async def close(self) -> None:
        """Give back connections."""
        ...


# --------------------------------------------------------------------------- one message to many


class Reader(Protocol):
    """Whom a parcel goes to: a ``Recipient``, or a letter that was claimed for one."""

    @property
    def id(self) -> str: ...

    @property
    def address(self) -> str: ...

    @property
    def name(self) -> str: ...


class Parcel(Protocol):
    """A message for one reader, ready for the wire; ``tag`` is the caller's own."""

    @property
    def tag(self) -> Any: ...

    @property
    def content(self) -> bytes:
        """The exact bytes; a rehearsal writes them to disk."""
        ...


class Compiled(Protocol):
    """A message made ready once for all its readers."""

    def letter(self, to: Reader, *, key: str, values: Mapping[str, str] = ..., tag: object = None) -> Parcel:
        """For one reader. Raises PermanentFailure for a name or an address that cannot be."""
        ...


class Lines(Protocol):
    """Open connections that pull for themselves."""

    @property
    def down(self) -> bool:
        """Nobody at the other end has done their work twice in a row: waiting here would help nothing."""
        ...

    @property
    def has_another(self) -> bool:
        """What one of several at the other end does not take now, another one may."""
        ...

    def stands_in(self, name: str) -> str:
        """Who does the work of that one of several, which rests; "" when it does not, or nobody is left."""
        ...

    def unsent(self) -> Sequence[Parcel]:
        """Take back what was pulled and is certainly not sent, while nobody has it in hand."""
        ...

    async def run(self) -> object:
        """Send until ``stop``; PermanentFailure when nothing can be sent at all."""
        ...

    def wake(self) -> None:
        """There may be something to pull again."""
        ...

    def stop(self) -> None:
        """Pull no more; ``run`` returns when everything in flight is answered."""
        ...


@runtime_checkable
class MassChannel(Protocol):
    """A channel that takes one message to many readers, over connections that are kept busy."""

    name: str

    @property
    def connections(self) -> int:
        """How many at the same time."""
        ...

    @property
    def resends(self) -> bool:
        """Whether a letter whose answer was lost goes out again, or waits for a person."""
        ...

    def compiled(self, message: Message) -> Compiled:
        """The message, ready for its readers; kept for the next call."""
        ...

    def lines(
        self,
        *,
        pull: Callable[[], Any],
        done: Callable[[Any, str | DeliveryError], None],
        began: Callable[[Any], bool | None],
        trouble: Callable[[str, DeliveryError], None],
    ) -> Lines:
        """Connections that pull parcels (None: nothing now), and report each outcome once.

        ``began`` is called before anything of a parcel is irrevocable, and may answer False: then it does
        not go out. ``trouble`` hears what befell a connection, which is no parcel's fault.
        """
        ...


# --------------------------------------------------------------------------- what a service answers

_LONGEST_URL = 2048


def url_on(origin: str, told: str) -> str:
    """The address of a post as its service tells it; "" unless it lies on the service's own origin.

    The origin is what bot.toml names: https, or http on this machine. People open the address, and pages show
    it: a service that was taken over, or lies, must not choose where they go.
    """
    try:
        is_own = _origin(urlsplit(told)) == _origin(urlsplit(origin))
    except ValueError:
        return ""
    plain = told.isprintable() and not set(told) & set(" \\<>\"'`")
    return told if is_own and plain and len(told) <= _LONGEST_URL and "@" not in urlsplit(told).netloc else ""


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").rstrip("."), port
