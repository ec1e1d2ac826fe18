"""The pulled plug: processes that send one issue are killed at random moments, hundreds of times.

    .venv/bin/python benchmarks/pulled_plug.py [READERS] [KILLS] [sqlite|postgresql|both]
    .venv/bin/python benchmarks/pulled_plug.py --together [TIMES]

On SQLite one process sends, on PostgreSQL three workers do; each is started again at once. The mail server
is on this machine and counts every letter by its Message-ID in the moment it takes it. It fails when somebody
got no letter, when a letter came twice of which the ledger does not say so, and when more are in doubt than
there were calls in flight at the kills.

With ``--together`` nobody is killed: two ``bot run --once`` start at once, so often on SQLite and so often
on two machines with one PostgreSQL, while an issue, a Mastodon post and a Telegram post are due. It fails
when anything went out twice, or not at all.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.plug import Toll, Trial, machine, plan, sink, subscribe  # noqa: E402
from tests.support.postgres import cluster  # noqa: E402
from tests.support.together import run_together  # noqa: E402

CONNECTIONS = 10


async def trial(folder: Path, readers: int, kills: int, *, url: str) -> Toll:
    """One issue, from its planning to its last letter."""
    workers, command = (3, ("worker",)) if url else (1, ("run", "--once"))
    async with sink() as server:
        machines = [
            machine(folder / f"machine{n}", server.port, url=url, connections=CONNECTIONS, command=command)
            for n in range(workers)
        ]
        subscribe(machines[0].here, readers)
        running = Trial(machines, server)
        if url:
            await plan(machines[0].here)
        await running.start()
        await running.pull(kills, of=readers)
        return await running.finish()


async def together(folder: Path, times: int, url: Callable[[], str]) -> str:
    """Two runs at once, again and again; what to say of it."""
    start, chance, codes = time.monotonic(), random.Random(12), Counter[tuple[int, ...]]()
    for number in range(times):
        found = await run_together(folder / str(number), chance, url=url())
        assert found.is_right, found
        codes[tuple(sorted(found.codes))] += 1
    seconds = time.monotonic() - start
    return (
        f"two runs together, {times} times in {seconds:.0f} s: everything once; "
        f"{codes[0, 5]} times one was told that the other is at work"
    )


def main() -> None:
    reads = argparse.ArgumentParser(description="Kill what sends, or start it twice.")
    reads.add_argument("readers", nargs="?", type=int, default=50_000)
    reads.add_argument("kills", nargs="?", type=int, default=200)
    reads.add_argument("which", nargs="?", choices=("sqlite", "postgresql", "both"), default="both")
    reads.add_argument("--together", nargs="?", type=int, const=50, metavar="TIMES")
    chosen = reads.parse_args()
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        urls: dict[str, Callable[[], str]] = {}
        if chosen.which in ("sqlite", "both"):
            urls["sqlite"] = str
        if chosen.which in ("postgresql", "both"):
            urls["postgresql"] = stack.enter_context(cluster()).database
        for name, url in urls.items():
            if chosen.together:
                print(f"{name}: {asyncio.run(together(Path(place, name), chosen.together, url))}", flush=True)
                continue
            toll = asyncio.run(trial(Path(place, name), chosen.readers, chosen.kills, url=url()))
            print(f"{name}: {toll}", flush=True)
            assert toll.kills == chosen.kills, "the list was at its end before; take more readers"
            assert (toll.lost, toll.unexplained, toll.unsettled) == (0, 0, 0)
            assert toll.doubts <= toll.kills * CONNECTIONS


if __name__ == "__main__":
    main()
