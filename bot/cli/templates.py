"""Commands about the templates of a workspace."""

from __future__ import annotations

from pathlib import Path

import click

from bot.cli.opening import opened
from bot.cli.output import dry_run_option, plural, print_table


@click.group("templates", invoke_without_command=True)
@click.option("--all", "everything", is_flag=True, help="Also the shipped ones that you did not copy.")
@click.pass_context
def templates_command(ctx: click.Context, everything: bool) -> None:
    """Which templates are yours. The shipped ones serve until you copy one and change it."""
    if ctx.invoked_subcommand is not None:
        return
    from bot.app.own_templates import own_templates, shipped_names

    owned = {own.name: str(own.standing) for own in own_templates(opened(ctx.obj, readonly=True))}
    names = sorted({*owned, *(shipped_names() if everything else ())})
    if names:
        print_table(["Template", "What it is"], [(name, owned.get(name, "shipped")) for name in names])
    else:
        click.echo(
            "The shipped templates serve. 'bot templates --all' lists them; "
            "'bot templates copy NAME' makes one yours."
        )


@templates_command.command("copy")
@click.argument("names", nargs=-1, required=True)
@dry_run_option
@click.pass_obj
def copy_command(workspace: Path, names: tuple[str, ...], dry_run: bool) -> None:
    """Copy shipped templates here, to change them: NAMES like email/issue.mjml, or a folder like email."""
    from bot.app.own_templates import copy_templates

    made = copy_templates(opened(workspace, readonly=True), names, dry_run=dry_run)
    for path in made:
        click.echo(f"{'Would copy' if dry_run else 'Copied'} to {path}")
    if not made:
        click.echo("They are here already, and stay as they are.")


@templates_command.command("diff")
@click.argument("name")
@click.pass_obj
def diff_command(workspace: Path, name: str) -> None:
    """Show what your template NAME changes in the shipped one of today."""
    from bot.app.own_templates import difference

    click.echo(difference(opened(workspace, readonly=True), name) or "There is no difference.", nl=False)


@templates_command.command("remove-copies")
@dry_run_option
@click.pass_obj
def remove_copies_command(workspace: Path, dry_run: bool) -> None:
    """Delete templates here that nobody changed, so that the shipped ones serve."""
    from bot.app.own_templates import remove_copies

    gone = remove_copies(opened(workspace, readonly=True), dry_run=dry_run)
    click.echo(
        f"{'Would remove' if dry_run else 'Removed'} {plural(len(gone), 'template')} that nobody had changed."
    )
