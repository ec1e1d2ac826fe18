"""Commands about what goes out."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.fast import run_fast
from bot.cli.opening import opened
from bot.cli.output import (
    dry_run_option,
    echo,
    json_option,
    open_in_browser,
    plural,
    print_json,
    print_table,
    warn,
    when,
)
from bot.cli.waiting import waits_are_told
from bot.printable import printable

if TYPE_CHECKING:
    from bot.app.periodic import Done
    from bot.app.publish import Tick
    from bot.app.words import Outgoing
    from bot.app.workspace import Workspace

SCREEN = 56  # lines of words that a dry run shows
LONG = 3.0  # seconds of silence after which people wonder


def moment_of(here: Workspace, text: str | None, option: str) -> datetime | None:
    """A time on the command line: ISO 8601, in the publication's zone where it names none."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{option}: {text!r} is not a time; write '2026-11-27 09:00'") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=here.settings.publication.timezone)


def now_of(here: Workspace, text: str | None, *, dry_run: bool) -> datetime:
    if text and here.mode == "live" and not dry_run:
        raise click.UsageError("--now is for rehearsals and dry runs; in live mode the time is the time.")
    return moment_of(here, text, "--now") or datetime.now(here.settings.publication.timezone)


@click.command("preview")
@click.argument("items", nargs=-1)
@click.option("--newsletter", help="Only this newsletter; default: all of them.")
@click.option(
    "--to", "folder", type=click.Path(file_okay=False, path_type=Path), help="Default: outbox/preview."
)
@click.option("--open", "open_it", is_flag=True, help="Open the page in your browser.")
@click.option("--now", "now_text", help="As if it were this time.")
@click.option("--all", "everything", is_flag=True, help="With --dry-run: every word, not one screen of them.")
@dry_run_option
@click.pass_obj
def preview_command(
    workspace: Path,
    items: tuple[str, ...],
    newsletter: str | None,
    folder: Path | None,
    open_it: bool,
    now_text: str | None,
    everything: bool,
    dry_run: bool,
) -> None:
    """Write the next issue and its posts, or those of the named ITEMS, as pages to look at."""
    from bot.app.preview import draft, preview

    here = opened(workspace, readonly=True)
    now = now_of(here, now_text, dry_run=True)
    if dry_run:
        outgoing = draft(here, items, newsletter=newsletter, now=now)
        _show_words(outgoing, most=None if everything else SCREEN)
        _warn_left_out(outgoing)
        return
    target = folder or here.outbox_folder / "preview"
    page, outgoing = preview(here, items, newsletter=newsletter, now=now, folder=target)
    _show_lengths(outgoing)
    _warn_left_out(outgoing)
    echo(f"Open {page}")
    if open_it:
        open_in_browser(page)


@click.command("run")
@click.option("--once", is_flag=True, help="One idempotent tick, for cron or a CI schedule.")
@click.option("--now", "now_text", help="As if it were this time (rehearsal and dry run only).")
@click.option("--until", "until_text", help="With --now: play all slots up to this time, in one go.")
@dry_run_option
@json_option
@click.pass_obj
def run_command(
    workspace: Path, once: bool, now_text: str | None, until_text: str | None, dry_run: bool, as_json: bool
) -> None:
    """Send what is due, again and again; with --once just now, for cron.

    Exit code 1 when a delivery failed or needs a person's answer.
    """
    here = opened(workspace, readonly=dry_run)
    now = now_of(here, now_text, dry_run=dry_run)
    until = moment_of(here, until_text, "--until")
    if until and not now_text:
        raise click.UsageError("--until needs --now: together they say which time is rehearsed.")
    if until and dry_run:  # a dry run records nothing, so that every slot would show the same item
        raise click.UsageError("--until does not go with --dry-run; 'bot plan' shows the coming days.")
    if once or now_text or dry_run:
        beside: list[Done] = []
        ticks, was_stopped = run_fast(_ticks(here, now, until or now, beside, dry_run=dry_run))
        _tell(here, ticks, dry_run=dry_run, as_json=as_json, beside=beside)
        if now_text and any(tick.outgoing for _, tick in ticks) and not (dry_run or as_json):
            _tell_rehearsed_time(now, until)
        if was_stopped:
            echo("Stopped. What is left waits for the next run.", err=True)
        sys.exit(130 if was_stopped else _exit_code(ticks) or int(any(done.problem for done in beside)))
    run_fast(_loop(here))


def _tell_rehearsed_time(start: datetime, end: datetime | None) -> None:
    """What ``--now`` moves: the slots up to then count as rehearsed."""
    until = f"from {when(start)} to {when(end)}" if end else f"as if it were {when(start)}"
    click.echo(
        f"Rehearsed {until}: these slots and items now count as gone out in the rehearsal. "
        "'bot forget-rehearsal' takes that back."
    )


async def _ticks(
    here: Workspace, start: datetime, end: datetime, beside: list[Done], *, dry_run: bool
) -> tuple[list[tuple[datetime, Tick]], bool]:
    """What the ticks did, and whether a person stopped them; ``beside`` gets what the periodic tasks did."""
    from bot.app.loop import play

    stop = stop_on_signals()
    patience = asyncio.create_task(_say_where_to_look()) if here.mode == "live" and not dry_run else None
    try:
        with waits_are_told():
            played = play(here, start, end, stop, dry_run=dry_run, beside=beside.append)
            return [each async for each in played], stop.is_set()
    finally:
        if patience:
            patience.cancel()
        await here.close()


async def _say_where_to_look() -> None:
    """Whoever sits before a silent terminal learns that something happens."""
    if sys.stderr.isatty():
        await asyncio.sleep(LONG)
        echo("Sending. How far it is, in another terminal: bot status --watch", err=True)


async def _loop(here: Workspace) -> None:
    from bot.app.loop import run_until_stopped
    from bot.cli.logs import log_to_stderr

    log_to_stderr()
    stop = stop_on_signals()
    echo(f"Running in {here.mode} mode; stop with Ctrl-C. What is on the wire is finished first.")
    try:
        await run_until_stopped(here, stop, lambda now, tick: _tell(here, [(now, tick)], quiet=True))
    finally:
        await here.close()


def stop_on_signals() -> asyncio.Event:
    """Set by the first Ctrl-C or SIGTERM, so that no outcome is lost; the second one ends it at once."""
    import signal

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def first() -> None:
        stop.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    if threading.current_thread() is threading.main_thread():  # the only one that may
        for number in numbers:
            loop.add_signal_handler(number, first)
    return stop


def _exit_code(ticks: Iterable[tuple[datetime, Tick]]) -> int:
    return int(any(t.report and (t.report.failed or t.report.unknown or t.report.problems) for _, t in ticks))


def _tell(
    here: Workspace,
    ticks: list[tuple[datetime, Tick]],
    *,
    dry_run: bool = False,
    as_json: bool = False,
    quiet: bool = False,
    beside: Iterable[Done] = (),
) -> None:
    from bot.app.outbox import write_index

    outgoing = [out for _, tick in ticks for out in tick.outgoing]
    sent = sum(tick.report.sent for _, tick in ticks if tick.report)
    page = write_index(here) if sent and here.mode == "rehearsal" else None
    if as_json:
        reports = [t.report for _, t in ticks if t.report]
        found = [each for each in beside if each.said or each.problem]
        print_json({"outgoing": outgoing, "reports": reports, "page": page, "beside": found})
        return
    if dry_run:
        _show_words(outgoing)
    elif outgoing:
        _show_lengths(outgoing)
    lines = tuple(dict.fromkeys(line for _, tick in ticks for line in _lines(tick)))
    for line in lines:
        warn(line)
    done = _summary(ticks)
    if done:
        echo(f"{'Rehearsed' if here.mode == 'rehearsal' else 'Done'}: {done}")
    told = _show_beside(beside)
    left = not dry_run and bool(done or not quiet) and _show_left(here)
    if not (outgoing or done or left or quiet):
        echo("Nothing else is due." if lines or told else "Nothing is due.")
    if page:
        echo(f"Open {page}")
    if dry_run and outgoing:
        echo("Dry run: nothing was written and nothing was sent.")


def _show_beside(beside: Iterable[Done]) -> bool:
    """A line for each periodic task that did something or could not; whether there was one."""
    told = [each for each in beside if each.said or each.problem]
    for each in told:
        if each.problem:
            warn(each.problem)
        else:
            echo(f"Beside: {each.said}.")
    return bool(told)


def _show_left(here: Workspace) -> bool:
    """A line for each issue that is not over, with the reason where it stands still; whether there is one."""
    from bot.app.status import underway

    issues = underway(here)
    for issue in issues:
        why = f"; {issue.briefly}" if issue.standstill else ""
        echo(f"Not over: {issue.subject} ({issue.id}), {issue.done:,} of {issue.total:,} done{why}")
    return bool(issues)


def _lines(tick: Tick) -> Iterable[str]:
    yield from tick.plan.missed
    yield from tick.plan.notices
    yield from tick.problems
    if tick.report:
        yield from tick.report.problems
        yield from tick.report.notices


def _summary(ticks: Iterable[tuple[datetime, Tick]]) -> str:
    total: dict[str, int] = {}
    for _, tick in ticks:
        for name in ("sent", "deferred", "failed", "unknown", "cancelled"):
            total[name] = total.get(name, 0) + (getattr(tick.report, name) if tick.report else 0)
    return ", ".join(f"{count:,} {name}" for name, count in total.items() if count)


def _show_lengths(outgoing: Iterable[Outgoing]) -> None:
    """One row for each thing that goes out."""
    rows = []
    for out in outgoing:
        to, size = plural(out.recipients, "recipient"), f"{out.length:,} of {out.limit:,}"
        rows.append((when(out.what.slot), out.channel, _named(out), to, size))
    print_table(["When", "Channel", "What", "To", "Length"], rows)


def _named(out: Outgoing) -> str:
    from bot.model import Issue

    issue = out.what
    if not isinstance(issue, Issue):
        return issue.id
    return f"{issue.newsletter} {issue.number}: {plural(len(issue.items), 'item')}"


def _show_words(outgoing: Iterable[Outgoing], *, most: int | None = None) -> None:
    """Every word that would go out; ``most``: the first lines of it, and how to see the others."""
    lines = [line for out in outgoing for line in _words_of(out)]
    shown = lines if most is None else lines[:most]
    for line in shown:
        click.secho(printable(line), bold=line.startswith("== "))
    if len(shown) < len(lines):
        echo(f"{plural(len(lines) - len(shown), 'more line')}: add --all")


def _words_of(out: Outgoing) -> Iterator[str]:
    yield f"== {when(out.what.slot)}  {out.channel}  {_named(out)}"
    yield f"   to {plural(out.recipients, 'recipient')}, length {out.length:,} of {out.limit:,}"
    if out.message.subject:
        yield f"Subject: {out.message.subject}"
    if out.message.content_note:
        yield f"Content note: {out.message.content_note}"
    for media in out.message.media:
        yield f"Picture: {media.path.name}: {media.alt}"
    yield from ("", *out.message.text.rstrip().splitlines(), "")


def _warn_left_out(outgoing: Iterable[Outgoing]) -> None:
    """The items that stay out of their issue, and why."""
    for line in (line for out in outgoing for line in out.left_out):
        warn(line)
