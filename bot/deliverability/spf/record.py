"""An SPF record, to the letter of its grammar: one wrong term spoils all of it (RFC 7208, 4.6)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

MECHANISMS = frozenset({"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"})
_MACRO = r"%\{[slodiphcrtvSLODIPHCRTV][0-9]*[rR]?[.+,/_=-]*\}|%%|%_|%-"
_MACRO_STRING = re.compile(rf"(?:{_MACRO}|[!-$&-~])*")
_MACRO_END = re.compile(rf"(?:{_MACRO})\Z")
_TOP_LABEL = re.compile(r"\.(?:[0-9]*+[A-Za-z][A-Za-z0-9]*+|[A-Za-z0-9]++-[A-Za-z0-9-]*[A-Za-z0-9])\.?\Z")
_ONLY_IN_EXPLANATIONS = re.compile(r"%\{[crtCRT]")
_DIRECTIVE = re.compile(r"([+?~-]?)([A-Za-z0-9]+)(?:([:/])(.*))?")
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9._-]*)=(.*)")
_CIDR = re.compile(r"(?:/(0|[1-9][0-9]?))?(?://(0|[1-9][0-9]{0,2}))?")
_ENDS_WITH_CIDR = re.compile(r"(.*?)((?:/[0-9]+)?(?://[0-9]+)?)")


class SpfError(ValueError):
    """The record is not valid; says which term, and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Directive:
    """A mechanism with its qualifier (one of ``+-~?``)."""

    text: str
    qualifier: str
    name: str
    target: str = ""  # domain-spec with its macros; empty: the domain itself
    network: IPv4Network | IPv6Network | None = None
    prefixes: tuple[int, int] = (32, 128)  # of a and mx, for IPv4 and IPv6


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What a record says, in its order."""

    directives: tuple[Directive, ...]
    redirect: str = ""
    explanation: str = ""


def is_spf(text: str) -> bool:
    """Whether a TXT record wants to be SPF."""
    return text.lower().split(" ", 1)[0] == "v=spf1"


def read_record(text: str) -> Record:
    """Raises SpfError for the first wrong term."""
    directives: list[Directive] = []
    modifiers: dict[str, str] = {}
    for term in text.split(" ")[1:]:
        if not term:
            continue
        modifier = _MODIFIER.fullmatch(term)
        if modifier is None:
            directives.append(_directive(term))
            continue
        name, value = modifier[1].lower(), modifier[2]
        if name in modifiers and name in ("redirect", "exp"):
            raise SpfError(f"{name}= stands in it twice")
        if name in ("redirect", "exp"):
            _check_domain(value, term)
        elif not _MACRO_STRING.fullmatch(value):
            raise SpfError(f"{term!r} is not valid")
        modifiers[name] = value
    return Record(
        directives=tuple(directives),
        redirect=modifiers.get("redirect", ""),
        explanation=modifiers.get("exp", ""),
    )


def _directive(term: str) -> Directive:
    found = _DIRECTIVE.fullmatch(term)
    if found is None or found[2].lower() not in MECHANISMS:
        raise SpfError(f"{term!r} is no mechanism of SPF")
    sign, name, mark, rest = found[1] or "+", found[2].lower(), found[3] or "", found[4] or ""
    if name == "all":
        if mark:
            raise SpfError(f"{term!r} must be plain 'all'")
        return Directive(text=term, qualifier=sign, name=name)
    if name in ("ip4", "ip6"):
        return Directive(text=term, qualifier=sign, name=name, network=_network(name, mark, rest, term))
    if name in ("a", "mx"):
        target, prefixes = _with_prefixes(mark, rest, term)
        return Directive(text=term, qualifier=sign, name=name, target=target, prefixes=prefixes)
    if mark == "/" or (not mark and name != "ptr"):
        raise SpfError(f"{term!r} needs a domain after a colon")
    if mark:
        _check_domain(rest, term)
    return Directive(text=term, qualifier=sign, name=name, target=rest)


def _network(name: str, mark: str, rest: str, term: str) -> IPv4Network | IPv6Network:
    address, slash, length = rest.partition("/")
    kind, pattern = (IPv4Network, r"0|[1-9][0-9]?") if name == "ip4" else (IPv6Network, r"0|[1-9][0-9]{0,2}")
    try:
        if mark != ":" or (slash and not re.fullmatch(pattern, length)):
            raise ValueError(term)
        network = ip_network(f"{address}/{length}" if slash else address, strict=False)
        if not isinstance(network, kind):
            raise ValueError(term)
    except ValueError:
        raise SpfError(f"{term!r} needs an {'IPv4' if name == 'ip4' else 'IPv6'} address") from None
    return network


def _with_prefixes(mark: str, rest: str, term: str) -> tuple[str, tuple[int, int]]:
    """The domain of ``a`` or ``mx``, and how many bits of the addresses count."""
    whole = rest if mark == ":" else f"/{rest}" if mark else ""
    match = _ENDS_WITH_CIDR.fullmatch(whole)
    target, end = match.groups() if match else (whole, "")
    cidr = _CIDR.fullmatch(end)
    if cidr is None:
        raise SpfError(f"{term!r} has a prefix length that cannot be")
    four, six = (int(cidr[1] or 32) if cidr[1] != "0" else 0), (int(cidr[2] or 128) if cidr[2] != "0" else 0)
    if four > 32 or six > 128:
        raise SpfError(f"{term!r} has a prefix length that cannot be")
    if mark == ":" or target:
        _check_domain(target, term)
    return target, (four, six)


def _check_domain(text: str, term: str) -> None:
    """A domain-spec: macros and letters, ending in a macro or in a label that is not a number."""
    if not _MACRO_STRING.fullmatch(text) or _ONLY_IN_EXPLANATIONS.search(text):
        raise SpfError(f"{term!r} does not name a domain")
    if not (_ends_in_a_macro(text) or _TOP_LABEL.search(text)):
        raise SpfError(f"{term!r} does not name a domain")


def _ends_in_a_macro(text: str) -> bool:
    pieces = re.findall(rf"{_MACRO}|.", text)
    return bool(pieces) and bool(_MACRO_END.match(pieces[-1]))
