"""One tick: recover, plan, render, record, send. A second one at the same moment finds nothing to do."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from operator import add

from bot.app.pacing import turnstile, wickets
from bot.app.words import Outgoing, issue_variants, issue_words, post_words
from bot.app.workspace import STOP_FILE, Workspace
from bot.audience.tokens import unsubscribe_tokens
from bot.channels.base import MassChannel
from bot.checks import check_item
from bot.errors import DeliveryError, UserError
from bot.model import History, Issue, Item, Level, Plan, Post, State, Status
from bot.planner import plan as make_plan
from bot.reader import Queue
from bot.sender import MailingSender, Report, Sender, Turnstile
from bot.sender.hand import Values
from bot.store.chunks import Mailing
from bot.store.lock import database_lock, tick_lock

Clock = Callable[[], datetime]
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """What one tick found and did; in a dry run, what it would have done."""

    plan: Plan
    outgoing: tuple[Outgoing, ...] = ()
    problems: tuple[str, ...] = ()  # items and templates that could not be used
    report: Report | None = None  # None in a dry run


async def tick(
    workspace: Workspace,
    now: datetime,
    *,
    dry_run: bool = False,
    clock: Clock | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Tick:
    """Everything that is due at ``now``. BusyError when another run holds the workspace's lock.

    Once ``stopping`` is true only the calls in flight are finished; the rest waits for the next tick.
    """
    with _lock(workspace, dry_run=dry_run):
        queue = workspace.read_queue()
        frozen = clock is None
        clock = clock or (lambda: now)
        sender = None if dry_run else _sender(workspace, clock, stopping, frozen=frozen)
        recovered = await _recover(workspace, sender, now) if sender else Report()
        if not dry_run:
            _note(workspace, queue, now)
        plan, problems = _planned(workspace, queue, now)
        outgoing, more = await _rendered(workspace, plan, refresh=not dry_run)
        report = None
        if sender:
            _record(workspace, plan, outgoing, now)
            mailers = mailers_of(workspace, clock, stopping, frozen=frozen)
            report = recovered + await _send(sender, mailers)
        return Tick(plan=plan, outgoing=outgoing, problems=(*problems, *more), report=report)


@contextmanager
def _lock(workspace: Workspace, *, dry_run: bool) -> Iterator[None]:
    if dry_run:
        yield
        return
    name = f"{workspace.mode} {workspace.ledger.publication}"
    with tick_lock(workspace.state_folder), database_lock(workspace.engine, name):
        yield


# --------------------------------------------------------------------------- planning


def history(workspace: Workspace) -> History:
    """What the ledger knows, and the STOP file, which anyone can lay into the folder."""
    known = workspace.ledger.history(workspace.schedules())
    if has_stop_file(workspace):
        known = replace(
            known, holds={"*": f"a file called {STOP_FILE} lies in {workspace.root}", **known.holds}
        )
    return known


def has_stop_file(workspace: Workspace) -> bool:
    """Whether somebody laid a file called STOP into the folder; a link that leads nowhere counts too."""
    return os.path.lexists(workspace.root / STOP_FILE)


def _note(workspace: Workspace, queue: Queue, now: datetime) -> None:
    workspace.ledger.note_schedules(workspace.schedules(), now)
    workspace.ledger.note_approved([i.id for i in queue.items if i.status is Status.APPROVED], now)


def _planned(workspace: Workspace, queue: Queue, now: datetime) -> tuple[Plan, list[str]]:
    """The plan, without items that a check blocks. Only items that would go out are checked."""
    settings = workspace.settings
    known = history(workspace)
    blocked: dict[str, str] = {}
    while True:
        plan = make_plan(
            queue.items,
            settings.mailings,
            settings.postings,
            known,
            now,
            zone=settings.publication.timezone,
            blocked=frozenset(blocked),
        )
        found = {item.id: why for item in _items(plan) if (why := blocking(item, now))}
        if not found:
            return plan, [str(error) for error in queue.errors] + list(blocked.values())
        blocked |= found


def _items(plan: Plan) -> Iterator[Item]:
    for issue in plan.issues:
        yield from issue.items
    yield from (post.item for post in plan.posts)


def blocking(item: Item, now: datetime) -> str:
    """Why a check stops the item; empty when none does."""
    findings = check_item(item, today=now.date())
    return next((str(finding) for finding in findings if finding.level is Level.BLOCK), "")


# --------------------------------------------------------------------------- rendering


async def _rendered(
    workspace: Workspace, plan: Plan, *, refresh: bool
) -> tuple[tuple[Outgoing, ...], list[str]]:
    """Final words for everything planned; what cannot be rendered is told and stays due."""
    outgoing: list[Outgoing] = []
    problems: list[str] = []
    planned: tuple[Issue | Post, ...] = (*plan.issues, *plan.posts)
    for what in planned:
        try:
            outgoing.append(await _words(workspace, what, refresh=refresh))
        except (UserError, DeliveryError) as error:
            problems.append(f"{what.id}: {error}")
    return tuple(outgoing), problems


async def _words(workspace: Workspace, what: Issue | Post, *, refresh: bool) -> Outgoing:
    if isinstance(what, Issue):
        return replace(issue_words(workspace, what), variants=issue_variants(workspace, what))
    if refresh:
        await workspace.channels[what.channel].refresh()
    return post_words(workspace, what)


# --------------------------------------------------------------------------- recording and sending


def _record(workspace: Workspace, plan: Plan, outgoing: Iterable[Outgoing], now: datetime) -> None:
    for firing in plan.skipped:
        workspace.ledger.record_skipped(firing)
    for out in outgoing:
        if isinstance(out.what, Issue):
            samples = workspace.settings.rehearsal_readers if workspace.mode == "rehearsal" else None
            workspace.mailings.record_issue(
                out.what, {"": out.message, **out.variants}, out.channel, now, samples
            )
        else:
            workspace.ledger.record_post(out.what, out.message, out.channel, now)


async def _recover(workspace: Workspace, sender: Sender, now: datetime) -> Report:
    """After a crash: letters by their flight recorders, posts by asking their channels."""
    resend = all(channel.resends for channel in mass_channels(workspace))
    found = workspace.mailings.recover(workspace.flights_folder, now, resend=resend)
    for subject, what in found.doubtful:
        log.warning("%s: letter %d was on the wire when the program stopped", subject, what.number)
    unknown = Counter(subject for subject, what in found.doubtful if what.state is State.UNKNOWN)
    look = "look into the mail server's log, then run bot settle for those that bot status names"
    problems = tuple(f"{subject} may have gone out to {n:,} more; {look}" for subject, n in unknown.items())
    return Report(problems=problems) + await sender.recover()


async def _send(sender: Sender, mailers: Iterable[MailingSender]) -> Report:
    """Posts and issues side by side: no channel waits for another."""
    reports = await asyncio.gather(sender.run(), *(mailer.run() for mailer in mailers))
    return reduce(add, reports)


def mailers_of(
    workspace: Workspace, clock: Clock, stopping: Callable[[], bool], *, frozen: bool = False
) -> list[MailingSender]:
    """What works off the issues, one for each channel that carries a newsletter, at its pace.

    With a ``frozen`` clock the pace goes by that, too, and not by the database's.
    """
    return [
        _mailer(
            workspace, channel, clock, stopping, turnstile(workspace, channel.name, clock if frozen else None)
        )
        for channel in mass_channels(workspace)
    ]


def mass_channels(workspace: Workspace) -> list[MassChannel]:
    """The channels that carry a newsletter."""
    carriers = {newsletter.channel for newsletter in workspace.settings.mailings}
    channels = [workspace.channels[name] for name in sorted(carriers)]
    return [channel for channel in channels if isinstance(channel, MassChannel)]


def _mailer(
    workspace: Workspace,
    channel: MassChannel,
    clock: Clock,
    stopping: Callable[[], bool],
    gate: Turnstile | None,
) -> MailingSender:
    keys = workspace.settings.signing_keys

    def values(mailing: Mailing) -> Values:
        token = unsubscribe_tokens(keys, newsletter=mailing.newsletter)
        return lambda to: {"unsubscribe_token": token(to.id), "name": to.name}

    return MailingSender(
        workspace.mailings,
        channel,
        words=workspace.ledger.message,
        values=values,
        flights=workspace.flights_folder,
        clock=clock,
        stopped=lambda: stopping() or has_stop_file(workspace),
        gate=gate,
    )


def _sender(workspace: Workspace, clock: Clock, stopping: Callable[[], bool], *, frozen: bool) -> Sender:
    return Sender(
        workspace.ledger,
        workspace.channels,
        clock=clock,
        stopping=lambda: stopping() or has_stop_file(workspace),
        gates=wickets(workspace, clock if frozen else None),
    )
