"""A process that sends from a ledger until it is done or killed: ``URL FILE HOUR``."""

from __future__ import annotations

import asyncio
import sys
from datetime import datetime, timedelta
from pathlib import Path

from bot.model import Message, Receipt, Recipient
from bot.sender import Sender
from bot.store.engine import open_store
from bot.store.ledger import Ledger
from tests.support.channels import NotingChannel
from tests.support.ledgers import NOW


class Counting(NotingChannel):
    """Says aloud that a message went out, so that the killer knows when to strike."""

    async def send(self, message: Message, to: Recipient, *, key: str) -> Receipt:
        await asyncio.sleep(0)
        receipt = await super().send(message, to, key=key)
        print("sent", flush=True)
        return receipt


async def main(url: str, file: Path, now: datetime) -> None:
    ledger = Ledger(open_store(url), mode="live", publication="broadside")
    sender = Sender(
        ledger,
        {"mail": Counting("mail", file=file)},
        clock=lambda: now,
        concurrency=3,
    )
    doubtful = await asyncio.to_thread(ledger.recover, now)
    for delivery in doubtful:
        print("unknown", delivery.key, flush=True)
    await sender.recover()
    await sender.run()
    print("done", flush=True)


asyncio.run(main(sys.argv[1], Path(sys.argv[2]), NOW + timedelta(hours=int(sys.argv[3]))))
