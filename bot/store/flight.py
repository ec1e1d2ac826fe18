"""The flight recorder: which letters were begun, and what their answers were, for after a crash.

The ledger learns of outcomes group by group. What happens in between is written here, at about a
microsecond each and without waiting for the disk: a memory-mapped file of the process. Its pages belong
to the kernel, so they survive the death of the process in whatever way; they do not survive a power cut,
and a recorder from before the machine's last start is therefore not believed (``Wreck.trusted``).

A living process holds a lock on its file, which nobody can take from it, not even while it is stopped.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import secrets
import socket
import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bot.files import make_private_folder
from bot.model import State
from bot.store.chunks import Settled
from bot.store.schema import from_moment, moment

_SUFFIX = ".flight"
_MAGIC = b"broadside flight 1\n"
_SLOT = 256  # one letter
_HEAD = struct.Struct("<BxxxIqI")  # begun or ended, fence, issue, number: the first byte is written last
_END = struct.Struct(
    "<BBxxiqiiH"
)  # state, whether there is a due and a code, attempts, due, code, doubts, text
_TEXT = _HEAD.size + _END.size
_FREE, _BEGAN, _ENDED = 0, 1, 2
_STATES = tuple(State)
_PLACE = {str.__str__(state): place for place, state in enumerate(_STATES)}

Place = tuple[int, int, int]  # issue, number, fence


class Flight:
    """The recorder of this process. ``owner`` is the name under which it leases chunks."""

    def __init__(self, folder: Path, *, letters: int = 1024) -> None:
        """Begin one in ``folder`` with room for ``letters`` at once; it grows when that is too few."""
        make_private_folder(folder)
        self.owner = f"{socket.gethostname()}/{os.getpid()}-{secrets.token_hex(4)}"
        self.path = folder / f"{os.getpid()}-{self.owner[-8:]}{_SUFFIX}"
        self._file = _new_file(self.path, _head(self.owner))
        self._slots: dict[tuple[int, int], int] = {}
        self._free: list[int] = []
        self._size = _SLOT
        self._map = self._grown(letters)

    def began(self, issue: int, number: int, fence: int) -> None:
        """This letter may be on the wire from now on."""
        at = self._slot(issue, number)
        self._map[at] = _FREE
        _HEAD.pack_into(self._map, at, _FREE, fence, issue, number)
        self._map[at] = _BEGAN

    def ended(self, issue: int, fence: int, outcome: Settled) -> None:
        """Its answer came; a long text loses its end here, though not in the ledger."""
        number, state, attempts, doubts, due, code, said = outcome
        at = self._slots.get((issue, number), 0)
        if not at:  # refused before it could be on the wire
            at = self._slot(issue, number)
            _HEAD.pack_into(self._map, at, _FREE, fence, issue, number)
        text = said.encode(errors="replace")[: _SLOT - _TEXT] if said is not None else b""
        given = (due is not None) | (code is not None) << 1 | (said is not None) << 2
        _END.pack_into(
            self._map,
            at + _HEAD.size,
            _PLACE[str.__str__(state)],
            given,
            attempts,
            moment(due) if due else 0,
            code or 0,
            doubts,
            len(text),
        )
        self._map[at + _TEXT : at + _TEXT + len(text)] = text
        self._map[at] = _ENDED

    def settled(self, issue: int, numbers: Collection[int]) -> None:
        """The ledger has them on disk: forget them here."""
        for number in numbers:
            at = self._slots.pop((issue, number), 0)
            if at:
                self._map[at] = _FREE
                self._free.append(at)

    def close(self, *, keep: bool = False) -> None:
        """Let go; the file goes too, unless a letter is in it of which the ledger does not know.

        With ``keep`` an empty one stays as well: it says that no letter of this owner was begun.
        """
        if not self._slots and not keep:
            self.path.unlink(missing_ok=True)
        self._map.close()
        self._file.close()

    def __enter__(self) -> Flight:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _slot(self, issue: int, number: int) -> int:
        at = self._slots.get((issue, number), 0)
        if not at:
            if not self._free:
                self._map.close()
                self._map = self._grown(self._size // _SLOT)
            at = self._slots[issue, number] = self._free.pop()
        return at

    def _grown(self, letters: int) -> mmap.mmap:
        """The file mapped, with room for that many more."""
        size = self._size + letters * _SLOT
        # Written, not only made longer: a full disk is told here and does not kill us on a page's first use.
        os.pwrite(self._file.fileno(), bytes(size - self._size), self._size)
        self._free += range(size - _SLOT, self._size - _SLOT, -_SLOT)
        self._size = size
        return mmap.mmap(self._file.fileno(), size)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wreck:
    """The recorder of a dead process, locked by us; its file goes when the block ends without an error."""

    path: Path
    file: BinaryIO
    owner: str
    trusted: bool  # of this start of the machine: what is not in it was not begun
    records: Mapping[Place, Settled | None]  # None: begun, and no answer came

    def __enter__(self) -> Wreck:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        if error is None:
            self.path.unlink(missing_ok=True)
        self.file.close()


def wrecks(folder: Path) -> Iterator[Wreck]:
    """The recorders in the folder whose processes are dead, one after the other."""
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            file = path.open("r+b")
        except FileNotFoundError:  # somebody else has just dealt with it
            continue
        if not _locked(file) or not path.exists():
            file.close()
            continue
        content = file.read()
        owner, boot = _read_head(content)
        trusted = bool(boot) and boot == _boot()
        records = dict(_records(content)) if trusted else {}
        yield Wreck(path=path, file=file, owner=owner, trusted=trusted, records=records)


# --------------------------------------------------------------------------- the file


def _new_file(path: Path, head: bytes) -> BinaryIO:
    """The file, locked before anybody can see it under its name."""
    hidden = path.with_suffix(".new")
    file = hidden.open("x+b", buffering=0)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    file.write(head)
    hidden.rename(path)
    return file


def _locked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _head(owner: str) -> bytes:
    head = _MAGIC + f"{owner}\n{_boot()}\n".encode()
    return head.ljust(_SLOT, b"\0")


def _read_head(content: bytes) -> tuple[str, str]:
    """Owner, and the start of the machine; both empty when the file cannot be read."""
    lines = content[:_SLOT].split(b"\n")
    if not content.startswith(_MAGIC) or len(lines) < 4:
        return "", ""
    return lines[1].decode(), lines[2].decode()


def _records(content: bytes) -> Iterator[tuple[Place, Settled | None]]:
    for at in range(_SLOT, len(content) - _SLOT + 1, _SLOT):
        kind, fence, issue, number = _HEAD.unpack_from(content, at)
        if kind == _BEGAN:
            yield (issue, number, fence), None
        elif kind == _ENDED:
            yield (issue, number, fence), _outcome(content, at, number)


def _outcome(content: bytes, at: int, number: int) -> Settled:
    place, given, attempts, due, code, doubts, length = _END.unpack_from(content, at + _HEAD.size)
    said = content[at + _TEXT : at + _TEXT + length].decode(errors="ignore")
    return Settled(
        number,
        _STATES[place],
        attempts,
        doubts,
        due=from_moment(due) if given & 1 else None,
        code=code if given & 2 else None,
        said=said if given & 4 else None,
    )


def _boot() -> str:
    """Names this start of the machine; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
