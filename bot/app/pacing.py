"""The pace of each channel's account: for posts, single mails and the letters of issues; what has stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, tzinfo

from bot.app.workspace import Workspace
from bot.errors import DeliveryError, StoreError
from bot.pace import Outcome, outcome_of
from bot.sender import Turnstile, Wicket
from bot.sender.turnstile import TOO_LONG
from bot.store.pace import Halt

Clock = Callable[[], datetime]


def wickets(workspace: Workspace, clock: Clock | None) -> dict[str, Wicket]:
    """What posts pass, for each channel; a rehearsal has none. A frozen ``clock`` is the pace's, too."""
    if workspace.mode == "rehearsal":
        return {}
    return {
        name: Wicket(workspace.pace, rules.account, rules, clock=clock)
        for name in workspace.settings.channels
        for rules in [workspace.settings.pace_of(name)]
    }


def wicket_for(
    workspace: Workspace, channel: str, address: str, *, patience: float = TOO_LONG
) -> Wicket | None:
    """What a single mail to this address passes; None in a rehearsal."""
    if workspace.mode == "rehearsal":
        return None
    return live_wicket_for(workspace, channel, address, patience=patience)


def live_wicket_for(workspace: Workspace, channel: str, address: str, *, patience: float) -> Wicket:
    """What a single mail passes that is really sent, whatever the mode."""
    rules = workspace.settings.pace_of(channel)
    return Wicket(workspace.pace, rules.account, rules, address=address, patience=patience)


async def rest_if_asked(gate: Wicket | None, error: DeliveryError) -> None:
    """The account rests when a single mail's answer asks us to slow down.

    A refusal says nothing here: else whoever signs up strangers could pause the account.
    """
    if gate and outcome_of(error) is Outcome.THROTTLED:
        gate.note(error)
        with suppress(StoreError):  # what became of the mail counts more; it is written with the next one
            await gate.flush(call=asyncio.to_thread)


def turnstile(workspace: Workspace, channel: str, clock: Clock | None) -> Turnstile | None:
    """What the letters of issues pass; None in a rehearsal."""
    if workspace.mode == "rehearsal":
        return None
    rules = workspace.settings.pace_of(channel)
    return Turnstile(workspace.pace, rules.account, rules, clock=clock)


def halts(workspace: Workspace, now: datetime) -> list[Halt]:
    """The accounts of our channels that are paused, and wait for a person, or rest for a while."""
    accounts = workspace.settings.paces
    return [halt for halt in workspace.pace.halts(now) if halt.account in accounts]


def told(halt: Halt, zone: tzinfo) -> str:
    """A sentence for people: what stands still, why, since or until when, and what to do."""
    if halt.why:
        since = f" (paused since {_moment(halt.since, zone)})" if halt.since else ""
        return halt.why + since
    place = f"{halt.account}, to {halt.domain}" if halt.domain else halt.account
    until = f"until {_moment(halt.until, zone)}" if halt.until else "now"
    return f"{place}: rests {until}, because the remote asked us to slow down; it goes on by itself"


def _moment(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"
