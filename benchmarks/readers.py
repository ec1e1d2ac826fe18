"""A million readers in and out: the import beside the sqlite3 command line, again, and the export.

    .venv/bin/python benchmarks/readers.py [READERS]

Needs Debian's sqlite3. Every run is a fresh process in a fresh folder. The ways take turns, so that a busy
moment of the machine hits all of them; the ratio is that of the pairs, and the table shows medians.

sqlite3 reads the file into a staging table, puts the rows into a table of readers with their addresses in
lower case, and builds a unique index. It checks no address. Ours checks every address, leaves out who is
suppressed, finds repeats, counts, and fills two tables with four indexes in one durable transaction.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

RUNS = 5
BOT = Path(sys.executable).with_name("bot")

SQL = """
.mode csv
.import {table} staging
CREATE TABLE subscriber (address TEXT NOT NULL, name TEXT NOT NULL, lang TEXT NOT NULL);
INSERT INTO subscriber SELECT lower(email), name, language FROM staging;
CREATE UNIQUE INDEX addresses ON subscriber (address);
DROP TABLE staging;
"""


@dataclass
class Run:
    """One process: wall-clock and CPU seconds, its peak in MB."""

    wall: float
    cpu: float
    peak: float


def make_table(path: Path, count: int) -> None:
    """Readers in no order, 65 bytes each, at a few domains as in any real list; names in several scripts."""
    chance = random.Random(5)
    domains = ["example.org", "mail.example.com", "Union.example.net", "workers.people.example"]
    names = ["Ana", "José", "Li", "Zoë", "Mohamed", "Somchai", "Nguyễn Văn", "Ольга", "Peter", "Fatima"]
    with path.open("w", encoding="utf-8") as file:
        file.write("email,name,language\n")
        for number in range(count):  # no list of them here: a child's peak begins with its parent's
            place = number * 611_953 % count
            local = f"{('reader', 'Member', 'first.last')[place % 3]}.{place:07}"
            name = f"{names[place % 10]} of the Example family {place % 977}"
            file.write(f"{local}@{chance.choice(domains)},{name},{('en', 'es', 'th', '')[place % 4]}\n")


def measure(command: list[str], *, stdin: str = "", to: Path | None = None) -> Run:
    """Run it to its end; its output goes to a file or nowhere."""
    with (to or Path(os.devnull)).open("wb") as out:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out)
        assert child.stdin
        child.stdin.write(stdin.encode())
        child.stdin.close()
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"{command} ended with {child.returncode}"
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def import_by_sqlite(table: Path, place: Path) -> Run:
    return measure(["sqlite3", str(place / "list.db")], stdin=SQL.format(table=table))


def bot(place: Path, *words: str, to: Path | None = None) -> Run:
    return measure([str(BOT), "--workspace", str(place), *words], to=to)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    runs: dict[str, list[Run]] = {}
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "list.csv")
        make_table(table, count)
        for number in range(RUNS):
            for name, run in one_round(table, Path(folder, str(number)), count).items():
                runs.setdefault(name, []).append(run)
        small = Path(folder, "small.csv")
        make_table(small, min(count, 10_000))
        place = new_workspace(Path(folder, "small"))
        runs["ours, 10,000 readers"] = [bot(place, "subscribers", "import", str(small))]
    show(count, runs)


def new_workspace(place: Path) -> Path:
    for command in (["init", place], ["--workspace", place, "resume"]):  # the second makes the database
        subprocess.run([BOT, *command], check=True, capture_output=True)
    return place


def one_round(table: Path, place: Path, count: int) -> dict[str, Run]:
    """Each way once; what came out is compared with what went in."""
    new_workspace(place)
    found = {
        "sqlite3, import": import_by_sqlite(table, place),
        "ours, import": bot(place, "subscribers", "import", str(table)),
        "ours, the same again": bot(place, "subscribers", "import", str(table)),
        "ours, again, dry run": bot(place, "subscribers", "import", str(table), "--dry-run"),
        "ours, export CSV": bot(place, "subscribers", "export", to=place / "out.csv"),
        "ours, export JSON": bot(place, "subscribers", "export", "--format", "json", to=place / "out.json"),
    }
    with (place / "out.csv").open("rb") as out:
        assert sum(1 for _ in out) == count + 1, "readers were lost"
    shutil.rmtree(place)
    return found


def show(count: int, runs: dict[str, list[Run]]) -> None:
    """The table."""
    print(f"{count:,} readers; medians of {RUNS} interleaved runs\n")
    print(f"{'':26}{'wall s':>8}{'CPU s':>8}{'/ sqlite3':>11}{'peak MB':>9}")
    base = runs["sqlite3, import"]
    for name, results in runs.items():
        ratio = statistics.median(run.wall / other.wall for run, other in zip(results, base, strict=False))
        wall, cpu = (statistics.median(getattr(run, what) for run in results) for what in ("wall", "cpu"))
        shown = f"{ratio:11.2f}" if "import" in name else " " * 11
        print(f"{name:26}{wall:8.2f}{cpu:8.2f}{shown}{max(run.peak for run in results):9.1f}")


if __name__ == "__main__":
    main()
