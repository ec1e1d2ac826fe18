"""A worker on one of many machines: sends what the ledger still owes the readers, and never plans.

``bot run`` plans on one machine. Any number of workers lease chunks of what it recorded; a chunk has one
owner at a time, and who dies or sleeps too long loses it to another. Posts stay with ``bot run``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import reduce
from operator import add

from bot.app.brakes import has_stop_file
from bot.app.dispatcher import ProcrastinateDispatcher
from bot.app.publish import Clock, all_of, mailers_of, mass_channels
from bot.app.workspace import Workspace
from bot.errors import ConfigError, StoreError
from bot.sender import Doubts, Report
from bot.store.engine import parse_url

SHARES = 16  # jobs for one issue: as many workers may be at it at once


async def work_off(
    workspace: Workspace, clock: Clock, stopping: Callable[[], bool], at_work: set[str] | None = None
) -> Report:
    """Send what is due and free until nothing is, or until ``stopping``; what is on the wire is finished.

    Channels ``at_work`` in this process already are left alone, so that a slow one holds no other up.
    """
    at_work = set() if at_work is None else at_work
    if stopping() or has_stop_file(workspace):
        return Report()
    recovered = await asyncio.to_thread(recover, workspace, clock)
    free = {channel.name for channel in mass_channels(workspace)} - at_work
    at_work |= free

    async def one(name: str) -> Report:
        try:
            (mailer,) = mailers_of(workspace, clock, stopping, only=name)
            return await mailer.run()
        finally:
            at_work.discard(name)

    return reduce(add, await all_of(one(name) for name in sorted(free)), recovered)


def recover(workspace: Workspace, clock: Clock) -> Report:
    """Put right what died processes of this machine left."""
    resend = all(channel.resends for channel in mass_channels(workspace))
    found = workspace.mailings.recover(workspace.flights_folder, clock(), resend=resend)
    doubts = Doubts()
    for mailing, what in found.doubtful:
        doubts.note(mailing, what)
    return doubts.report()


def dispatcher(
    workspace: Workspace,
    clock: Clock,
    stopping: Callable[[], bool],
    *,
    told: Callable[[Report], None],
) -> ProcrastinateDispatcher:
    """The worker's queue; ConfigError without PostgreSQL. ``told`` hears what came of each piece of work."""
    url = workspace.settings.database_url.get_secret_value()
    if not url or parse_url(url).get_backend_name() != "postgresql":
        raise ConfigError(
            workspace.root / ".env",
            "BOT_DATABASE_URL",
            "workers need a database that many machines can reach",
            "write postgresql://user:password@host/name, or use 'bot run' on one machine",
        )

    at_work: set[str] = set()

    async def work() -> None:
        try:
            told(await work_off(workspace, clock, stopping, at_work))
        except StoreError as error:  # the queue stays; whoever sweeps next puts it in line again
            told(Report(problems=(str(error),)))

    return ProcrastinateDispatcher(
        url,
        work=work,
        due=lambda: _due(workspace, clock()),
        tell=lambda problem: told(Report(problems=(problem,))),
        concurrency=len({newsletter.channel for newsletter in workspace.settings.mailings}) or 1,
    )


def _due(workspace: Workspace, now: datetime) -> Iterator[str]:
    """What could be worked on; under another name once somebody lets its account go on."""
    if has_stop_file(workspace):
        return
    found = workspace.mailings.open_issues(now)
    rests = {halt.account for halt in workspace.pace.halts(now)} if found else set[str]()
    for mailing in found:
        suffix = "/rests" if workspace.settings.pace_of(mailing.channel).account in rests else ""
        yield from (f"{mailing.subject}/{share}{suffix}" for share in range(SHARES))
