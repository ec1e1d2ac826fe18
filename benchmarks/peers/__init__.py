"""Other people's senders, beside which ours is measured. Each is put into a cache folder, never into ours.

They send the same words to the same sink, personal in the same places, and keep no ledger.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "broadside-benchmarks"
TOKEN = "@TOKEN@"  # stands for the reader's link in the words that they get


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One of them, ready to be started: ``command`` and then the port, the count and the words' folder."""

    name: str
    command: Sequence[str] = ()
    count: int = 1_000  # a slow one sends fewer: the rate is what counts
    key: Path | None = None  # signs with it
    missing: str = ""  # why it cannot be had

    def start(self, port: int, words: Path) -> None:
        """Send to the sink on that port, to the end."""
        call = [*self.command, str(port), str(self.count), str(words), *([str(self.key)] if self.key else [])]
        subprocess.run(call, check=True, cwd=CACHE)


def peers(key: Path | None) -> list[Peer]:
    """All of them; what is not there yet is installed. ``key``: with a way that signs."""
    CACHE.mkdir(parents=True, exist_ok=True)
    return [*_nodemailer(key), *_python()]


def _nodemailer(key: Path | None) -> list[Peer]:
    missing, version = "", ""
    package = CACHE / "node_modules" / "nodemailer" / "package.json"
    if not (shutil.which("node") and shutil.which("npm")):
        missing = "needs node and npm"
    elif not package.exists():
        missing = _installed(
            "npm", "install", "--no-fund", "--no-audit", "--prefix", str(CACHE), "nodemailer"
        )
    if not missing:
        version = f" {json.loads(package.read_text())['version']}"
    command = ("node", str(HERE / "nodemailer.mjs"))
    plain = Peer(name=f"nodemailer{version}, pool of 10", command=command, count=2_000, missing=missing)
    if not key:
        return [plain]
    return [plain, Peer(name=f"DKIM: nodemailer{version}", command=command, key=key, missing=missing)]


def _python() -> list[Peer]:
    """Django and aiosmtplib in an environment of their own, of the newest Python that is here."""
    python = CACHE / "venv" / "bin" / "python"
    missing = ""
    if not python.exists():
        missing = _installed(newest_python(), "-m", "venv", str(python.parents[1]))
    if not missing and not _version(python, "django"):
        missing = _installed(str(python), "-m", "pip", "install", "-q", "django", "aiosmtplib")
    return [
        Peer(
            name=f"{name} {'' if missing else _version(python, package)}".strip(),
            command=(str(python), "-I", str(HERE / "from_python.py"), package),
            missing=missing,
        )
        for name, package in (("Django, one connection:", "django"), ("aiosmtplib x10:", "aiosmtplib"))
    ]


def newest_python() -> str:
    """Django's newest needs a newer Python than we do."""
    names = [f"python3.{minor}" for minor in range(15, 11, -1)]
    found = [path for name in names if (path := shutil.which(name))]
    found += [str(p) for n in names for p in sorted(Path.home().glob(f".pyenv/versions/*/bin/{n}"))]
    works = (path for path in found if not subprocess.run([path, "-V"], capture_output=True).returncode)
    return next(works, sys.executable)


def _version(python: Path, package: str) -> str:
    code = f"from importlib.metadata import version; print(version('{package}'))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip()


def _installed(*command: str) -> str:
    """Why it did not work; empty when it did."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"could not be installed: {error}"
    last = (done.stderr.strip() or "no reason given").splitlines()[-1]
    return f"could not be installed: {last}" if done.returncode else ""
