"""Commands of the first five minutes."""

from __future__ import annotations

import asyncio
import shlex
import sys
from pathlib import Path

import click

from bot.cli.opening import opened
from bot.cli.output import dry_run_option, json_option, print_json

_MARKS = {"block": ("✗", "red"), "warn": ("!", "yellow"), "info": ("✓", "green")}


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@dry_run_option
def init_command(folder: Path, dry_run: bool) -> None:
    """Make a workspace in FOLDER: bot.toml, .env with a fresh key, templates, and the sample queue.

    Files that are there already stay as they are.
    """
    from bot.app.setup import make_workspace

    made = make_workspace(folder, dry_run=dry_run)
    if not made:
        click.echo(f"{folder} is a workspace already; nothing to do.")
        return
    click.echo(f"{'Would make' if dry_run else 'Made'} {len(made)} files in {folder}.")
    click.echo(f"Next: cd {shlex.quote(str(folder))} && bot preview --open")


@click.command("doctor")
@click.option("--offline", is_flag=True, help="Ask no server.")
@json_option
@click.pass_obj
def doctor_command(workspace: Path, offline: bool, as_json: bool) -> None:
    """What is configured, what is missing, which channel answers. Sends nothing. Exit code 1 on a fault."""
    from bot.app.doctor import examine

    findings = asyncio.run(examine(opened(workspace, readonly=True), offline=offline))
    if as_json:
        print_json(findings)
    else:
        for finding in findings:
            mark, colour = _MARKS[finding.level]
            click.secho(f"{mark} ", fg=colour, nl=False)
            click.echo(finding.message)
    if any(finding.level == "block" for finding in findings):
        sys.exit(1)
