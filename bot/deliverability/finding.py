"""What was found, of which name, and the record to publish there, word for word."""

from __future__ import annotations

from dataclasses import dataclass

from bot.model import Finding, Level


@dataclass(frozen=True, kw_only=True, slots=True)
class NameFinding(Finding):
    """A finding about a name in DNS. ``publish`` is a record's value; empty: there is nothing to publish."""

    name: str
    kind: str = "TXT"
    publish: str = ""


def good(rule: str, name: str, message: str) -> NameFinding:
    return NameFinding(level=Level.INFO, rule=f"dns.{rule}", name=name, message=message)


def doubtful(rule: str, name: str, message: str, *, publish: str = "", kind: str = "TXT") -> NameFinding:
    return NameFinding(
        level=Level.WARN, rule=f"dns.{rule}", name=name, message=message, publish=publish, kind=kind
    )


def wrong(rule: str, name: str, message: str, *, publish: str = "", kind: str = "TXT") -> NameFinding:
    return NameFinding(
        level=Level.BLOCK, rule=f"dns.{rule}", name=name, message=message, publish=publish, kind=kind
    )
