"""What a stranger installs is whole: the wheel brings templates, sample queue and settings."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_wheel_makes_a_workspace_that_rehearses(tmp_path: Path) -> None:
    """Built, unpacked elsewhere, and used without the checkout."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def bot(*args: str) -> str:
        command = [sys.executable, "-m", "bot", *args]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    bot("init", "--sample", "news")
    ran = bot("-w", "news", "run", "--now", "2026-11-23 08:00", "--until", "2026-11-30 07:59")

    assert "16 sent" in ran
    assert (tmp_path / "news" / "outbox" / "index.html").exists()


def make_install(folder: Path, path: str) -> str:
    """``make install`` of this checkout into ``folder``; what it said."""
    environment = {**os.environ, "PATH": path, "MAKEFLAGS": ""}
    command = ["make", "--no-print-directory", "install", f"BIN={folder}"]
    return subprocess.run(
        command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.slow
def test_install_puts_the_command_on_the_path(tmp_path: Path) -> None:
    """In any folder and any new terminal; a second time is as good as the first."""
    folder = tmp_path / "bin"
    path = f"{folder}:{os.environ['PATH']}"

    make_install(folder, path)
    told = make_install(folder, path)

    assert "Next: bot init" in told
    for name in ("bot", "broadside"):
        ran = subprocess.run([folder / name, "--version"], cwd=tmp_path, capture_output=True, text=True)
        assert ran.stdout.startswith("bot, version")


@pytest.mark.slow
def test_install_leaves_the_bot_of_another_program_alone(tmp_path: Path) -> None:
    """``broadside`` is ours then; and a folder that is not on the PATH is told."""
    other = tmp_path / "others" / "bot"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    folder = tmp_path / "bin"

    told = make_install(folder, f"{other.parent}:{os.environ['PATH']}")

    assert f"another 'bot' already ({other})" in told
    assert not (folder / "bot").exists()
    assert (folder / "broadside").is_symlink()
    assert "is not on your PATH yet" in told
