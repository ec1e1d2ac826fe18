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
