"""Commands about what we hold of people. What they show was asked for; nothing of it is logged."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from bot.cli.opening import opened
from bot.cli.output import dry_run_option, echo, json_option, plural, print_json, print_table


@click.command("show")
@click.argument("address")
@json_option
@click.pass_obj
def show(workspace: Path, address: str, as_json: bool) -> None:
    """Show everything that is held of one person, to hand it to them."""
    from bot.app.leaving import person

    held = person(opened(workspace, readonly=True), address)
    if as_json:
        print_json(held)
        return
    if not held:
        echo("Nothing is held of this person.")
    for table, rows in held.items():
        click.secho(f"\n{table}", bold=True)
        for row in rows:
            print_table(["", ""], [(name, _cell(value)) for name, value in row.items()])


def _cell(value: object) -> str:
    return "" if value is None else str(value)


@click.command("erase")
@click.argument("address")
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@click.pass_context
def erase(ctx: click.Context, address: str, yes: bool, dry_run: bool) -> None:
    """Forget one person for good. This cannot be taken back.

    Nothing stays but a keyed hash of the address, which keeps later imports from bringing them back. They
    can sign up again themselves. Backups of yours still hold what they hold. The exit code is 1 when
    something is left for you to do.
    """
    from bot.app.leaving import erase

    if not (yes or dry_run):
        click.confirm("Erase everything about this person? This cannot be taken back.", abort=True)
    here = opened(ctx.obj, readonly=dry_run)
    done = erase(here, address, now=datetime.now(UTC), dry_run=dry_run)
    verb = "Would erase" if dry_run else "Erased"
    who = "a reader" if done.was_reader else "somebody who is no reader"
    files = f" and {plural(done.files, 'file')} of rehearsals" if done.files else ""
    echo(f"{verb} {who}: {plural(done.rows, 'row')}{files}. Later imports leave this address out.")
    for path in done.left:
        echo(f"{path} holds this address, too: change it, or delete it.", err=True)
    if not done.clean:
        echo(
            "The database's file still holds an old copy, because another program reads it at this moment;"
            " run it again.",
            err=True,
        )
    ctx.exit(0 if done.clean and not done.left else 1)


@click.command("export")
@click.argument("folder", type=click.Path(path_type=Path))
@click.pass_obj
def export_command(workspace: Path, folder: Path) -> None:
    """Write everything out into a new FOLDER, to go elsewhere: CSV and JSON for each table.

    Readers with what they chose, suppressions, consent, bounces, issues and posts. Only you may read the
    folder: it holds addresses. Items are files already: take queue/ along.
    """
    from bot.app.leaving import export_everything

    counts = export_everything(opened(workspace, readonly=True), folder)
    print_table(["File", "Rows"], [(f"{name}.csv, .json", f"{count:,}") for name, count in counts.items()])
    echo(f"Everything is in {folder}. It holds addresses: keep it as you keep your keys.")
