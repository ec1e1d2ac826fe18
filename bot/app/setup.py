"""The use case of starting: a workspace made from what ships with the program."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from bot.files import write_atomically
from bot.shipped import shipped

_FOLDERS = ("queue", "templates")


def make_workspace(folder: Path, *, dry_run: bool = False) -> list[Path]:
    """Copy the sample; never touches a file that is there. Returns what was made."""
    wanted = list(_files(folder))
    made = [(source, target) for source, target in wanted if not target.exists()]
    for source, target in made if not dry_run else ():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    secret = folder / ".env"
    if secret.exists():
        return [target for _, target in made]
    if not dry_run:
        write_atomically(secret, _with_a_key(shipped(".env.example").read_text("utf-8")).encode())
        secret.chmod(0o600)
    return [*(target for _, target in made), secret]


def _files(folder: Path) -> Iterator[tuple[Path, Path]]:
    yield shipped("bot.toml"), folder / "bot.toml"
    for name in _FOLDERS:
        root = shipped(name)
        for source in sorted(root.rglob("*")):
            if source.is_file() and not source.name.startswith("."):
                yield source, folder / name / source.relative_to(root)


def _with_a_key(text: str) -> str:
    """The example settings with a fresh signing key."""
    return re.sub(r"(?m)^BOT_SECRET_KEY=$", f"BOT_SECRET_KEY={secrets.token_urlsafe(32)}", text)
