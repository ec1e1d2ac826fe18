"""Asking DNS. Four ways of no answer are told apart, because each wants something else done.

A name that does not exist is to be published; one without such a record, too; a server that does not answer
or that fails is to be asked again. Each question is asked once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Protocol

from bot.errors import ConfigError

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver
    from dns.rdata import Rdata

Address = IPv4Address | IPv6Address
PATIENCE = 6.0  # seconds for one question, with its repetitions
_AT_ONCE = 20  # questions on their way
_GIVEN_UP = 2  # of them without a word, and none with one: this DNS server does not answer


class Trouble(StrEnum):
    """Why there is no answer, in words that follow the name."""

    NO_NAME = "does not exist"  # NXDOMAIN
    NO_RECORD = "has no such record"  # the name is there, the type is not
    TIMEOUT = "is not answered for: the DNS server was silent"
    FAILED = "cannot be asked for: the DNS server failed"  # SERVFAIL, REFUSED

    @property
    def is_void(self) -> bool:
        """A certain no, as RFC 7208 counts them; otherwise nobody knows."""
        return self in (Trouble.NO_NAME, Trouble.NO_RECORD)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Records of one type: joined strings of a TXT, addresses, or names without the last dot.

    Mail exchangers stand in the order of their preference; the one of "no mail here" (RFC 7505) is empty.
    """

    values: tuple[str, ...] = ()
    trouble: Trouble | None = None

    @property
    def is_unknown(self) -> bool:
        return self.trouble is not None and not self.trouble.is_void


class Names(Protocol):
    """Whoever knows names."""

    async def ask(self, name: str, kind: str) -> Answer:
        """``kind`` is A, AAAA, MX, PTR or TXT. Never raises."""
        ...


class Dns:
    """The DNS servers of this computer, or one that is named (``IP`` or ``IP:PORT``)."""

    def __init__(self, server: str = "", *, patience: float = PATIENCE) -> None:
        self._resolver = _resolver(server)
        self._resolver.lifetime = patience
        self._resolver.timeout = patience / 3
        self._answers: dict[tuple[str, str], asyncio.Task[Answer]] = {}
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._heard, self._silences = False, 0

    async def ask(self, name: str, kind: str) -> Answer:
        question = (name.rstrip(".").lower(), kind)
        if question not in self._answers:
            self._answers[question] = asyncio.create_task(self._ask(*question))
        return await self._answers[question]

    async def _ask(self, name: str, kind: str) -> Answer:
        """Waits in full for a few questions only, when it turns out that nobody is there."""
        async with self._gate:
            if not self._heard and self._silences >= _GIVEN_UP:
                return Answer(trouble=Trouble.TIMEOUT)
            answer = await self._resolved(name, kind)
        if answer.trouble is Trouble.TIMEOUT:
            self._silences += 1
        else:
            self._heard = True
        return answer

    async def _resolved(self, name: str, kind: str) -> Answer:
        from dns.exception import DNSException, Timeout
        from dns.resolver import NXDOMAIN, NoAnswer, NoNameservers

        try:
            found = await self._resolver.resolve(f"{name}.", kind, search=False)
        except NXDOMAIN:
            return Answer(trouble=Trouble.NO_NAME)
        except NoAnswer:
            return Answer(trouble=Trouble.NO_RECORD)
        except Timeout:
            return Answer(trouble=Trouble.TIMEOUT)
        except (NoNameservers, OSError):
            return Answer(trouble=Trouble.FAILED)
        except (DNSException, ValueError):  # a name that cannot be: a label of 64 letters, an empty one
            return Answer(trouble=Trouble.NO_NAME)
        return Answer(values=_values(kind, list(found)))


async def addresses_of(names: Names, host: str) -> tuple[list[Address], Trouble | None]:
    """All addresses of a host, and why there are none. An address is its own."""
    try:
        return [ip_address(host.strip("[]"))], None
    except ValueError:
        pass
    answers = await asyncio.gather(names.ask(host, "A"), names.ask(host, "AAAA"))
    found = [ip_address(value) for answer in answers for value in answer.values]
    troubles = [answer.trouble for answer in answers if answer.trouble]
    unknown = [trouble for trouble in troubles if not trouble.is_void]
    return found, None if found else (unknown or troubles)[0]


def reverse_name(address: Address) -> str:
    """Where the name of an address stands."""
    return address.reverse_pointer


def _resolver(server: str) -> Resolver:
    from dns.asyncresolver import Resolver
    from dns.resolver import NoResolverConfiguration

    if not server:
        try:
            return Resolver()
        except NoResolverConfiguration as error:
            raise ConfigError(
                "--resolver", "", "this computer names no DNS server", "name one: --resolver 9.9.9.9"
            ) from error
    host, port = _host_and_port(server)
    resolver = Resolver(configure=False)
    resolver.nameservers, resolver.port = [host], port
    resolver.use_edns(0, 0, 1232)
    return resolver


def _host_and_port(text: str) -> tuple[str, int]:
    """``192.0.2.1``, ``192.0.2.1:5353``, ``2001:db8::1`` or ``[2001:db8::1]:5353``."""
    host, port = text, "53"
    if text.startswith("[") or text.count(":") == 1:
        host, _, port = text.rpartition(":") if not text.endswith("]") else (text, "", "53")
    try:
        address, number = ip_address(host.strip("[]")), int(port)
        if not 0 < number < 65536:
            raise ValueError(port)
    except ValueError as error:
        raise ConfigError(
            "--resolver", "", f"{text!r} is no address", "write 9.9.9.9 or 127.0.0.1:5353"
        ) from error
    return str(address), number


def _values(kind: str, records: list[Rdata]) -> tuple[str, ...]:
    if kind == "MX":
        records = sorted(records, key=lambda record: record.preference)  # type: ignore[attr-defined]
    return tuple(_value(kind, record) for record in records)


def _value(kind: str, record: Rdata) -> str:
    if kind == "TXT":
        return b"".join(record.strings).decode("latin-1")  # type: ignore[attr-defined]
    if kind == "MX":
        return record.exchange.to_text(omit_final_dot=True).rstrip(".")  # type: ignore[attr-defined,no-any-return]
    return record.to_text().rstrip(".")
