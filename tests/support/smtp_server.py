"""A real SMTP server (aiosmtpd) on loopback that fails on order, at any step of the conversation."""

# ruff: noqa: N802  aiosmtpd finds its hooks by these names
from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from tests.support.listening import end

DROP = "drop"  # the connection is cut
SILENT = "silent"  # no answer ever comes


@dataclass(kw_only=True)
class Fault:
    """What happens at a step instead of the right answer: a line such as "451 4.3.0 later", DROP or SILENT.

    Steps: GREETING EHLO STARTTLS AUTH MAIL RCPT DATA (before 354), BODY (after 354, before the dot is
    read), DOT (the email was taken and this is the answer), RSET.
    """

    step: str
    answer: str
    times: int = 1


@dataclass(kw_only=True)
class Taken:
    """An email as the server got it, with the connection it came over."""

    sender: str
    recipients: tuple[str, ...]
    content: bytes
    connection: int
    options: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Server:
    """The server as a test sees it."""

    port: int = 0
    host: str = "localhost"
    faults: list[Fault] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0
    most_at_once: int = 0
    open_now: int = 0
    talks: set[Any] = field(default_factory=set)
    # Awaited when an email was taken and before the answer: a slow server, or the moment to strike.
    when_taken: Callable[[Taken], Awaitable[None]] | None = None

    def fail(self, step: str, answer: str, *, times: int = 1) -> None:
        self.faults.append(Fault(step=step, answer=answer, times=times))

    def fault(self, step: str) -> str | None:
        for fault in self.faults:
            if fault.step == step and fault.times > 0:
                fault.times -= 1
                return fault.answer
        return None

    def hang_up(self) -> None:
        """Cut every open connection, as a server does with idle ones."""
        for talk in list(self.talks):
            talk.cut()


class _Talk(SMTP):
    """One connection."""

    def __init__(self, server: Server, *, injected: bytes = b"", **options: Any) -> None:
        self._server, self._injected = server, injected
        self.number = 0
        super().__init__(_Handler(server, self), **options)

    def connection_made(self, transport: Any) -> None:
        if not self.number:
            self._server.connections += 1
            self.number = self._server.connections
            self._server.talks.add(self)
            self._server.open_now += 1
            self._server.most_at_once = max(self._server.most_at_once, self._server.open_now)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._server.talks:
            self._server.talks.discard(self)
            self._server.open_now -= 1
        super().connection_lost(error)

    def cut(self) -> None:
        with contextlib.suppress(AttributeError):  # Python 3.11.2: a closed TLS transport has no protocol
            (self._original_transport or self.transport).abort()  # type: ignore[union-attr]

    async def push(self, status: Any) -> None:
        if isinstance(status, str) and status.startswith("220 "):
            step = "STARTTLS" if "Ready to start TLS" in status else "GREETING"
            if await self.misbehave(step):
                return
            if step == "STARTTLS" and self._injected:
                self._writer.write(status.encode() + b"\r\n" + self._injected)
                return
        await super().push(status)

    async def misbehave(self, step: str) -> bool:
        """Do what was ordered for this step; False when nothing was."""
        answer = self._server.fault(step)
        if answer is None:
            return False
        if answer == DROP:
            self.cut()
        elif answer != SILENT:
            await super().push(answer)
        return True

    async def smtp_EHLO(self, hostname: str) -> None:
        self._server.commands.append(f"EHLO {hostname}")
        if not await self.misbehave("EHLO"):
            await super().smtp_EHLO(hostname)

    async def smtp_AUTH(self, arg: str) -> None:
        if not await self.misbehave("AUTH"):
            await super().smtp_AUTH(arg)

    async def smtp_MAIL(self, arg: str) -> None:
        self._server.commands.append(f"MAIL {arg}")
        if not await self.misbehave("MAIL"):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str) -> None:
        if not await self.misbehave("RCPT"):
            await super().smtp_RCPT(arg)

    async def smtp_RSET(self, arg: str) -> None:
        self._server.commands.append("RSET")
        if not await self.misbehave("RSET"):
            await super().smtp_RSET(arg)

    async def smtp_DATA(self, arg: str) -> None:
        if await self.misbehave("DATA"):
            return
        if self._server.faults and any(f.step == "BODY" and f.times for f in self._server.faults):
            await super().push("354 go on")
            await self._reader.readuntil(b"\r\n")
            await self.misbehave("BODY")
            await asyncio.Event().wait()  # the rest of the body is not a row of commands
        await super().smtp_DATA(arg)


class _Handler:
    def __init__(self, server: Server, talk: _Talk) -> None:
        self._server, self._talk = server, talk

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> Any:
        self._server.taken.append(
            Taken(
                sender=envelope.mail_from,
                recipients=tuple(envelope.rcpt_tos),
                content=envelope.original_content,
                connection=self._talk.number,
                options=tuple(envelope.mail_options),
            )
        )
        if self._server.when_taken:
            await self._server.when_taken(self._server.taken[-1])
        answer = self._server.fault("DOT")
        if answer == DROP:
            self._talk.cut()
        if answer in (DROP, SILENT):
            await asyncio.Event().wait()
        return answer or "250 2.0.0 Ok: queued as 4Bx7"


@asynccontextmanager
async def smtp_server(
    *,
    certificate: Path | None = None,
    tls_from_the_start: bool = False,
    users: dict[str, str] | None = None,
    smtputf8: bool = True,
    size: int | None = None,
    injected: bytes = b"",
    exclude_logins: Sequence[str] = (),
) -> AsyncIterator[Server]:
    """A server on a free port; with a certificate it offers STARTTLS, with users it wants a login."""
    server = Server()
    tls = None
    if certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)

    def log_in(_s: Any, _session: Any, _envelope: Any, _mechanism: str, data: LoginPassword) -> AuthResult:
        name, password = data.login.decode(), data.password.decode()
        server.logins.append((name, password))
        return AuthResult(success=(users or {}).get(name) == password, handled=False)

    def talk() -> _Talk:
        return _Talk(
            server,
            injected=injected,
            hostname="mx.example.test",
            enable_SMTPUTF8=smtputf8,
            data_size_limit=size,
            tls_context=None if tls_from_the_start else tls,
            authenticator=log_in if users else None,
            auth_required=bool(users) and not tls_from_the_start,
            auth_require_tls=not tls_from_the_start,
            auth_exclude_mechanism=exclude_logins,
            timeout=30,
            loop=asyncio.get_running_loop(),
        )

    listener = await asyncio.get_running_loop().create_server(
        talk, "127.0.0.1", 0, ssl=tls if tls_from_the_start else None
    )
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        await _end(server, listener)


async def _end(server: Server, listener: asyncio.Server) -> None:
    """Cut what is open and wait for the tasks; a failed handshake never tells aiosmtpd that it is over."""
    talks = set[_Talk]()

    def hang_up() -> None:
        talks.update(server.talks)
        server.hang_up()

    await end(listener, hang_up)
    for talk in talks:
        talk._handler_coroutine.cancel()
        talk._timeout_handle.cancel()
    await asyncio.gather(*(talk._handler_coroutine for talk in talks), return_exceptions=True)
    await asyncio.sleep(0)


def self_made_certificate(folder: Path, *, names: str = "DNS:localhost,IP:127.0.0.1") -> Path:
    """A private key and a certificate for it in one PEM file."""
    key, certificate, both = folder / "key.pem", folder / "certificate.pem", folder / "both.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30"
    files = [
        "-subj",
        "/CN=localhost",
        "-addext",
        f"subjectAltName={names}",
        "-keyout",
        str(key),
        "-out",
        str(certificate),
    ]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    both.write_text(key.read_text() + certificate.read_text())
    return both
