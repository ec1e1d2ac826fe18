"""How a conversation with a mail server begins: greeting, encryption, login; never a fall back to clear text.

What is said then is in ``pipeline``; what an answer means is in ``replies``.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import aiosmtplib
from pydantic import SecretStr

from bot.channels.email.replies import Stage, clean, lost, refusal
from bot.channels.email.terms import Terms
from bot.errors import Blame, DeliveryError, PermanentFailure, TemporaryFailure

_NUMBER = re.compile(r"[0-9]{1,20}")  # RFC 1870, 4; other digits and longer ones are no number for Python
_LOGINS = ("plain", "login", "cram-md5")  # one try only: a second wrong one may lock the account


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """Where and how to log in. Times are seconds; ``patience`` is for the answer to a finished email."""

    host: str
    port: int
    security: str  # "starttls" | "tls" | "none"
    hello: str  # what we call ourselves
    username: str = ""
    password: SecretStr = field(default_factory=lambda: SecretStr(""))
    ca_file: str = ""
    timeout: float = 60
    patience: float = 600
    chunking: bool = True  # whether to believe it when it offers BDAT

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Patterns of the password in every form in which an answer could echo it."""
        password, user = self.password.get_secret_value(), self.username
        if not password:
            return ()
        encoded = (b64encode(form.encode()).decode() for form in (f"\0{user}\0{password}", password))
        return tuple(re.escape(form) for form in (*encoded, password))

    def trust(self) -> ssl.SSLContext:
        """Certificates are always checked, against ``ca_file`` where one is given."""
        try:
            return ssl.create_default_context(cafile=self.ca_file or None)
        except OSError as error:
            problem = f"ca_file {Path(self.ca_file)} cannot be read; name a file with certificates in PEM"
            raise PermanentFailure(problem, blame=Blame.SENDER) from error


class Session:
    """One open, encrypted, logged-in conversation in which no letter was named yet."""

    def __init__(self, server: Server, smtp: aiosmtplib.SMTP) -> None:
        self._server, self._smtp = server, smtp

    @classmethod
    async def open(cls, server: Server, trust: ssl.SSLContext | None) -> Session:
        """Connect, greet, encrypt, log in; on failure nothing stays open."""
        smtp = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.security == "tls",
            start_tls=False,
            tls_context=trust,
            timeout=server.timeout,
            local_hostname=server.hello,
        )
        session = cls(server, smtp)
        try:
            await session._open()
        except BaseException:
            smtp.close()
            raise
        return session

    @property
    def terms(self) -> Terms:
        """What this server takes, as it said after encryption and login."""
        told = self._smtp.esmtp_extensions
        words = told.get("size", "").split()
        return Terms(
            pipelining="pipelining" in told,
            chunking=self._server.chunking and "chunking" in told,
            international="smtputf8" in told,
            sizes="size" in told,
            largest=int(words[0]) if words and _NUMBER.fullmatch(words[0]) else 0,
        )

    @property
    def encryption(self) -> str:
        """Such as "TLSv1.3"; empty for clear text."""
        link = self._smtp.get_transport_info("ssl_object")
        return link.version() or "" if isinstance(link, ssl.SSLObject) else ""

    def take_over(self) -> asyncio.Transport:
        """The bare connection, for a protocol of the caller's own; this session is over.

        Raises TemporaryFailure when the server has said more than it was asked: an answer that came before
        its question must never be taken for a later one.
        """
        transport, protocol = self._smtp.transport, self._smtp.protocol
        if transport is None or protocol is None or transport.is_closing():
            raise TemporaryFailure(f"{self._server} ended the connection; nothing was sent")
        if protocol._buffer:  # private, and no default: under another name nothing may be sent
            self.abort()
            raise TemporaryFailure(f"{self._server} answered more than it was asked; nothing was sent")
        return cast(asyncio.Transport, transport)  # uvloop's is one in all but its ancestry

    async def try_sender(self, address: str) -> None:
        """Name the sender and take it back: no email, no reader. Raises as a refused email would."""
        options = [] if address.isascii() else ["SMTPUTF8"]
        with self._explained(Stage.SENDER):
            await self._smtp.mail(address, options=options, encoding="utf-8")
            await self._smtp.rset()

    async def close(self) -> None:
        """Say goodbye where somebody listens."""
        with suppress(aiosmtplib.SMTPException, OSError):
            await self._smtp.execute_command(b"QUIT", timeout=min(self._server.timeout, 5))
        self.abort()

    def abort(self) -> None:
        """End it here and now: TLS's own long goodbye would outlive the event loop of a single command."""
        transport = self._smtp.transport
        if isinstance(transport, asyncio.WriteTransport) and not transport.is_closing():
            transport.abort()
        self._smtp.close()

    # ----------------------------------------------------------------- opening

    async def _open(self) -> None:
        with self._explained(Stage.CONNECT):
            try:
                await self._smtp.connect()
            except UnicodeError as error:  # an empty label, or one that is too long for DNS
                problem = f"{self._server} is a name that cannot exist; correct host"
                raise PermanentFailure(problem, blame=Blame.SENDER) from error
        with self._explained(Stage.HELLO):
            await self._smtp.ehlo()
        if self._server.security == "starttls":
            await self._encrypt()
        if self._server.username:
            await self._log_in()

    async def _encrypt(self) -> None:
        if not self._smtp.supports_extension("starttls"):
            problem = (
                f'{self._server} offers no STARTTLS and nothing is sent in clear text; try security = "tls"'
            )
            raise PermanentFailure(problem, blame=Blame.SENDER)
        with self._explained(Stage.TLS):
            await self._smtp.starttls()
        with self._explained(Stage.HELLO):
            await self._smtp.ehlo()

    async def _log_in(self) -> None:
        username, password = self._server.username, self._server.password.get_secret_value()
        if not password:
            raise PermanentFailure(
                f"no password for {self._server} is set; set it in .env", blame=Blame.SENDER
            )
        method = next((name for name in _LOGINS if name in self._smtp.server_auth_methods), None)
        ways = {
            "plain": self._smtp.auth_plain,
            "login": self._smtp.auth_login,
            "cram-md5": self._smtp.auth_crammd5,
        }
        if method is None:
            problem = f"{self._server} offers no login that we know (PLAIN, LOGIN, CRAM-MD5); remove username"
            raise PermanentFailure(problem, blame=Blame.SENDER)
        with self._explained(Stage.LOGIN):
            await ways[method](username, password)

    @contextmanager
    def _explained(self, stage: Stage) -> Iterator[None]:
        """Failures in our words. The login's own cause is dropped: it could hold the password."""
        try:
            yield
        except (aiosmtplib.SMTPException, OSError) as error:
            cause = None if stage is Stage.LOGIN else error
            raise self._failure(stage, error) from cause

    def _failure(self, stage: Stage, error: Exception) -> DeliveryError:
        broken = _ssl_error(error)
        if broken is not None:
            return PermanentFailure(_tls_advice(self._server, broken), blame=Blame.SENDER)
        if isinstance(error, aiosmtplib.SMTPResponseException):
            return refusal(stage, error.code, error.message, hide=self._server.secrets)
        if isinstance(error, aiosmtplib.SMTPTimeoutError):
            return lost(stage, f"{self._server} did not answer within {self._server.timeout:g} s")
        reason = error.__cause__ or error
        if isinstance(reason, ConnectionRefusedError):
            return TemporaryFailure(f"no mail server listens at {self._server}; nothing was sent")
        return lost(stage, f"{self._server}: {clean(str(reason)) or type(reason).__name__}")


def _ssl_error(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__
    return error


def _tls_advice(server: Server, error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        advice = "correct host, or name the right certificate in ca_file"
        return f"the certificate of {server} is not valid ({error.verify_message}); {advice}"
    reason = error.reason or "no common version"
    return f'{server} does not speak TLS as expected ({reason}); try security = "starttls" or another port'
