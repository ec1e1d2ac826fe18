"""``bot plan``: what goes out when, and why an item waits. One screen; the rest behind ``--all``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.opening import opened
from bot.cli.output import json_option, plural, print_json, print_table, warn, when
from bot.cli.publishing import now_of

if TYPE_CHECKING:
    from bot.app.workspace import Workspace
    from bot.model import Plan, Waiting
    from bot.planner import Outlook

MOST_MOMENTS = 14  # rows on one screen
MOST_GROUPS = 8
MOST_NAMES = 3


@click.command("plan")
@click.option(
    "--days", default=7, show_default=True, type=click.IntRange(1, 366), help="How far to look ahead."
)
@click.option("--now", "now_text", help="As if it were this time.")
@click.option("--all", "everything", is_flag=True, help="Every slot, and every waiting item by itself.")
@json_option
@click.pass_obj
def plan_command(workspace: Path, days: int, now_text: str | None, everything: bool, as_json: bool) -> None:
    """What goes out when in the next days, and why an item waits."""
    from bot.app.plan import outlook
    from bot.app.publish import holds

    here = opened(workspace, readonly=True)
    now = now_of(here, now_text, dry_run=True)
    seen = outlook(here, now, days=days)
    if as_json:
        print_json(_as_json(seen))
        return
    stop = holds(here).get("*")
    if stop:
        click.secho(f"Everything is on hold: {stop}. Nothing goes out before 'bot resume'.", fg="red")
    if stop and not everything:
        return
    for line in seen.missed:
        warn(line)
    if until := _rehearsed_until(here, now):
        click.echo(f"Rehearsed up to {when(until)} already; 'bot forget-rehearsal' takes that back.")
    show_moments(
        [row for moment, plan in seen.moments for row in moment_rows(moment, plan)], days, everything
    )
    _show_waiting(seen.waiting, everything)


def show_moments(rows: list[tuple[object, ...]], days: int, everything: bool) -> None:
    """A screen of them, or all."""
    if not rows:
        click.echo(f"Nothing goes out in the next {plural(days, 'day')}.")
        return
    shown = rows if everything else rows[:MOST_MOMENTS]
    print_table(["When", "Where", "What"], shown, title=f"The next {plural(days, 'day')}")
    if len(rows) > len(shown):
        click.echo(f"{plural(len(rows) - len(shown), 'more slot')}: bot plan --all")


def moment_rows(moment: datetime, plan: Plan) -> Iterator[tuple[object, ...]]:
    """What goes out at that moment, a row for each."""
    for issue in plan.issues:
        yield when(moment), issue.newsletter, f"issue {issue.number}: {plural(len(issue.items), 'item')}"
    for post in plan.posts:
        yield when(moment), post.channel, post.item.id
    for notice in plan.notices:
        yield when(moment), "", notice


def _show_waiting(waiting: Sequence[Waiting], everything: bool) -> None:
    """Items that wait for the same thing are one row, unless ``everything`` is asked for."""
    groups: dict[tuple[str, str], list[str]] = {}
    for each in waiting:
        groups.setdefault((each.schedule, _common_reason(each)), []).append(each.item)
    rows = [(_names(items), where, reason) for (where, reason), items in groups.items()]
    shown = [(w.item, w.schedule, w.reason) for w in waiting] if everything else rows[:MOST_GROUPS]
    if shown:
        print_table(["Item", "Where", "Why it waits"], shown, title="Waiting")
    if len(rows) > MOST_GROUPS and not everything:
        click.echo(f"{plural(len(rows) - MOST_GROUPS, 'more reason')}: bot plan --all")


def _common_reason(waiting: Waiting) -> str:
    """How far back in the line makes no difference on one screen."""
    return "waits for its turn" if waiting.ahead else waiting.reason


def _names(items: list[str]) -> str:
    if len(items) <= MOST_NAMES:
        return ", ".join(items)
    return f"{', '.join(items[: MOST_NAMES - 1])} and {len(items) - MOST_NAMES + 1} more"


def _rehearsed_until(here: Workspace, now: datetime) -> datetime | None:
    """The last slot that a rehearsal has used up although it is still to come."""
    from bot.app.publish import history

    if here.mode != "rehearsal":
        return None
    last = max(history(here, now).last_slot.values(), default=None)
    return last.astimezone(now.tzinfo) if last and last > now else None


def _as_json(seen: Outlook) -> dict[str, object]:
    return {
        "moments": [
            {
                "at": moment,
                "issues": [
                    {"newsletter": i.newsletter, "number": i.number, "items": [x.id for x in i.items]}
                    for i in plan.issues
                ],
                "posts": [{"channel": p.channel, "item": p.item.id} for p in plan.posts],
                "notices": plan.notices,
            }
            for moment, plan in seen.moments
        ],
        "missed": seen.missed,
        "waiting": seen.waiting,
    }
