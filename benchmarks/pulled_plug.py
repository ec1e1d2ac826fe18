"""The pulled plug: processes that send one issue are killed at random moments, hundreds of times.

    .venv/bin/python benchmarks/pulled_plug.py [READERS] [KILLS] [sqlite|postgresql|both]
    .venv/bin/python benchmarks/pulled_plug.py --strike smtp|database|disk|stop [READERS] [STRIKES] [...]
    .venv/bin/python benchmarks/pulled_plug.py --together [TIMES]

On SQLite one process sends, on PostgreSQL three workers do; each is started again at once. The mail server
is on this machine and counts every letter by its Message-ID in the moment it takes it. It fails when somebody
got no letter, when a letter came twice of which the ledger does not say so, and when more are in doubt than
there were calls in flight at the kills.

With ``--strike`` it is not the process that is struck, but the mail server or the database (PostgreSQL, both
killed), the ledger's disk (full for three seconds; as root), or one worker of three (stopped by SIGSTOP until
others have taken over what it had, and woken; a lease is five seconds here). As many may be in doubt as there
are connections; none where nobody lost an answer; and two groups for each chunk that was taken over.

With ``--together`` nobody is killed: two ``bot run --once`` start at once, so often on SQLite and so often
on two machines with one PostgreSQL, while an issue, a Mastodon post and a Telegram post are due. It fails
when anything went out twice, or not at all.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bot.sender.mailing import LARGEST  # noqa: E402
from tests.support import strikes  # noqa: E402
from tests.support.plug import Toll, Trial, machine, plan, sink, subscribe  # noqa: E402
from tests.support.postgres import Cluster, cluster  # noqa: E402
from tests.support.strikes import small_disk  # noqa: E402
from tests.support.together import run_together  # noqa: E402

CONNECTIONS = 10


@dataclass(frozen=True, kw_only=True)
class Struck:
    """What came of it, how much may be in doubt, and what else to say."""

    toll: Toll
    bound: int
    note: str = ""

    @property
    def is_right(self) -> bool:
        toll = self.toll
        return (toll.lost, toll.unexplained, toll.unsettled) == (0, 0, 0) and toll.doubts <= self.bound

    def __str__(self) -> str:
        toll = self.toll
        counts = (
            toll.readers,
            toll.kills,
            toll.lost,
            toll.repeats,
            toll.unexplained,
            toll.doubts,
            self.bound,
        )
        return "".join(f"{count:9}" for count in counts) + f"{toll.seconds:9.0f}  {self.note}"


HEAD = ("readers", "strikes", "lost", "repeats", "unknown", "doubts", "bound", "seconds")


async def process(running: Trial, times: int, readers: int, _: Cluster | None) -> Struck:
    """The process that sends is killed."""
    await running.pull(times, of=readers)
    return Struck(toll=await running.finish(), bound=running.kills * CONNECTIONS)


async def smtp(running: Trial, times: int, readers: int, _: Cluster | None) -> Struck:
    """The mail server is killed, with all conversations that go on."""
    await strikes.mail_server(running, times, of=readers)
    senders = len(running.machines)
    return Struck(toll=await running.finish(), bound=running.kills * CONNECTIONS * senders)


async def database(running: Trial, times: int, readers: int, server: Cluster | None) -> Struck:
    """PostgreSQL is killed; whoever sends waits for it, and knows what it did."""
    assert server is not None, "SQLite is within the process: strike that"
    await strikes.database(running, server, times, of=readers)
    return Struck(toll=await running.finish(), bound=0)


async def disk(running: Trial, times: int, readers: int, server: Cluster | None) -> Struck:
    """The ledger's disk is full; what is not on disk may not be sent."""
    place = server.folder if server else running.machines[0].here / "state"
    stalled = await strikes.disk(running, place, times, of=readers, server=server)
    return Struck(toll=await running.finish(), bound=0, note=f"{stalled} times all stood still")


async def stop(running: Trial, times: int, readers: int, server: Cluster | None) -> Struck:
    """A worker sleeps past its lease."""
    assert server is not None, "on SQLite there is one process, and nobody to take over"
    taken = await strikes.sleep(running, times, of=readers)
    return Struck(
        toll=await running.finish(),
        bound=taken * (2 * LARGEST + CONNECTIONS),
        note=f"{taken} chunks taken over",
    )


STRIKES = {"process": process, "smtp": smtp, "database": database, "disk": disk, "stop": stop}


async def trial(
    folder: Path, readers: int, times: int, *, strike: str = "process", server: Cluster | None = None
) -> Struck:
    """One issue, from its planning to its last letter."""
    url = server.database() if server else ""
    workers, command = (3, ("worker",)) if url else (1, ("run", "--once"))
    lease = 5.0 if strike == "stop" else None
    async with sink() as mail:
        machines = [
            machine(
                folder / f"machine{n}",
                mail.port,
                url=url,
                connections=CONNECTIONS,
                command=command,
                lease=lease,
            )
            for n in range(workers)
        ]
        small = strike == "disk" and not server
        with small_disk(machines[0].here / "state", megabytes=128) if small else nullcontext():
            subscribe(machines[0].here, readers)
            if url or small:
                await plan(machines[0].here)
            running = Trial(machines, mail)
            await running.start()
            return await STRIKES[strike](running, times, readers, server)


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


@contextmanager
def postgresql(place: Path, strike: str) -> Iterator[Cluster]:
    """A server, on a small disk of its own where that is to be filled."""
    if strike != "disk":
        with cluster() as server:
            yield server
        return
    with small_disk(place, megabytes=1024):
        place.chmod(0o755)
        if os.getuid() == 0:
            shutil.chown(place, "postgres")
        server = Cluster(place)
        try:
            yield server
        finally:
            server.stop()


def main() -> None:
    reads = argparse.ArgumentParser(description="Strike what sends, or what it stands on; or start it twice.")
    reads.add_argument("readers", nargs="?", type=int, default=50_000)
    reads.add_argument("kills", nargs="?", type=int, help="200 kills, or 10 strikes of another kind")
    reads.add_argument("which", nargs="?", choices=("sqlite", "postgresql", "both"), default="both")
    reads.add_argument("--strike", choices=STRIKES, default="process")
    reads.add_argument("--together", nargs="?", type=int, const=50, metavar="TIMES")
    chosen = reads.parse_args()
    times = chosen.kills or (200 if chosen.strike == "process" else 10)
    here = {"sqlite", "postgresql"} if chosen.which == "both" else {chosen.which}
    if chosen.strike in ("database", "stop"):
        here = {"postgresql"}  # on SQLite the database is a part of the one process that there is
    with tempfile.TemporaryDirectory(prefix="plug-") as place, ExitStack() as stack:
        servers: dict[str, Cluster | None] = {}
        if "sqlite" in here:
            servers["sqlite"] = None
        if "postgresql" in here:
            Path(place).chmod(0o755)
            servers["postgresql"] = stack.enter_context(postgresql(Path(place, "server"), chosen.strike))
        if not chosen.together:
            print(f"{chosen.strike:12}" + "".join(f"{name:>9}" for name in HEAD))
        for name, server in servers.items():
            if chosen.together:
                url = server.database if server else str
                print(f"{name}: {asyncio.run(together(Path(place, name), chosen.together, url))}", flush=True)
                continue
            found = asyncio.run(
                trial(Path(place, name), chosen.readers, times, strike=chosen.strike, server=server)
            )
            print(f"{name:12}{found}", flush=True)
            assert found.toll.kills == times, "the list was at its end before; take more readers"
            assert found.is_right, found.toll


if __name__ == "__main__":
    main()
