"""What is examined: how one channel's mail leaves, as far as receivers can see it."""

from __future__ import annotations

from dataclasses import dataclass

from bot.deliverability.key_record import Key
from bot.deliverability.names import Address


@dataclass(frozen=True, kw_only=True, slots=True)
class Relay:
    """The mail server that takes our mail."""

    host: str
    port: int
    security: str  # "starttls" | "tls" | "none"
    hello: str  # what we call ourselves to it
    ca_file: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """One channel: domains in ASCII and small letters."""

    channel: str
    authors: tuple[str, ...]  # domains of the From addresses
    bounces: str  # domain of the return path
    relays: tuple[Relay, ...]
    signature: str = ""  # the domain that signs; empty: the mail server signs, or nobody
    key: Key | None = None
    addresses: tuple[Address, ...] = ()  # that our mail comes from, where a person named them


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlet:
    """Where receivers see our mail come from. ``sure``: it is known, not guessed from the relay's name."""

    addresses: tuple[Address, ...]
    sure: bool
    host: str  # whose addresses they are: the name that DNS should give back
