"""Four processes at one account's pace: the average, the fullest second, and what a reservation costs.

    .venv/bin/python benchmarks/pace.py [SECONDS]

SQLite always, PostgreSQL where Debian's server is installed. First the real program, counted at the mail
server: ``bot run --once`` on SQLite, four ``bot worker`` on PostgreSQL. Then the store alone, by four
processes that do nothing but take slots; the cost of one reservation; and what the rules take of it without
a database.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from sqlalchemy import insert, update  # noqa: E402

from bot.pace import Account, Allowance, PaceRules, Quota, reserve  # noqa: E402
from bot.store.engine import open_store, writing  # noqa: E402
from bot.store.pace import Pace  # noqa: E402
from bot.store.schema import tick  # noqa: E402
from tests.support.paced import paced  # noqa: E402
from tests.support.pacing import Racers, fullest  # noqa: E402
from tests.support.postgres import cluster, installed  # noqa: E402

PROCESSES = 4
RATES = (14, 500)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        print(f"{'by the mail server':20}{'senders':>9}{'average':>10}{'fullest s':>11}")
        by_the_program("SQLite", Path(place, "sqlite"), "", seconds, workers=1)
        if installed():
            url = stack.enter_context(cluster()).database()
            by_the_program("PostgreSQL", Path(place, "postgresql"), url, seconds, workers=PROCESSES)
    print(f"\n{'':12}{'rate':>6}{'average':>10}{'fullest s':>11}{'dropped':>9}{'reserve: ms':>20}{'95 %':>8}")
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        stores = {"SQLite": [f"sqlite:///{place}/{n}.db" for n in range(len(RATES) + 1)]}
        if installed():
            server = stack.enter_context(cluster())
            stores["PostgreSQL"] = [server.database() for _ in range(len(RATES) + 1)]
        for name, urls in stores.items():
            for rate, url in zip(RATES, urls[1:], strict=True):
                race(name, url, Path(place, f"{name}-{rate}"), rate, seconds)
        print()
        for name, urls in stores.items():
            alone(name, urls[0])
    rules_alone()


def by_the_program(name: str, folder: Path, url: str, seconds: float, *, workers: int) -> None:
    """An issue on its way: letters a second, as the mail server counts them."""
    found = asyncio.run(paced(folder, url=url, rate=RATES[0], seconds=seconds, workers=workers))
    print(f"{name:20}{found.senders:9}{found.average:10.2f}{found.fullest:11}", flush=True)
    assert (found.repeats, found.lost) == (0, 0), found


def race(name: str, url: str, file: Path, rate: int, seconds: float) -> None:
    """One row of the table."""
    open_store(url).dispose()
    with Racers(url, file, count=PROCESSES, seconds=seconds + 0.5, rules={"per_second": rate}) as racers:
        said = racers.finish()
    gone = racers.moments()
    average = sum(moment < gone[0] + seconds for moment in gone) / seconds
    costs = sorted(cost * 1e3 for each in said for cost in each["costs"])
    dropped = sum(each["dropped"] for each in said)
    print(
        f"{name:12}{rate:6}{average:10.2f}{fullest(gone, 1):11}{dropped:9}"
        f"{statistics.median(costs):20.2f}{costs[int(len(costs) * 0.95)]:8.2f}"
    )


def alone(name: str, url: str) -> None:
    """What one process pays when it shares with nobody, beside the least durable step there can be."""
    engine = open_store(url)
    pace = Pace(engine)
    rules = PaceRules(per_second=900_000, per_hour=10**9, per_day=10**9)
    domains = PaceRules(per_second=900_000, domains={"*": Quota(per_second=900_000)})
    names = {f"d{number}.example": 10 for number in range(20)}

    def bare() -> None:
        with writing(engine) as connection:
            connection.execute(update(tick).values(at=datetime.now(UTC)))

    with writing(engine) as connection:
        connection.execute(insert(tick), {"mode": "live", "at": datetime.now(UTC)})
    ways = {
        "a bare commit": bare,
        "100 slots": lambda: pace.reserve("mail", rules, 100),
        "200 over 20 domains": lambda: pace.reserve("list", domains, names),
    }
    runs: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    for _ in range(100):
        for way, call in ways.items():
            runs[way].append(timed(call))
    engine.dispose()
    print(f"{name}: " + "; ".join(f"{way} {shown(each)}" for way, each in runs.items()))


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of wall clock and of CPU."""
    start, cpu = time.perf_counter(), time.process_time()
    call()
    return (time.perf_counter() - start) * 1e3, (time.process_time() - cpu) * 1e3


def shown(runs: list[tuple[float, float]]) -> str:
    wall, cpu = (statistics.median(column) for column in zip(*runs, strict=True))
    return f"{wall:.2f} ms (CPU {cpu:.2f})"


def rules_alone() -> None:
    """The pure part, and the local part for each message."""
    now, rules, row = datetime.now(UTC), PaceRules(per_second=14, per_hour=50_000, per_day=500_000), Account()
    start = time.process_time()
    for number in range(2000):
        row = reserve(row, {}, rules, {"": 7}, now + timedelta(seconds=number / 2)).account
    print(f"{'rules':12}{(time.process_time() - start) / 2000 * 1e6:.0f} us for one reservation")
    allowance = Allowance()
    allowance.add(reserve(Account(), {}, PaceRules(), {"": 100_000}, now).grant, 0.0)
    start = time.process_time()
    for _ in range(100_000):
        allowance.take(0.0)
    print(f"{'allowance':12}{(time.process_time() - start) * 10:.2f} us for each message")
    pace = Pace(open_store("sqlite://"))
    start = time.process_time()
    for _ in range(100_000):
        pace.note("mail", "250 ok")
    print(f"{'note':12}{(time.process_time() - start) * 10:.2f} us for each message")


if __name__ == "__main__":
    main()
