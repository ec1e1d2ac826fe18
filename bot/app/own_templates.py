"""Which templates a workspace has of its own, and whether the shipped ones changed since they were copied.

The shipped templates serve until a person copies one. ``templates/.copied.json`` says what was copied and
the hash of the shipped file then, so that a later version of the program can say that it changed.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from bot.app.workspace import Workspace
from bot.errors import NotFoundError
from bot.files import write_atomically
from bot.model import Finding, Level
from bot.shipped import shipped

RECORD = ".copied.json"
RELEASED = Path(__file__).with_name("template_hashes.json")  # of every template in every released version


class Standing(StrEnum):
    """How a template of the workspace stands to the shipped one."""

    COPY = "an unchanged copy of a shipped one"
    OWN = "your own"
    OUTDATED = "your own; the shipped one has changed since"
    ADDED = "your own; no such template is shipped"


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnTemplate:
    """A file in the workspace's ``templates/``."""

    name: str  # "email/issue.mjml"
    path: Path
    standing: Standing


def own_templates(workspace: Workspace) -> list[OwnTemplate]:
    """By name; none in a checkout, whose templates are the shipped ones."""
    folder = workspace.root / "templates"
    if not folder.is_dir() or folder.samefile(shipped("templates")):
        return []
    copied = _copied(folder)
    return [
        OwnTemplate(name=name, path=folder / name, standing=_standing(folder / name, name, copied.get(name)))
        for name in _names(folder)
    ]


def shipped_names() -> list[str]:
    """The names of all shipped templates."""
    return _names(shipped("templates"))


def copy_templates(workspace: Workspace, names: Sequence[str], *, dry_run: bool = False) -> list[Path]:
    """Copy shipped templates into the workspace, to be changed there; all of them or none.

    A name may be a folder ("email"). A file that is there stays as it is, and is not in what is given back.
    NotFoundError when no template has the name.
    """
    folder = workspace.root / "templates"
    wanted = [name for given in names for name in _matching(given)]
    new = [name for name in dict.fromkeys(wanted) if not (folder / name).exists()]
    if new and not dry_run:
        for name in new:
            write_atomically(folder / name, (shipped("templates") / name).read_bytes())
        record = _copied(folder) | {name: _hash(shipped("templates") / name) for name in new}
        write_atomically(folder / RECORD, (json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
    return [folder / name for name in new]


def remove_copies(workspace: Workspace, *, dry_run: bool = False) -> list[OwnTemplate]:
    """Delete the workspace's unchanged copies, so that the shipped templates serve; which they were."""
    copies = [own for own in own_templates(workspace) if own.standing is Standing.COPY]
    for own in copies if not dry_run else ():
        own.path.unlink()
    return copies


def difference(workspace: Workspace, name: str) -> str:
    """What the workspace's template changed, as a unified diff from the shipped one; empty when nothing."""
    own = workspace.root / "templates" / name
    if name not in shipped_names() or not own.is_file():
        raise NotFoundError(
            f"there is no template {name!r} both here and shipped; 'bot templates' lists them"
        )
    before, after = (
        (path.read_text("utf-8").splitlines(keepends=True)) for path in (shipped("templates") / name, own)
    )
    return "".join(difflib.unified_diff(before, after, f"shipped/{name}", f"templates/{name}"))


def template_findings(workspace: Workspace) -> Iterator[Finding]:
    """What ``bot doctor`` says of them."""
    owned = own_templates(workspace)
    if not owned:
        yield _finding(Level.INFO, "Templates: the shipped ones; 'bot templates copy NAME' makes one yours")
        return
    copies = [own.name for own in owned if own.standing is Standing.COPY]
    if copies:
        yield _finding(
            Level.WARN,
            f"{len(copies)} files in templates/ are unchanged copies of shipped templates; improvements do "
            "not reach you: 'bot templates remove-copies' deletes them, and the shipped ones serve",
        )
    outdated = [own.name for own in owned if own.standing is Standing.OUTDATED]
    if outdated:
        yield _finding(
            Level.WARN,
            f"the shipped template changed since you copied it: {', '.join(outdated)}; "
            f"look with 'bot templates diff {outdated[0]}'",
        )
    own = [each.name for each in owned if each.standing in (Standing.OWN, Standing.ADDED)]
    if own:
        yield _finding(Level.INFO, f"Templates of your own: {', '.join(own)}")


def _finding(level: Level, message: str) -> Finding:
    return Finding(level=level, rule="doctor.templates", message=message)


def _standing(path: Path, name: str, copied: str | None) -> Standing:
    twin = shipped("templates") / name
    if not twin.is_file():
        return Standing.ADDED
    now = _hash(path)
    if now == _hash(twin) or now in (copied, *_released().get(name, ())):
        return Standing.COPY
    return Standing.OUTDATED if copied and copied != _hash(twin) else Standing.OWN


@cache
def _released() -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(RELEASED.read_text("utf-8"))
    return found


def _copied(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / RECORD).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _matching(given: str) -> list[str]:
    """The shipped templates of this name, or in the folder of this name."""
    names = [name for name in shipped_names() if name == given or name.startswith(given.rstrip("/") + "/")]
    if not names:
        near = difflib.get_close_matches(given, shipped_names(), n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise NotFoundError(f"there is no shipped template {given!r}{hint} 'bot templates --all' lists them")
    return names


def _names(folder: Path) -> list[str]:
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(file.as_posix() for file in files if not any(part.startswith(".") for part in file.parts))


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
