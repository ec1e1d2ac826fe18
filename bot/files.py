"""Files appear whole or not at all, stay inside their folder, and are private where they must be."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bot.errors import UserError

EVERYBODY = 0o666  # as far as the person's umask allows
OWNER = 0o600
OWNERS_FOLDER = 0o700


def is_file_inside(path: Path, folder: Path) -> bool:
    """Whether it is a file of this folder, links followed: never one elsewhere, a pipe or a device."""
    try:
        return path.is_file() and path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # links in a circle, a name that no file can have
        return False


def file_inside(folder: Path, name: str) -> Path | None:
    """The file of this name in the folder, or None. UserError when a link leads to one outside."""
    if ".." in Path(name).parts or Path(name).is_absolute():
        return None
    path = folder / name
    if is_file_inside(path, folder):
        return path
    if path.is_file():
        raise UserError(
            f"{path}: leads to a file outside {folder}; put a copy of the file there instead of a link"
        )
    return None


def make_private_folder(folder: Path) -> None:
    """A folder that only its owner may enter, whatever the umask; one that stands open is closed.

    One that belongs to somebody else stays as it is: ``bot doctor`` tells it.
    """
    folder.mkdir(mode=OWNERS_FOLDER, parents=True, exist_ok=True)
    _restrict(folder, OWNERS_FOLDER)


def make_private_file(path: Path) -> None:
    """The file, empty if it was not there, that only its owner may read, whatever the umask."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWNER))
    _restrict(path, OWNER)


def is_open_to_others(path: Path) -> bool:
    """Whether anybody but its owner may read or enter it; False where there is nothing."""
    try:
        return bool(path.stat().st_mode & 0o077)
    except OSError:
        return False


def _restrict(path: Path, mode: int) -> None:
    if path.stat().st_mode & 0o777 != mode:
        with contextlib.suppress(PermissionError):
            path.chmod(mode)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the file at ``path``, or make it: after a crash it holds the old bytes or the new ones.

    Missing folders are made. A replaced file keeps its mode and, where we may, its owner; a link keeps
    pointing where it points. Raises OSError and leaves nothing behind.
    """
    with replacing(path, mode=EVERYBODY) as file:
        file.write(data)


def create_for_owner(path: Path, data: bytes) -> None:
    """A file that was not there: whole or not at all, and only its owner may read it.

    Raises FileExistsError and leaves what is there as it is, also when two make it at the same time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name[:40]}.{secrets.token_hex(6)}.tmp"
    with replacing(temporary) as file:
        file.write(data)
    try:
        os.link(temporary, path)
    finally:
        temporary.unlink()
    sync_folder(path.parent)


@contextmanager
def replacing(path: Path, *, mode: int = OWNER) -> Iterator[BinaryIO]:
    """The same for what is written bit by bit: the file takes its place when the block ends well.

    A new file gets ``mode``: only its owner may read it, unless told otherwise.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name[:40]}.{secrets.token_hex(6)}.tmp"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            _keep_mode(file.fileno(), target)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """What a rename or a link changed in it survives a power cut from now on."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _keep_mode(descriptor: int, like: Path) -> None:
    try:
        old = like.stat()
    except FileNotFoundError:
        return
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, old.st_mode & 0o7777)
