"""The pace of each channel's account: for posts and single mails, and for the letters of issues."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from bot.app.workspace import Workspace
from bot.errors import DeliveryError
from bot.pace import Outcome, outcome_of
from bot.sender import Turnstile, Wicket
from bot.sender.turnstile import TOO_LONG

Clock = Callable[[], datetime]


def wickets(workspace: Workspace, clock: Clock | None) -> dict[str, Wicket]:
    """What posts pass, for each channel; a rehearsal has none. A frozen ``clock`` is the pace's, too."""
    if workspace.mode == "rehearsal":
        return {}
    return {
        name: Wicket(workspace.pace, name, table.pace, clock=clock)
        for name, table in workspace.settings.channels.items()
    }


def wicket_for(
    workspace: Workspace, channel: str, address: str, *, patience: float = TOO_LONG
) -> Wicket | None:
    """What a single mail to this address passes; None in a rehearsal."""
    if workspace.mode == "rehearsal":
        return None
    rules = workspace.settings.channels[channel].pace
    return Wicket(workspace.pace, channel, rules, address=address, patience=patience)


async def rest_if_asked(gate: Wicket | None, error: DeliveryError) -> None:
    """The account rests when a single mail's answer asks us to slow down.

    A refusal says nothing here: else whoever signs up strangers could pause the account.
    """
    if gate and outcome_of(error) is Outcome.THROTTLED:
        gate.note(error)
        await gate.flush(call=asyncio.to_thread)


def turnstile(workspace: Workspace, channel: str, clock: Clock | None) -> Turnstile | None:
    """What the letters of issues pass; None in a rehearsal."""
    if workspace.mode == "rehearsal":
        return None
    return Turnstile(workspace.pace, channel, workspace.settings.channels[channel].pace, clock=clock)
