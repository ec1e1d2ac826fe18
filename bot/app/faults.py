"""When mail systems blame us: how many readers' do, and whether a newsletter waits because of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from bot.app.publish import mass_channels
from bot.app.workspace import Workspace
from bot.audience.bounces import Kind
from bot.audience.bounces.blaming import FAULTS, SETTLED, Blamed, is_enough
from bot.model import State
from bot.store import returns

A_DAY = timedelta(days=1)
_SENT_BEFORE = timedelta(days=30)  # how far before a report a letter may have gone out
_HEARD = timedelta(days=180)  # for so long a reader whose report led to a hold leads to no other


def readers_who_blame(workspace: Workspace, now: datetime) -> int:
    """How many readers' servers blamed us within a day, with a token of ours or while we were sending."""
    return len(returns.signed_reports(workspace.engine, Kind.SENDER, now - A_DAY))


def hold_blamed(workspace: Workspace, reason: str, now: datetime) -> Sequence[str]:
    """Hold the channels of newsletters that enough readers' servers blame; which. Each reader counts once."""
    reports = returns.signed_reports(workspace.engine, Kind.SENDER, now - A_DAY)
    heard = returns.readers_led(workspace.engine, "hold", now - _HEARD)
    fresh = [reader for reader in reports if reader not in heard]
    if len(fresh) < FAULTS:
        return ()
    carriers = {channel.name for channel in mass_channels(workspace)}
    held, holds = workspace.ledger.holds(), []
    for newsletter, since in _subscribed(workspace, fresh, now).items():
        channel = workspace.settings.newsletters[newsletter].channel
        if channel not in carriers:
            continue
        if channel not in held and is_enough(_blamed(workspace, newsletter, since, now)):
            workspace.ledger.hold(channel, f"held by what came back: {reason}", now)
            holds.append(channel)
        if channel in held or channel in holds:  # what is said meanwhile is no reason to hold it again
            digests = [digest for reader in since for digest in reports[reader]]
            workspace.bounces.led_to(digests, "hold", now)
    return sorted(set(holds))


def _subscribed(
    workspace: Workspace, readers: Sequence[str], now: datetime
) -> Mapping[str, Mapping[str, datetime]]:
    """By the newsletter whose mail it was: each reader of it, and since when. Who got none has no say."""
    store, found = workspace.bounces, dict[str, dict[str, datetime]]()
    tried = (State.SENT, State.FAILED)
    for reader in readers:
        letter = store.latest_letter(
            reader, workspace.mode, since=now - _SENT_BEFORE, until=now, states=tried
        )
        if letter is None or letter.newsletter not in workspace.settings.newsletters:
            continue
        if since := store.subscriptions(reader).get(letter.newsletter):
            found.setdefault(letter.newsletter, {})[reader] = since
    return found


def _blamed(workspace: Workspace, newsletter: str, readers: Mapping[str, datetime], now: datetime) -> Blamed:
    before = now - SETTLED
    written_to, settled_written_to = returns.written_to(
        workspace.engine, workspace.mode, newsletter, since=now - _SENT_BEFORE, before=before
    )
    return Blamed(
        readers=len(readers),
        settled=sum(since <= before for since in readers.values()),
        written_to=written_to,
        settled_written_to=settled_written_to,
    )
