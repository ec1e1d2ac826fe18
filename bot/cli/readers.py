"""Commands about readers. A listing shows addresses, since it is asked for; nothing else ever does."""

from __future__ import annotations

from pathlib import Path

import click

from bot.cli.output import dry_run_option, json_option, plural, print_json, print_table

_NOT_LISTED = {
    False: "This address is not on the list. It is noted: later imports leave it out.",
    True: "This address is not on the list. It would be noted: later imports would leave it out.",
}


@click.group("subscribers")
def subscribers_command() -> None:
    """Add, import, list and remove readers."""


@subscribers_command.command("add")
@click.argument("address")
@click.option("--name", default="", help="How to greet this reader.")
@click.option("--lang", default="", help="The reader's language.")
@click.option("--newsletter", "newsletters", multiple=True, help="Default: all newsletters.")
@dry_run_option
@click.pass_obj
def add(
    workspace: Path, address: str, name: str, lang: str, newsletters: tuple[str, ...], dry_run: bool
) -> None:
    """Add one reader, who must have asked for it."""
    from bot.app.readers import add_reader
    from bot.app.workspace import Workspace

    here = Workspace(workspace, readonly=dry_run)
    new = add_reader(here, address, name=name, lang=lang, newsletters=newsletters, dry_run=dry_run)
    verb = "Would add" if dry_run else "Added"
    click.echo(f"{verb} 1 reader." if new else "This reader is on the list already.")


@subscribers_command.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--newsletter", "newsletters", multiple=True, help="Default: all newsletters.")
@dry_run_option
@json_option
@click.pass_obj
def import_(workspace: Path, file: Path, newsletters: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Import readers from a CSV FILE.

    It needs a column 'email'; 'name' and 'language' are welcome.
    Whoever left stays away, whatever the file says. All rows go in, or after a crash none.
    """
    from bot.app.readers import import_readers
    from bot.app.workspace import Workspace

    here = Workspace(workspace, readonly=dry_run)
    result = import_readers(here, file, newsletters=newsletters, dry_run=dry_run)
    if as_json:
        print_json(result)
        return
    for row in result.refused[:20]:
        click.secho(f"{file}:{row.line}: ", fg="yellow", nl=False, err=True)
        click.echo(row.reason, err=True)
    if len(result.refused) > 20:
        click.echo(f"... and {len(result.refused) - 20:,} more rows; --json lists them all", err=True)
    verb = "Would add" if dry_run else "Added"
    click.echo(
        f"{verb} {plural(result.added, 'reader')}, changed {result.changed:,}, "
        f"unchanged {result.unchanged:,}, left out {result.suppressed:,} who unsubscribed, "
        f"refused {plural(len(result.refused), 'row')}."
    )


@subscribers_command.command("remove")
@click.argument("address")
@dry_run_option
@click.pass_obj
def remove(workspace: Path, address: str, dry_run: bool) -> None:
    """Remove one reader for good.

    From every newsletter; later imports do not bring them back.
    """
    from bot.app.readers import remove_reader
    from bot.app.workspace import Workspace

    known = remove_reader(Workspace(workspace, readonly=dry_run), address, dry_run=dry_run)
    done = "Would remove" if dry_run else "Removed"
    click.echo(f"{done} the reader." if known else _NOT_LISTED[dry_run])


@subscribers_command.command("list")
@click.option("--newsletter", help="Default: the first one in bot.toml.")
@json_option
@click.pass_obj
def list_(workspace: Path, newsletter: str | None, as_json: bool) -> None:
    """List the readers of a newsletter."""
    from bot.app.readers import list_readers
    from bot.app.workspace import Workspace

    readers = list(list_readers(Workspace(workspace, readonly=True), newsletter))
    if as_json:
        print_json([{"address": r.address, "name": r.name, "lang": r.lang} for r in readers])
        return
    print_table(["Address", "Name", "Language"], [(r.address, r.name, r.lang) for r in readers])
    click.echo(plural(len(readers), "reader"))
