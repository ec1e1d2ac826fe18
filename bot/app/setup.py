"""The use case of starting: a new workspace, empty or with the sample queue."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from bot.files import create_for_owner, write_atomically
from bot.shipped import STARTER, shipped


def make_workspace(folder: Path, *, sample: bool = False, dry_run: bool = False) -> list[Path]:
    """A workspace with one example draft or, as a ``sample``, with the 25 sample items.

    Never touches a file that is there, and adds no item to a queue that has some. Returns what was made.
    """
    wanted = {folder / place: content for place, content in _files(folder, sample=sample)}
    made = [target for target in wanted if not target.exists()]
    for target in made if not dry_run else ():
        write = create_for_owner if target.name == ".env" else write_atomically
        write(target, wanted[target])
    return made


def _files(folder: Path, *, sample: bool) -> Iterator[tuple[str, bytes]]:
    """Each file of a new workspace: its place there, and what is in it."""
    settings = shipped("bot.toml") if sample else STARTER / "bot.toml"
    yield "bot.toml", settings.read_bytes()
    yield ".env", _with_new_key(shipped(".env.example").read_text("utf-8")).encode()
    yield ".gitignore", (STARTER / "gitignore").read_bytes()
    if any((folder / "queue").glob("*.md")):
        return
    queue = shipped("queue") if sample else STARTER / "queue"
    for source in sorted(queue.rglob("*")):
        if source.is_file() and not source.name.startswith("."):
            yield f"queue/{source.relative_to(queue)}", source.read_bytes()


def _with_new_key(text: str) -> str:
    """The example settings with a fresh signing key."""
    return re.sub(r"(?m)^BOT_SECRET_KEY=$", f"BOT_SECRET_KEY={secrets.token_urlsafe(32)}", text)
