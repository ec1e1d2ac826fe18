"""How findings look: a mark, a sentence; for names in DNS a table, and what to publish, word for word."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from bot.cli.output import echo, print_table

if TYPE_CHECKING:
    from bot.app.doctor import Examination
    from bot.deliverability.finding import NameFinding
    from bot.model import Finding

_MARKS = {"block": ("✗", "red"), "warn": ("!", "yellow"), "info": ("✓", "green")}


def show_findings(findings: Iterable[Finding]) -> None:
    """One line each."""
    for finding in findings:
        mark, colour = _MARKS[finding.level]
        click.secho(f"{mark} ", fg=colour, nl=False)
        echo(finding.message)


def show_before_live(seen: Examination) -> None:
    """What is still to do: a cross keeps it from going live, the rest is a person's to judge."""
    if not (seen.forbids_live or seen.before_live):
        echo("\nBefore going live: nothing is missing. Next: bot go-live")
        return
    echo("\nBefore going live:")
    if seen.is_faulty:
        echo("- mend what has a ✗ above")
    for finding in sorted(seen.before_live, key=lambda finding: finding.level != "block"):
        echo(f"{'-' if finding.level == 'block' else '?'} {finding.message}")
    echo("A - must be done, a ? is yours to judge. Then: bot send-test --to you@your-domain, bot go-live")


def show_names(findings: Sequence[NameFinding]) -> None:
    """The table, then each record on lines of its own, so that it can be copied."""
    rows = [(_MARKS[f.level][0], f.rule.removeprefix("dns."), f.message) for f in findings]
    print_table(("", "what", "found"), rows)
    to_publish = {(f.name, f.kind, f.publish): f for f in findings if f.publish}
    if to_publish:
        echo("To publish in DNS:\n")
    for name, kind, value in to_publish:
        echo(f"{name}  {kind}\n{value}\n")
