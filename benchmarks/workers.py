"""One to four workers on PostgreSQL: how it scales until the cores are full.

    .venv/bin/python benchmarks/workers.py [READERS] [ROUNDS]

Starts a PostgreSQL of its own, workers as processes with folders of their own, and csink, a mail server in C,
all on this machine: they share its cores. The workers are up before the issue is let go; the rate is from the
first letter to the last. Needs cc with OpenSSL's headers. It fails when a letter is lost or sent twice.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bot.app.workspace import Workspace  # noqa: E402
from tests.support.live_workspace import NOW  # noqa: E402
from tests.support.plug import machine, plan, subscribe  # noqa: E402
from tests.support.postgres import Cluster, cluster  # noqa: E402

MOST = 4
SLOT = NOW - timedelta(weeks=1)  # long ago: the workers go by the real clock, since a made-up one is slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def race(folder: Path, program: Path, server: Cluster, readers: int, workers: int) -> float:
    """Letters a second with that many workers."""
    url, port = server.database(), free_port()
    sink = subprocess.Popen([program, str(port)], stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    machines = [
        machine(folder / f"machine{n}", port, url=url, connections=10, command=("worker",))
        for n in range(workers)
    ]
    subscribe(machines[0].here, readers, now=SLOT)
    await plan(machines[0].here, now=SLOT)
    ledger = Workspace(machines[0].here)
    ledger.mailings.pause(1)
    for each in machines:
        await each.start(None)
    for each in machines:
        await each.ready.wait()
    ledger.mailings.resume(1)
    start = time.monotonic()
    while ledger.mailings.progress(1).left:
        assert time.monotonic() - start < 600, "it does not come to an end"
        await asyncio.sleep(0.1)
    for each in machines:
        each.process.terminate()
        assert await each.end() == 0, each.complaint
    ledger.engine.dispose()
    server.drop(url)
    sink.send_signal(signal.SIGTERM)
    report = json.loads(sink.communicate(timeout=10)[0])
    assert report["msgs"] == readers, report
    return float(report["rate"])


def main() -> None:
    readers = int(sys.argv[1]) if len(sys.argv) > 1 else 60_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    rates: dict[int, list[float]] = {workers: [] for workers in range(1, MOST + 1)}
    with tempfile.TemporaryDirectory() as place, cluster() as server:
        program = Path(place, "csink")
        source = Path(__file__).with_name("csink.c")
        subprocess.run(["cc", "-O2", "-w", "-o", program, source, "-lssl", "-lcrypto"], check=True)
        for turn in range(rounds):
            for workers in rates:
                folder = Path(place, f"{turn}-{workers}")
                rates[workers].append(asyncio.run(race(folder, program, server, readers, workers)))
    print(
        f"{readers} readers; median of {rounds} rounds; {os.cpu_count()} cores; "
        f"load {os.getloadavg()[0]:.1f}\n"
    )
    print(f"{'workers':>8}{'letters/s':>11}{'min':>8}{'max':>8}{'ratio to one':>14}")
    for workers, found in rates.items():
        ratio = statistics.median(rate / one for rate, one in zip(found, rates[1], strict=True))
        print(f"{workers:8}{statistics.median(found):11.0f}{min(found):8.0f}{max(found):8.0f}{ratio:14.2f}")


if __name__ == "__main__":
    main()
