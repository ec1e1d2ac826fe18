"""STOP and go."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from bot.cli.opening import opened
from bot.cli.output import dry_run_option, echo, plural


@click.command("hold")
@click.argument("what", required=False, default="everything")
@click.option("--because", default="", help="Shown to whoever asks why nothing goes out.")
@click.option("--by", default="", help="Who holds it; default: your login name.")
@dry_run_option
@click.pass_obj
def hold_command(workspace: Path, what: str, because: str, by: str, dry_run: bool) -> None:
    """Stop WHAT at once: an item, a channel, a newsletter, or everything (the default).

    A send that is running stops after the messages that are on the wire. A file called STOP in the workspace
    does the same as holding everything.
    """
    from bot.app.control import hold

    scope = hold(
        opened(workspace, readonly=dry_run),
        what,
        by=by or getpass.getuser(),
        because=because,
        dry_run=dry_run,
    )
    echo(f"{'Would hold' if dry_run else 'Held'}: {_spoken(scope)}. Go on with: bot resume {what}")


@click.command("resume")
@click.argument("what", required=False, default="everything")
@dry_run_option
@click.pass_obj
def resume_command(workspace: Path, what: str, dry_run: bool) -> None:
    """Take the hold on WHAT away again (default: the hold on everything)."""
    from bot.app.brakes import has_stop_file
    from bot.app.control import resume

    here = opened(workspace, readonly=dry_run)
    scope, was_held = resume(here, what, dry_run=dry_run)
    if not was_held:
        echo(f"Not held: {_spoken(scope)}.")
    else:
        echo(f"{'Would resume' if dry_run else 'Resumed'}: {_spoken(scope)}.")
    if has_stop_file(here):
        echo(f"A file called STOP still lies in {here.root.resolve()}: remove it to go on.")


@click.command("cancel")
@click.argument("issue")
@click.option("--because", default="", help="Kept in the ledger with each letter that does not go out.")
@click.option("--by", default="", help="Who cancels it; default: your login name.")
@dry_run_option
@click.pass_obj
def cancel_command(workspace: Path, issue: str, because: str, by: str, dry_run: bool) -> None:
    """Cancel ISSUE, which is on its way: what has not begun never goes out. This cannot be taken back.

    ISSUE is its newsletter, its number ("i12") or its name as 'bot status' shows it. To stop it for a while
    only, use 'bot hold'.
    """
    from datetime import UTC, datetime

    from bot.app.control import cancel

    mailing, left = cancel(
        opened(workspace, readonly=dry_run),
        issue,
        by=by or getpass.getuser(),
        because=because,
        now=datetime.now(UTC),
        dry_run=dry_run,
    )
    done = "Would cancel" if dry_run else "Cancelled"
    echo(f"{done} {mailing.subject}: {plural(left, 'letter')} not sent.")


@click.command("forget-rehearsal")
@dry_run_option
@click.pass_obj
def forget_rehearsal_command(workspace: Path, dry_run: bool) -> None:
    """Take back what was rehearsed: its slots are free again, and outbox/ is empty.

    Readers, holds and everything that was sent for real stay as they are.
    """
    from bot.app.rehearsing import forget

    slots = forget(opened(workspace, readonly=dry_run), dry_run=dry_run)
    verb = "Would forget" if dry_run else "Forgot"
    echo(f"{verb} the rehearsal: {plural(slots, 'slot')} free again, outbox/ is emptied.")


def _spoken(scope: str) -> str:
    return "everything" if scope == "*" else scope
