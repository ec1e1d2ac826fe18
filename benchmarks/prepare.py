"""What the ledger costs at size: planning a million letters, claiming and settling them, and its memory.

    .venv/bin/python benchmarks/prepare.py [--letters 1000000]

Each measurement runs in a process of its own, on SQLite and, where Debian's PostgreSQL is installed, on a
private server of that. Disk and processor are whatever the machine has: compare rows with one another.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import Engine, text

from bot.model import State
from bot.store.chunks import Settled, settled
from bot.store.engine import open_store, writing
from bot.store.flight import Flight
from bot.store.mailing import Mailings
from tests.support.ledgers import NOW, WORDS, issue
from tests.support.postgres import cluster, installed

GROUPS = (10, 100, 500)
MEASURED = 20_000  # letters for each size of group
ANSWER = "250 2.0.0 Ok: queued as 4XyZ1a2b3c"


def fill(engine: Engine, count: int) -> None:
    """That many subscribers with ids in no order of anything else."""
    if engine.dialect.name == "sqlite":
        numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
        made = "lower(hex(randomblob(16)))"
    else:
        numbers, made = (
            f"WITH n(i) AS (SELECT * FROM generate_series(1, {count}))",
            "md5(random()::text || i)",
        )
    address = "'reader' || i || '@example.org'"
    with writing(engine) as connection:
        connection.execute(
            text(
                "INSERT INTO subscriber (id, address, address_key, name, lang, created_at, source) "
                f"{numbers} SELECT {made}, {address}, {address}, 'Reader ' || i, 'en', 0, 'bench' FROM n"
            )
        )
        connection.execute(
            text("INSERT INTO subscription SELECT 'weekly', id, 0 FROM subscriber ORDER BY id")
        )


def work(mailings: Mailings, group: int, count: int) -> tuple[int, int]:
    """Send ``count`` letters in such groups, with no wire at all; letters and exchanges."""
    letters = exchanges = 0
    while letters < count:
        chunk = mailings.lease("bench", NOW, seconds=60)
        if chunk is None:
            break
        done: list[Settled] = []
        while claimed := mailings.exchange(chunk, done, want=group, now=NOW):
            letters, exchanges = letters + len(claimed), exchanges + 1
            done = [settled(each, ANSWER, NOW) for each in claimed]
        mailings.release(chunk, [], now=NOW)
    return letters, exchanges


def peak() -> float:
    """Of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def timed(into: dict[str, float], name: str) -> Iterator[None]:
    """Wall and processor seconds of the block."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    into[name], into[f"{name}_cpu"] = time.perf_counter() - wall, time.process_time() - cpu


def prepare(url: str, count: int) -> dict[str, float]:
    """Plan one issue for all subscribers."""
    engine = open_store(url)
    mailings = Mailings(engine, mode="live", publication="bench")
    found = {"start": peak()}
    with timed(found, "plan"):
        assert mailings.record_issue(issue(), {"": WORDS}, "mail", NOW) == count
    found["peak"] = peak()
    with timed(found, "progress"):
        mailings.progress(1)
    return found


def exchange(url: str, _count: int) -> dict[str, float]:
    """Claim and settle in groups of each size."""
    engine = open_store(url)
    mailings = Mailings(engine, mode="live", publication="bench")
    work(mailings, 100, 2_000)  # every statement compiled and prepared
    found: dict[str, float] = {"start": peak()}
    for group in GROUPS:
        count = MEASURED if group > 10 else MEASURED // 5
        with timed(found, str(group)):
            letters, _ = work(mailings, group, count)
        found[f"{group}_letters"] = letters
    found["peak"] = peak()
    return found


def record(folder: str, count: int) -> dict[str, float]:
    """Write each letter's beginning and end into the flight recorder."""
    outcome = Settled(0, State.SENT, 1, 0, said=ANSWER)
    outcomes = [outcome._replace(number=number) for number in range(200)]
    found: dict[str, float] = {}
    gc.disable()
    with Flight(Path(folder)) as flight, timed(found, "flight"):
        for _ in range(count // 200):
            for number in range(200):
                flight.began(1, number, 1)
            for each in outcomes:
                flight.ended(1, 1, each)
            flight.settled(1, range(200))
    return found


def apart(call: Callable[[str, int], dict[str, float]], where: str, count: int) -> dict[str, float]:
    """The call's figures, from a fresh process: a peak of memory never goes down again."""
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_send, args=(there, call, where, count))
    process.start()
    found: dict[str, float] = json.loads(here.recv())
    process.join()
    return found


def _send(pipe: object, call: Callable[[str, int], dict[str, float]], where: str, count: int) -> None:
    pipe.send(json.dumps(call(where, count)))  # type: ignore[attr-defined]


def measure(name: str, new_url: Callable[[], str], letters: int) -> None:
    """One database: memory at two sizes, seconds at the larger one, and the cost of a letter."""
    sizes = sorted({min(10_000, letters), letters})
    peaks = []
    for count in sizes:
        url = new_url()
        engine = open_store(url)
        fill(engine, count)
        engine.dispose()
        found = apart(prepare, url, count)
        peaks.append(found["peak"])
        print(
            f"{name:<12} plan {count:>9,} letters: {found['plan']:6.2f} s"
            f" ({found['plan_cpu']:.2f} s of our CPU), peak {found['peak']:.1f} MiB"
            f" (start {found['start']:.1f}), progress {found['progress'] * 1e3:.1f} ms"
        )
    print(f"{name:<12} peak of {sizes[-1]:,} above that of {sizes[0]:,}: {peaks[-1] - peaks[0]:+.1f} MiB")
    found = apart(exchange, url, letters)
    for group in GROUPS:
        count = found[f"{group}_letters"]
        wall, cpu = found[str(group)] / count * 1e6, found[f"{group}_cpu"] / count * 1e6
        print(f"{name:<12} groups of {group:>3}: {wall:6.1f} us a letter, {cpu:.1f} us of our CPU")
    print(f"{name:<12} peak while working: {found['peak']:.1f} MiB (start {found['start']:.1f})")


def main() -> None:
    """Print it all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--letters", type=int, default=1_000_000)
    letters = parser.parse_args().letters
    with tempfile.TemporaryDirectory() as folder:
        names = iter(range(9))
        measure("SQLite", lambda: f"sqlite:///{folder}/{next(names)}.db", letters)
        flight = apart(record, folder, 400_000)["flight"] / 400_000 * 1e6
        print(f"flight recorder: {flight:.2f} us a letter for began, ended and settled together")
    if not installed():
        print("PostgreSQL: not installed (Debian: apt-get install postgresql)")
        return
    with cluster() as server:
        measure("PostgreSQL", server.database, letters)


if __name__ == "__main__":
    main()
