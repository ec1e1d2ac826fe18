"""The email channel: composing (``compiled``) and the wire (``lines``, ``courier``) behind its contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import urlsplit

import idna
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from bot.channels import base
from bot.channels.base import ChannelContext, Limits, Reader, Request
from bot.channels.email.compiled import Compiled, compile_message
from bot.channels.email.courier import Courier
from bot.channels.email.dkim import SELECTOR, Signer
from bot.channels.email.lines import Lines
from bot.channels.email.mime import Mail, Spliced, picture_stamps
from bot.channels.email.relays import Desk, Relay
from bot.channels.email.smtp import Server, Session
from bot.errors import Blame, DeliveryError, PermanentFailure, UnknownOutcome
from bot.model import Delivery, Finding, Level, Message, Receipt, Recipient

TYPE = "email"
_COMPILED = 16  # messages kept ready: an issue in its languages and variants


class RelayTable(BaseModel):
    """One of ``relays``: a further mail server with the channel's login and security."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(min_length=1)
    port: int = Field(default=587, ge=1, le=65535)
    weight: int = Field(default=1, ge=1, le=1000)

    @field_validator("host")
    @classmethod
    def _one_word(cls, value: str) -> str:
        return _without_spaces(value)


class Options(base.Options):
    """What ``[channels.<name>]`` may hold for ``type = "email"``."""

    host: str = Field(min_length=1, description="the mail server's name")
    port: int = Field(default=587, ge=1, le=65535, description="587 for starttls, 465 for tls")
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="never falls back to clear text"
    )
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
    relays: tuple[RelayTable, ...] = Field(
        default=(), description="more mail servers with the same login, which stand in: {host, port, weight}"
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
        hosts = (self.host, *(relay.host for relay in self.relays))
        if self.security == "none" and not self.allow_plaintext and not all(map(_is_this_machine, hosts)):
            raise ValueError(
                'security = "none" would send readers\' addresses in clear text; use "starttls" or "tls", '
                "or set allow_plaintext = true for a network that is yours alone"
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
        return super().missing() if self.username else ()


class EmailChannel:
    """One mail server. ``send`` may be called by several tasks at once."""

    type: ClassVar[str] = TYPE

    def __init__(self, options: Options, context: ChannelContext) -> None:
        self.name = context.name
        self._options, self._context = options, context
        self._courier: Courier | None = None
        self._signer: Signer | None = None
        self._kept = lru_cache(maxsize=_COMPILED)(self._compile)
        path = context.return_path
        self._verp: Callable[[Recipient], str] | None = (lambda to: path(to.id)) if path else None

    @property
    def limits(self) -> Limits:
        """The renderer minds the length; what counts here is bytes, and the server tells its limit."""
        return Limits(characters=10_000_000, media=100)

    def length(self, text: str) -> int:
        return len(text)

    def request(self, message: Message, to: Recipient, *, key: str) -> Request:
        """The very bytes of the email. Raises PermanentFailure as ``send`` would."""
        ready = self._letter(message, to, key)
        return Request(
            suffix=".eml", body=ready.content, summary=f"email to one reader, {len(ready.content)} bytes"
        )

    async def refresh(self) -> None:
        """Nothing to read: a mail server tells its limits in each conversation."""

    async def send(self, message: Message, to: Recipient, *, key: str) -> Receipt:
        """One attempt. The receipt holds the Message-ID and the server's answer."""
        ready = self._letter(message, to, key)
        if self._courier is None:
            self._courier = Courier(self._relays(), connections=self._options.connections)
        return Receipt(remote_id=ready.id, note=await self._courier.deliver(ready))

    async def settle(self, delivery: Delivery, message: Message) -> Receipt | None:
        """Email cannot be asked. The policy says: send the same Message-ID again, or leave it to a person."""
        if self._options.on_unknown == "resend":
            return None
        raise UnknownOutcome(
            'email cannot tell whether it went out; look into the mail server\'s log ("hold")'
        )

    async def check(self) -> list[Finding]:
        """Connect, encrypt, log in, say goodbye; and whether we can sign."""
        try:
            session = await Desk(relay=self._relays()[0]).open()
        except DeliveryError as error:
            unreachable = Finding(
                level=Level.BLOCK, rule="email.unreachable", message=f"{self.name}: {error}"
            )
            return [unreachable, *self._signing_findings()]
        findings = self._findings(session)
        await session.close()
        return [*findings, *self._signing_findings()]

    @property
    def connections(self) -> int:
        return self._options.connections

    @property
    def resends(self) -> bool:
        return self._options.on_unknown == "resend"

    def lines(
        self,
        *,
        pull: Callable[[], Mail | None],
        done: Callable[[Mail, str | DeliveryError], None],
        began: Callable[[Mail], bool | None],
        trouble: Callable[[str, DeliveryError], None],
    ) -> Lines:
        """Conversations with the relays that pull for themselves."""
        return Lines(
            self._relays(),
            pull=pull,
            done=done,
            began=began,
            trouble=trouble,
            connections=self._options.connections,
            by_weight=self._options.relay_choice == "weight",
        )

    def _relays(self) -> list[Relay]:
        """The channel's own mail server first, then the further ones."""
        first = self._server()
        servers = [(first, 1)] + [
            (replace(first, host=relay.host, port=relay.port), relay.weight) for relay in self._options.relays
        ]
        return [Relay(name=str(server), server=server, weight=weight) for server, weight in servers]

    async def close(self) -> None:
        """End open conversations."""
        courier, self._courier = self._courier, None
        if courier is not None:
            await courier.close()

    def compiled(self, message: Message, *, verp: Callable[[Reader], str] | None = None) -> Compiled:
        """The message with this channel's settings, ready for many readers; kept for the next call."""
        return self._kept(message, picture_stamps(message), verp or self._verp)

    def _compile(self, message: Message, _stamps: object, verp: Callable[[Reader], str] | None) -> Compiled:
        return compile_message(
            message,
            postal_address=self._context.postal_address,
            unsubscribe_mailto=self._options.unsubscribe_mailto,
            envelope_sender=self._options.envelope_sender,
            signer=self._signer_of_ours(),
            verp=verp,
        )

    def _signer_of_ours(self) -> Signer | None:
        """Read once. An email that should be signed never goes out without."""
        if self._signer is None:
            self._signer = signer_of(self._options, self._context.folder)
        return self._signer

    def _letter(self, message: Message, to: Recipient, key: str) -> Spliced:
        return self.compiled(message).letter(to, key=key)

    def _server(self) -> Server:
        options = self._options
        return Server(
            host=options.host,
            port=options.port,
            security=options.security,
            hello=hello_of(options, self._context.site_url),
            username=options.username,
            password=options.password,
            ca_file=str(self._context.folder / options.ca_file) if options.ca_file else "",
            timeout=options.timeout,
            patience=options.patience,
        )

    def _findings(self, session: Session) -> list[Finding]:
        options = self._options
        link = session.encryption or "NOT encrypted"
        login = f"logged in as {options.username}" if options.username else "no login"
        terms = session.terms
        size = f"up to {terms.largest} bytes an email" if terms.largest else "no size limit told"
        summary = f"{self.name}: {options.host}:{options.port} answers; {link}, {login}, {size}"
        findings = [Finding(level=Level.INFO, rule="email.connected", message=summary)]
        if not session.encryption:
            words = f"{self.name}: readers' addresses go to {options.host} in clear text"
            findings.append(Finding(level=Level.WARN, rule="email.plaintext", message=words))
        if not terms.international:
            words = f"{self.name}: addresses with letters outside ASCII before the @ are not taken (SMTPUTF8)"
            findings.append(Finding(level=Level.INFO, rule="email.smtputf8", message=words))
        return findings

    def _signing_findings(self) -> list[Finding]:
        try:
            signer = self._signer_of_ours()
        except DeliveryError as error:
            return [Finding(level=Level.BLOCK, rule="email.dkim", message=f"{self.name}: {error}")]
        if signer is None:
            return []
        words = (
            f"{self.name}: signs with DKIM; the TXT record of {signer.record_name} must be: {signer.record} "
            "('bot dkim show --check' asks whether it is)"
        )
        return [Finding(level=Level.INFO, rule="email.dkim", message=words)]


def connect(options: Options, context: ChannelContext) -> EmailChannel:
    """The channel for one ``[channels.<name>]``; the first connection is made by the first email."""
    return EmailChannel(options, context)


def signer_of(options: Options, folder: Path) -> Signer | None:
    """Who signs this channel's mail; None: the mail server does. PermanentFailure for an unusable key."""
    if not options.dkim_key_file:
        return None
    pem = _key_file(folder / options.dkim_key_file)
    return Signer(options.dkim_domain, options.dkim_selector, pem)


def _without_spaces(value: str) -> str:
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ValueError("must not hold spaces or control characters")
    return value


def _key_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        problem = f"dkim_key_file {path} cannot be read; put it back, or make a new key: bot dkim make"
        raise PermanentFailure(problem, blame=Blame.SENDER) from error


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def hello_of(options: Options, site_url: str) -> str:
    """What we call ourselves to mail servers.

    By default the site's domain: the machine's own name would tell every server whose computer this is.
    """
    if options.local_hostname:
        return options.local_hostname
    host = urlsplit(site_url).hostname or ""
    try:
        return idna.encode(host, uts46=True).decode("ascii") if host else "[127.0.0.1]"
    except idna.IDNAError:
        return "[127.0.0.1]"
