"""Commands of the first five minutes."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.findings import show_before_live, show_findings, show_names
from bot.cli.opening import opened
from bot.cli.output import dry_run_option, json_option, print_json

if TYPE_CHECKING:
    from bot.app.doctor import Examination
    from bot.app.workspace import Workspace
    from bot.deliverability.finding import NameFinding


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--sample", is_flag=True, help="With the 25 sample items and all channels, to rehearse with.")
@dry_run_option
def init_command(folder: Path, sample: bool, dry_run: bool) -> None:
    """Make a workspace in FOLDER: bot.toml, .env with a fresh key, and a queue with one example draft.

    Files that are there already stay as they are.
    """
    from bot.app.setup import make_workspace

    made = make_workspace(folder, sample=sample, dry_run=dry_run)
    if not made:
        click.echo(f"{folder} is a workspace already; nothing to do.")
        return
    names = dict.fromkeys(path.relative_to(folder).parts[0] for path in made)
    click.echo(f"{'Would make' if dry_run else 'Made'} in {folder}: {', '.join(names)}")
    here = shlex.quote(str(folder))
    if sample:
        click.echo(f"Next: cd {here} && bot preview")
    else:
        click.echo(
            f"Next: cd {here}, write your title, time zone and slots into bot.toml, then: bot add --help"
        )


@click.command("doctor")
@click.option("--offline", is_flag=True, help="Ask no server.")
@click.option("--dns", is_flag=True, help="Also ask DNS whether receivers will believe your mail.")
@click.option("--resolver", default="", metavar="IP[:PORT]", help="Ask this DNS server (with --dns).")
@click.option(
    "--address",
    "addresses",
    multiple=True,
    metavar="IP",
    help="Where your mail leaves from, as receivers see it (with --dns).",
)
@json_option
@click.pass_obj
def doctor_command(
    workspace: Path, offline: bool, dns: bool, resolver: str, addresses: tuple[str, ...], as_json: bool
) -> None:
    """What is configured, what is missing, which channel answers: in rehearsal too. Sends nothing.

    Each account that is set up is tried: encryption, login, rights, the sender. Exit code 1 when something
    that is set up does not work; what is not filled in yet stands under "Before going live".

    With --dns: SPF, DKIM, DMARC, the names of addresses, who takes the bounces, the mail server's
    certificate; and the record to publish, word for word.
    """
    if offline and dns:
        raise click.UsageError("--offline asks nobody and --dns asks DNS; choose one.")
    if (resolver or addresses) and not dns:
        raise click.UsageError("--resolver and --address belong to --dns.")
    here = opened(workspace, readonly=True)
    seen, names = asyncio.run(_examined(here, offline, dns, resolver, addresses))
    if as_json:
        print_json([*seen.findings, *seen.before_live, *names])
    else:
        show_findings(seen.findings)
        if here.mode == "rehearsal":
            show_before_live(seen)
        if names:
            show_names(names)
    if seen.is_faulty or any(name.level == "block" for name in names):
        sys.exit(1)


async def _examined(
    here: Workspace, offline: bool, dns: bool, resolver: str, addresses: Sequence[str]
) -> tuple[Examination, list[NameFinding]]:
    """Names are asked for only when somebody wants it."""
    from bot.app.deliverability import examine_names
    from bot.app.doctor import examine
    from bot.deliverability.names import Dns

    seen = await examine(here, offline=offline)
    if not dns:
        return seen, []
    return seen, await examine_names(here, Dns(resolver), now=datetime.now(UTC), addresses=addresses)
