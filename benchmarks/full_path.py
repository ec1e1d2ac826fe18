"""An issue to many readers, from the ledger to the wire: leases, claims on disk, compiled letters, outcomes.

    .venv/bin/python benchmarks/full_path.py [READERS] [ROUNDS] [--plain] [--tls] [--dkim] [--delay] [--peers]

Beside it, in turns on the same machine and to the same sink: Postfix's own generator ``smtp-source -d -s 10``
with mails of the same size, and nodemailer, Django and aiosmtplib with the same words; none of them keeps a
ledger. Two generators at once, with five sessions each, show what two senders can reach at all where they
share the cores with the sink. Each mail is personal (name, address, unsubscribe link, Message-ID).

The rate is the sink's own, from the first MAIL to the last dot; two processes begin together. The ways take
turns within a round; the table has medians, and each ratio is the median of the rounds' own. "CPU us" and
"sink us" are what a mail costs the sender and the sink: two cores have 2,000,000 a second for both.

Without an option all of them run. Needs cc with OpenSSL's headers and Debian's postfix; the peers are put
into a cache folder (peers/), and the table says which could not be had.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from peers import TOKEN, Peer, peers
from smtp_wire import Way as Wire
from smtp_wire import certificate_for_localhost, sink

if TYPE_CHECKING:
    from bot.app.workspace import Workspace
    from bot.model import Message

HERE = Path(__file__).parent
SLOT = datetime(2026, 11, 20, 2, tzinfo=UTC)
STORIES = 4  # long ones
DELAY = 20  # milliseconds
YARDSTICK = "smtp-source -d -s 10"
CEILING = "smtp-source -d -s 5, twice at once"
SESSIONS = 10  # of a generator, or of two together
NODEMAILER, SIGNED_NODEMAILER = "nodemailer", "DKIM: nodemailer"

SETTINGS = """
mode = "live"
[publication]
title = "The Shelf"
postal_address = "1 Street, 10000 Town"
site_url = "https://news.shelf.ngo"
[newsletters.weekly]
channel = "mail"
slots = ["Fri 09:00"]
sender = "The Shelf <weekly@news.shelf.ngo>"
[channels.mail]
type = "email"
host = "localhost"
port = {port}
connections = {connections}
"""
TLS = """
security = "tls"
ca_file = "{certificate}"
"""
DKIM = """
dkim_domain = "news.shelf.ngo"
dkim_selector = "s1"
dkim_key_file = "{key}"
"""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One row of ours: how many processes on which loop, to what kind of sink."""

    name: str
    loop: str = "asyncio"
    processes: int = 1
    connections: int = 10  # of all processes together
    tls: bool = False
    dkim: bool = False
    delay: int = 0  # milliseconds before each answer
    share: float = 1.0  # of the readers: slow ways have fewer

    def settings(self, port: int, tools: Tools) -> str:
        """The workspace's."""
        text = SETTINGS.format(port=port, connections=self.connections // self.processes)
        text += TLS.format(certificate=tools.certificate) if self.tls else 'security = "none"\n'
        return text + (DKIM.format(key=tools.key) if self.dkim else "")


WAYS = {
    "plain": (
        Way(name="one process, asyncio"),
        Way(name="one process, uvloop", loop="uvloop"),
        Way(name="two processes, asyncio", processes=2),
        Way(name="two processes, uvloop", loop="uvloop", processes=2),
    ),
    "tls": (
        Way(name="TLS, one, asyncio", tls=True),
        Way(name="TLS, one, uvloop", tls=True, loop="uvloop"),
        Way(name="TLS, two, asyncio", tls=True, processes=2),
        Way(name="TLS, two, uvloop", tls=True, loop="uvloop", processes=2),
    ),
    "dkim": (
        Way(name="DKIM, one, asyncio", dkim=True, share=0.25),
        Way(name="DKIM, one, uvloop", dkim=True, loop="uvloop", share=0.25),
        Way(name="DKIM, two, uvloop", dkim=True, loop="uvloop", processes=2, share=0.25),
    ),
    "delay": (
        Way(name=f"{DELAY} ms, 50, asyncio", delay=DELAY, connections=50, share=0.5),
        Way(name=f"{DELAY} ms, 50, uvloop", delay=DELAY, connections=50, share=0.5, loop="uvloop"),
    ),
}

# What issue 3 asks for: way, beside whom ("": mails a second), at least.
GOALS = (
    ("one process, asyncio", YARDSTICK, 0.6),
    ("one process, uvloop", YARDSTICK, 1.1),
    ("two processes, uvloop", YARDSTICK, 1.5),
    ("one process, asyncio", NODEMAILER, 20),
    ("one process, asyncio", "Django", 50),
    ("one process, asyncio", "aiosmtplib", 50),
    ("TLS, one, asyncio", YARDSTICK, 0.5),
    ("DKIM, one, asyncio", SIGNED_NODEMAILER, 8),
    (f"{DELAY} ms, 50, asyncio", "", 2_200),
    (f"{DELAY} ms, 50, uvloop", "", 2_200),
)


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What a round needs: the sink's program, its certificate, a key, a workspace to copy, and the words."""

    program: Path
    certificate: Path
    key: Path
    template: Path
    words: Path


# --------------------------------------------------------------------------- a prepared workspace


def make_tools(folder: Path, readers: int) -> tuple[Tools, int]:
    """All of it, and the size of one mail."""
    tools = Tools(
        program=folder / "csink",
        certificate=certificate_for_localhost(folder),
        key=folder / "dkim.pem",
        template=folder / "template",
        words=folder / "words",
    )
    source = HERE / "csink.c"
    subprocess.run(["cc", "-O2", "-o", tools.program, source, "-lssl", "-lcrypto"], check=True)
    make_key = "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out"
    subprocess.run([*make_key.split(), tools.key], check=True, capture_output=True)
    tools.words.mkdir()
    size, words = prepare(tools.template, readers)
    link = words.mailing.unsubscribe_url
    for name, text in {"html": words.html, "text": words.text}.items():
        assert link in text
        (tools.words / name).write_text(text.replace(link, TOKEN))
    return tools, size


def prepare(folder: Path, readers: int) -> tuple[int, Message]:
    """A workspace with that many subscribers; returns the size of one mail, and its words."""
    from bot.app.workspace import Workspace
    from bot.model import Recipient
    from bot.store.audience import Signup

    (folder / "queue").mkdir(parents=True)
    (folder / "bot.toml").write_text(SETTINGS.format(port=1, connections=1) + 'security = "none"\n')
    here = Workspace(folder)
    names = ("Ana", "สมชาย", "ليلى الأحمد", "Jean-Baptiste de la Tour", "")
    here.audience.add_many(
        (
            Signup(address=f"reader{n}@example{n % 50}.com", name=names[n % 5], newsletters=("weekly",))
            for n in range(readers)
        ),
        now=SLOT,
        source="benchmark",
    )
    words = message(here)
    compiled = here.channels["mail"].compiled(words)  # type: ignore[attr-defined]
    letter = compiled.letter(
        Recipient(id="0" * 32, address="reader1@example1.com", name="Ana"),
        key="0" * 64,
        values={"unsubscribe_token": "x" * 43},
    )
    here.release()
    return len(letter.content), words


def message(here: Workspace) -> Message:
    """A real issue of about 50 kB on the wire: the first stories of the sample queue without a picture."""
    from bot.model import Issue
    from bot.reader import read_queue
    from bot.rendering.issue import render_issue

    items = [item for item in read_queue(HERE.parent / "queue").items if not item.image][:STORIES]
    issue = Issue(newsletter="weekly", number=1, slot=SLOT, items=tuple(items))
    return render_issue(issue, here.newsletter("weekly"), here.settings.publication.value, here.templates)


def record(folder: Path) -> int:
    """The issue, planned for everybody; how many that are."""
    from bot.app.workspace import Workspace
    from bot.model import Issue

    here = Workspace(folder)
    issue = Issue(newsletter="weekly", number=1, slot=SLOT, items=())
    count = here.mailings.record_issue(issue, {"": message(here)}, "mail", datetime.now(UTC))
    here.release()
    return count


def send(folder: Path, loop: str) -> None:
    """One process of a send: says "ready", begins at a line on its input, as a bot that runs all day would.

    Then prints what it sent, its CPU seconds from there on, and its memory in MB.
    """
    from bot.app.publish import mailers_of
    from bot.app.workspace import Workspace

    start = peak_memory()
    factory = None
    if loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    here = Workspace(folder)
    (mailer,) = mailers_of(here, lambda: datetime.now(UTC), lambda: False)
    print("ready", flush=True)
    sys.stdin.readline()
    before = time.process_time()
    with asyncio.Runner(loop_factory=factory) as runner:
        report = runner.run(mailer.run())
    cpu = time.process_time() - before
    print(json.dumps({"sent": report.sent, "cpu": cpu, "start": start, "peak": peak_memory()}))


def peak_memory() -> float:
    """MB at most so far. ``ru_maxrss`` would begin with the parent's."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


# --------------------------------------------------------------------------- one run


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def children(folder: Path, way: Way) -> list[dict[str, float]]:
    """The processes of a send; all of them are up before the first begins."""
    command = [sys.executable, str(HERE / "full_path.py"), "send", str(folder), way.loop]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    running = [subprocess.Popen(command, text=True, **pipes) for _ in range(way.processes)]
    for child in running:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
    for child in running:
        assert child.stdin
        child.stdin.write("go\n")
        child.stdin.flush()
    return [json.loads(child.communicate()[0]) for child in running]


def ours(way: Way, tools: Tools, readers: int) -> dict[str, float]:
    """A fresh copy of the workspace, an issue planned, then sent by that many processes."""
    with tempfile.TemporaryDirectory() as name:
        folder, port, report = Path(name) / "news", free_port(), dict[str, float]()
        shutil.copytree(tools.template, folder)
        (folder / "bot.toml").write_text(way.settings(port, tools))
        if way.share < 1:
            keep_only(folder, int(readers * way.share))
        count = record(folder)
        wire = Wire(name="", client="", tls=way.tls, delay=way.delay)
        with sink(tools.program, port, wire, tools.certificate, report):
            results = children(folder, way)
        arrived = (report["msgs"], report["distinct"])
        assert arrived == (count, count), f"{way.name}: {arrived} of {count} arrived, and to so many readers"
        assert sum(result["sent"] for result in results) == count
    return {
        "rate": report["rate"],
        "cpu": sum(result["cpu"] for result in results) / count * 1e6,
        "sink": report["sink_us_per_msg"],
        "memory": max(result["peak"] - result["start"] for result in results),
    }


def keep_only(folder: Path, count: int) -> None:
    """A shorter list."""
    import sqlite3

    with sqlite3.connect(folder / "state" / "ledger.sqlite3") as ledger:
        ledger.execute("PRAGMA foreign_keys=ON")
        every = "SELECT id FROM subscriber ORDER BY id LIMIT -1 OFFSET ?"
        ledger.execute(f"DELETE FROM subscription WHERE subscriber_id IN ({every})", (count,))
        ledger.execute(f"DELETE FROM subscriber WHERE id IN ({every})", (count,))
    ledger.close()


def others(
    tools: Tools, count: int, size: int, peer: Peer | None, *, generators: int = 1
) -> dict[str, float]:
    """A peer, or without one smtp-source with ten sessions, or so many that share them."""
    port, report = free_port(), dict[str, float]()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with sink(tools.program, port, Wire(name="", client=""), tools.certificate, report):
        if peer:
            peer.start(port, tools.words)
        else:
            share = f"-d -s {SESSIONS // generators} -l {size} -m {count // generators}"
            command = f"smtp-source {share} -f a@example.org -t b@example.com 127.0.0.1:{port}"
            running = [subprocess.Popen(command.split()) for _ in range(generators)]
            assert all(generator.wait() == 0 for generator in running)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert report["msgs"] == count, f"{peer.name if peer else YARDSTICK}: {report['msgs']} of {count} arrived"
    mean = report["bytes"] / count
    assert 0.8 * size < mean < 1.25 * size, f"{peer}: {mean:.0f} bytes a mail where ours has {size}"
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "rate": report["rate"],
        "cpu": cpu / count * 1e6,
        "sink": report["sink_us_per_msg"],
        "memory": 0.0,
    }


# --------------------------------------------------------------------------- all of them, in turns


Rows = dict[str, list[dict[str, float]]]


def run(tools: Tools, size: int, readers: int, rounds: int, kinds: set[str]) -> tuple[Rows, list[Peer]]:
    """Rounds of all ways in turn."""
    rows: Rows = {}
    beside = peers(tools.key if "dkim" in kinds else None) if "peers" in kinds else []
    for _ in range(rounds):
        rows.setdefault(YARDSTICK, []).append(others(tools, readers, size, None))
        rows.setdefault(CEILING, []).append(others(tools, readers, size, None, generators=2))
        for peer in beside:
            if not peer.missing:
                rows.setdefault(peer.name, []).append(others(tools, peer.count, size, peer))
        for way in (way for kind, ways in WAYS.items() if kind in kinds for way in ways):
            rows.setdefault(way.name, []).append(ours(way, tools, readers))
    return rows, [peer for peer in beside if peer.missing]


def ratio(rows: Rows, name: str, base: str) -> float | None:
    """The median of the rounds' ratios, None where one did not run; ``base`` may be a name's beginning."""
    found = next((rows[key] for key in rows if key.startswith(base)), None)
    if found is None or name not in rows:
        return None
    return statistics.median(a["rate"] / b["rate"] for a, b in zip(rows[name], found, strict=True))


def show(rows: Rows, missing: list[Peer]) -> None:
    """The table, then what was asked for."""
    print(f"{'':34}{'mails/s':>9}{'min':>9}{'max':>9}{'ratio':>8}{'CPU us':>8}{'sink us':>9}{'MB more':>9}")
    order = [name for kind in WAYS.values() for way in kind if (name := way.name) in rows]
    for name in [*(name for name in rows if name not in order), *order]:
        rates = [row["rate"] for row in rows[name]]
        cpu, sink_cpu = (statistics.median(row[what] for row in rows[name]) for what in ("cpu", "sink"))
        memory = max(row["memory"] for row in rows[name])
        print(
            f"{name:34}{statistics.median(rates):9,.0f}{min(rates):9,.0f}{max(rates):9,.0f}"
            f"{ratio(rows, name, YARDSTICK):8.3f}{cpu:8.0f}{sink_cpu:9.0f}"
            f"{f'{memory:9.0f}' if memory else ''}"
        )
    for peer in missing:
        print(f"{peer.name:34}{peer.missing}")
    print("\nWhat was asked for:")
    for name, base, least in GOALS:
        if name not in rows:
            continue
        found = ratio(rows, name, base) if base else statistics.median(row["rate"] for row in rows[name])
        if found is not None:
            to = f"x {base}" if base else "mails a second"
            reached = "reached" if found >= least else "FALLS SHORT"
            print(f"  {name:24}{found:10,.2f} {to:34} at least {least:<7,g}{reached}")


def main() -> None:
    reads = argparse.ArgumentParser(description="From the ledger to the wire, beside its peers.")
    reads.add_argument("readers", nargs="?", type=int, default=20_000)
    reads.add_argument("rounds", nargs="?", type=int, default=3)
    for kind in (*WAYS, "peers"):
        reads.add_argument(f"--{kind}", action="append_const", dest="kinds", const=kind)
    chosen = reads.parse_args()
    kinds = set(chosen.kinds or (*WAYS, "peers"))
    os.environ["BOT_SECRET_KEY"] = "benchmark-key-of-more-than-32-characters"
    with tempfile.TemporaryDirectory() as name:
        tools, size = make_tools(Path(name), chosen.readers)
        rows, missing = run(tools, size, chosen.readers, chosen.rounds, kinds)
    print(
        f"{chosen.readers:,} readers, {size:,} bytes a mail, medians of {chosen.rounds} rounds; "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n"
    )
    show(rows, missing)


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        send(Path(sys.argv[2]), sys.argv[3])
    else:
        main()
