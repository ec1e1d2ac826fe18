"""``bot send-test``: the next issue to one address, marked as a test."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.opening import opened
from bot.cli.output import dry_run_option, echo, warn
from bot.cli.publishing import now_of

if TYPE_CHECKING:
    from bot.app.send_test import Draft
    from bot.app.workspace import Workspace


@click.command("send-test")
@click.argument("items", nargs=-1)
@click.option("--to", "address", required=True, help="The address that gets the test.")
@click.option("--newsletter", help="Default: the first one in bot.toml that has items.")
@click.option("--rehearse", is_flag=True, help="Write the mail as a file in outbox/ instead.")
@click.option("--yes", is_flag=True, help="Do not ask on a terminal before a rehearsal's test is sent.")
@click.option("--now", "now_text", help="With --rehearse or --dry-run: as if it were this time.")
@dry_run_option
@click.pass_obj
def send_test_command(
    workspace: Path,
    items: tuple[str, ...],
    address: str,
    newsletter: str | None,
    rehearse: bool,
    yes: bool,
    now_text: str | None,
    dry_run: bool,
) -> None:
    """Really send the next issue, or one of the named ITEMS (drafts too), to one address: in rehearsal too.

    Its unsubscribe link leads to a page that says what it does in the real mail. The account's pace counts
    the mail; the ledger does not.
    """
    from bot.app.send_test import compose_test, require_account

    if now_text and not (rehearse or dry_run):
        raise click.UsageError("--now is for --rehearse and --dry-run: a mail that is sent says when it was.")
    here = opened(workspace, readonly=True)
    now = now_of(here, now_text, dry_run=True)
    test = compose_test(here, address, items, newsletter=newsletter, now=now)
    what = f"{test.message.subject!r} to {test.to.address}"
    if dry_run:
        echo(f"Would {'write' if rehearse else 'send'} {what}; nothing was sent.")
        return
    if rehearse:
        _write(here, test)
        return
    require_account(here, test.channel)
    if here.mode == "rehearsal" and not yes and sys.stdin.isatty():
        click.confirm(f"This really sends {what}. Send it?", abort=True)
    _send(opened(workspace), test, what)


def _write(here: Workspace, test: Draft) -> None:
    from bot.app.send_test import write_test

    receipt = asyncio.run(write_test(here, test))
    echo(f"Rehearsed: {here.outbox_folder / receipt.remote_id}")


def _send(here: Workspace, test: Draft, what: str) -> None:
    from bot.app.send_test import link_problem, send_test

    receipt = asyncio.run(send_test(here, test))
    echo(f"Sent {what}: {receipt.note or receipt.remote_id}")
    if here.mode == "rehearsal":
        echo("Only this test was sent: everything else still rehearses.")
    if problem := asyncio.run(link_problem(test.link)):
        warn(problem)
