"""One mail to one address, outside the ledger."""

from __future__ import annotations

import hashlib
from datetime import datetime

from bot.app.preview import trial_issue
from bot.app.words import personal
from bot.app.workspace import Workspace
from bot.audience.addresses import valid_address
from bot.model import Issue, Recipient, delivery_key


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
        receipt = await workspace.channels[out.channel].send(message, to, key=key)
    finally:
        await workspace.close()
    if workspace.mode == "rehearsal":
        return f"Rehearsed: {workspace.outbox_folder / receipt.remote_id}"
    return f"Sent {message.subject!r} to {address}: {receipt.note or receipt.remote_id}"
