"""Where the files that come with the program are: templates, samples, the starter of a workspace."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
STARTER = _PACKAGE / "starter"  # what a new workspace begins with


def shipped(name: str) -> Path:
    """A shipped file or folder: inside an installed package, or at the top of a checkout."""
    inside = _PACKAGE / "_data" / name.removeprefix(".")
    return inside if inside.exists() else _PACKAGE.parent / name
