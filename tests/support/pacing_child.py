"""A process that goes at its account's pace: ``URL FILE SECONDS RULES(json) [DOMAIN ...]``.

It says "ready", begins at a line on its input, and writes the moment of each slot it uses to FILE.
"""

from __future__ import annotations

import json
import os
import sys
import time

from bot.pace import Allowance, PaceRules
from bot.store.engine import open_store
from bot.store.pace import Pace


def main(url: str, file: str, seconds: str, rules: PaceRules) -> None:
    pace, allowance = Pace(open_store(url)), Allowance()
    pace.accounts()
    out = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    print("ready", flush=True)
    sys.stdin.readline()
    batch = max(int((rules.per_second or 2) / 4), 1)
    end, ask, costs = time.monotonic() + float(seconds), 0.0, list[float]()
    while (now := time.monotonic()) < end:
        if allowance.take(now):
            os.write(out, b"%d\n" % time.monotonic_ns())
            continue
        if now >= ask and allowance.left(now) * 2 <= batch:
            grant = pace.reserve("mail", rules, batch)
            received = time.monotonic()
            costs.append(received - now)
            allowance.add(grant, received)
            ask = received if grant.count else received + grant.wait.total_seconds()
            continue
        until_slot, until_ask = allowance.wait(now), ask - now if ask > now else None
        waits = [wait for wait in (until_slot, until_ask, end - now) if wait is not None]
        time.sleep(max(min(waits), 0.0002))
    print(json.dumps({"costs": costs, "dropped": allowance.dropped}), flush=True)


main(sys.argv[1], sys.argv[2], sys.argv[3], PaceRules(**json.loads(sys.argv[4])))
