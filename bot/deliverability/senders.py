"""What SPF says of our addresses, and what must change in the record so that it lets them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from bot.deliverability.finding import NameFinding, doubtful, good, wrong
from bot.deliverability.names import Address, Names
from bot.deliverability.spf import LOOKUPS, VOIDS, Check, Result, Verdict, is_spf
from bot.deliverability.subject import Outlet

STRANGER = ip_address("240.0.0.1")  # nobody has this address, so every term of a record is walked
_TOO_MANY = 60  # far over the limits: to tell how many there are
_NEARLY = LOOKUPS - 1
_ALL = re.compile(r"[+?~-]?all", re.IGNORECASE)


async def examine_spf(names: Names, domain: str, outlet: Outlet) -> list[NameFinding]:
    """The record of the return path's domain: there, one, valid, cheap enough, and for our addresses."""
    answer = await names.ask(domain, "TXT")
    if answer.is_unknown:
        return [wrong("spf", domain, f"TXT of {domain} {answer.trouble}; ask again later")]
    texts = [text for text in answer.values if is_spf(text)]
    if not texts:
        words = f"{domain} has no SPF record: nothing says that your mail server may send for it"
        return [wrong("spf", domain, words, publish=fresh_record(outlet))]
    if len(texts) > 1:
        words = f"{domain} has {len(texts)} SPF records, so none counts; put them into one"
        return [wrong("spf", domain, words, publish=merged(texts))]
    general = await _general(names, domain, texts[0])
    if any(finding.level == "block" for finding in general):
        return general
    return [*general, *await _for_addresses(names, domain, texts[0], outlet)]


def fresh_record(outlet: Outlet) -> str:
    """A first record. ``~all``: DMARC decides about the rest."""
    return " ".join(["v=spf1", *_terms(outlet.addresses, outlet), "~all"])


def allowing(text: str, addresses: Sequence[Address], outlet: Outlet) -> str:
    """The record with our addresses in front."""
    version, _, rest = text.partition(" ")
    return " ".join([version, *_terms(addresses, outlet), *rest.split()])


def merged(texts: Sequence[str]) -> str:
    """One record of several: each term once, the mildest ``all`` at the end."""
    terms = list(dict.fromkeys(term for text in texts for term in text.split()[1:]))
    ends = [term for term in terms if _ALL.fullmatch(term)]
    end = min(ends or ["~all"], key=lambda term: "?~-".find(term[0]) if term[0] in "?~-" else -1)
    return " ".join(["v=spf1", *(term for term in terms if term not in ends), end])


def closed(text: str) -> str:
    """The record with ``~all`` at its end."""
    return " ".join([*(term for term in text.split() if not _ALL.fullmatch(term)), "~all"])


def _terms(addresses: Iterable[Address], outlet: Outlet) -> list[str]:
    if not outlet.sure:
        return [f"a:{outlet.host}"]
    return [f"ip{address.version}:{address}" for address in addresses]


async def _general(names: Names, domain: str, text: str) -> list[NameFinding]:
    """What is true for every address."""
    check = Check(
        names=names,
        address=STRANGER,
        sender=f"postmaster@{domain}",
        helo=domain,
        max_lookups=_TOO_MANY,
        max_voids=_TOO_MANY,
    )
    verdict = await check.verdict()
    if verdict.result is Result.TEMPERROR:
        return [wrong("spf", domain, f"SPF cannot be read now: {verdict.why}; ask again later")]
    if verdict.result is Result.PERMERROR:
        return [wrong("spf", domain, f"SPF is not valid, so it counts for nothing: {verdict.why}")]
    return [*_costs(domain, verdict), *_openness(domain, text, verdict)]


def _costs(domain: str, verdict: Verdict) -> list[NameFinding]:
    cost = f"{verdict.lookups} terms that ask DNS (at most {LOOKUPS} are allowed)"
    if verdict.lookups > LOOKUPS:
        words = f"SPF has {cost}, so it counts for nothing; take out an include: that you do not need"
        return [wrong("spf.lookups", domain, words)]
    if verdict.voids > VOIDS:
        words = f"SPF names {verdict.voids} hosts that lead nowhere (at most {VOIDS} may); take them out"
        return [wrong("spf.voids", domain, words)]
    if verdict.lookups >= _NEARLY:
        return [doubtful("spf.lookups", domain, f"SPF has {cost}: no room for another service")]
    return []


def _openness(domain: str, text: str, verdict: Verdict) -> list[NameFinding]:
    found = []
    if verdict.result is Result.PASS:
        words = f"SPF lets everybody send in your name ({verdict.why})"
        found.append(wrong("spf.open", domain, words, publish=closed(text)))
    if verdict.result is Result.NEUTRAL:
        words = f"SPF says nothing of those it does not name ({verdict.why}); end it with ~all"
        found.append(doubtful("spf.open", domain, words, publish=closed(text)))
    if re.search(r"(?i) [+?~-]?ptr\b", text):
        found.append(doubtful("spf.ptr", domain, "SPF uses ptr, which receivers may ignore (RFC 7208, 5.5)"))
    return found


async def _for_addresses(names: Names, domain: str, text: str, outlet: Outlet) -> list[NameFinding]:
    checks = [
        Check(names=names, address=address, sender=f"postmaster@{domain}", helo=domain)
        for address in outlet.addresses
    ]
    verdicts = await asyncio.gather(*(check.verdict() for check in checks))
    refused = [
        (address, verdict)
        for address, verdict in zip(outlet.addresses, verdicts, strict=True)
        if verdict.result is not Result.PASS
    ]
    passed = [address for address in outlet.addresses if address not in dict(refused)]
    found = [good("spf", domain, f"SPF lets {address} send for {domain}") for address in passed]
    if not refused:
        return found
    publish = allowing(text, [address for address, _ in refused], outlet)
    return [*found, *(_refused(domain, address, verdict, outlet, publish) for address, verdict in refused)]


def _refused(domain: str, address: Address, verdict: Verdict, outlet: Outlet, publish: str) -> NameFinding:
    words = f"SPF does not let {address} send for {domain}: {verdict.result} ({verdict.why})"
    if outlet.sure:
        return wrong("spf", domain, words, publish=publish)
    hint = (
        f"{words}. That is the address of {outlet.host}; a provider may send from others: publish what it "
        "tells you (often an include:), or name the right address: --address IP"
    )
    return doubtful("spf", domain, hint, publish=publish)
