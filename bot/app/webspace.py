"""A folder for a web space that is complete or untouched: made beside the old one, then put in its place.

A list of what we made lies in the folder: other people's files in it (``CNAME``, ``.git``) stay, ours that
are gone go.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from bot.errors import UserError

MANIFEST = ".broadside.json"
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2(2)
_HERE = -100  # AT_FDCWD

Entry = list[str]  # digest of what it was made from ("" where that is not known), digest of its bytes


def read_manifest(folder: Path) -> dict[str, Entry]:
    """What we made there before. UserError when it is a folder of somebody else."""
    try:
        found: dict[str, Entry] = json.loads((folder / MANIFEST).read_text("utf-8"))
        return found
    except FileNotFoundError:
        pass
    except (ValueError, OSError) as error:
        raise UserError(
            f"{folder / MANIFEST} cannot be read ({error}); remove it, or name another folder"
        ) from error
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder with --to")
    theirs = [path.name for path in folder.iterdir() if not _may_stay(path)] if folder.exists() else []
    if theirs:
        raise UserError(
            f"{folder} is no folder of bot build: {min(theirs)} lies in it, and it would be replaced; "
            "name another folder with --to, or empty this one"
        )
    return {}


def _may_stay(path: Path) -> bool:
    """What people lay into the folder of a web space before its first build."""
    return path.name.startswith(".") or path.name == "CNAME"


def listed(entries: Mapping[str, Entry]) -> str:
    """The list, for the next build."""
    return json.dumps(dict(sorted(entries.items())), ensure_ascii=False, indent=0) + "\n"


def keep_others(folder: Path, beside: Path, ours: set[str]) -> None:
    """Files that we never made come along, as they are."""
    beside.mkdir(parents=True, exist_ok=True)
    tops = {name.partition("/")[0] for name in ours} | {MANIFEST}
    for path in folder.iterdir() if folder.exists() else ():
        if path.name not in tops:
            _brought(path, beside / path.name)


def _brought(path: Path, to: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.copytree(path, to, symlinks=True, copy_function=_link_or_copy)
    else:
        _link_or_copy(str(path), str(to))


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


def swap(beside: Path, folder: Path) -> None:
    """The new folder in place of the old one. On Linux in one step; elsewhere there is an instant without."""
    if not folder.exists():
        beside.rename(folder)
        return
    beside.chmod(folder.stat().st_mode & 0o7777)
    if _exchanged(beside, folder):
        return
    away = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(away, ignore_errors=True)
    folder.rename(away)
    try:
        beside.rename(folder)
    except OSError:
        away.rename(folder)
        raise
    shutil.rmtree(away, ignore_errors=True)


def _exchanged(one: Path, other: Path) -> bool:
    rename: Callable[..., int] | None = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    if rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP):
        return False
    raise OSError(code, os.strerror(code), str(other))


# --------------------------------------------------------------------------- one file


def placed(content: bytes, was: Path, place: Path, before: Entry | None) -> str:
    """Write it, unless the old file is the same to the byte; its digest."""
    digest = hashlib.sha256(content).hexdigest()
    if not (before and before[1] == digest and taken_over(was, place, digest)):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return digest


def taken_over(was: Path, place: Path, digest: str) -> bool:
    """Take over a file that nobody changed meanwhile."""
    try:
        if hashlib.sha256(was.read_bytes()).hexdigest() != digest:
            return False
        place.parent.mkdir(parents=True, exist_ok=True)
        os.link(was, place)
    except FileNotFoundError:
        return False
    except OSError:  # a file system without links
        shutil.copy2(was, place)
    return True
