"""What every channel is: one attempt at one irreversible call, and the limits of its service.

A channel does not render, plan, store, retry, sleep or log. Adding one is one module in this folder and
one template: the module names its ``TYPE``, its ``Options`` (what ``[channels.<name>]`` may hold) and a
``connect`` function; nothing else in the house needs to know.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, SecretStr

from bot.model import Delivery, Finding, Message, Receipt, Recipient


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a service takes. Lengths are counted by ``Channel.length``, never by ``len``."""

    characters: int
    caption: int = 0  # with a picture, where the service counts that differently; 0: same as characters
    media: int = 0
    alt_text: int = 0  # characters of one picture's description; 0: the service has no such field
    idempotency: timedelta = timedelta(0)  # how long the service remembers a key; 0: never
    assumed: tuple[str, ...] = ()  # names of values that the server did not tell us


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


class Channel(Protocol):
    """A configured destination. One instance for each ``[channels.<name>]``."""

    type: ClassVar[str]
    name: str

    @property
    def limits(self) -> Limits:
        """Limits of the service: live once ``refresh`` has read them, documented defaults before."""
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
