"""A process that goes at its account's pace: ``URL FILE SECONDS RULES(json) [DOMAIN ...]``.

It says "ready", begins at a line on its input, and writes the moment of each slot it uses to FILE: that at
which it may go, whatever holds up this process afterwards. At its end it says how many seconds it was late in
all: those in which the machine did not give it its turn, or the database let it wait.
"""

from __future__ import annotations

import json
import os
import sys
import time

from bot.pace import Allowance, PaceRules
from bot.store.engine import open_store
from bot.store.pace import Pace

USUAL = 0.05  # seconds: so late a slot can still be used


def main(url: str, file: str, seconds: str, rules: PaceRules) -> None:
    pace, allowance = Pace(open_store(url)), Allowance()
    pace.accounts()
    out = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    print("ready", flush=True)
    sys.stdin.readline()
    batch = max(int((rules.per_second or 2) / 4), 1)
    end, ask, costs, late = time.monotonic() + float(seconds), 0.0, list[float](), 0.0
    while (now := time.monotonic()) < end:
        if allowance.take(now):
            os.write(out, b"%d\n" % int(now * 1e9))
            continue
        if now >= ask and allowance.left(now) * 2 <= batch:
            grant = pace.reserve("mail", rules, batch)
            received = time.monotonic()
            costs.append(received - now)
            late += _beyond_usual(received - now)
            allowance.add(grant, received)
            ask = received if grant.count else received + grant.wait.total_seconds()
            continue
        until_slot, until_ask = allowance.wait(now), ask - now if ask > now else None
        waits = [wait for wait in (until_slot, until_ask, end - now) if wait is not None]
        nap = max(min(waits), 0.0002)
        time.sleep(nap)
        late += _beyond_usual(time.monotonic() - now - nap)
    print(json.dumps({"costs": costs, "dropped": allowance.dropped, "late": late}), flush=True)


def _beyond_usual(seconds: float) -> float:
    return seconds if seconds > USUAL else 0.0


main(sys.argv[1], sys.argv[2], sys.argv[3], PaceRules(**json.loads(sys.argv[4])))
