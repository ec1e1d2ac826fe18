"""One tick: recover, plan, render, record, send. A second one at the same moment finds nothing to do.

``tick`` does all of it and ends when nothing is left to send. The loop of ``bot run`` does the first part by
``prepare`` and leaves the sending to a crew, one task for each channel (``crew.py``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial, reduce
from operator import add
from typing import Any, Protocol, TypeVar, cast

from bot.app.brakes import has_stop_file
from bot.app.items import item_findings
from bot.app.pacing import turnstile, wickets
from bot.app.words import Outgoing, issue_variants, issue_words, post_words
from bot.app.workspace import STOP_FILE, Workspace
from bot.audience.tokens import unsubscribe_tokens
from bot.channels.base import MassChannel
from bot.config import FILE, Settings
from bot.errors import DeliveryError, StoreError, UserError, fault_of
from bot.model import History, Issue, Item, Level, Plan, Post, State, Status
from bot.planner import plan as make_plan
from bot.reader import Queue
from bot.sender import Doubts, MailingSender, Report, Sender, Turnstile
from bot.sender.hand import Values
from bot.store.chunks import Mailing
from bot.store.lock import database_lock, database_locked, tick_lock, tick_locked

Clock = Callable[[], datetime]
T = TypeVar("T")
LIMITS = 5.0  # seconds to wait for a service that tells its limits: others may be due meanwhile
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
    if dry_run:
        return await prepare(workspace, now, dry_run=True)
    with run_lock(workspace):
        frozen = clock is None
        clock = clock or (lambda: now)
        sender = _sender(workspace, clock, stopping, frozen=frozen)
        recovered = recover_letters(workspace, now) + await sender.recover()
        ticked = await prepare(workspace, now)
        mailers = mailers_of(workspace, clock, stopping, frozen=frozen)
        return replace(ticked, report=recovered + await _send(sender, mailers))


@contextmanager
def run_lock(workspace: Workspace) -> Iterator[Callable[[], bool]]:
    """One run at a time, here and in the database; BusyError. Gives a way to ask whether it still holds."""
    name = _run_name(workspace)
    with tick_lock(workspace.state_folder), database_lock(workspace.engine, name) as holds:
        yield holds


def run_at_work(workspace: Workspace) -> bool:
    """Whether a run holds that lock now; workers hold none."""
    return tick_locked(workspace.state_folder) or database_locked(workspace.engine, _run_name(workspace))


def _run_name(workspace: Workspace) -> str:
    return f"{workspace.mode} {workspace.ledger.publication}"


async def work_channel(
    workspace: Workspace, channel: str, *, clock: Clock, stopping: Callable[[], bool]
) -> Report:
    """Ask about what is in doubt on this one channel, and send what is due there until nothing is."""
    sender = _sender(workspace, clock, stopping, only=channel)
    recovered = await sender.recover(channel)
    mailers = mailers_of(workspace, clock, stopping, only=channel)
    return recovered + await _send(sender, mailers)


# --------------------------------------------------------------------------- planning


class OffLoop(Protocol):
    """Makes a call that waits for the disk; in the loop of a running bot, in a thread beside it."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]: ...


async def _here(call: Callable[[], T]) -> T:
    return call()


async def prepare(
    workspace: Workspace,
    now: datetime,
    *,
    dry_run: bool = False,
    off_loop: OffLoop = _here,
    ready: Callable[[str], None] = lambda _: None,
) -> Tick:
    """Plan what is due, find its final words and record it; nothing is sent yet.

    Each channel by itself: ``ready`` hears its name when what is planned for it is in the ledger.
    """

    def planned() -> tuple[Plan, list[str]]:
        queue = workspace.read_queue()
        known = history(workspace, now)
        if not dry_run:
            _note(workspace, queue, now)
        return _planned(workspace, queue, known, now)

    plan, problems = await off_loop(planned)
    if not dry_run:
        await off_loop(lambda: _record_skipped(workspace, plan))
    whats: tuple[Issue | Post, ...] = (*plan.issues, *plan.posts)
    words: dict[int, Outgoing | str] = {}

    async def of_channel(name: str, places: Sequence[int]) -> None:
        if not dry_run and any(isinstance(whats[place], Post) for place in places):
            await _refreshed(workspace, name)
        for place in places:
            words[place] = await off_loop(partial(_words, workspace, whats[place]))
        if not dry_run:
            await off_loop(lambda: _record(workspace, [words[place] for place in places], now))
        ready(name)

    await all_of(of_channel(name, places) for name, places in _by_channel(workspace, whats).items())
    found = [words[place] for place in range(len(whats))]
    outgoing = tuple(each for each in found if isinstance(each, Outgoing))
    left_out = (line for out in outgoing for line in out.left_out)
    return Tick(
        plan=plan,
        outgoing=outgoing,
        problems=(*problems, *(each for each in found if isinstance(each, str)), *left_out),
    )


def holds(workspace: Workspace) -> Mapping[str, str]:
    """What stands still and why, by scope ("*": everything): what people hold, and the STOP file."""
    known = workspace.ledger.holds()
    if has_stop_file(workspace):
        known = {"*": f"a file called {STOP_FILE} lies in {workspace.root.resolve()}", **known}
    return known


def history(workspace: Workspace, now: datetime) -> History:
    """What the ledger knows, what is on hold, and when the settings were written."""
    known = workspace.ledger.history(workspace.schedules())
    return replace(known, settings_written=settings_written(workspace, now), holds=holds(workspace))


def settings_written(workspace: Workspace, now: datetime) -> datetime:
    """When bot.toml or .env was last saved: from then on a person could see in a plan what was coming."""
    files = (workspace.root / FILE, workspace.root / ".env")
    saved = [datetime.fromtimestamp(file.stat().st_mtime, UTC) for file in files if file.exists()]
    return min([max(saved), now]) if saved else now


def _note(workspace: Workspace, queue: Queue, now: datetime) -> None:
    workspace.ledger.note_schedules(workspace.schedules(), settings_written(workspace, now))
    workspace.ledger.note_approved([i.id for i in queue.items if i.status is Status.APPROVED], now)


def _planned(workspace: Workspace, queue: Queue, known: History, now: datetime) -> tuple[Plan, list[str]]:
    """The plan, without items that a check blocks. Only items that would go out are checked."""
    settings = workspace.settings
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
        found = {item.id: why for item in _items(plan) if (why := blocking(item, now, settings))}
        if not found:
            return plan, [str(error) for error in queue.errors] + list(blocked.values())
        blocked |= found


def _items(plan: Plan) -> Iterator[Item]:
    for issue in plan.issues:
        yield from issue.items
    yield from (post.item for post in plan.posts)


def blocking(item: Item, now: datetime, settings: Settings) -> str:
    """Why a check stops the item; empty when none does."""
    findings = item_findings(item, now.date(), settings)
    return next((str(finding) for finding in findings if finding.level is Level.BLOCK), "")


# --------------------------------------------------------------------------- rendering


async def _refreshed(workspace: Workspace, name: str) -> None:
    """The service's limits of today; else those that are known. Nothing is asked of an account that rests."""
    account = workspace.settings.pace_of(name).account
    if any(halt.account == account and not halt.domain for halt in workspace.pace.halts(datetime.now(UTC))):
        return
    try:
        async with asyncio.timeout(LIMITS):
            await workspace.channels[name].refresh()
    except TimeoutError:
        log.info("%s: it did not tell its limits in time", name)
    except Exception as error:
        log.warning("%s: its limits were not read: %s", name, fault_of(error))


def _by_channel(workspace: Workspace, whats: Iterable[Issue | Post]) -> dict[str, list[int]]:
    """Their places in the plan."""
    found: dict[str, list[int]] = {}
    for place, what in enumerate(whats):
        name = what.channel if isinstance(what, Post) else workspace.newsletter(what.newsletter).channel
        found.setdefault(name, []).append(place)
    return found


def _words(workspace: Workspace, what: Issue | Post) -> Outgoing | str:
    """Final words; or why it cannot be rendered: that is told, and it stays due."""
    try:
        if isinstance(what, Issue):
            out = issue_words(workspace, what)
            assert isinstance(out.what, Issue)  # noqa: S101 -- the same, perhaps without some items
            return replace(out, variants=issue_variants(workspace, out.what))
        return post_words(workspace, what)
    except (UserError, DeliveryError) as error:
        return f"{what.id}: {error}"
    except StoreError:
        raise
    except Exception as error:  # one item that we did not think of must not stop the others
        return f"{what.id}: could not be rendered: {fault_of(error)}; please report it"


# --------------------------------------------------------------------------- recording and sending


def _record_skipped(workspace: Workspace, plan: Plan) -> None:
    for firing in plan.skipped:
        workspace.ledger.record_skipped(firing)


def _record(workspace: Workspace, outgoing: Iterable[Outgoing | str], now: datetime) -> None:
    for out in outgoing:
        if isinstance(out, str):
            continue
        if isinstance(out.what, Issue):
            samples = workspace.settings.rehearsal_readers if workspace.mode == "rehearsal" else None
            workspace.mailings.record_issue(
                out.what, {"": out.message, **out.variants}, out.channel, now, samples
            )
        else:
            workspace.ledger.record_post(out.what, out.message, out.channel, now)


def recover_letters(workspace: Workspace, now: datetime) -> Report:
    """After a crash: letters by their flight recorders. Posts are asked about by their sender."""
    resend = all(channel.resends for channel in mass_channels(workspace))
    found = workspace.mailings.recover(workspace.flights_folder, now, resend=resend)
    doubts = Doubts()
    for mailing, what in found.doubtful:
        log.warning("%s: letter %d was on the wire when the program stopped", mailing.subject, what.number)
        if what.state is not State.UNKNOWN:  # the sender names those, together with all before them
            doubts.note(mailing, what)
    return doubts.report()


async def recover_strangers(workspace: Workspace, clock: Clock, off_loop: OffLoop) -> Report:
    """What is in doubt on channels that are not set up any more: each is told."""
    counts = await off_loop(workspace.ledger.counts)
    in_doubt = {name for name, state in counts if state in (State.CLAIMED, State.UNKNOWN)}
    sender = _sender(workspace, clock, lambda: True)
    found = [await sender.recover(name) for name in sorted(in_doubt - workspace.channels.keys())]
    return reduce(add, found, Report())


async def _send(sender: Sender, mailers: Iterable[MailingSender]) -> Report:
    """Posts and issues side by side: no channel waits for another, and a fault of one ends no other."""
    return reduce(add, await all_of([sender.run(), *(mailer.run() for mailer in mailers)]))


async def all_of(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Wait for every one, also when one of them fails; then raise the first failure."""
    results = await asyncio.gather(*works, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast("list[T]", results)


def mailers_of(
    workspace: Workspace,
    clock: Clock,
    stopping: Callable[[], bool],
    *,
    frozen: bool = False,
    only: str | None = None,
) -> list[MailingSender]:
    """What works off the issues, one for each channel that carries a newsletter, at its pace.

    With a ``frozen`` clock the pace goes by that, too, and not by the database's.
    """
    return [
        _mailer(
            workspace, channel, clock, stopping, turnstile(workspace, channel.name, clock if frozen else None)
        )
        for channel in mass_channels(workspace)
        if only in (None, channel.name)
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


def _sender(
    workspace: Workspace,
    clock: Clock,
    stopping: Callable[[], bool],
    *,
    frozen: bool = False,
    only: str | None = None,
) -> Sender:
    channels = workspace.channels
    return Sender(
        workspace.ledger,
        channels if only is None else {name: channels[name] for name in channels if name == only},
        clock=clock,
        stopping=lambda: stopping() or has_stop_file(workspace),
        gates=wickets(workspace, clock if frozen else None),
    )
