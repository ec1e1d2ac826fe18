"""The email channel: composing (``mime``) and the wire (``smtp``) behind the channel's contract."""

from __future__ import annotations

from ipaddress import ip_address
from typing import ClassVar, Literal
from urllib.parse import urlsplit

import idna
from pydantic import Field, SecretStr, field_validator, model_validator

from bot.channels import base
from bot.channels.base import ChannelContext, Limits, Request
from bot.channels.email.mime import Letter, letter
from bot.channels.email.smtp import Pool, Server, Session
from bot.errors import DeliveryError, UnknownOutcome
from bot.model import Delivery, Finding, Level, Message, Receipt, Recipient

TYPE = "email"


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
    ca_file: str = Field(default="", description="certificates to trust instead of the system's")
    envelope_sender: str = Field(default="", description="where bounces go; empty: the From address")
    unsubscribe_mailto: str = Field(default="", description="a mailbox that takes unsubscriptions, too")
    local_hostname: str = Field(default="", description="what we call ourselves; empty: the site's domain")
    connections: int = Field(default=2, ge=1, le=50, description="to the mail server at the same time")
    timeout: float = Field(default=60, gt=0, description="seconds for each command")
    patience: float = Field(default=600, gt=0, description="seconds for the answer to a finished email")
    on_unknown: Literal["resend", "hold"] = Field(
        default="resend", description="after a lost answer: the same Message-ID again, or a person decides"
    )

    @field_validator("host", "local_hostname", "username", "envelope_sender", "unsubscribe_mailto")
    @classmethod
    def _one_word(cls, value: str) -> str:
        if any(character.isspace() or not character.isprintable() for character in value):
            raise ValueError("must not hold spaces or control characters")
        return value

    @model_validator(mode="after")
    def _not_in_the_clear(self) -> Options:
        if self.security == "none" and not self.allow_plaintext and not _is_this_machine(self.host):
            raise ValueError(
                'security = "none" would send readers\' addresses in clear text; use "starttls" or "tls", '
                "or set allow_plaintext = true for a network that is yours alone"
            )
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
        self._pool: Pool | None = None

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
        if self._pool is None:
            self._pool = Pool(self._server(), size=self._options.connections)
        return Receipt(remote_id=ready.id, note=await self._pool.deliver(ready))

    async def settle(self, delivery: Delivery, message: Message) -> Receipt | None:
        """Email cannot be asked. The policy says: send the same Message-ID again, or leave it to a person."""
        if self._options.on_unknown == "resend":
            return None
        raise UnknownOutcome(
            'email cannot tell whether it went out; look into the mail server\'s log ("hold")'
        )

    async def check(self) -> list[Finding]:
        """Connect, encrypt, log in, say goodbye."""
        pool = Pool(self._server(), size=1)
        try:
            session = await pool.open()
        except DeliveryError as error:
            return [Finding(level=Level.BLOCK, rule="email.unreachable", message=f"{self.name}: {error}")]
        findings = self._findings(session)
        await session.close()
        return findings

    async def close(self) -> None:
        """End open conversations."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    def _letter(self, message: Message, to: Recipient, key: str) -> Letter:
        return letter(
            message,
            to,
            key=key,
            postal_address=self._context.postal_address,
            unsubscribe_mailto=self._options.unsubscribe_mailto,
            envelope_sender=self._options.envelope_sender,
        )

    def _server(self) -> Server:
        options = self._options
        return Server(
            host=options.host,
            port=options.port,
            security=options.security,
            hello=options.local_hostname or _hello(self._context.site_url),
            username=options.username,
            password=options.password,
            ca_file=options.ca_file,
            timeout=options.timeout,
            patience=options.patience,
        )

    def _findings(self, session: Session) -> list[Finding]:
        options = self._options
        link = session.encryption or "NOT encrypted"
        login = f"logged in as {options.username}" if options.username else "no login"
        size = f"up to {session.size_limit} bytes an email" if session.size_limit else "no size limit told"
        summary = f"{self.name}: {options.host}:{options.port} answers; {link}, {login}, {size}"
        findings = [Finding(level=Level.INFO, rule="email.connected", message=summary)]
        if not session.encryption:
            words = f"{self.name}: readers' addresses go to {options.host} in clear text"
            findings.append(Finding(level=Level.WARN, rule="email.plaintext", message=words))
        if not session.takes_international_addresses:
            words = f"{self.name}: addresses with letters outside ASCII before the @ are not taken (SMTPUTF8)"
            findings.append(Finding(level=Level.INFO, rule="email.smtputf8", message=words))
        return findings


def connect(options: Options, context: ChannelContext) -> EmailChannel:
    """The channel for one ``[channels.<name>]``; the first connection is made by the first email."""
    return EmailChannel(options, context)


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _hello(site_url: str) -> str:
    """The site's domain: the machine's own name would tell every mail server whose computer this is."""
    host = urlsplit(site_url).hostname or ""
    try:
        return idna.encode(host, uts46=True).decode("ascii") if host else "[127.0.0.1]"
    except idna.IDNAError:
        return "[127.0.0.1]"
