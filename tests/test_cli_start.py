"""The command starts fast because it imports little, whatever the machine's speed."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "alembic",
    "asyncio",
    "babel",
    "cryptography",
    "fastapi",
    "httpx",
    "importlib.metadata",
    "jinja2",
    "mastodon",
    "mjml",
    "pydantic",
    "pydantic_settings",
    "regex",
    "requests",
    "rich",
    "sqlalchemy",
    "starlette",
    "telegram",
    "uvicorn",
    "yaml",
)


def imported_by(*args: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bot", *args], capture_output=True, text=True, check=True
    )
    return {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if "import time:" in line}


def test_help_imports_nothing_heavy() -> None:
    """``bot --help`` needs click and nothing else that is slow to import."""
    modules = imported_by("--help")

    assert "click" in modules
    assert [name for name in HEAVY if name in modules] == []


def test_help_of_a_command_imports_nothing_heavy() -> None:
    """The same for each command's own help: heavy modules are imported when it runs."""
    for command in ("run", "add", "status", "subscribers", "doctor", "hold", "serve"):
        assert [n for n in HEAVY if n != "asyncio" and n in imported_by(command, "--help")] == [], command
