"""Commands about readers. A listing shows addresses, since it is asked for; nothing else ever does."""

from __future__ import annotations

import gc
import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.opening import opened
from bot.cli.output import dry_run_option, echo, json_option, plural, print_json, print_table
from bot.cli.privacy import erase, show
from bot.printable import printable, printable_json

if TYPE_CHECKING:
    from bot.app.readers import Imported
    from bot.audience.exporting import Person
    from bot.audience.survey import Question

_AROUND, _FEW = 7, 10  # lines of a screen that are no readers; readers that are shown on the smallest
_SERVICES = (
    *("mailchimp", "listmonk", "substack", "ghost", "buttondown", "kit", "beehiiv", "phplist"),
    *("google-groups", "kobo", "hubspot", "klaviyo", "csv"),
)
_FATES = ("reads", "left", "dead", "never-agreed")
_NOT_LISTED = {
    False: "This address is not on the list. It is noted: later imports leave it out.",
    True: "This address is not on the list. It would be noted: later imports would leave it out.",
}


@click.group("subscribers")
def subscribers_command() -> None:
    """Add, import, export, list, show, remove and erase readers."""


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

    here = opened(workspace, readonly=dry_run)
    new = add_reader(here, address, name=name, lang=lang, newsletters=newsletters, dry_run=dry_run)
    verb = "Would add" if dry_run else "Added"
    echo(f"{verb} 1 reader." if new else "This reader is on the list already.")


@subscribers_command.command(
    "import", short_help="Import readers from FILE, a table or another service's export."
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--newsletter", "newsletters", multiple=True, help="Default: those the list names, or all.")
@click.option(
    "--from",
    "service",
    type=click.Choice(_SERVICES),
    help="Who gave the list out; default: what it looks like.",
)
@click.option("--encoding", default="", help="Of a table that is neither UTF-8 nor from western Windows.")
@click.option(
    "--as",
    "answers",
    type=(click.Choice(_FATES), str),
    multiple=True,
    metavar="FATE VALUE",
    help="What a value means that nobody knows: VALUE, COLUMN=VALUE or COLUMN=*. May be given again.",
)
@click.option(
    "--answers",
    "answer_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of such answers, a line each: FATE VALUE.",
)
@click.option("--left", is_flag=True, help="Everybody in FILE left: suppress them all.")
@dry_run_option
@json_option
@click.pass_context
def import_(
    ctx: click.Context,
    file: Path,
    newsletters: tuple[str, ...],
    service: str | None,
    encoding: str,
    answers: tuple[tuple[str, str], ...],
    answer_file: Path | None,
    left: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Import readers from FILE: a CSV table, or what Mailchimp, listmonk and others gave out.

    A table needs a column of addresses; names and languages are welcome. Whoever left stays away, whatever
    the file says, and whoever left elsewhere is left alone here. A value that may mean so, and that nobody
    knows, is asked about before anything is imported. All rows go in, or after a crash none. Rows that
    cannot be used are left out and shown, and the exit code is 1.
    """
    from bot.app.readers import OpenQuestions, import_readers
    from bot.audience.states import Fate
    from bot.audience.survey import read_answers
    from bot.cli.progress import reading_file

    here = opened(ctx.obj, readonly=dry_run)
    gc.freeze()  # all modules stay: nobody has to look through them while a million rows come and go
    gc.set_threshold(50_000)  # rows are no garbage: three batches of them are on their way at any time
    said = [*answers, *(read_answers(answer_file.read_text(encoding="utf-8")) if answer_file else ())]

    def run() -> Imported:
        with reading_file(file) as tell:
            return import_readers(
                here,
                file,
                newsletters=newsletters,
                service=service or "",
                encoding=encoding,
                answers=said,
                everybody=Fate.LEFT if left else None,
                dry_run=dry_run,
                tell=tell,
            )

    try:
        result = run()
    except OpenQuestions as error:
        if as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        said += _ask(error.questions)
        result = run()
    if as_json:
        print_json(result)
    else:
        _show_import(file, result, dry_run=dry_run)
    ctx.exit(1 if result.refused else 0)


def _show_import(file: Path, result: Imported, *, dry_run: bool) -> None:
    _show_refusals(file, result)
    echo(result.told)
    verb = "Would add" if dry_run else "Added"
    echo(
        f"{verb} {plural(result.added, 'reader')}, changed {result.changed:,}{_changes(result)}, "
        f"unchanged {result.unchanged:,}, left out {result.suppressed:,} who unsubscribed, "
        f"refused {plural(result.refused, 'row')}."
    )
    if result.left or result.left_before or result.stayed:
        noted = "Would suppress" if dry_run else "Suppressed"
        echo(
            f"{noted} {result.left:,} who left there; {result.left_before:,} were so already"
            + (f"; {result.stayed:,} stay, who confirmed here in person." if result.stayed else ".")
        )
    for why, count in result.not_taken.items():
        echo(f"Not taken: {count:,} whose row says: {why}.")
    if result.set_aside:
        echo(f"Left out {result.set_aside:,} more: another row says that they are not taken.")
    if dry_run:
        _show_fates(result)
    if result.added or result.changed:
        echo("A list proves no consent: everybody on it must have agreed to get this newsletter.")


def _ask(questions: Sequence[Question]) -> list[tuple[str, str]]:
    """What each of these values means, by a person at a terminal."""
    echo("Nothing is imported before these are answered.", err=True)
    said = []
    for question in questions:
        echo(question.told, err=True)
        fate = click.prompt("  These people", type=click.Choice(_FATES), err=True)
        said.append((fate, f"{question.column}={question.value}"))
    return said


def _show_fates(result: Imported) -> None:
    for fate, count in result.fates.items():
        echo(f"  {fate}: {count:,} ({', '.join(result.examples.get(fate, ()))})")


def _changes(result: Imported) -> str:
    what = ", ".join(f"{name} of {count:,}" for name, count in result.changes.items() if count)
    return f" ({what})" if what else ""


def _show_refusals(file: Path, result: Imported) -> None:
    for row in result.refusals[:20]:
        place = f"{file}:{row.part}:{row.line}" if row.part else f"{file}:{row.line}"
        click.secho(f"{place}: ", fg="yellow", nl=False, err=True)
        echo(row.reason, err=True)
    if result.refused > 20:
        more = f"... and {result.refused - 20:,} more rows; --json lists the first {len(result.refusals):,}"
        echo(more, err=True)
        for reason, count in list(result.reasons.items())[:10]:
            echo(f"{count:>9,} x {reason}", err=True)


@subscribers_command.command("export")
@click.option("--newsletter", help="Default: the first one in bot.toml.")
@click.option("--format", "form", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@click.option("--full", is_flag=True, help="Also which newsletters each reader gets, and how.")
@click.option("--to", type=click.Path(dir_okay=False, path_type=Path), help="Default: standard output.")
@click.pass_obj
def export(workspace: Path, newsletter: str | None, form: str, full: bool, to: Path | None) -> None:
    """Write out the readers of a newsletter: address, name and language.

    In CSV a cell that a spreadsheet program would take for a formula gets an apostrophe before it; the
    import takes it away again. A FILE is there whole or not at all, and only its owner may read it.
    """
    from bot.app.readers import export_readers
    from bot.files import replacing

    pieces = export_readers(opened(workspace, readonly=True), newsletter, form=form, full=full)
    place = replacing(to) if to else nullcontext(sys.stdout.buffer)
    with place as file:
        for piece in pieces:
            file.write(piece.encode())
        file.flush()


@subscribers_command.command("remove")
@click.argument("address")
@dry_run_option
@click.pass_obj
def remove(workspace: Path, address: str, dry_run: bool) -> None:
    """Remove one reader for good.

    From every newsletter; later imports do not bring them back.
    """
    from bot.app.readers import remove_reader

    known = remove_reader(opened(workspace, readonly=dry_run), address, dry_run=dry_run)
    done = "Would remove" if dry_run else "Removed"
    echo(f"{done} the reader." if known else _NOT_LISTED[dry_run])


@subscribers_command.command("list")
@click.option("--newsletter", help="Default: the first one in bot.toml.")
@click.option("--all", "everybody", is_flag=True, help="Everybody, a line each, also on a terminal.")
@json_option
@click.pass_obj
def list_(workspace: Path, newsletter: str | None, everybody: bool, as_json: bool) -> None:
    """List the readers of a newsletter.

    A terminal shows the first of them as a table. A file or a pipe gets everybody, a line each: address,
    name and language, with tabs between.
    """
    from bot.app.readers import list_readers

    count, pages = list_readers(opened(workspace, readonly=True), newsletter)
    if as_json:
        _print_objects(pages)
    elif everybody or not sys.stdout.isatty():
        for page in pages:
            click.echo("".join([f"{_line(person)}\n" for person in page]), nl=False)
        echo(plural(count, "reader"), err=True)
    else:
        _print_first(count, pages)


def _print_objects(pages: Iterable[Sequence[Person]]) -> None:
    """One array, an object in each line."""
    before = "[\n"
    for page in filter(None, pages):
        rows = ({"address": address, "name": name, "lang": lang} for address, name, lang in page)
        lines = ",\n".join([json.dumps(row, ensure_ascii=False) for row in rows])
        echo(before + printable_json(lines), nl=False)
        before = ",\n"
    echo("[]" if before == "[\n" else "\n]")


def _print_first(count: int, pages: Iterable[Sequence[Person]]) -> None:
    """As many as fit a screen."""
    screenful = max(shutil.get_terminal_size().lines - _AROUND, _FEW)
    print_table(["Address", "Name", "Language"], next(iter(pages), ())[:screenful])
    if count <= screenful:
        echo(plural(count, "reader"))
    else:
        echo(f"The first {screenful} of {count:,} readers. Everybody: bot subscribers list --all")


def _line(person: Person) -> str:
    """One reader on one line, whatever is in the name."""
    if all(cell.isprintable() for cell in person):
        return "\t".join(person)
    return "\t".join(map(printable, person))


subscribers_command.add_command(show)
subscribers_command.add_command(erase)
