"""The command that writes the archive for a web space."""

from __future__ import annotations

from pathlib import Path

import click

from bot.cli.opening import opened
from bot.cli.output import dry_run_option, json_option, plural, print_json


@click.command("build")
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Default: site, in the workspace.",
)
@click.option("--plain-files", is_flag=True, help="Links name files: readable from a disk, without a server.")
@dry_run_option
@json_option
@click.pass_obj
def build_command(
    workspace: Path, folder: Path | None, plain_files: bool, dry_run: bool, as_json: bool
) -> None:
    """Write everything that went out as a web site of plain files: pages, feeds, a search.

    The folder is complete or untouched. What did not change is not written again; what is gone is removed.
    """
    from bot.app.building import build

    here = opened(workspace, readonly=dry_run)
    done = build(here, folder or here.root / "site", plain_files=plain_files, dry_run=dry_run)
    if as_json:
        print_json(done)
        return
    said = f"{plural(done.pages, 'page')}; {done.written:,} files new or changed, {done.kept:,} as before"
    said += f", {done.removed:,} removed" if done.removed else ""
    click.echo(f"{'Would build' if dry_run else 'Built'} {said}.")
    if here.mode == "rehearsal":
        click.echo("A rehearsal: every page says so, and search engines are told to stay away.")
    if not dry_run:
        click.echo(f"Open {done.folder / 'index.html'}")
