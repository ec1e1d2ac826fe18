"""Commands about other programs that are told what happens."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from bot.cli.opening import opened
from bot.cli.output import echo, json_option, plural, print_json, print_table, when


@click.group("hooks")
def hooks_command() -> None:
    """Other programs that are told what happens: list them, tell them again, try them out."""


@hooks_command.command("list")
@json_option
@click.pass_obj
def list_(workspace: Path, as_json: bool) -> None:
    """List the hooks of bot.toml, and what they did not take. Exit code 1 when one needs a person."""
    from bot.app.hooks import statuses

    here = opened(workspace, readonly=True)
    found, zone = statuses(here), here.settings.publication.timezone
    if as_json:
        print_json(found)
    elif not found:
        echo("There is no [hooks.NAME] in bot.toml: nobody is told.")
    else:
        rows = [
            (h.name, h.to, h.counts.sent, h.counts.planned, h.counts.failed, h.paused or "-") for h in found
        ]
        print_table(["Hook", "Where", "Told", "Waiting", "Failed", "Paused"], rows)
        failed = [
            (call.hook, call.event, when(call.at.astimezone(zone)), call.said)
            for h in found
            for call in h.failed
        ]
        if failed:
            print_table(["Hook", "Event", "When", "The last answer"], failed, title="Not taken")
    if any(hook.paused or hook.counts.failed for hook in found):
        sys.exit(1)


@hooks_command.command("retry", short_help="Tell the hook NAME again what it did not take.")
@click.argument("name")
@click.pass_obj
def retry(workspace: Path, name: str) -> None:
    """End the pause of the hook NAME, and tell it again what it did not take."""
    from bot.app.hooks import try_again

    count = try_again(opened(workspace), name, now=datetime.now(UTC))
    echo(f"{plural(count, 'event')} will be told to {name} when 'bot run' or 'bot serve' looks again.")


@hooks_command.command("test", short_help="Send the hook NAME a signed test event, now.")
@click.argument("name")
@click.pass_obj
def test(workspace: Path, name: str) -> None:
    """Tell the hook NAME a signed event of the type "test", now. Exit code 1 when it was not taken."""
    from bot.app.hooks import try_out

    here = opened(workspace)
    answer = asyncio.run(try_out(here, name, now=datetime.now(UTC)))
    echo(f"{name}: {answer.said}")
    if here.mode == "live" and not (answer.status and 200 <= answer.status < 300):
        sys.exit(1)
