"""``bot dkim``: the key that signs the mail, and the record that belongs to it."""

from __future__ import annotations

import asyncio
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.findings import show_names
from bot.cli.opening import opened
from bot.cli.output import dry_run_option, json_option, print_json

if TYPE_CHECKING:
    from bot.app.dkim import Place, SigningKey
    from bot.deliverability.finding import NameFinding

channel_option = click.option("--channel", help="Which [channels.*]; default: the newsletter's.")


@click.group("dkim")
def dkim_command() -> None:
    """Make, show and renew the key that signs the mail (DKIM).

    The private half stays in a file that only you can read; the public half goes into DNS.
    """


@dkim_command.command()
@channel_option
@click.option("--domain", help="Default: the domain of the newsletter's From address.")
@click.option("--selector", help="The key's name in DNS; default: mail and the month.")
@dry_run_option
@click.pass_obj
def make(
    workspace: Path, channel: str | None, domain: str | None, selector: str | None, dry_run: bool
) -> None:
    """Make the first key of a channel."""
    from bot.app.dkim import make_key, place_for

    here = opened(workspace, readonly=True)
    place = place_for(here, channel=channel, domain=domain, selector=selector, today=_today())
    if dry_run:
        _would(place)
        return
    key = make_key(here, place)
    click.echo(f"Made {place.file}: RSA of {key.bits} bits. Never share it; back it up with the ledger.\n")
    click.echo("1. Publish this TXT record.\n")
    _show_record(key)
    click.echo(f"\n2. Wait until this says that it is there:\n\n   {_check(place)}\n")
    click.echo(f"3. Put this into bot.toml:\n\n{_settings(place)}")


@dkim_command.command()
@channel_option
@click.option("--selector", help="A key that was made and is not in use yet.")
@click.option("--check", is_flag=True, help="Ask DNS whether the record is there and the same.")
@click.option("--resolver", default="", metavar="IP[:PORT]", help="Ask this DNS server.")
@json_option
@click.pass_obj
def show(
    workspace: Path, channel: str | None, selector: str | None, check: bool, resolver: str, as_json: bool
) -> None:
    """Show the record that must stand in DNS. With --check the exit code is 1 when it does not."""
    from bot.app.dkim import present_key, published
    from bot.deliverability.names import Dns

    key = present_key(opened(workspace, readonly=True), channel=channel, selector=selector)

    async def asked() -> list[NameFinding]:
        return await published(Dns(resolver), key)

    findings = asyncio.run(asked()) if check else []
    if as_json:
        print_json({"name": key.place.record_name, "record": key.record, "key": key, "findings": findings})
    elif not check:
        click.echo("The TXT record of this key:\n")
        _show_record(key)
    _end(findings, quiet=as_json)


@dkim_command.command()
@channel_option
@click.option("--selector", help="The next key's name in DNS; default: mail and the month.")
@dry_run_option
@click.pass_obj
def rotate(workspace: Path, channel: str | None, selector: str | None, dry_run: bool) -> None:
    """Make the next key. The present one signs until you switch in bot.toml."""
    from bot.app.dkim import KEEP_DAYS, make_key, place_for_next, present_key

    here = opened(workspace, readonly=True)
    old = present_key(here, channel=channel, selector=None)
    place = place_for_next(here, channel=channel, selector=selector, today=_today())
    if dry_run:
        _would(place)
        return
    key = make_key(here, place)
    click.echo(f"Made {place.file}. {old.place.selector} signs until you switch.\n")
    click.echo("1. Publish this TXT record.\n")
    _show_record(key)
    click.echo(f"\n2. Wait until this says that it is there:\n\n   {_check(place)}\n")
    click.echo(f"3. Then switch, in bot.toml, and start 'bot run' again:\n\n{_settings(place)}")
    click.echo(
        f"\n4. Leave {old.place.record_name} in DNS for {KEEP_DAYS} more days: mail that it signed may still "
        f"be on its way. Then publish 'v=DKIM1; p=' there, and delete {old.place.file}."
    )


def _today() -> date:
    return date.today()  # noqa: DTZ011 - a person's day


def _would(place: Place) -> None:
    click.echo(f"Would make {place.file} for {place.record_name}; nothing was written.")


def _check(place: Place) -> str:
    return f"bot dkim show --channel {place.channel} --selector {place.selector} --check"


def _settings(place: Place) -> str:
    lines = (
        f"[channels.{place.channel}]",
        f'dkim_domain = "{place.domain}"',
        f'dkim_selector = "{place.selector}"',
        f'dkim_key_file = "{place.file.as_posix()}"',
    )
    return "\n".join(f"   {line}" for line in lines)


def _show_record(key: SigningKey) -> None:
    from bot.deliverability.tags import zone_line

    name = key.place.record_name
    click.echo(f"   In a web form, name (some forms add .{key.place.domain} themselves):\n\n{name}\n")
    click.echo(f"   and value, on one line:\n\n{key.record}\n")
    click.echo(f"   Or in a zone file:\n\n{zone_line(name, 'TXT', key.record)}")


def _end(findings: list[NameFinding], *, quiet: bool) -> None:
    if findings and not quiet:
        show_names(findings)
    if any(finding.level == "block" for finding in findings):
        sys.exit(1)
