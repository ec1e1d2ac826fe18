"""How fast letters of 50 kB leave over SMTP: our pipelined lines, and Postfix's own generator beside them.

    .venv/bin/python benchmarks/smtp_wire.py [MESSAGES] [ROUNDS]

Needs cc with OpenSSL's headers and Debian's postfix (smtp-source). The sink (csink.c) shares this machine, so
both sides are on the same cores. The ways take turns within a round, so that a busy moment hits all of them;
the table has medians, and the median of each round's ratio to smtp-source in the clear.
The rate is the sink's own, from the first MAIL to the last dot. The CPU time is the client's: of the whole
process for smtp-source, of the sending alone for ours (Python's start-up and imports are not in it).
A run that loses a letter fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SIZE = 53_000


@dataclass(frozen=True, kw_only=True)
class Way:
    """One row: who sends, over how many connections, to what kind of sink."""

    name: str
    client: str  # "smtp-source" | "asyncio" | "uvloop"
    connections: int = 10
    tls: bool = False
    delay: int = 0  # milliseconds before each answer
    share: float = 1.0  # of the messages: slow ways send fewer


WAYS = (
    Way(name="smtp-source -d -s 10", client="smtp-source"),
    Way(name="ours, asyncio, 10", client="asyncio"),
    Way(name="ours, uvloop, 10", client="uvloop"),
    Way(name="ours, uvloop, 50", client="uvloop", connections=50),
    Way(name="ours, TLS, asyncio, 10", client="asyncio", tls=True),
    Way(name="ours, TLS, uvloop, 10", client="uvloop", tls=True),
    Way(name="ours, 20 ms, asyncio, 50", client="asyncio", connections=50, delay=20, share=0.5),
    Way(name="ours, 20 ms, uvloop, 50", client="uvloop", connections=50, delay=20, share=0.5),
)


def send(client: str, port: int, count: int, connections: int, certificate: str) -> None:
    """Our side of one run, in a process of its own; prints CPU seconds."""
    from bot.channels.email.lines import Lines
    from bot.channels.email.mime import Letter
    from bot.channels.email.relays import Relay
    from bot.channels.email.smtp import Server

    content = b"Subject: benchmark\r\n\r\n" + (b"x" * 76 + b"\r\n") * (SIZE // 78)
    numbers = iter(range(count))
    sent = 0

    def pull() -> Letter | None:
        for number in numbers:
            return Letter(
                id=f"<{number}@news.example.org>",
                sender=f"bounces+{number}@example.org",
                recipient=f"reader{number}@example.com",
                content=content,
                stuffed=content,
            )
        return None

    def done(letter: Letter, outcome: object) -> None:
        nonlocal sent
        assert isinstance(outcome, str), outcome
        sent += 1
        if sent == count:
            lines.stop()

    server = Server(
        host="localhost",
        port=port,
        security="tls" if certificate else "none",
        hello="news.example.org",
        ca_file=certificate,
    )
    relay = Relay(name="sink", server=server)
    lines = Lines([relay], pull=pull, done=done, began=lambda _: None, connections=connections)
    factory = None
    if client == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    start = time.process_time()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(lines.run())
    assert sent == count
    print(time.process_time() - start)


@contextmanager
def sink(program: Path, port: int, way: Way, certificate: Path, report: dict[str, float]) -> Iterator[None]:
    """The sink while a way sends; afterwards what it counted."""
    options = ["-d", str(way.delay * 1000)] if way.delay else []
    options += ["-T", str(certificate), "-K", str(certificate)] if way.tls else []
    process = subprocess.Popen([program, str(port), *options], stdout=subprocess.PIPE, text=True)
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.01)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        report.update(json.loads(process.communicate(timeout=10)[0]))


def measure(way: Way, program: Path, certificate: Path, messages: int) -> tuple[float, float]:
    """Messages a second, and the client's CPU microseconds for each."""
    count, report = int(messages * way.share), dict[str, float]()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with sink(program, port, way, certificate, report):
        if way.client == "smtp-source":
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            options = f"-d -s {way.connections} -l {SIZE} -m {count} -f a@example.org -t b@example.com"
            subprocess.run(["smtp-source", *options.split(), f"127.0.0.1:{port}"], check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        else:
            what = [
                way.client,
                str(port),
                str(count),
                str(way.connections),
                str(certificate) if way.tls else "",
            ]
            command = [sys.executable, __file__, "send", *what]
            cpu = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert report["msgs"] == count, f"{way.name}: {report['msgs']} of {count} arrived"
    return report["rate"], cpu / count * 1e6


def certificate_for_localhost(folder: Path) -> Path:
    """A key and its certificate in one PEM file, valid for localhost."""
    both, key = folder / "both.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    files = [
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        key,
        "-out",
        both,
    ]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    both.write_text(both.read_text() + key.read_text())
    return both


def main() -> None:
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    runs: dict[str, list[tuple[float, float]]] = {way.name: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as place:
        program = Path(place, "csink")
        subprocess.run(["cc", "-O2", "-o", program, HERE / "csink.c", "-lssl", "-lcrypto"], check=True)
        certificate = certificate_for_localhost(Path(place))
        for _ in range(rounds):
            for way in WAYS:
                runs[way.name].append(measure(way, program, certificate, messages))
    show(runs, messages, rounds)


def show(runs: dict[str, list[tuple[float, float]]], messages: int, rounds: int) -> None:
    """The table."""
    base = [rate for rate, _ in runs[WAYS[0].name]]
    print(f"{messages} letters of {SIZE} bytes; median of {rounds} rounds; load {os.getloadavg()[0]:.1f}\n")
    print(f"{'':28}{'msg/s':>8}{'min':>8}{'max':>8}{'CPU us':>8}{'ratio':>7}")
    for name, results in runs.items():
        rates = [rate for rate, _ in results]
        cpu = statistics.median(cpu for _, cpu in results)
        ratio = statistics.median(rate / other for rate, other in zip(rates, base, strict=True))
        print(
            f"{name:28}{statistics.median(rates):8.0f}{min(rates):8.0f}{max(rates):8.0f}{cpu:8.1f}{ratio:7.2f}"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]), sys.argv[6])
    else:
        main()
