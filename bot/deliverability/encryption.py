"""How the mail server is reached: whether it offers encryption, and how long its certificate holds."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from datetime import UTC, datetime

from bot.deliverability.finding import NameFinding, doubtful, good, wrong
from bot.deliverability.hosts import is_this_machine
from bot.deliverability.names import Names, addresses_of
from bot.deliverability.subject import Relay

PATIENCE = 15.0  # seconds for the whole look
SOON = 14  # days
_LONGEST_REPLY = 100  # lines


class _Plain(Exception):
    """No STARTTLS is offered."""


async def examine_encryption(
    names: Names, relay: Relay, now: datetime, *, patience: float = PATIENCE
) -> list[NameFinding]:
    """Greets, encrypts and leaves: no login, no mail."""
    if relay.security == "none":
        return [_without(relay)]
    place = f"{relay.host}:{relay.port}"
    host = relay.host
    if not is_this_machine(host):
        addresses, trouble = await addresses_of(names, host)
        if not addresses:
            return [
                wrong("relay", host, f"the mail server {host} {trouble}; correct host in bot.toml", kind="A")
            ]
        host = str(addresses[0])
    try:
        async with asyncio.timeout(patience):
            ends = await _certificate_end(relay, host)
    except _Plain:
        words = (
            f'{place} offers no STARTTLS, and nothing is sent in clear text; try security = "tls", port = 465'
        )
        return [wrong("tls", relay.host, words)]
    except ssl.SSLCertVerificationError as error:
        words = f"the certificate of {place} is not valid: {error.verify_message}"
        return [wrong("tls", relay.host, words)]
    except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
        words = f"{place} cannot be reached with {relay.security}: {_reason(error)}"
        return [wrong("tls", relay.host, words)]
    return [_holds(relay, ends, now)]


def _holds(relay: Relay, ends: datetime, now: datetime) -> NameFinding:
    days = (ends - now).days
    words = (
        f"{relay.host}:{relay.port} encrypts; its certificate holds until {ends:%Y-%m-%d}, {days} more days"
    )
    return (
        doubtful("tls", relay.host, f"{words}: renew it") if days < SOON else good("tls", relay.host, words)
    )


def _without(relay: Relay) -> NameFinding:
    if is_this_machine(relay.host):
        return good("tls", relay.host, "the mail server is this machine; nothing to encrypt")
    return doubtful("tls", relay.host, f"readers' addresses go to {relay.host} in clear text")


async def _certificate_end(relay: Relay, host: str) -> datetime:
    trust = ssl.create_default_context(cafile=relay.ca_file or None)
    name = relay.host
    if relay.security == "tls":
        _, writer = await asyncio.open_connection(host, relay.port, ssl=trust, server_hostname=name)
    else:
        reader, writer = await asyncio.open_connection(host, relay.port)
        try:
            await _ask_for_encryption(reader, writer, relay.hello)
            await writer.start_tls(trust, server_hostname=name)
        except BaseException:
            writer.transport.abort()
            raise
    try:
        certificate = writer.get_extra_info("peercert")
        return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    finally:
        with suppress(OSError):
            writer.transport.abort()


async def _ask_for_encryption(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hello: str) -> None:
    await _reply(reader)
    writer.write(f"EHLO {hello}\r\n".encode())
    offers = [line[4:].split(" ")[0].upper() for line in await _reply(reader)]
    if "STARTTLS" not in offers:
        raise _Plain
    writer.write(b"STARTTLS\r\n")
    await _reply(reader)


async def _reply(reader: asyncio.StreamReader) -> list[str]:
    """All lines of one answer. ValueError for a refusal."""
    lines: list[str] = []
    while len(lines) < _LONGEST_REPLY:
        line = (await reader.readuntil(b"\n")).decode("ascii", "replace").rstrip()
        lines.append(line)
        if line[3:4] != "-":
            break
    if not lines[-1].startswith("2"):
        raise ValueError(f"it answered {lines[-1][:3]}")
    return lines


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, asyncio.IncompleteReadError):
        return "it hung up"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
