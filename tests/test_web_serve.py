"""``bot serve`` as a process: it says where it is, and stops when it is told to."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from tests.support.commands import bot
from tests.support.site import make_site, stamp_of

ROOT = Path(__file__).parent.parent


@contextmanager
def serving(here: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and the address that it tells."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", "--workspace", str(here), "serve", "--port", "0"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        found = re.search(r"http://localhost:\d+", line)
        assert found, line
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    """Well, in time, and without a word about anybody."""
    with serving(make_site(tmp_path / "news", mode="rehearsal")) as (process, url):
        assert process.stdout
        assert "outbox" in process.stdout.readline()
        assert httpx.get(f"{url}/healthz", timeout=30).json() == {"status": "ok"}
        assert httpx.get(f"{url}/subscribe", timeout=30).status_code == 200
        wrong = {"address": "mara@inbox.ngo", "newsletter": "weekly", "stamp": "none of ours"}
        assert httpx.post(f"{url}/subscribe", data=wrong, timeout=30).status_code == 422
        process.send_signal(number)
        out, err = process.communicate(timeout=60)

    assert process.returncode == 0
    assert "GET /subscribe 200" in err
    assert "Traceback" not in err
    assert "mara" not in out + err
    assert "127.0.0.1" not in err


def test_a_mail_on_its_way_is_finished_first(tmp_path: Path) -> None:
    """Another process sends it, soon; told to stop, it finishes what is on the wire, and is gone."""
    with socket.create_server(("localhost", 0)) as slow:
        slow.settimeout(60)
        here = make_site(tmp_path / "news", port=slow.getsockname()[1])
        with serving(here) as (process, url):
            page = httpx.get(f"{url}/subscribe", timeout=30).text
            time.sleep(2.1)  # the form has to be open as long as a person needs: this is the real clock
            form = {"address": "mara@inbox.ngo", "newsletter": "weekly", "stamp": stamp_of(page)}
            assert httpx.post(f"{url}/subscribe", data=form, timeout=30).status_code == 200
            talk, _ = slow.accept()  # the conversation begins, and the server takes its time
            (child,) = children_of(process.pid)
            assert is_nicer(child, process.pid)
            process.send_signal(signal.SIGTERM)
            with talk:
                taken = _take(talk)
            _, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    assert b"Subject: Please confirm" in taken
    assert "is started again" not in err
    assert not is_alive(child)


def test_the_process_that_sends_confirmations_is_started_again(tmp_path: Path) -> None:
    """Whatever ended it; and it does not outlive the one that started it, however that ends."""
    with serving(make_site(tmp_path / "news", mode="rehearsal")) as (process, _):
        (first,) = until(lambda: children_of(process.pid))
        os.kill(first, signal.SIGKILL)
        (second,) = until(lambda: [each for each in children_of(process.pid) if each != first])
        until(lambda: is_nicer(second, process.pid))  # it has begun
        process.kill()
        until(lambda: not is_alive(second))


T = TypeVar("T")


def until(found: Callable[[], T]) -> T:
    """What it finds, once that is something."""
    end = time.monotonic() + 60
    while not (seen := found()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return seen


def children_of(pid: int) -> list[int]:
    """The processes that this one started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_nicer(pid: int, other: int) -> bool:
    """Whether it lets the other one have the processor first."""
    return os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, other)


def is_alive(pid: int) -> bool:
    """Whether it is there, and not only waits for somebody to take note of its end."""
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def _take(talk: socket.socket) -> bytes:
    """A mail server of the plainest kind."""
    talk.settimeout(20)
    lines = talk.makefile("rwb", buffering=0)
    lines.write(b"220 slow\r\n")
    taken = b""
    while line := lines.readline():
        if line.upper().startswith(b"DATA"):
            lines.write(b"354 go on\r\n")
            while (part := lines.readline()) != b".\r\n":
                taken += part
            lines.write(b"250 2.0.0 taken\r\n")
        elif line.upper().startswith(b"QUIT"):
            lines.write(b"221 bye\r\n")
            break
        else:
            lines.write(b"250 yes\r\n")
    return taken


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    """In one line, with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = bot("serve", "--port", port, workspace=make_site(tmp_path / "news", mode="rehearsal"))

    assert ran.code == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another" in ran.err


def test_a_machines_name_that_nobody_has_is_told(tmp_path: Path) -> None:
    """The same."""
    ran = bot("serve", "--host", "256.0.0.1", workspace=make_site(tmp_path / "news", mode="rehearsal"))

    assert ran.code == 1
    assert "cannot listen on 256.0.0.1" in ran.err
    assert "Traceback" not in ran.err


def test_a_name_that_nobody_knows_is_told_in_plain_words(tmp_path: Path) -> None:
    """Not with the number of a resolver's error."""
    ran = bot("serve", "--host", "no such name", workspace=make_site(tmp_path / "news", mode="rehearsal"))

    assert ran.code == 1
    assert "cannot listen on no such name:8080: nobody knows this name; choose another --host" in ran.err


def test_a_site_in_a_folder_is_told_that_its_links_lead_elsewhere(tmp_path: Path) -> None:
    """The pages begin at the top of their site."""
    here = make_site(tmp_path / "news", mode="rehearsal")
    settings = (here / "bot.toml").read_text()
    (here / "bot.toml").write_text(re.sub(r'(site_url = "[^"]*)"', r'\1/shelf"', settings))

    with serving(here) as (process, _):
        assert process.stderr
        said = process.stderr.readline()

    assert "site_url ends in /shelf" in said
