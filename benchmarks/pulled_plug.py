"""The pulled plug: processes that send one issue are killed at random moments, hundreds of times.

    .venv/bin/python benchmarks/pulled_plug.py [READERS] [KILLS] [sqlite|postgresql|both]

On SQLite one process sends, on PostgreSQL three workers do; each is started again at once. The mail server
is on this machine and counts every letter by its Message-ID in the moment it takes it. It fails when somebody
got no letter, when a letter came twice of which the ledger does not say so, and when more are in doubt than
there were calls in flight at the kills.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.plug import Toll, Trial, machine, plan, sink, subscribe  # noqa: E402
from tests.support.postgres import cluster  # noqa: E402

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
        await running.pull(kills, letters=max(2 * readers // (kills + 10), 2))
        return await running.finish()


def main() -> None:
    readers = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    which = sys.argv[3] if len(sys.argv) > 3 else "both"
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        stores = {"sqlite": ""} if which in ("sqlite", "both") else {}
        if which in ("postgresql", "both"):
            stores["postgresql"] = stack.enter_context(cluster()).database()
        for name, url in stores.items():
            toll = asyncio.run(trial(Path(place, name), readers, kills, url=url))
            print(f"{name}: {toll}", flush=True)
            assert (toll.lost, toll.unexplained, toll.unsettled) == (0, 0, 0)
            assert toll.doubts <= toll.kills * CONNECTIONS


if __name__ == "__main__":
    main()
