"""One mail to one address, outside the ledger."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import datetime

from bot.app.pacing import rest_if_asked, wicket_for
from bot.app.preview import trial_issue
from bot.app.words import personal
from bot.app.workspace import Workspace
from bot.audience.addresses import valid_address
from bot.errors import DeliveryError, TemporaryFailure
from bot.model import Issue, Message, Receipt, Recipient, delivery_key

PATIENCE = 5.0  # seconds: somebody sits before it


async def send_trial(
    workspace: Workspace, address: str, *, newsletter: str | None, now: datetime, dry_run: bool = False
) -> str:
    """Send the next issue as a test; a sentence that says what was done. Raises DeliveryError."""
    out = trial_issue(workspace, newsletter=newsletter, now=now)
    assert isinstance(out.what, Issue)  # noqa: S101
    address = valid_address(address)
    to = Recipient(id=hashlib.sha256(f"test/{address}".encode()).hexdigest()[:32], address=address)
    message = personal(workspace, out.message, to, out.what.newsletter)
    if dry_run:
        return f"Would send {message.subject!r} to {address}; nothing was sent."
    key = delivery_key(
        publication=workspace.settings.publication.title,
        mode="test",
        subject=f"{out.what.id}/{now.isoformat()}",
        channel=out.channel,
        recipient=to.id,
    )
    try:
        receipt = await _sent(workspace, out.channel, message, to, key)
    finally:
        await workspace.close()
    if workspace.mode == "rehearsal":
        return f"Rehearsed: {workspace.outbox_folder / receipt.remote_id}"
    return f"Sent {message.subject!r} to {address}: {receipt.note or receipt.remote_id}"


async def _sent(workspace: Workspace, channel: str, message: Message, to: Recipient, key: str) -> Receipt:
    """At the account's pace: it counts like every other mail."""
    gate = wicket_for(workspace, channel, to.address, patience=PATIENCE)
    if gate and not await gate.turn(call=asyncio.to_thread):
        raise TemporaryFailure(
            f"the test was not sent, because the pace of {channel} has no room: {gate.shut}"
        )
    try:
        return await workspace.channels[channel].send(message, to, key=key)
    except DeliveryError as error:
        await rest_if_asked(gate, error)
        raise
