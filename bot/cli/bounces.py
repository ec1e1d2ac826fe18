"""The command about mail that comes back."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.opening import opened
from bot.cli.output import dry_run_option, echo, json_option, plural, print_json, print_table, warn, when

if TYPE_CHECKING:
    from bot.app.bounces import BounceReport, Readings
    from bot.app.workspace import Workspace

TRY_AGAIN = 75  # what a mail server that hands us a mail understands as "later" (sysexits: EX_TEMPFAIL)
_MEANINGS = {
    "dead": "the address does not exist",
    "full": "full, suspended or out of reach",
    "sender": "our fault: authentication, policy, reputation",
    "complaint": "complained",
    "notice": "delayed or delivered: nothing to do",
}


@click.command("bounces")
@click.option(
    "--maildir", type=click.Path(file_okay=False, path_type=Path), help="Read this Maildir, not the mailbox."
)
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read this file, a mail or the JSON of a mail service; may be repeated.",
)
@click.option("--stdin", "piped", is_flag=True, help="Read one mail from standard input: a pipe of Postfix.")
@click.option("--report", "only_report", is_flag=True, help="Read nothing; say what came back in 30 days.")
@click.option(
    "--unsigned", "only_unsigned", is_flag=True, help="Read nothing; list reports without our token."
)
@dry_run_option
@json_option
@click.pass_context
def bounces_command(
    ctx: click.Context,
    maildir: Path | None,
    files: tuple[Path, ...],
    piped: bool,
    only_report: bool,
    only_unsigned: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Read bounces and complaints, and stop writing to addresses that are dead.

    The mailbox is that of [bounces] in bot.toml. What was understood is moved to the folder for what is
    done; autoreplies and mail of people stay where they are, unread. Exit code 1 when something needs a
    person; with --stdin 75 whenever it should be tried again.
    """
    if piped:
        ctx.exit(_from_pipe(ctx.obj, dry_run=dry_run))
    from bot.app.attending import attend
    from bot.app.bounces import report
    from bot.app.postbox import box_opener
    from bot.audience.bounces.boxes import Files

    readonly = dry_run or only_report or only_unsigned
    here, now = opened(ctx.obj, readonly=readonly), datetime.now(UTC)
    if only_unsigned:
        _show_unsigned(here, now, as_json=as_json)
        return
    if only_report:
        _show_report(report(here, now=now), as_json=as_json)
        return
    open_box = (lambda: Files(files)) if files else box_opener(here, maildir)
    found = attend(here, open_box, now, dry_run=dry_run)
    if as_json:
        print_json({"while_sending": found[0], "mailbox": found[1]})
    else:
        _show(here, found, dry_run=dry_run)
    ctx.exit(1 if any(each.problems for each in found) else 0)


def _show(here: Workspace, found: list[Readings], *, dry_run: bool) -> None:
    refused, read = found
    only_looked = dry_run or here.mode == "rehearsal"
    kinds = {kind: refused.kinds.get(kind, 0) + read.kinds.get(kind, 0) for kind in _MEANINGS}
    if any(kinds.values()):
        rows = [(kind, count, _MEANINGS[kind]) for kind, count in kinds.items() if count]
        print_table(["What", "How many", "Meaning"], rows)
    echo(
        f"{plural(read.mails, 'mail')}: {read.left} left where they are, {read.again} seen before, "
        f"{read.strangers} about nobody on the list."
    )
    for reason, count in sorted((Counter(refused.stopped) + Counter(read.stopped)).items()):
        verb = "Would stop writing to" if only_looked else "Stopped writing to"
        echo(f"{verb} {plural(count, 'reader')}: {reason}.")
    if read.left_by_mail:
        verb = "would be" if only_looked else "were"
        echo(f"{plural(read.left_by_mail, 'subscription')} {verb} ended by mail to the unsubscribe address.")
    if read.unsigned:
        echo(f"Unsigned reports: {read.unsigned}; look at them with 'bot bounces --unsigned'.")
    for problem in dict.fromkeys((*refused.problems, *read.problems)):
        warn(problem)
    if dry_run:
        echo("Dry run: nothing was noted and nothing was moved.")
    elif only_looked:
        echo('This workspace rehearses: nothing was noted and nothing was moved (mode = "live" does).')


def _show_report(found: BounceReport, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    if not found.returned:
        echo("Nothing came back in 30 days.")
        return
    rows = [(r.kind, r.code, r.readers, r.said[:60]) for r in found.returned]
    print_table(["What", "Code", "Readers", "For example"], rows, title="What came back in 30 days")
    if found.issues:
        issues = [
            (f"{each.newsletter} {each.number}", f"{each.total:,}", _kinds_in_words(each.readers))
            for each in found.issues
        ]
        print_table(["Issue", "Sent to", "Came back, in readers"], issues)
    for reason, count in found.stopped.items():
        echo(f"Stopped writing to {plural(count, 'reader')}: {reason}.")
    if found.faults:
        echo(f"The mail systems of {plural(found.faults, 'reader')} blamed us in the last day.")


def _kinds_in_words(readers: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in readers.items())


def _show_unsigned(here: Workspace, now: datetime, *, as_json: bool) -> None:
    """With addresses: it is the organiser who asks, to look whether somebody is really gone."""
    from bot.app.unsigned import too_many_unsigned, unsigned_reports

    found = unsigned_reports(here, now)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("No unsigned report about a reader was read in 30 days.")
        return
    rows = [(when(r.heard_at), r.address, r.kind, r.code, "kept" if r.waits else "") for r in found]
    title = "Unsigned reports of 30 days: anybody can write them"
    print_table(["Read", "About", "What", "Code", ""], rows, title=title)
    if problem := too_many_unsigned(here, now):
        warn(problem)


def _from_pipe(root: Path, *, dry_run: bool) -> int:
    """Whatever goes wrong, the mail server keeps the mail and tries again: any other code would lose it."""
    try:
        _take_one(root, sys.stdin.buffer.read(), dry_run=dry_run)
    except Exception as error:  # its words may hold a part of the mail
        from bot.errors import BroadsideError

        words = str(error) if isinstance(error, BroadsideError) else type(error).__name__
        echo(f"try again later: {words}", err=True)
        return TRY_AGAIN
    return 0


def _take_one(root: Path, raw: bytes, *, dry_run: bool) -> None:
    from bot.app.bounces import read_bounces
    from bot.app.postbox import pipe
    from bot.errors import UserError

    here = opened(root, readonly=dry_run)
    if here.mode == "rehearsal" and not dry_run:
        raise UserError('this workspace rehearses; set mode = "live" to take mail')
    read_bounces(here, pipe(here, raw), now=datetime.now(UTC), dry_run=dry_run)
