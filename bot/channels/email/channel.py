"""The email channel: composing (``compiled``) and the wire (``lines``, ``courier``) behind its contract."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from email.utils import parseaddr
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import ClassVar

from bot.channels.base import ChannelContext, Limits, Reader, Request
from bot.channels.email.addresses import mail_address
from bot.channels.email.compiled import Compiled, compile_message
from bot.channels.email.courier import Courier
from bot.channels.email.dkim import Signer
from bot.channels.email.lines import Lines
from bot.channels.email.mime import Mail, Spliced, picture_stamps
from bot.channels.email.options import Options, Place, hello_of, is_this_machine
from bot.channels.email.relays import Desk, Relay
from bot.channels.email.smtp import Server, Session
from bot.errors import Blame, DeliveryError, PermanentFailure, UnknownOutcome
from bot.model import Delivery, Finding, Level, Message, Receipt, Recipient

TYPE = "email"
NOBODY = "0" * 32  # the id of no reader
LONGEST_LOOK = 15.0  # seconds that "bot doctor" waits for each answer: somebody sits before it
_COMPILED = 16  # messages kept ready: an issue in its languages and variants


class EmailChannel:
    """One mail server, or several that stand in for each other. ``send`` is for several tasks at once."""

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
        """Connect to each server, encrypt, log in, name the sender, take it back; and whether we can sign."""
        found = await asyncio.gather(*(self._look(relay) for relay in self._relays()))
        if any(findings[0].level is not Level.BLOCK for findings in found):  # the others stand in
            found = [[_milder(finding) for finding in findings] for findings in found]
        return [*chain(*found), *self._signing_findings()]

    async def _look(self, relay: Relay) -> list[Finding]:
        brisk = replace(relay.server, timeout=min(relay.server.timeout, LONGEST_LOOK))
        try:
            session = await Desk(relay=replace(relay, server=brisk)).open()
        except DeliveryError as error:
            return [self._fault("unreachable", relay.server, error)]
        try:
            for sender in self._envelope_senders():
                await session.try_sender(sender)
            return self._findings(relay.server, session)
        except DeliveryError as error:
            return [self._fault("sender", relay.server, error)]
        finally:
            await session.close()

    def _fault(self, rule: str, server: Server, error: DeliveryError) -> Finding:
        place = "" if str(server) in str(error) else f"{server}: "
        return Finding(level=Level.BLOCK, rule=f"email.{rule}", message=f"{self.name}: {place}{error}")

    def _envelope_senders(self) -> tuple[str, ...]:
        """Whom the server hears as the sender of our newsletters; with return paths that of nobody."""
        if self._context.senders and self._context.return_path:
            return (self._context.return_path(NOBODY),)
        own = self._options.envelope_sender
        senders = dict.fromkeys(own or parseaddr(sender)[1] for sender in self._context.senders)
        return tuple(mail_address(sender, what="the sender", blame=Blame.SENDER) for sender in senders)

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
        servers = [(self._server(place), place.weight) for place in self._options.places]
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
            unsubscribe_path=self._context.unsubscribe_path,
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

    def _server(self, place: Place) -> Server:
        options = self._options
        return Server(
            host=place.host,
            port=place.port,
            security=place.security,
            hello=hello_of(options, self._context.site_url),
            username=place.username,
            password=place.password,
            ca_file=str(self._context.folder / place.ca_file) if place.ca_file else "",
            timeout=options.timeout,
            patience=options.patience,
            chunking=options.chunking,
        )

    def _findings(self, server: Server, session: Session) -> list[Finding]:
        here = is_this_machine(server.host)
        link = session.encryption or ("within this machine" if here else "NOT encrypted")
        login = f"logged in as {server.username}" if server.username else "no login"
        terms = session.terms
        size = f"up to {terms.largest} bytes an email" if terms.largest else "no size limit told"
        senders = self._envelope_senders()
        takes = f", takes mail from {', '.join(senders)}" if senders and not self._context.return_path else ""
        summary = f"{self.name}: {server} answers; {link}, {login}, {size}{takes}"
        findings = [Finding(level=Level.INFO, rule="email.connected", message=summary)]
        if not (session.encryption or here):
            words = f"{self.name}: readers' addresses go to {server.host} in clear text"
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


def _milder(finding: Finding) -> Finding:
    """Of one server among several."""
    if finding.level is not Level.BLOCK:
        return finding
    return replace(finding, level=Level.WARN, message=f"{finding.message} (the others stand in for it)")


def connect(options: Options, context: ChannelContext) -> EmailChannel:
    """The channel for one ``[channels.<name>]``; the first connection is made by the first email."""
    return EmailChannel(options, context)


def signer_of(options: Options, folder: Path) -> Signer | None:
    """Who signs this channel's mail; None: the mail server does. PermanentFailure for an unusable key."""
    if not options.dkim_key_file:
        return None
    pem = _key_file(folder / options.dkim_key_file)
    return Signer(options.dkim_domain, options.dkim_selector, pem)


def _key_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        problem = f"dkim_key_file {path} cannot be read; put it back, or make a new key: bot dkim make"
        raise PermanentFailure(problem, blame=Blame.SENDER) from error
