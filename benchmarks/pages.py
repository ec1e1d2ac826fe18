"""Pages per second over kept-alive connections, beside a bare Starlette page in the same run.

    .venv/bin/python benchmarks/pages.py [SECONDS]

Each server is a process of its own: ``bot serve`` with a small archive, and a Starlette application with one
page of a few bytes under the same settings of uvicorn. Four connections ask as fast as they are answered. The
pages take turns with the bare one, so that a busy moment of the machine hits both; the table shows medians of
three rounds. Both event loops are measured where uvloop is installed.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.archives import make_group  # noqa: E402

ROUNDS, CONNECTIONS = 3, 4
PAGES = {
    "front page": "/",
    "static file": "/static/site.css",
    "form": "/subscribe",
    "issue page": "/issues/weekly/1",
    "feed": "/feeds/weekly/mul.atom",
}

# A child without uvloop looks for a module that is not there.
PLAIN_LOOP = "import sys; sys.modules['uvloop'] = None\n"
SERVE = "import sys; from bot.cli.main import main; sys.argv[1:] = {args!r}; main()"
BARE = """
import asyncio, socket
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
import uvicorn
async def page(request):
    return HTMLResponse("<p>A page.</p>")
app = Starlette(routes=[Route("/", page)])
config = uvicorn.Config(app, http="h11", ws="none", log_config=None, log_level="warning", access_log=False,
                        proxy_headers=False, server_header=False)
plain = socket.create_server(("127.0.0.1", 0))
door = socket.socket(plain.family, plain.type, socket.IPPROTO_TCP, fileno=plain.detach())
print(f"http://localhost:{door.getsockname()[1]}/", flush=True)
uvicorn.Server(config).run(sockets=[door])
"""


@contextmanager
def running(script: str, log: Path) -> Iterator[int]:
    """A Python of its own; its port."""
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        assert process.stdout
        found = re.search(r"localhost:(\d+)", process.stdout.readline())
        assert found, log.read_text()
        yield int(found[1])
    finally:
        process.terminate()
        process.communicate(timeout=60)


def pages_per_second(port: int, path: str, seconds: float) -> float:
    counts = [0] * CONNECTIONS
    end = time.perf_counter() + seconds

    def ask(number: int) -> None:
        web = HTTPConnection("127.0.0.1", port, timeout=30)
        while time.perf_counter() < end:
            web.request("GET", path)
            answer = web.getresponse()
            answer.read()
            assert answer.status == 200, f"{path}: {answer.status}"
            counts[number] += 1
        web.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CONNECTIONS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began)


def milliseconds(port: int, path: str) -> float:
    """The median answer over one connection that stays."""
    web = HTTPConnection("127.0.0.1", port, timeout=30)
    took = []
    for _ in range(40):
        began = time.perf_counter()
        web.request("GET", path)
        web.getresponse().read()
        took.append(time.perf_counter() - began)
    web.close()
    return statistics.median(took) * 1000


def measure(here: Path, *, loop: str, seconds: float) -> None:
    prelude = PLAIN_LOOP if loop == "asyncio" else ""
    args = ["--workspace", str(here), "serve", "--port", "0"]
    with (
        running(prelude + SERVE.format(args=args), here / "serve.log") as ours,
        running(prelude + BARE, here / "bare.log") as bare,
    ):
        for path in PAGES.values():
            pages_per_second(ours, path, 0.2)
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in PAGES}
        for _ in range(ROUNDS):
            for name, path in PAGES.items():
                pair = pages_per_second(ours, path, seconds), pages_per_second(bare, "/", seconds)
                found[name].append(pair)
        for name, pairs in found.items():
            mine, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
            ratio = statistics.median(a / b for a, b in pairs)
            once = milliseconds(ours, PAGES[name])
            print(f"| {loop} | {name} | {mine:,.0f} | {theirs:,.0f} | {ratio:.2f} | {once:.1f} |", flush=True)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    print("| loop | page | pages/s | bare Starlette/s | ratio | one answer, ms |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        group = make_group(Path(folder))
        group.print("ports")
        for loop in ("asyncio", "uvloop"):
            measure(group.root, loop=loop, seconds=seconds)


if __name__ == "__main__":
    main()
