"""``bot go-live`` and ``bot rehearse``: a person's decision, after a look at what it means."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.findings import show_before_live, show_findings
from bot.cli.opening import opened
from bot.cli.output import echo, plural, warn, when
from bot.cli.planning import moment_rows, show_moments

if TYPE_CHECKING:
    from bot.app.going_live import Launch
    from bot.app.words import Outgoing

DAYS = 7  # shown before the question


@click.command("go-live")
@click.option("--yes", is_flag=True, help="Do not ask, for scripts.")
@click.pass_obj
def go_live_command(workspace: Path, yes: bool) -> None:
    """Examine everything, show what goes out next, ask, and set mode = "live" in bot.toml.

    What it shows is kept: a slot that is past, but not by more than max_lateness, goes out with the next run.
    Exit code 1, and nothing is changed, when something must be mended first.
    """
    from bot.app.doctor import examine
    from bot.app.going_live import change_mode, check_override, launch

    here = opened(workspace, readonly=True)
    if here.mode == "live":
        echo("It is live already; 'bot rehearse' goes back.")
        return
    check_override(workspace, "live")
    seen = asyncio.run(examine(here))
    show_findings(seen.findings)
    if seen.before_live:
        show_before_live(seen)
    if seen.forbids_live:
        echo("\nNot live: nothing was changed. Mend what stands above, then again: bot go-live", err=True)
        sys.exit(1)
    live = opened(workspace, readonly=True, mode="live")
    now = datetime.now(live.settings.publication.timezone)
    _show(launch(live, now), now)
    if not yes and click.prompt('\nType "live" to send for real from now on', default="no") != "live":
        echo("Not live: nothing was changed.", err=True)
        sys.exit(1)
    change_mode(workspace, "live")
    echo(
        "Live: mode = \"live\" stands in bot.toml. 'bot run' sends what is due (start one anew that "
        "runs already). 'bot rehearse' goes back."
    )


@click.command("rehearse")
@click.pass_obj
def rehearse_command(workspace: Path) -> None:
    """Set mode = "rehearsal" in bot.toml: from then on nothing leaves this computer."""
    from bot.app.going_live import change_mode, check_override

    here = opened(workspace, readonly=True)
    if here.mode == "rehearsal":
        echo("It rehearses already; 'bot go-live' sends for real.")
        return
    check_override(workspace, "rehearsal")
    change_mode(workspace, "rehearsal")
    echo(
        "Rehearsal: mode = \"rehearsal\" stands in bot.toml. A 'bot run' that is running still sends: "
        "stop it, or 'bot hold' stops everything at once."
    )


def _show(launch: Launch, now: datetime) -> None:
    """The next issue of each newsletter with its items, then the next days."""
    echo("\nWhat goes out once it is live:")
    for line in launch.coming.missed:
        warn(line)
    for out in launch.issues:
        _show_issue(out, now)
    near = [(at, plan) for at, plan in launch.coming.moments if at <= now + timedelta(days=DAYS)]
    show_moments([row for at, plan in near for row in moment_rows(at, plan)], DAYS, False)


def _show_issue(out: Outgoing, now: datetime) -> None:
    from bot.model import Issue

    issue = out.what
    assert isinstance(issue, Issue)  # noqa: S101
    time = f"AT ONCE, for the slot of {when(issue.slot)}" if issue.slot <= now else when(issue.slot)
    echo(f"{issue.newsletter} {issue.number}: {time}, to {plural(out.recipients, 'reader')}")
    echo(f"  Subject: {out.message.subject}")
    for item in issue.items:
        echo(f"  - {item.title} ({item.id})")
    for line in out.left_out:
        warn(line)
