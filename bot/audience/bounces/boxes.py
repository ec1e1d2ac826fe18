"""Where bounces lie: an IMAP mailbox, a Maildir, one mail on standard input.

A box hands out mails in blocks and is told afterwards which of them were understood. Those it moves away,
the others stay where they are, unread. A crash in between costs nothing: the same mails are handed out
again, and what was recorded is known by its digest.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bot.audience.bounces.opened import LARGEST
from bot.errors import UserError

BLOCK = 20  # mails at a time
SET_ASIDE = "SetAside"  # the folder of mails that cannot be judged: nobody reads them again but a person


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """One mail of a box. Its bytes are in no repr: they hold addresses."""

    name: str
    raw: bytes = field(repr=False)


class Box(Protocol):
    """Where mails are read from."""

    def blocks(self) -> Iterator[Sequence[Letter]]:
        """All mails that were not looked at before, in blocks."""
        ...

    def settle(self, done: Sequence[Letter], left: Sequence[Letter]) -> None:
        """Move away what was understood; leave the rest as it is."""
        ...

    def set_aside(self, unjudged: Sequence[Letter]) -> None:
        """Move away what cannot be judged, so that it is not handed out again."""
        ...

    def lying_aside(self) -> int:
        """How many mails were set aside and wait for a person."""
        ...

    def close(self) -> None:
        """Give back what is open."""
        ...


class Maildir:
    """A folder with ``new`` and ``cur``. What was understood goes to a subfolder, as Maildir++ has it."""

    def __init__(self, folder: Path, done: str = "Bounces") -> None:
        self._folder, self._done, self._aside = folder, folder / f".{done}", folder / f".{SET_ASIDE}"
        if not (folder / "new").is_dir():
            raise UserError(f"{folder} is no Maildir: it has no folder 'new'; name the right one")

    def blocks(self) -> Iterator[Sequence[Letter]]:
        paths = [path for part in ("new", "cur") for path in self._in(part)]
        for start in range(0, len(paths), BLOCK):
            yield [letter for path in paths[start : start + BLOCK] if (letter := _read(path))]

    def _in(self, part: str) -> list[Path]:
        folder = self._folder / part
        return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []

    def settle(self, done: Sequence[Letter], left: Sequence[Letter]) -> None:
        _move(done, self._done, flags="S")

    def set_aside(self, unjudged: Sequence[Letter]) -> None:
        _move(unjudged, self._aside, flags="")

    def lying_aside(self) -> int:
        return _count(self._aside)

    def close(self) -> None:
        """Nothing is open."""


def _move(letters: Sequence[Letter], folder: Path, *, flags: str) -> None:
    if letters and not (folder / "cur").is_dir():
        make_maildir(folder)
        (folder / "maildirfolder").touch()
    for letter in letters:
        path = Path(letter.name)
        try:
            path.rename(folder / "cur" / f"{path.name.partition(':')[0]}:2,{flags}")
        except FileNotFoundError:
            continue  # another run was quicker


def _count(folder: Path) -> int:
    return sum(1 for part in ("new", "cur") if (folder / part).is_dir() for _ in (folder / part).iterdir())


def make_maildir(folder: Path) -> None:
    """The three folders of a Maildir, for its owner only."""
    for part in ("tmp", "new", "cur"):
        (folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)


def _read(path: Path) -> Letter | None:
    try:
        with path.open("rb") as file:
            return Letter(name=str(path), raw=file.read(LARGEST))
    except FileNotFoundError:
        return None  # moved by somebody else since we looked


class Files:
    """Files that a person names: mails, or notices of a mail service. They stay where they are."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def blocks(self) -> Iterator[Sequence[Letter]]:
        for start in range(0, len(self._paths), BLOCK):
            yield [letter for path in self._paths[start : start + BLOCK] if (letter := _read(path))]

    def settle(self, done: Sequence[Letter], left: Sequence[Letter]) -> None:
        """Nothing is moved."""

    def set_aside(self, unjudged: Sequence[Letter]) -> None:
        """Nothing is moved."""

    def lying_aside(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing is open."""


class Pipe:
    """One mail that a mail server hands us. What is not understood is kept in a Maildir: nothing is lost."""

    def __init__(self, raw: bytes, keep: Path) -> None:
        self._raw, self._keep = raw, keep

    def blocks(self) -> Iterator[Sequence[Letter]]:
        if self._raw.strip():
            yield [Letter(name="standard input", raw=self._raw[:LARGEST])]

    def settle(self, done: Sequence[Letter], left: Sequence[Letter]) -> None:
        if left:
            self._store(self._keep)

    def set_aside(self, unjudged: Sequence[Letter]) -> None:
        if unjudged:
            self._store(self._keep / f".{SET_ASIDE}")

    def lying_aside(self) -> int:
        return _count(self._keep / f".{SET_ASIDE}")

    def _store(self, folder: Path) -> None:
        """The whole mail, however little of it was read."""
        make_maildir(folder)
        name = f"{time.time_ns()}.{os.getpid()}.{secrets.token_hex(8)}"
        growing = folder / "tmp" / name
        growing.write_bytes(self._raw)
        growing.rename(folder / "new" / name)

    def close(self) -> None:
        """Nothing is open."""
