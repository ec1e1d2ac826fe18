"""A million readers, end to end, on SQLite: the list, the plan, and two processes that send it.

    .venv/bin/python benchmarks/million.py [READERS] [--processes 2] [--loop uvloop]

Each mail is a personal one of 50 kB to a fast sink on this machine (csink.c), which counts the mails and the
readers who got one. The time of sending is from the start of the processes, Python's own included, to the
last dot at the sink; memory is each process's peak above what it had when it had imported all but the loop.
It fails when a reader got none or two. Needs cc with OpenSSL's headers.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from full_path import Tools, Way, children, free_port, make_tools, peak_memory, record
from smtp_wire import Way as Wire
from smtp_wire import sink

SECONDS, PREPARED, MEGABYTES = 75, 30, 60  # what issue 3 asks for


def plan(folder: Path) -> None:
    """Record the issue in a process of its own; prints how long it took and its peak memory."""
    start = time.monotonic()
    count = record(folder)
    print(json.dumps({"count": count, "seconds": time.monotonic() - start, "memory": peak_memory()}))


def measure(folder: Path, readers: int, way: Way) -> None:
    """All of it, and what it took."""
    start = time.monotonic()
    tools, size = make_tools(folder, readers)
    said(f"{readers:,} readers imported", time.monotonic() - start)
    port, report = free_port(), dict[str, float]()
    news = tools.template
    (news / "bot.toml").write_text(way.settings(port, tools))
    planned = json.loads(subprocess.check_output([sys.executable, __file__, "plan", str(news)]))
    assert planned["count"] == readers
    said(f"issue planned, peak {planned['memory']:.0f} MB", planned["seconds"], most=PREPARED)
    start = time.monotonic()
    with sink(tools.program, port, Wire(name="", client=""), tools.certificate, report):
        results = children(news, way)
    assert (report["msgs"], report["distinct"]) == (readers, readers), report
    assert sum(result["sent"] for result in results) == readers
    check(tools)
    wall = report["last"] - start
    said(f"sent by {way.processes} processes, {way.loop}", wall, most=SECONDS)
    cpu = sum(result["cpu"] for result in results) / readers * 1e6
    memory = [result["peak"] - result["start"] for result in results]
    print(f"  {readers / wall:,.0f} mails a second of {size:,} bytes, {cpu:.0f} us of CPU each")
    print(f"  arrived: {report['msgs']:,} mails at {report['distinct']:,} readers")
    above = ", ".join(f"{found:.0f}" for found in memory)
    print(f"  MB above the start: {above}; {verdict(max(memory), MEGABYTES)} (under {MEGABYTES})")


def check(tools: Tools) -> None:
    """The ledger says so, too."""
    from bot.app.workspace import Workspace

    here = Workspace(tools.template, readonly=True)
    assert not here.mailings.unfinished(), "the ledger has something left to send"
    here.release()


def said(what: str, seconds: float, *, most: float = 0) -> None:
    asked = f"  {verdict(seconds, most)} (under {most} s)" if most else ""
    print(f"{what:44}{seconds:8.1f} s{asked}", flush=True)


def verdict(found: float, most: float) -> str:
    return "reached" if found < most else "FALLS SHORT"


def main() -> None:
    reads = argparse.ArgumentParser(description="A million readers, end to end, on SQLite.")
    reads.add_argument("readers", nargs="?", type=int, default=1_000_000)
    reads.add_argument("--processes", type=int, default=2)
    reads.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    chosen = reads.parse_args()
    os.environ["BOT_SECRET_KEY"] = "benchmark-key-of-more-than-32-characters"
    with tempfile.TemporaryDirectory() as folder:
        way = Way(name="a million", loop=chosen.loop, processes=chosen.processes)
        measure(Path(folder), chosen.readers, way)


if __name__ == "__main__":
    if sys.argv[1:2] == ["plan"]:
        plan(Path(sys.argv[2]))
    else:
        main()
