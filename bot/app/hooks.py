"""Telling other programs what happens: an event is noted with what made it, and told soon after.

At least once: a program that was told may be told again, with the same ``webhook-id``.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sqlalchemy import Connection

import bot
from bot.app.workspace import Workspace
from bot.config import HookTable
from bot.errors import NotFoundError, StoreError
from bot.files import write_atomically
from bot.hooks.answers import LEASE, Answer, Verdict, judge
from bot.hooks.signing import headers
from bot.store.engine import writing
from bot.store.hooks import FAILED, PLANNED, SENT, HookCall, HookCount

if TYPE_CHECKING:
    import httpx

_log = logging.getLogger(__name__)

TEST = "test"  # the event of ``bot hooks test``; nobody has to ask for it
LOOK_EVERY = 5.0  # seconds between two looks for something to tell
_SWEEP_EVERY = 3600.0
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
    event: str,
    *,
    now: datetime,
    newsletter: str = "",
    subscriber: str = "",
    address: str = "",
    data: Mapping[str, Any] | None = None,
    connection: Connection | None = None,
) -> None:
    """Note an event for every hook that wants it, within ``connection``'s transaction if there is one.

    A rehearsal writes what it would tell to the outbox.
    """
    wanted = {name: table for name, table in workspace.settings.hooks.items() if event in table.events}
    if not wanted:
        return
    bodies = {
        name: _body(
            workspace,
            event,
            now=now,
            newsletter=newsletter,
            subscriber=subscriber,
            address=address if table.addresses else "",
            data=data or {},
        )
        for name, table in wanted.items()
    }
    if workspace.mode == "rehearsal":
        for name, body in bodies.items():
            _rehearse(workspace, name, body)
    elif connection is not None:
        _note(workspace, connection, event, bodies, now)
    else:
        with writing(workspace.engine) as own:
            _note(workspace, own, event, bodies, now)


async def tell_due(
    workspace: Workspace, *, clock: Callable[[], datetime], stopping: Callable[[], bool] = lambda: False
) -> list[Told]:
    """Make every call that is due, the hooks side by side. Nothing in a rehearsal."""
    hooks = workspace.settings.hooks
    if not hooks or workspace.mode == "rehearsal":
        return []
    from bot.hooks.calling import client  # httpx takes a while to load, and few workspaces have hooks

    paused = workspace.ledger.holds()
    async with client(_user_agent(workspace)) as http:
        found = await asyncio.gather(
            *(
                _tell_one(workspace, http, name, table, clock, stopping)
                for name, table in hooks.items()
                if scope_of(name) not in paused
            )
        )
    return [told for some in found for told in some]


async def tell_until_stopped(
    workspace: Workspace, stop: asyncio.Event, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> None:
    """Tell whatever is due, again and again, beside the sending. A database that is away comes back."""
    if not workspace.settings.hooks or workspace.mode == "rehearsal":
        return
    loop = asyncio.get_running_loop()
    swept = -_SWEEP_EVERY
    while not stop.is_set():
        try:
            await tell_due(workspace, clock=clock, stopping=stop.is_set)
            if loop.time() - swept >= _SWEEP_EVERY:
                workspace.hooks.sweep(clock())
                swept = loop.time()
        except StoreError as error:
            _log.warning("hooks: %s", error)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_EVERY)


async def try_out(workspace: Workspace, name: str, *, now: datetime) -> Answer:
    """Send one test event at once; its answer. A rehearsal only writes it to the outbox."""
    table = _table(workspace, name)
    body = _body(workspace, TEST, now=now, newsletter="", subscriber="", address="", data={})
    if workspace.mode == "rehearsal":
        path = _rehearse(workspace, name, body)
        return Answer(said=f"a rehearsal tells nobody; see {path}")
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
        taken = workspace.hooks.take(name, clock(), lease=LEASE)
        if taken is None:
            break
        answer = await _attempt(http, table, taken.body, clock())
        found.append(_settle(workspace, taken, answer, clock()))
        if found[-1].verdict is not Verdict.DONE:
            break
    return found


async def _attempt(http: httpx.AsyncClient, table: HookTable, body: str, now: datetime) -> Answer:
    from bot.hooks.calling import call

    content = body.encode()
    signed = headers(table.secret.get_secret_value(), id=_id_of(body), at=now, body=content)
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


# --------------------------------------------------------------------------- what is told


def _body(
    workspace: Workspace,
    event: str,
    *,
    now: datetime,
    newsletter: str,
    subscriber: str,
    address: str,
    data: Mapping[str, Any],
) -> str:
    """The JSON of an event. The same event has the same id, so whoever was told twice can know."""
    publication = workspace.settings.publication
    at = now.astimezone(UTC).isoformat().replace("+00:00", "Z")
    moment = "" if event == "issue.sent" else at  # an issue is sent once, whenever that is noticed
    about = "\x00".join((publication.site_url, event, newsletter, subscriber, moment, _plain(data)))
    body = {
        "id": f"msg_{hashlib.sha256(about.encode()).hexdigest()[:32]}",
        "type": event,
        "timestamp": at,
        "publication": publication.title,
        "newsletter": newsletter,
        "subscriber": subscriber,
        **({"address": address} if address else {}),
        "data": dict(data),
    }
    return _plain(body)


def _plain(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _id_of(body: str) -> str:
    return str(json.loads(body)["id"])


def _note(
    workspace: Workspace, connection: Connection, event: str, bodies: Mapping[str, str], now: datetime
) -> None:
    for name, body in bodies.items():
        workspace.hooks.add(connection, name, event, body, now)


def _rehearse(workspace: Workspace, name: str, body: str) -> str:
    path = workspace.outbox_folder / "hooks" / f"{name}-{_id_of(body)}.json"
    write_atomically(path, body.encode())
    return str(path)


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
