"""Hosts: the names of the addresses that we send from, both ways, and who takes the bounces."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

from bot.deliverability.finding import NameFinding, doubtful, good, wrong
from bot.deliverability.names import Address, Names, addresses_of, reverse_name
from bot.deliverability.subject import Outlet, Relay, Subject


async def outlet_of(names: Names, subject: Subject) -> tuple[Outlet, list[NameFinding]]:
    """The addresses that a person named; else ours where the relay is this machine; else the relay's."""
    hello = subject.relays[0].hello
    if subject.addresses:
        return Outlet(addresses=subject.addresses, sure=True, host=hello), []
    ours = is_this_machine(subject.relays[0].host)
    host = hello if ours else subject.relays[0].host
    found, trouble = await addresses_of(names, host)
    public = tuple(address for address in found if not address.is_loopback)
    if public:
        return Outlet(addresses=public, sure=ours, host=host), []
    what = f"{host} {trouble}" if trouble else f"{host} is this machine"
    words = f"{what}; say which address your mail leaves from: --address IP"
    return Outlet(addresses=(), sure=False, host=host), [doubtful("address", host, words)]


async def examine_reverse(names: Names, outlet: Outlet) -> list[NameFinding]:
    """PTR of each address, and whether its name leads back (RFC 1912, 2.1; providers insist)."""
    return list(await asyncio.gather(*(_both_ways(names, address, outlet) for address in outlet.addresses)))


async def _both_ways(names: Names, address: Address, outlet: Outlet) -> NameFinding:
    place = reverse_name(address)
    say = wrong if outlet.sure else doubtful
    answer = await names.ask(place, "PTR")
    if answer.is_unknown:
        return doubtful("ptr", place, f"{place} {answer.trouble}; ask again later", kind="PTR")
    if not answer.values:
        words = f"{address} has no name; whoever gave you the address can set it (the hoster, the provider)"
        return say("ptr", place, words, kind="PTR", publish=f"{outlet.host}.")
    for name in answer.values:
        found, _ = await addresses_of(names, name)
        if address in found:
            return good("ptr", place, f"{address} is called {name}, and {name} is {address}")
    name = answer.values[0]
    words = f"{address} is called {name}, but {name} is not {address}: receivers take it for a forged name"
    return say("ptr", name, words, kind="A" if address.version == 4 else "AAAA", publish=str(address))


async def examine_bounces(names: Names, subject: Subject) -> list[NameFinding]:
    """Whether mail to the return path's domain can arrive (RFC 5321, 5.1; RFC 7505)."""
    domain = subject.bounces
    answer = await names.ask(domain, "MX")
    if answer.is_unknown:
        return [wrong("mx", domain, f"MX of {domain} {answer.trouble}; ask again later", kind="MX")]
    suggested = await _suggested(names, subject)
    if answer.values == ("",):
        words = f"{domain} says that it takes no mail (RFC 7505), but bounces go there"
        return [wrong("mx", domain, words, kind="MX", publish=suggested)]
    if not answer.values:
        return [await _without_mx(names, domain, suggested)]
    return [await _exchanger(names, domain, host, suggested) for host in answer.values]


async def _without_mx(names: Names, domain: str, suggested: str) -> NameFinding:
    found, trouble = await addresses_of(names, domain)
    if found:
        words = f"{domain} has no MX; bounces go to its own address, which may be a web server's"
        return doubtful("mx", domain, words, kind="MX", publish=suggested)
    words = f"nobody takes mail for {domain}: bounces are lost, and receivers refuse mail from there"
    return wrong("mx", domain, f"{words} ({domain} {trouble})", kind="MX", publish=suggested)


async def _exchanger(names: Names, domain: str, host: str, suggested: str) -> NameFinding:
    if _is_address(host):
        words = f"the MX of {domain} is an address ({host}); it must be a name"
        return wrong("mx", domain, words, kind="MX", publish=suggested)
    found, trouble = await addresses_of(names, host)
    if found:
        return good("mx", domain, f"{host} takes the bounces of {domain}")
    return wrong("mx", host, f"{host} takes the bounces of {domain}, but {host} {trouble}", kind="A")


async def _suggested(names: Names, subject: Subject) -> str:
    """Whoever takes the author's mail will do; else the mail server that we know."""
    for author in subject.authors:
        if author != subject.bounces and (found := (await names.ask(author, "MX")).values) and found[0]:
            return f"10 {found[0]}."
    return f"10 {_known_server(subject.relays[0])}."


def _known_server(relay: Relay) -> str:
    return relay.hello if is_this_machine(relay.host) else relay.host


def is_this_machine(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
