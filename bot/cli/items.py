"""Commands about the items of the queue."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.opening import opened
from bot.cli.output import dry_run_option, echo, json_option, plain, plural, print_json, print_table, when
from bot.model import Finding
from bot.printable import printable

if TYPE_CHECKING:
    from bot.app.item_states import ItemStanding, Place

STATES = (
    "draft",
    "approved",
    "held",
    "waiting",
    "planned",
    "sending",
    "sent",
    "delayed",
    "failed",
    "unknown",
)

TITLE_SHOWN = 40  # characters, in a table


@click.command("list")
@click.option("--status", type=click.Choice(STATES), help="Only these.")
@click.option("--lang", help="Only items in this language.")
@json_option
@click.pass_obj
def list_command(workspace: Path, status: str | None, lang: str | None, as_json: bool) -> None:
    """List the items of the queue: where each stands, the worst first, and the files that cannot be read."""
    from bot.app.item_states import item_standings
    from bot.app.items import stray_findings
    from bot.model import speaks

    here = opened(workspace, readonly=True)
    now, queue = datetime.now(here.settings.publication.timezone), here.read_queue()
    found = [
        each
        for each in item_standings(here, queue.items, now)
        if status in (None, each.item.status, *(place.state for place in each.places))
        and (not lang or speaks(each.item.lang, (lang,)))
    ]
    if as_json:
        items = [{**plain(each.item), "state": each.state, "places": each.places} for each in found]
        print_json({"items": items, "errors": [str(error) for error in queue.errors]})
    else:
        rows = [(e.item.id, e.state, _place(e), e.item.lang, _short(e.item.title)) for e in found]
        print_table(["Item", "State", "Where", "Lang", "Title"], rows)
        echo(plural(len(found), "item"))
        for finding in stray_findings(here):
            echo(f"{finding.level}: {finding}", err=True)
    _tell(queue.errors)
    if queue.errors:
        sys.exit(4)


def _place(standing: ItemStanding) -> str:
    """The place that explains the state, and how many others there are."""
    if not standing.places or standing.state in ("draft", "held", "waiting"):
        return ""
    first, *others = standing.places
    at = f" {first.at:%a} {first.at.day} {first.at:%b}" if first.at else ""
    return f"{first.where}{at}" + (f" +{len(others)}" if others else "")


def _short(title: str) -> str:
    """As much of a headline as fits beside the rest on one line."""
    return title if len(title) <= TITLE_SHOWN else f"{title[: TITLE_SHOWN - 1].rstrip()}…"


@click.command("show")
@click.argument("item")
@json_option
@click.pass_obj
def show_command(workspace: Path, item: str, as_json: bool) -> None:
    """Show one item, where it stands in each newsletter and channel, and what the checks say of it."""
    from bot.app.item_states import item_standings
    from bot.app.items import findings_of

    here = opened(workspace, readonly=True)
    found = here.item(item)
    findings = findings_of(here, [found])
    now = datetime.now(here.settings.publication.timezone)
    places = next(
        (s.places for s in item_standings(here, here.read_queue().items, now) if s.item.id == found.id), ()
    )
    if as_json:
        print_json({"item": found, "places": places, "findings": findings})
        return
    click.secho(printable(found.title), bold=True)
    echo(f"{found.source} · {found.published} · {found.region}".rstrip(" ·"))
    echo(f"{found.url}\n{found.status}, {found.lang}, {found.path}\n")
    for place in places:
        echo(_told(place))
    echo("")
    if found.content_warning:
        echo(f"Content note: {found.content_warning}\n")
    echo("\n\n".join(part for part in (found.summary, found.body) if part))
    for finding in findings:
        echo(f"{finding.level}: {finding}", err=True)


def _told(place: Place) -> str:
    """ "weekly: sent, issue 3, Fri 4 Dec 2026 09:00, https://..." """
    parts = (str(place.state), place.detail, when(place.at) if place.at else "", place.url)
    return f"{place.where}: {', '.join(part for part in parts if part)}"


@click.command("check")
@click.argument("items", nargs=-1)
@json_option
@click.pass_obj
def check_command(workspace: Path, items: tuple[str, ...], as_json: bool) -> None:
    """Check every item, or the named ones. Exit code 4 when one cannot be used."""
    from bot.app.items import check_items

    result = check_items(opened(workspace, readonly=True), items)
    if as_json:
        print_json(
            {
                "findings": result.findings,
                "errors": [str(e) for e in result.errors],
                "checked": result.checked,
            }
        )
    else:
        _print_findings(result.findings)
        _tell(result.errors)
        unreadable = len(result.errors)
        echo(f"{plural(result.checked, 'item')} checked, {result.blocked} blocked, {unreadable} unreadable")
    if result.blocked or result.errors:
        sys.exit(4)


@click.command("add")
@click.argument(
    "file", required=False, type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
)
@click.option("--title", help="The headline, when there is no file.")
@click.option("--url", help="The link, when there is no file.")
@click.option("--source", default="", help="Who published it; default: the link's host.")
@click.option("--published", type=click.DateTime(["%Y-%m-%d"]), help="Its date; default: today.")
@click.option("--summary", default="", help="Two or three sentences of your own.")
@click.option("--lang", default="", help="Its language; default: the publication's.")
@click.option("--tag", "tags", multiple=True, help="May be given several times.")
@click.option("--by", "added_by", default="", help="Who adds it.")
@dry_run_option
@click.pass_obj
def add_command(
    workspace: Path,
    file: Path | None,
    title: str | None,
    url: str | None,
    source: str,
    published: datetime | None,
    summary: str,
    lang: str,
    tags: tuple[str, ...],
    added_by: str,
    dry_run: bool,
) -> None:
    """Add an item from a FILE, from standard input (-), or from --title and --url.

    It is added as a draft: nothing is published before an editor approves it.
    """
    from bot.app.items import add_item, add_text, added_findings

    here = opened(workspace, readonly=dry_run)
    if file:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
        name = "" if str(file) == "-" else file.stem
        item = add_text(here, text, name=name, dry_run=dry_run)
    elif title and url:
        item = add_item(
            here,
            title=title,
            url=url,
            source=source,
            published=published,
            summary=summary,
            lang=lang,
            tags=tags,
            added_by=added_by,
            dry_run=dry_run,
        )
    else:
        raise click.UsageError("Give a FILE, '-' for standard input, or both --title and --url.")
    echo(f"{'Would save' if dry_run else 'Saved'} {item.path} as a draft; nothing is published.")
    _print_findings(added_findings(here, item))
    echo(f"Next: bot approve {item.id}")


@click.command("approve")
@click.argument("items", nargs=-1, required=True)
@click.option("--by", default="", envvar="BOT_EDITOR", help="Who approves; default: your login name.")
@click.option("--duplicate-ok", is_flag=True, help="Also a story that is in the queue or went out already.")
@dry_run_option
@click.pass_obj
def approve_command(
    workspace: Path, items: tuple[str, ...], by: str, duplicate_ok: bool, dry_run: bool
) -> None:
    """Approve ITEMS: only approved items ever go out. A blocked item cannot be approved.

    A story that is in the queue or went out already is asked about; without a terminal it is not approved.
    """
    from bot.app.items import approval_findings, approve, is_duplicate

    here = opened(workspace, readonly=dry_run)
    findings = approval_findings(here, items)
    _print_findings(findings)
    if any(map(is_duplicate, findings)) and not duplicate_ok and sys.stdin.isatty():
        duplicate_ok = click.confirm("It looks like the same story. Approve it all the same?")
    for done in approve(here, items, findings, by=by, duplicate_ok=duplicate_ok, dry_run=dry_run):
        echo(f"{'Would approve' if dry_run else 'Approved'} {done.id}: {done.title}")


def _print_findings(findings: Iterable[Finding]) -> None:
    for finding in findings:
        click.secho(f"{finding.level}: ", fg="red" if finding.level == "block" else "yellow", nl=False)
        echo(str(finding))


def _tell(errors: Iterable[Exception]) -> None:
    for error in errors:
        click.secho("unreadable: ", fg="red", nl=False, err=True)
        echo(str(error), err=True)
