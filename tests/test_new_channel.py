"""A new channel is one module and one template; nothing else in the house changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

MODULE = '''
"""A paper board in the hall: 140 letters, pinned by hand."""

import json

from bot.channels.base import Limits, Options as BaseOptions, Request
from bot.model import Receipt

TYPE = "board"


class Options(BaseOptions):
    hall: str


class Board:
    type = TYPE
    limits = Limits(characters=140)

    def __init__(self, options, context):
        self.name, self._hall = context.name, options.hall

    def length(self, text):
        return len(text)

    def request(self, message, to, *, key):
        note = {"hall": self._hall, "text": message.text, "key": key}
        return Request(suffix=".json", body=json.dumps(note).encode(), summary="a note for the board")

    async def refresh(self):
        pass

    async def send(self, message, to, *, key):
        return Receipt(remote_id="pin-1")

    async def settle(self, delivery, message):
        return None

    async def check(self):
        return []

    async def close(self):
        pass


def connect(options, context):
    return Board(options, context)
'''


def test_a_channel_of_ones_own(tmp_path: Path) -> None:
    """Two files are added to a copy of the tree; the bot rehearses a post on the new channel."""
    tree = tmp_path / "tree"
    for folder in ("bot", "templates", "queue"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("bot.toml", ".env.example"):
        shutil.copy(ROOT / file, tree / file)
    (tree / "bot" / "channels" / "board.py").write_text(MODULE)
    (tree / "templates" / "board").mkdir()
    (tree / "templates" / "board" / "post.txt").write_text("{{ title }}\n{{ summary }}\n{{ url }}\n")
    (tree / "bot.toml").write_text(
        '[publication]\ntitle = "The Shelf"\n'
        '[channels.hall]\ntype = "board"\nhall = "B"\nslots = ["daily 09:00"]\nbackfill = true\n'
    )

    ran = subprocess.run(
        [sys.executable, "-m", "bot", "run", "--now", "2026-11-27 09:00"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )

    (note,) = (tree / "outbox" / "hall").glob("*.json")
    written = json.loads(note.read_text())
    assert ran.returncode == 0, ran.stderr
    assert written["hall"] == "B"
    assert "https://www.ohchr.org/" in written["text"]
    assert len(written["text"]) <= 140
