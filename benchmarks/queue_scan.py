"""How long it takes to look at a queue of 10,000 items: ours cold and warm, and a naive reading beside it.

    .venv/bin/python benchmarks/queue_scan.py [FILES]

Every run is a fresh process. The ways take turns, so that a busy moment of the machine hits all of them. The
table shows medians, and ratios to the naive reading (python-frontmatter on every file, which checks nothing).
The peak is that of the whole process. A way that loses an item fails.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
RUNS = 5

# What each way does; it prints seconds, CPU seconds, items and the peak in kB.
PROGRAM = """
import json, resource, sys, time
from pathlib import Path
way, folder, cache = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
count = 0
if way == "naive":
    import frontmatter
elif way != "bare":
    from bot.reader import read_queue
start, cpu = time.perf_counter(), time.process_time()
if way == "naive":
    posts = [frontmatter.load(str(path)) for path in folder.glob("*.md")]
    count = len(posts)
elif way != "bare":
    queue = read_queue(folder, cache=None if way == "cold" else cache, cache_readonly=way == "dry")
    count = len(queue.items)
seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
print(json.dumps([seconds, cpu, count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss]))
"""

WAYS = {
    "naive": "python-frontmatter",
    "cold": "ours, no cache",
    "warm": "ours, warm cache",
    "dry": "ours, warm cache, dry run",
    "bare": "bare interpreter",
}


def make_queue(folder: Path, count: int) -> None:
    """Items with thirteen lines of front matter and a body of about 150 words, saved long ago."""
    words = ["people", "work", "organise", "report", "court", "union", "port", "farm", "visit", "letter"]
    for number in range(count):
        body = " ".join(words[(number * 7 + place * place) % len(words)] for place in range(150))
        path = folder / f"item-{number:06}.md"
        path.write_text(
            f'---\ntitle: "Story {number}: what {words[number % len(words)]} means"\n'
            f"url: https://example.org/story/{number}\nsource: Example News\n"
            f"published: 2026-05-{number % 28 + 1:02}\n"
            "region: Asia-Pacific/Thailand\ntags: [law, work, courts]\nlang: en\n"
            'summary: "Two sentences about it. They are as long as these usually are, and a little longer."\n'
            "content_warning: null\nstatus: approved\nadded_by: Ana\napproved_by: [Ben, Zoe]\npriority: 0\n"
            f"---\n\n{body}\n",
        )
        os.utime(path, ns=(10**18, 10**18))


def measure(way: str, folder: Path, cache: Path) -> list[float]:
    """One run in a process of its own."""
    command = [sys.executable, "-c", PROGRAM, way, str(folder), str(cache)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return [float(value) for value in json.loads(done.stdout)]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as place:
        folder, cache = Path(place, "queue"), Path(place, "items.cache")
        folder.mkdir()
        make_queue(folder, count)
        first = measure("fill", folder, cache)
        runs = {way: [] for way in WAYS}
        for _ in range(RUNS):
            for way, results in runs.items():
                results.append(measure(way, folder, cache))
        show(count, first, runs, cache.stat().st_size)


def show(count: int, first: list[float], runs: dict[str, list[list[float]]], size: int) -> None:
    """The table."""
    print(f"{count} items; median of {RUNS} interleaved runs\n")
    print(f"{'':28}{'wall s':>8}{'CPU s':>8}{'ratio':>8}{'peak MB':>9}")
    naive = statistics.median(run[0] for run in runs["naive"])
    for way, results in runs.items():
        wall, cpu, items, peak = (statistics.median(column) for column in zip(*results, strict=True))
        assert items == (0 if way == "bare" else count), f"{way} lost items"
        ratio = f"{wall / naive:8.3f}" if wall > 0.001 else " " * 8
        print(f"{WAYS[way]:28}{wall:8.3f}{cpu:8.3f}{ratio}{peak / 1024:9.1f}")
    print(f"\nfilling the cache once: {first[0]:.2f} s; its size: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
