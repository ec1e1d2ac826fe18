"""``check_host()`` of RFC 7208: an address, a domain, a verdict; and how much of DNS it cost."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Address, ip_network
from typing import NamedTuple

from bot.deliverability.names import Address, Answer, Names, reverse_name
from bot.deliverability.spf.macros import as_domain, expanded, letters, needs_validated_name
from bot.deliverability.spf.record import Directive, Record, SpfError, is_spf, read_record

LOOKUPS = 10  # terms that ask DNS, in all records together (4.6.4)
VOIDS = 2  # of their questions may have no answer
_MOST = 10  # exchangers of one mx, names of one ptr
_LABEL = re.compile(r"[^.]{1,63}")


class Result(StrEnum):
    """Section 2.6."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


_QUALIFIED = {"+": Result.PASS, "-": Result.FAIL, "~": Result.SOFTFAIL, "?": Result.NEUTRAL}


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """``why`` is for people: the term that decided, or what is wrong with which record."""

    result: Result
    why: str = ""
    lookups: int = 0
    voids: int = 0
    explanation: str = ""  # of a fail, where the domain has one


class _Stop(Exception):
    """An error ends the whole evaluation."""

    def __init__(self, result: Result, why: str) -> None:
        self.result, self.why = result, why
        super().__init__(why)


class _Found(NamedTuple):
    result: Result
    why: str
    domain: str = ""  # whose record decided, and where its explanation is
    explanation: str = ""


@dataclass(kw_only=True)
class Check:
    """One evaluation. Higher limits tell what a record costs that is over the real ones."""

    names: Names
    address: Address
    sender: str  # of the envelope: the local part may be missing
    helo: str
    max_lookups: int = LOOKUPS
    max_voids: int = VOIDS
    now: int = 0
    _lookups: int = field(default=0, init=False)
    _voids: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if isinstance(self.address, IPv6Address) and self.address.ipv4_mapped:
            self.address = self.address.ipv4_mapped
        local, _, domain = (self.sender or self.helo).rpartition("@")
        self.sender = f"{local or 'postmaster'}@{domain}"

    async def verdict(self) -> Verdict:
        """Whether the address may send for the sender's domain (for the HELO name where there is none)."""
        domain = self.sender.rpartition("@")[2]
        try:
            found = await self._host(domain)
        except _Stop as stop:
            found = _Found(stop.result, stop.why)
        words = await self._explained(found) if found.result is Result.FAIL else ""
        return Verdict(
            result=found.result, why=found.why, lookups=self._lookups, voids=self._voids, explanation=words
        )

    # ------------------------------------------------------------------ records

    async def _host(self, domain: str) -> _Found:
        if not _is_full_name(domain):
            return _Found(Result.NONE, f"{domain!r} is no full domain name")
        answer = await self.names.ask(domain, "TXT")
        if answer.is_unknown:
            raise _Stop(Result.TEMPERROR, f"{domain} {answer.trouble}")
        texts = [text for text in answer.values if is_spf(text)]
        if not texts:
            return _Found(Result.NONE, f"{domain} has no SPF record")
        if len(texts) > 1:
            raise _Stop(Result.PERMERROR, f"{domain} has {len(texts)} SPF records; only one is allowed")
        try:
            return await self._record(read_record(texts[0]), domain)
        except SpfError as error:
            raise _Stop(Result.PERMERROR, f"the record of {domain}: {error}") from None

    async def _record(self, record: Record, domain: str) -> _Found:
        for directive in record.directives:
            if await self._matches(directive, domain):
                why = f"{directive.text} in the record of {domain}"
                return _Found(_QUALIFIED[directive.qualifier], why, domain, record.explanation)
        if not record.redirect:
            return _Found(Result.NEUTRAL, f"nothing in the record of {domain} matches", domain)
        self._count("redirect", domain)
        found = await self._host(await self._target(record.redirect, domain))
        if found.result is Result.NONE:
            raise _Stop(Result.PERMERROR, f"redirect={record.redirect} of {domain} leads to no SPF record")
        return found

    async def _explained(self, found: _Found) -> str:
        """What the domain says to those whom it refuses; empty where anything is wrong with it."""
        if not found.explanation:
            return ""
        try:
            answer = await self.names.ask(await self._target(found.explanation, found.domain), "TXT")
            if len(answer.values) != 1 or not answer.values[0].isascii():
                return ""
            return expanded(answer.values[0], await self._letters(answer.values[0], found.domain))
        except SpfError:
            return ""

    # ------------------------------------------------------------------ mechanisms

    async def _matches(self, directive: Directive, domain: str) -> bool:
        if directive.name == "all":
            return True
        if directive.network is not None:
            return self.address in directive.network
        self._count(directive.text, domain)
        target = await self._target(directive.target, domain) if directive.target else domain
        if directive.name == "include":
            return await self._included(target, directive.text, domain)
        if directive.name == "exists":
            return bool((await self._sure(target, "A")).values)
        if directive.name == "ptr":
            return any(_is_within(name, target) for name in await self._validated_names(count=True))
        hosts = [target] if directive.name == "a" else await self._exchangers(target, directive.text)
        for host in hosts:
            if await self._is_address_of(host, directive.prefixes):
                return True
        return False

    async def _included(self, target: str, text: str, domain: str) -> bool:
        found = await self._host(target)
        if found.result is Result.NONE:
            raise _Stop(Result.PERMERROR, f"{text} of {domain} leads to no SPF record")
        return found.result is Result.PASS

    async def _exchangers(self, target: str, text: str) -> list[str]:
        hosts = (await self._sure(target, "MX")).values
        if len(hosts) > _MOST:
            raise _Stop(
                Result.PERMERROR, f"{text} names {len(hosts)} mail servers; at most {_MOST} are allowed"
            )
        return [host for host in hosts if host]

    async def _is_address_of(self, host: str, prefixes: tuple[int, int]) -> bool:
        kind, bits = ("A", prefixes[0]) if self.address.version == 4 else ("AAAA", prefixes[1])
        found = (await self._sure(host, kind)).values
        return any(self.address in ip_network(f"{value}/{bits}", strict=False) for value in found)

    async def _validated_names(self, *, count: bool = False) -> list[str]:
        """Names of the address that lead back to it (5.5). Whatever is wrong with one is no error."""
        answer = await self.names.ask(reverse_name(self.address), "PTR")
        if count:
            self._note_void(answer, reverse_name(self.address))
        kind = "A" if self.address.version == 4 else "AAAA"
        valid = []
        for name in answer.values[:_MOST]:
            found = (await self.names.ask(name, kind)).values
            if str(self.address) in found:
                valid.append(name)
        return valid

    # ------------------------------------------------------------------ macros and limits

    async def _target(self, text: str, domain: str) -> str:
        return as_domain(text, await self._letters(text, domain))

    async def _letters(self, text: str, domain: str) -> dict[str, str]:
        name = await self._validated_name(domain) if needs_validated_name(text) else "unknown"
        values = letters(
            address=self.address,
            sender=self.sender,
            domain=domain,
            helo=self.helo,
            validated=name,
            now=self.now,
        )
        return dict(values)

    async def _validated_name(self, domain: str) -> str:
        """The domain itself before one below it, and that before any other."""
        valid = await self._validated_names()
        ranked = sorted(valid, key=lambda n: (n.lower() != domain.lower(), not _is_within(n, domain)))
        return ranked[0] if ranked else "unknown"

    async def _sure(self, name: str, kind: str) -> Answer:
        answer = await self.names.ask(name, kind)
        if answer.is_unknown:
            raise _Stop(Result.TEMPERROR, f"{kind} of {name} {answer.trouble}")
        self._note_void(answer, name)
        return answer

    def _count(self, text: str, domain: str) -> None:
        self._lookups += 1
        if self._lookups > self.max_lookups:
            why = f"more than {self.max_lookups} terms that ask DNS; the one too many is {text} of {domain}"
            raise _Stop(Result.PERMERROR, why)

    def _note_void(self, answer: Answer, name: str) -> None:
        if answer.trouble is None or not answer.trouble.is_void:
            return
        self._voids += 1
        if self._voids > self.max_voids:
            why = f"more than {self.max_voids} names lead nowhere; the one too many is {name}"
            raise _Stop(Result.PERMERROR, why)


def _is_full_name(domain: str) -> bool:
    labels = domain.removesuffix(".").split(".")
    return len(labels) > 1 and len(domain) <= 254 and all(map(_LABEL.fullmatch, labels))


def _is_within(name: str, domain: str) -> bool:
    name, domain = name.lower(), domain.lower().removesuffix(".")
    return name == domain or name.endswith(f".{domain}")
