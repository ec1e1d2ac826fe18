"""Files appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

EVERYBODY = 0o666  # as far as the person's umask allows
OWNER = 0o600


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
