"""A PostgreSQL of our own in a temporary folder, from Debian's binaries; nobody else can reach it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from sqlalchemy import Connection, text

_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
# Only what makes a throw-away server quick to start; what makes a commit durable stays on.
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "max_wal_size": "2GB",
}


def installed() -> bool:
    """Whether Debian's server binaries are there."""
    return bool(_FOLDERS)


class Cluster:
    """A running server that is reached by its socket file only."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._names = folder, count(1)
        self._as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        self._run("initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", "broadside")
        self.start()

    def start(self) -> None:
        """Start it, or start it again after ``kill``."""
        settings = " ".join(f"-c {name}='{value}'" for name, value in _SETTINGS.items())
        options = f"{settings} -c unix_socket_directories={self.folder}"
        self._run("pg_ctl", "--wait", "--log", str(self.folder / "log"), "-o", options, "start")

    def kill(self) -> None:
        """As if the plug were pulled on the server's processes: no goodbye to anybody."""
        self._run("pg_ctl", "--wait", "--mode=immediate", "stop")

    def database(self, template: str = "template0") -> str:
        """The URL of a new database."""
        name = f"t{next(self._names)}"
        with psycopg.connect(f"host={self.folder} user=broadside dbname=postgres", autocommit=True) as server:
            server.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return self.url(name)

    def drop(self, url: str) -> None:
        """Take a database away, whoever may still be connected to it."""
        name = url.partition("@/")[2].partition("?")[0]
        with psycopg.connect(f"host={self.folder} user=broadside dbname=postgres", autocommit=True) as server:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def url(self, name: str) -> str:
        return f"postgresql://broadside@/{name}?host={self.folder}"

    def stop(self) -> None:
        """Stop the server that was started here, and no other."""
        if (self.folder / "data" / "postmaster.pid").exists():
            self._run("pg_ctl", "--wait", "--mode=fast", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user, str(_FOLDERS[-1] / program), "-D", str(self.folder / "data"), *arguments]
        # Not captured: the server would keep the pipe open for as long as it runs.
        with (self.folder / "out").open("ab") as out:
            done = subprocess.run(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=self.folder)
        if done.returncode:
            raise RuntimeError((self.folder / "out").read_text(errors="replace")[-2_000:])


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A server for as long as the block lasts."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # a short path: a socket's may have 107 bytes
    try:
        if os.getuid() == 0:
            shutil.chown(folder, "postgres")
        server = Cluster(folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def until_one_waits(connection: Connection) -> None:
    """Until somebody else waits for a lock."""
    end = time.monotonic() + 20
    # Not pg_stat_activity: within one transaction that says the same each time.
    while not connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
        assert time.monotonic() < end, "nobody waits"
        time.sleep(0.01)
