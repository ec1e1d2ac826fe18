"""Macros of SPF (RFC 7208, section 7): ``%{ir}.%{v}._spf.%{d2}``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from bot.deliverability.names import Address
from bot.deliverability.spf.record import SpfError

LONGEST_NAME = 253
_MACRO = re.compile(r"%(?:\{([a-z])([0-9]*)(r?)([.+,/_=-]*)\}|([%_-]))", re.IGNORECASE)
_PLAIN = {"%": "%", "_": " ", "-": "%20"}


def letters(
    *, address: Address, sender: str, domain: str, helo: str, validated: str, now: int = 0
) -> Mapping[str, str]:
    """What each letter stands for. ``now`` is a Unix time; only an explanation may hold it."""
    local, _, sender_domain = sender.rpartition("@")
    return {
        "s": sender,
        "l": local,
        "o": sender_domain,
        "d": domain,
        "i": dotted(address),
        "p": validated,
        "v": "in-addr" if address.version == 4 else "ip6",
        "h": helo,
        "c": str(address),
        "r": "unknown",
        "t": str(now),
    }


def needs_validated_name(text: str) -> bool:
    """Whether ``%{p}`` is in it, which costs questions."""
    return bool(re.search(r"%\{p", text, re.IGNORECASE))


def expanded(text: str, values: Mapping[str, str]) -> str:
    """Raises SpfError for a macro that cannot be."""
    if "%" in _MACRO.sub("", text):
        raise SpfError(f"{text!r} holds a macro that does not exist")
    return _MACRO.sub(lambda match: _expanded(match, values), text)


def as_domain(text: str, values: Mapping[str, str]) -> str:
    """Expanded, without the last dot; what is too long loses labels on its left."""
    name = expanded(text, values).removesuffix(".")
    while len(name) > LONGEST_NAME and "." in name:
        name = name.partition(".")[2]
    return name


def dotted(address: Address) -> str:
    """192.0.2.1 as it is; an IPv6 address as its 32 digits with dots between them."""
    return str(address) if address.version == 4 else ".".join(address.exploded.replace(":", "").upper())


def _expanded(match: re.Match[str], values: Mapping[str, str]) -> str:
    letter, digits, turned, delimiters, plain = match.groups()
    if plain:
        return _PLAIN[plain]
    if letter.lower() not in values or (digits and int(digits) == 0):
        raise SpfError(f"{match[0]!r} is a macro that does not exist")
    parts = re.split(f"[{re.escape(delimiters or '.')}]", values[letter.lower()])
    parts = parts[::-1] if turned else parts
    value = ".".join(parts[-int(digits) :] if digits else parts)
    return quote(value, safe="") if letter.isupper() else value
