"""Commands about what happened."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.opening import opened
from bot.cli.output import dry_run_option, echo, json_option, plural, print_json, print_table, when
from bot.printable import printable

if TYPE_CHECKING:
    from bot.app.workspace import Workspace
    from bot.model import Delivery

_MESSAGE_ID = 32  # signs of a letter's key that stand before the @ of its Message-ID
STATES = ["planned", "claimed", "sent", "deferred", "failed", "unknown", "cancelled"]


@click.command("status")
@click.option("--state", type=click.Choice(STATES), help="List the deliveries in this state.")
@click.option("--channel", help="Only this channel.")
@click.option("--limit", default=50, show_default=True, help="How many deliveries to list.")
@click.option("--addresses", is_flag=True, help="Name the readers behind the listed deliveries.")
@click.option("--watch", is_flag=True, help="Follow the issues on their way until nothing is open.")
@json_option
@click.pass_obj
def status_command(
    workspace: Path,
    state: str | None,
    channel: str | None,
    limit: int,
    addresses: bool,
    watch: bool,
    as_json: bool,
) -> None:
    """What was sent, is due, failed, or is unknown.

    Exit code 1 while a delivery is unknown or an account is paused. What failed is listed and no reason for
    it: the run in which it failed ended with 1, and a dead address stays failed.
    """
    from bot.app.status import reader_addresses, status

    if watch:
        from bot.cli.watching import watch as follow

        follow(workspace)
    here = opened(workspace, readonly=True)
    found = status(here, state=state, channel=channel, limit=limit)
    if as_json:
        print_json(found)
    else:
        echo(f"Mode: {found.mode}" + (f", next: {when(found.next)}" if found.next else ""))
        for each in found.issues:
            still = f", {each.briefly}" if each.standstill else ""
            echo(f"On its way: {each.subject} ({each.id}), {each.done:,} of {each.total:,}{still}")
        for scope, reason in found.holds.items():
            click.secho(printable(f"Held: {'everything' if scope == '*' else scope} ({reason})"), fg="yellow")
        told = (
            *found.paused,
            *found.resting,
            *found.abandoned,
            *found.unsigned,
            *found.changed,
            *found.doubts,
            *found.signups,
        )
        for sentence in told:
            click.secho(printable(sentence), fg="yellow")
        used = [state for state in STATES if any(counts.get(state) for counts in found.counts.values())]
        rows = [
            (name, *(f"{counts[s]:,}" if counts.get(s) else "" for s in used))
            for name, counts in found.counts.items()
        ]
        if rows:
            title = "Deliveries: a post is one, an issue one for each reader"
            print_table(["Channel", *used], rows, title=title)
        else:
            echo("Nothing was sent yet.")
        if found.deliveries:
            readers = reader_addresses(here, found.deliveries) if addresses else {}
            _table(found.deliveries, here.settings.publication.timezone, readers)
            _say_how_to_look(here, found.deliveries)
    if found.has_unknown:
        echo("Unknown ones may have gone out. Look, then: bot settle KEY --sent (or --again)", err=True)
    if found.needs_a_person:
        sys.exit(1)


@click.command("retry")
@click.argument("keys", nargs=-1)
@dry_run_option
@json_option
@click.pass_obj
def retry_command(workspace: Path, keys: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Put failed deliveries back in line: those with KEYS (the first letters do), or all that failed."""
    from bot.app.control import retry

    found = retry(opened(workspace, readonly=dry_run), keys, now=datetime.now(UTC), dry_run=dry_run)
    if as_json:
        print_json(found)
        return
    echo(f"{'Would put' if dry_run else 'Put'} {plural(len(found), 'delivery')} back in line.")


@click.command("settle")
@click.argument("key")
@click.option("--sent", "answer", flag_value="sent", help="It is there: count it as sent.")
@click.option("--again", "answer", flag_value="again", help="It is not there: send it again.")
@click.option("--drop", "answer", flag_value="drop", help="Let it go.")
@dry_run_option
@click.pass_obj
def settle_command(workspace: Path, key: str, answer: str | None, dry_run: bool) -> None:
    """Say whether the unknown delivery KEY (its first letters do) went out."""
    if answer is None:
        raise click.UsageError("Say what you saw: --sent, --again or --drop.")
    from bot.app.control import settle

    here = opened(workspace, readonly=dry_run)
    done = settle(here, key, answer=answer, now=datetime.now(UTC), dry_run=dry_run)
    echo(f"{'Would be' if dry_run else 'Now'} {done.state}: {done.subject} on {done.channel}")


def _table(deliveries: Iterable[Delivery], zone: tzinfo, readers: Mapping[str, str]) -> None:
    """One row each; with the ``readers``' addresses, where somebody asked for them."""
    columns = ["Key", "Channel", "What", "State", "Tries", "When", "Said", *(["Reader"] if readers else [])]
    rows = [
        (
            d.short,
            d.channel,
            d.subject,
            d.state,
            d.attempts,
            when((d.settled_at or d.due).astimezone(zone)),
            d.error or _said(d),
            *([readers.get(d.recipient.id, "")] if readers else []),
        )
        for d in deliveries
    ]
    print_table(columns, rows)


def _say_how_to_look(here: Workspace, deliveries: Iterable[Delivery]) -> None:
    """Under which name the mail server's log knows a letter that a person must answer for."""
    channels = here.settings.channels
    for each in deliveries:
        channel = channels.get(each.channel)
        if each.state == "unknown" and channel and channel.type == "email":
            echo(f"In the mail server's log, {each.short} is Message-ID {each.key[:_MESSAGE_ID]}@...")


def _said(delivery: Delivery) -> str:
    receipt = delivery.receipt
    return delivery.error or ((receipt.url or receipt.remote_id or receipt.note) if receipt else "")
