"""Telling other programs what happens: an event is noted with what made it, and told soon after.

At least once: a program that was told may be told again, with the same ``webhook-id``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import bot
from bot.app.chores import repeat_until_stopped
from bot.app.telling import id_of
from bot.app.workspace import Workspace
from bot.config import HookTable
from bot.errors import NotFoundError
from bot.hooks.answers import LEASE, Answer, Verdict, judge
from bot.hooks.signing import headers
from bot.store.engine import writing
from bot.store.hooks import FAILED, PLANNED, SENT, Event, HookCall, HookCount

if TYPE_CHECKING:
    import httpx

_log = logging.getLogger(__name__)

ISSUE_SENT = "issue.sent"
TEST = "test"  # the event of ``bot hooks test``; nobody has to ask for it
LOOK_EVERY = timedelta(seconds=5)  # between two looks for something to tell
_SWEEP_EVERY = timedelta(hours=1)
_RECENT = timedelta(days=30)
_AT_ONCE = 100  # calls of one hook before the others have their turn


@dataclass(frozen=True, kw_only=True, slots=True)
class HookStatus:
    """One hook as it is configured, and how its calls stand."""

    name: str
    to: str  # scheme and host: the rest of an address may be a secret
    events: tuple[str, ...]
    addresses: bool
    paused: str  # why, for people; "" when it is not
    counts: HookCount
    failed: tuple[HookCall, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """One attempt and what came of it."""

    hook: str
    event: str
    verdict: Verdict
    said: str


def tell(
    workspace: Workspace,
    kind: str,
    *,
    now: datetime,
    newsletter: str = "",
    subscriber: str = "",
    address: str = "",
    data: Mapping[str, Any] | None = None,
) -> None:
    """Note an event that happened in no transaction of ours, or in one that has ended."""
    event = Event(
        kind=kind, at=now, newsletter=newsletter, subscriber=subscriber, address=address, data=data or {}
    )
    if workspace.teller.wanted(kind):
        with writing(workspace.engine) as connection:
            workspace.teller(connection, event)


def note_sent_issues(workspace: Workspace, now: datetime) -> None:
    """Note every issue of the last weeks whose last letter is settled, each once for ever."""
    if not workspace.teller.wanted(ISSUE_SENT):
        return
    site = workspace.settings.publication.site_url
    finished = workspace.hooks.finished_issues(workspace.mode, since=now - _RECENT)
    for issue in finished:
        data = {
            "number": issue.number,
            "url": f"{site}/issues/{issue.newsletter}/{issue.number}",
            "readers": issue.total,
            "sent": issue.sent,
            "failed": issue.failed,
        }
        event = Event(kind=ISSUE_SENT, at=now, newsletter=issue.newsletter, data=data, once=True)
        with writing(workspace.engine) as connection:
            if workspace.hooks.first_time(connection, workspace.mode, issue, now):
                workspace.teller(connection, event)


async def tell_due(
    workspace: Workspace, *, clock: Callable[[], datetime], stopping: Callable[[], bool] = lambda: False
) -> list[Told]:
    """Make every call that is due, the hooks side by side. Nothing in a rehearsal."""
    hooks = workspace.settings.hooks
    # The database may be held for a while: whatever else this process does goes on.
    await asyncio.to_thread(note_sent_issues, workspace, clock())
    if not hooks or workspace.mode == "rehearsal":
        return []
    from bot.hooks.calling import client  # httpx takes a while to load, and few workspaces have hooks

    paused = await asyncio.to_thread(workspace.ledger.holds)
    async with client(_user_agent(workspace)) as http:
        found = await asyncio.gather(
            *(
                _tell_one(workspace, http, name, table, clock, stopping)
                for name, table in hooks.items()
                if scope_of(name) not in paused
            ),
            return_exceptions=True,  # the others finish first
        )
    for some in found:
        if isinstance(some, BaseException):
            raise some
    return [told for some in found if not isinstance(some, BaseException) for told in some]


async def tell_once(workspace: Workspace, stopping: Callable[[], bool]) -> str:
    """For cron: tell what is due and delete old calls, told in a line."""
    found = await tell_due(workspace, clock=lambda: datetime.now(UTC), stopping=stopping)
    await asyncio.to_thread(workspace.hooks.sweep, datetime.now(UTC))
    done = sum(told.verdict is Verdict.DONE for told in found)
    said = f"hooks: {done:,} call{'s' * (done != 1)} made"
    return said + (f", {len(found) - done:,} not taken" if len(found) > done else "") if found else ""


async def tell_until_stopped(
    workspace: Workspace, stop: asyncio.Event, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> None:
    """Tell whatever is due, again and again, beside the sending. A database that is away comes back."""
    if not workspace.settings.hooks or workspace.mode == "rehearsal":
        return

    async def look() -> None:
        await tell_due(workspace, clock=clock, stopping=stop.is_set)

    async def sweep() -> None:
        await asyncio.to_thread(workspace.hooks.sweep, clock())

    await asyncio.gather(
        repeat_until_stopped(look, stop, every=LOOK_EVERY, failed="hooks were not told"),
        repeat_until_stopped(sweep, stop, every=_SWEEP_EVERY, failed="old calls of hooks were not deleted"),
    )


async def try_out(workspace: Workspace, name: str, *, now: datetime) -> Answer:
    """Send one test event at once; its answer. A rehearsal only writes it to the outbox."""
    table = _table(workspace, name)
    body = workspace.teller.body(Event(kind=TEST, at=now), addresses=False)
    if workspace.mode == "rehearsal":
        return Answer(said=f"a rehearsal tells nobody; see {workspace.teller.rehearse(name, body)}")
    from bot.hooks.calling import client

    async with client(_user_agent(workspace)) as http:
        return await _attempt(http, table, body, now)


def statuses(workspace: Workspace, *, limit: int = 20) -> list[HookStatus]:
    """Every hook of bot.toml, with its latest failed calls."""
    counts, paused = workspace.hooks.counts(), workspace.ledger.holds()
    return [
        HookStatus(
            name=name,
            to=_host(table),
            events=table.events,
            addresses=table.addresses,
            paused=paused.get(scope_of(name), ""),
            counts=counts.get(name, HookCount()),
            failed=tuple(workspace.hooks.calls(hook=name, states=[FAILED], limit=limit)),
        )
        for name, table in workspace.settings.hooks.items()
    ]


def try_again(workspace: Workspace, name: str, *, now: datetime) -> int:
    """End the pause of a hook, and put its calls back in line; how many those are."""
    _table(workspace, name)
    workspace.ledger.release(scope_of(name))
    return workspace.hooks.again(name, now)


def scope_of(hook: str) -> str:
    """Under which name a paused hook is held."""
    return f"hooks.{hook}"


# --------------------------------------------------------------------------- one hook


async def _tell_one(
    workspace: Workspace,
    http: httpx.AsyncClient,
    name: str,
    table: HookTable,
    clock: Callable[[], datetime],
    stopping: Callable[[], bool],
) -> list[Told]:
    """Until nothing is due or one call fails: the next ones would most likely fail too."""
    found: list[Told] = []
    while len(found) < _AT_ONCE and not stopping():
        taken = await asyncio.to_thread(workspace.hooks.take, name, clock(), lease=LEASE)
        if taken is None:
            break
        answer = await _attempt(http, table, taken.body, clock())
        found.append(await asyncio.to_thread(_settle, workspace, taken, answer, clock()))
        if found[-1].verdict is not Verdict.DONE:
            break
    return found


async def _attempt(http: httpx.AsyncClient, table: HookTable, body: str, now: datetime) -> Answer:
    from bot.hooks.calling import call

    content = body.encode()
    signed = headers(table.secret.get_secret_value(), id=id_of(body), at=now, body=content)
    return await call(http, table.url, headers=signed, body=content)


def _settle(workspace: Workspace, taken: HookCall, answer: Answer, now: datetime) -> Told:
    verdict, due = judge(answer, attempts=taken.attempts, now=now)
    state = {Verdict.DONE: SENT, Verdict.AGAIN: PLANNED}.get(verdict, FAILED)
    workspace.hooks.settle(taken, state=state, due=due, said=answer.said)
    if verdict is Verdict.GONE:
        reason = (
            f"the other side wants no more calls ({answer.said}); go on with: bot hooks retry {taken.hook}"
        )
        workspace.ledger.hold(scope_of(taken.hook), reason, now)
    if verdict is not Verdict.DONE:
        _log.warning(
            "hook %s: %s %s: %s",
            taken.hook,
            taken.event,
            {
                Verdict.AGAIN: "was not taken and is tried again",
                Verdict.GONE: "was not taken; it is paused",
            }.get(
                verdict, f"was not taken {taken.attempts} times; 'bot hooks retry {taken.hook}' tries again"
            ),
            answer.said,
        )
    return Told(hook=taken.hook, event=taken.event, verdict=verdict, said=answer.said)


def _table(workspace: Workspace, name: str) -> HookTable:
    table = workspace.settings.hooks.get(name)
    if table is None:
        known = ", ".join(workspace.settings.hooks) or "none"
        raise NotFoundError(f"there is no hook {name!r} in bot.toml; hooks here: {known}")
    return table


def _host(table: HookTable) -> str:
    url = urlsplit(table.url)
    return f"{url.scheme}://{url.hostname}" + (f":{url.port}" if url.port else "")


def _user_agent(workspace: Workspace) -> str:
    return f"Broadside/{bot.__version__} (+{workspace.settings.publication.site_url})"
