"""What ``bot doctor --dns`` looks at: each mail channel as receivers see it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address

from bot.app.workspace import Workspace
from bot.channels.email.addresses import mailbox
from bot.channels.email.channel import signer_of
from bot.channels.email.dkim import Signer
from bot.channels.email.options import Options, hello_of
from bot.deliverability.examine import examine_subject
from bot.deliverability.finding import NameFinding, wrong
from bot.deliverability.key_record import Key
from bot.deliverability.names import Address, Names
from bot.deliverability.subject import Relay, Subject
from bot.errors import Blame, DeliveryError, UserError


async def examine_names(
    workspace: Workspace, names: Names, *, now: datetime, addresses: Sequence[str] = ()
) -> list[NameFinding]:
    """Asks DNS and greets the mail servers, in rehearsal as well: nothing is sent."""
    found: list[NameFinding] = []
    for name in workspace.settings.channels:
        options = workspace.options(name)
        if isinstance(options, Options):
            found += await _channel(workspace, name, options, names, now, addresses)
    return found


async def _channel(
    workspace: Workspace,
    name: str,
    options: Options,
    names: Names,
    now: datetime,
    addresses: Sequence[str],
) -> list[NameFinding]:
    authors = _authors(workspace, name)
    bounces = _bounces(workspace, options) or next(iter(authors), "")
    if not bounces:
        return []
    try:
        signer, unusable = signer_of(options, workspace.root), []
    except DeliveryError as error:
        signer, unusable = None, [wrong("dkim", options.dkim_domain, str(error))]
    subject = Subject(
        channel=name,
        authors=authors,
        bounces=bounces,
        relays=_relays(workspace, options),
        signature=signer.domain.lower() if signer else "",
        key=_key(signer) if signer else None,
        addresses=tuple(map(_address, addresses)),
    )
    return [*unusable, *await examine_subject(names, subject, now)]


def _authors(workspace: Workspace, channel: str) -> tuple[str, ...]:
    """Domains of the From addresses, each once."""
    senders = [letter.sender for letter in workspace.settings.mailings if letter.channel == channel]
    return tuple(dict.fromkeys(map(_domain, senders)))


def _bounces(workspace: Workspace, options: Options) -> str:
    """The domain of the return path: readers' own paths come before the channel's."""
    address = workspace.settings.bounces.address or options.envelope_sender
    return _domain(address) if address else ""


def _domain(address: str) -> str:
    return mailbox(address, what="the sender", blame=Blame.SENDER).domain.lower()


def _relays(workspace: Workspace, options: Options) -> tuple[Relay, ...]:
    hello = hello_of(options, workspace.settings.publication.site_url)
    return tuple(
        Relay(
            host=place.host,
            port=place.port,
            security=place.security,
            hello=hello,
            ca_file=str(workspace.root / place.ca_file) if place.ca_file else "",
        )
        for place in options.places
    )


def _key(signer: Signer) -> Key:
    return Key(name=signer.record_name.lower(), record=signer.record, bits=signer.key_size)


def _address(text: str) -> Address:
    try:
        return ip_address(text)
    except ValueError as error:
        raise UserError(f"--address {text} is no IP address; write 192.0.2.25") from error
