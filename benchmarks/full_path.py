"""An issue to many readers, from the ledger to the wire: leases, claims on disk, compiled letters, outcomes.

    .venv/bin/python benchmarks/full_path.py [READERS] [ROUNDS]

Beside it, in turns on the same machine and to the same sink: Postfix's own generator ``smtp-source -d -s 10``
with mails of the same size, which keeps no ledger. Each mail is personal (name, address, unsubscribe link,
Message-ID). The rate is the sink's own, from the first MAIL to the last dot. Needs cc and Debian's postfix.
The ways take turns within a round; the table has medians, and the median of each round's ratio.
"""

from __future__ import annotations

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
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
CONNECTIONS = 10
SLOT = datetime(2026, 11, 20, 2, tzinfo=UTC)

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
host = "127.0.0.1"
port = {port}
security = "none"
connections = {connections}
"""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One row of the table."""

    name: str
    loop: str = "asyncio"
    processes: int = 1


WAYS = (
    Way(name="one process, asyncio"),
    Way(name="one process, uvloop", loop="uvloop"),
    Way(name="two processes, asyncio", processes=2),
    Way(name="two processes, uvloop", loop="uvloop", processes=2),
)


# --------------------------------------------------------------------------- a prepared workspace


def prepare(folder: Path, readers: int) -> int:
    """A workspace with that many subscribers; returns the size of one mail."""
    from bot.app.workspace import Workspace
    from bot.model import Recipient
    from bot.store.audience import Signup

    (folder / "queue").mkdir(parents=True)
    (folder / "bot.toml").write_text(SETTINGS.format(port=1, connections=CONNECTIONS))
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
    letter = (
        here.channels["mail"]
        .compiled(message())
        .letter(  # type: ignore[attr-defined]
            Recipient(id="0" * 32, address="reader1@example1.com", name="Ana"),
            key="0" * 64,
            values={"unsubscribe_token": "x" * 43},
        )
    )
    here.engine.dispose()
    return len(letter.content)


def message():  # type: ignore[no-untyped-def]
    """An issue of about 50 kB on the wire."""
    from bot.model import ListFields, Message, placeholder

    link = f"https://news.shelf.ngo/u/weekly/{placeholder('unsubscribe_token')}"
    story = "<h2>A headline</h2><p>" + "Some words about a law, a court and a union. " * 30 + "</p>"
    html = f"<html><body>{story * 28}<p>1 Street, 10000 Town. <a href='{link}'>Leave</a></p></body></html>"
    text = "A headline\n\n" + "Some words about a law, a court and a union.\n" * 140
    return Message(
        kind="issue",
        lang="en",
        subject="The Shelf: 30 items, 20 November 2026",
        text=f"{text}\n1 Street, 10000 Town\n{link}\n",
        html=html,
        date=SLOT,
        mailing=ListFields(
            sender="The Shelf <weekly@news.shelf.ngo>",
            reply_to="",
            list_id="weekly.news.shelf.ngo",
            list_name="The Shelf",
            archive_url="https://news.shelf.ngo/issues/weekly/1",
            help_url="https://news.shelf.ngo/",
            unsubscribe_url=link,
        ),
    )


def send(folder: Path, loop: str) -> None:
    """One process of a send; prints what it sent, its CPU seconds and its peak memory in MB."""
    from bot.app.publish import mailers_of
    from bot.app.workspace import Workspace

    before = resource.getrusage(resource.RUSAGE_SELF)
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    factory = None
    if loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    here = Workspace(folder)
    (mailer,) = mailers_of(here, lambda: datetime.now(UTC), lambda: False)
    with asyncio.Runner(loop_factory=factory) as runner:
        report = runner.run(mailer.run())
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        json.dumps({"sent": report.sent, "cpu": cpu, "start": start / 1024, "peak": after.ru_maxrss / 1024})
    )


# --------------------------------------------------------------------------- one run


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ours(way: Way, template: Path, program: Path, readers: int) -> dict[str, float]:
    """A fresh copy of the workspace, an issue planned, then sent by that many processes."""
    from smtp_wire import Way as Wire
    from smtp_wire import sink

    from bot.app.workspace import Workspace
    from bot.model import Issue

    with tempfile.TemporaryDirectory() as name:
        folder, port, report = Path(name) / "news", free_port(), dict[str, float]()
        shutil.copytree(template, folder)
        (folder / "bot.toml").write_text(SETTINGS.format(port=port, connections=CONNECTIONS // way.processes))
        here = Workspace(folder)
        issue = Issue(newsletter="weekly", number=1, slot=SLOT, items=())
        assert here.mailings.record_issue(issue, {"": message()}, "mail", datetime.now(UTC)) == readers
        here.engine.dispose()
        with sink(program, port, Wire(name="", client=""), program, report):
            command = [sys.executable, __file__, "send", str(folder), way.loop]
            children = [
                subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(way.processes)
            ]
            results = [json.loads(child.communicate()[0]) for child in children]
        assert report["msgs"] == readers, f"{way.name}: {report['msgs']} of {readers} arrived"
        assert sum(result["sent"] for result in results) == readers
    return {
        "rate": report["rate"],
        "cpu": sum(result["cpu"] for result in results) / readers * 1e6,
        "memory": max(result["peak"] - result["start"] for result in results),
    }


def yardstick(program: Path, size: int, count: int) -> dict[str, float]:
    """smtp-source with ten sessions."""
    from smtp_wire import Way as Wire
    from smtp_wire import sink

    port, report = free_port(), dict[str, float]()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with sink(program, port, Wire(name="", client=""), program, report):
        options = f"-d -s {CONNECTIONS} -l {size} -m {count} -f a@example.org -t b@example.com"
        subprocess.run(["smtp-source", *options.split(), f"127.0.0.1:{port}"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"rate": report["rate"], "cpu": cpu / count * 1e6, "memory": 0.0}


def main(readers: int, rounds: int) -> None:
    """Rounds of all ways in turn, and the table."""
    os.environ["BOT_SECRET_KEY"] = "benchmark-key-of-more-than-32-characters"
    with tempfile.TemporaryDirectory() as name:
        program, template = Path(name) / "csink", Path(name) / "template"
        build = ["cc", "-O2", "-o", str(program), str(HERE / "csink.c"), "-lssl", "-lcrypto"]
        subprocess.run(build, check=True)
        size = prepare(template, readers)
        rows: dict[str, list[dict[str, float]]] = {}
        for _ in range(rounds):
            rows.setdefault("smtp-source -d -s 10", []).append(yardstick(program, size, readers))
            for way in WAYS:
                rows.setdefault(way.name, []).append(ours(way, template, program, readers))
    base = [row["rate"] for row in rows["smtp-source -d -s 10"]]
    print(
        f"{readers:,} readers, {size:,} bytes a mail, {CONNECTIONS} connections; medians of {rounds} rounds\n"
    )
    print(f"{'':24}{'mails/s':>9}{'CPU us':>8}{'ratio':>7}{'MB above start':>16}")
    for name, found in rows.items():
        ratio = statistics.median(row["rate"] / b for row, b in zip(found, base, strict=True))
        rate, cpu = (statistics.median(row[key] for row in found) for key in ("rate", "cpu"))
        print(f"{name:24}{rate:9,.0f}{cpu:8.0f}{ratio:7.2f}{max(row['memory'] for row in found):16.0f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        send(Path(sys.argv[2]), sys.argv[3])
    else:
        readers, rounds = (*map(int, sys.argv[1:]), *(20_000, 3)[len(sys.argv) - 1 :])
        main(readers, rounds)
