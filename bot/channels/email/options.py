"""What ``[channels.<name>]`` may hold for ``type = "email"``: over which servers, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

import idna
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from bot.channels import base
from bot.channels.email.dkim import SELECTOR

Security = Literal["starttls", "tls", "none"]


class RelayTable(BaseModel):
    """``[channels.<name>.relays.<relay>]``: a further mail server. What it does not say is the channel's.

    One with a user of its own never sees the channel's password.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    host: str = Field(min_length=1)
    port: int = Field(default=587, ge=1, le=65535)
    weight: int = Field(default=1, ge=1, le=1000)
    security: Security | None = None
    username: str | None = None
    password: SecretStr = SecretStr("")
    ca_file: str | None = None

    @field_validator("host", "username")
    @classmethod
    def _one_word(cls, value: str | None) -> str | None:
        return value and _without_spaces(value)

    @model_validator(mode="after")
    def _whose_password(self) -> RelayTable:
        if self.password.get_secret_value() and not self.username:
            raise ValueError("has a password but no username; name its user")
        return self

    def beside(self, first: Place) -> Place:
        """With what it does not say taken from the channel's own server."""
        login = (first.username, first.password)
        if self.username is not None:
            login = (self.username, self.password)
        return Place(
            host=self.host,
            port=self.port,
            security=self.security or first.security,
            username=login[0],
            password=login[1],
            ca_file=first.ca_file if self.ca_file is None else self.ca_file,
            weight=self.weight,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A mail server of the channel, with everything that is needed to log in."""

    host: str
    port: int
    security: Security
    username: str
    password: SecretStr
    ca_file: str
    weight: int

    @property
    def is_this_machine(self) -> bool:
        """Nobody else hears what is said to it."""
        return is_this_machine(self.host)


def is_this_machine(host: str) -> bool:
    """Whether what is said to this host never leaves the computer."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class Options(base.Options):
    """What ``[channels.<name>]`` may hold for ``type = "email"``."""

    host: str = Field(min_length=1, description="the mail server's name")
    port: int = Field(default=587, ge=1, le=65535, description="587 for starttls, 465 for tls")
    security: Security = Field(default="starttls", description="never falls back to clear text")
    allow_plaintext: bool = Field(default=False, description='allow security = "none" to another machine')
    username: str = Field(default="", description="empty: no login")
    password: SecretStr = Field(default=SecretStr(""), description="of that user")
    ca_file: str = Field(default="", description="file of certificates to trust instead of the system's")
    envelope_sender: str = Field(default="", description="where bounces go; empty: the From address")
    unsubscribe_mailto: str = Field(default="", description="a mailbox that takes unsubscriptions, too")
    dkim_domain: str = Field(default="", description="sign for this domain; empty: the mail server signs")
    dkim_selector: str = Field(default="", description="the key's name in DNS")
    dkim_key_file: str = Field(default="", description="its private half, as 'bot dkim make' wrote it")
    local_hostname: str = Field(default="", description="what we call ourselves; empty: the site's domain")
    connections: int = Field(default=2, ge=1, le=50, description="to the mail server at the same time")
    timeout: float = Field(default=60, gt=0, description="seconds for each command")
    patience: float = Field(default=600, gt=0, description="seconds for the answer to a finished email")
    chunking: bool = Field(
        default=True, description="BDAT where the server offers it; false for one that gets it wrong"
    )
    weight: int = Field(default=1, ge=1, le=1000, description="its share, where relays share the work")
    relays: Mapping[str, RelayTable] = Field(
        default={}, description="more mail servers, which stand in; each a table with what is its own"
    )
    relay_choice: Literal["order", "weight"] = Field(
        default="order", description="order: the next one only when one fails; weight: all share the work"
    )
    on_unknown: Literal["resend", "hold"] = Field(
        default="resend", description="after a lost answer: the same Message-ID again, or a person decides"
    )

    @field_validator(
        "host", "local_hostname", "username", "envelope_sender", "unsubscribe_mailto", "dkim_domain"
    )
    @classmethod
    def _one_word(cls, value: str) -> str:
        return _without_spaces(value)

    @model_validator(mode="after")
    def _not_in_the_clear(self) -> Options:
        clear = [place for place in self.places if place.security == "none" and not place.is_this_machine]
        if clear and not self.allow_plaintext:
            raise ValueError(
                'security = "none" would send readers\' addresses in clear text; use "starttls" or "tls", '
                "or set allow_plaintext = true for a network that is yours alone"
            )
        return self

    @model_validator(mode="after")
    def _whose_login(self) -> Options:
        encrypted = self.username and self.security != "none"
        for name, relay in self.relays.items():
            if encrypted and relay.security == "none" and relay.username is None:
                raise ValueError(
                    f"relays.{name} would be told the channel's password in clear text; write "
                    'username = "" for no login, or give it a user of its own'
                )
        return self

    @field_validator("dkim_selector")
    @classmethod
    def _a_name_in_dns(cls, value: str) -> str:
        if value and not SELECTOR.fullmatch(value):
            raise ValueError("must be a name in DNS, such as mail2026")
        return value

    @model_validator(mode="after")
    def _all_of_dkim(self) -> Options:
        given = [bool(v) for v in (self.dkim_domain, self.dkim_selector, self.dkim_key_file)]
        if any(given) and not all(given):
            raise ValueError("dkim_domain, dkim_selector and dkim_key_file belong together; give all or none")
        return self

    def missing(self) -> tuple[str, ...]:
        """A password is needed where a user logs in."""
        own = super().missing() if self.username else ()
        without = (n for n, r in self.relays.items() if r.username and not r.password.get_secret_value())
        return (*own, *(f"relays__{name}__password" for name in without))

    @property
    def hosts(self) -> tuple[str, ...]:
        return tuple(place.host for place in self.places)

    @property
    def places(self) -> tuple[Place, ...]:
        """The channel's own mail server first, then the further ones in the order of the file."""
        first = Place(
            host=self.host,
            port=self.port,
            security=self.security,
            username=self.username,
            password=self.password,
            ca_file=self.ca_file,
            weight=self.weight,
        )
        return (first, *(relay.beside(first) for relay in self.relays.values()))


def _without_spaces(value: str) -> str:
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ValueError("must not hold spaces or control characters")
    return value


def hello_of(options: Options, site_url: str) -> str:
    """What we call ourselves to mail servers.

    By default the site's domain: the machine's own name would tell every server whose computer this is.
    """
    if options.local_hostname and options.local_hostname.isascii():
        return options.local_hostname
    host = options.local_hostname or urlsplit(site_url).hostname or ""
    try:
        return idna.encode(host, uts46=True).decode("ascii") if host else "[127.0.0.1]"
    except idna.IDNAError:
        return "[127.0.0.1]"
