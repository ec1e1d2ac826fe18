"""A process that sends over one account: ``URL FILE SECONDS RULES(json) posts|letters|singles``.

It says "ready", begins at a line on its input, writes the moment of each message to FILE, and at its end says
how many that were. Posts go by the sender, letters through the turnstile of an issue, singles one by one.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import deque
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from bot.model import Message, Receipt, Recipient
from bot.pace import PaceRules
from bot.sender import Sender, Turnstile, Wicket
from bot.store.engine import open_store
from bot.store.ledger import Ledger
from bot.store.pace import Pace
from tests.support.channels import NotingChannel
from tests.support.ledgers import NOW

ACCOUNT = "mail"


class Race:
    """Where the moments are written, and when it is over."""

    def __init__(self, url: str, file: str, seconds: str, rules: str) -> None:
        self.pace, self.rules = Pace(open_store(url)), PaceRules(**json.loads(rules))
        self.pace.accounts()
        self._out = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._seconds, self.sent = float(seconds), 0

    def begin(self) -> None:
        print("ready", flush=True)
        sys.stdin.readline()
        self._end = time.monotonic() + self._seconds

    def over(self) -> bool:
        return time.monotonic() >= self._end

    def went(self) -> None:
        os.write(self._out, b"%d\n" % time.monotonic_ns())
        self.sent += 1


async def posts(race: Race) -> None:
    """All that is due in the ledger."""

    class Timed(NotingChannel):
        async def send(self, message: Message, to: Recipient, *, key: str) -> Receipt:
            race.went()
            await asyncio.sleep(0.01)
            return Receipt()

    sender = Sender(
        Ledger(race.pace.engine, mode="live", publication="broadside"),
        {ACCOUNT: Timed(ACCOUNT)},
        clock=lambda: NOW + timedelta(hours=1),
        stopping=race.over,
        gates={ACCOUNT: Wicket(race.pace, ACCOUNT, race.rules)},
    )
    await sender.run()


async def letters(race: Race) -> None:
    """As many as the turnstile lets through: an issue that never ends."""
    gate, claimed = Turnstile(race.pace, ACCOUNT, race.rules), SimpleNamespace(address="reader@example.org")
    ready: Any = deque([(None, claimed, None)] * 100)

    def pull() -> None:
        while not race.over() and gate.lets(ready):
            race.went()

    def closed(why: str, *, person: bool) -> None:
        raise AssertionError(why)

    keeping = asyncio.create_task(
        gate.keep(
            lambda: [claimed.address] * 100,
            wake=pull,
            closed=closed,
            aside=lambda *_: None,
            call=asyncio.to_thread,
        )
    )
    while not race.over() and not keeping.done():
        pull()
        await asyncio.sleep(0.01)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def singles(race: Race) -> None:
    """One after the other, each by a wicket of its own."""
    while not race.over():
        gate = Wicket(race.pace, ACCOUNT, race.rules, address="reader@example.org")
        if await gate.turn(call=asyncio.to_thread, stopped=race.over):
            race.went()
        await asyncio.sleep(0.3)


def main(url: str, file: str, seconds: str, rules: str, kind: str) -> None:
    race = Race(url, file, seconds, rules)
    race.begin()
    asyncio.run({"posts": posts, "letters": letters, "singles": singles}[kind](race))
    print(json.dumps({"sent": race.sent}), flush=True)


main(*sys.argv[1:])
