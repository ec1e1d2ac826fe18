"""A list of readers as it came: one table, or a zip of several as other systems give them out.

Nothing is unpacked to disk. What would unpack to far more than any list of readers is refused unread.
"""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bot.errors import AudienceError

MOST_BYTES = 2 << 30  # of one table, unpacked: ten million readers
MOST_FILES = 50_000
MOST_TIMES = 300  # how far a table may shrink in a zip; real ones shrink to a tenth

_ENCRYPTED = 0x1
_UNREADABLE = (EOFError, RuntimeError, NotImplementedError)
_PACKED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One table: a file, or ``member`` of a zip."""

    path: Path
    size: int  # unpacked
    member: str = ""

    @property
    def name(self) -> str:
        """The table's own name, without folders."""
        return self.member.rpartition("/")[2] or self.path.name

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return f"{self.path}:{self.member}" if self.member else f"{self.path}"

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Its bytes, from the beginning. AudienceError when a zip is damaged or locked."""
        if not self.member:
            with self.path.open("rb") as file:
                yield file
            return
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as file:
                yield file
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, *_UNREADABLE) as error:
            raise AudienceError(f"{self.place}: cannot be unpacked ({error}); download it again") from error


def parts_of(path: Path) -> list[Part]:
    """The tables of a file, in a settled order. AudienceError when there is none, or too much."""
    if not zipfile.is_zipfile(path):
        return [Part(path=path, size=path.stat().st_size)]
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise AudienceError(f"{path}: cannot be unpacked ({error}); download it again") from error
    if any(member.filename == "xl/workbook.xml" for member in members):
        raise AudienceError(f"{path}: is an Excel workbook; save the sheet as 'CSV UTF-8' and import that")
    if len(members) > MOST_FILES:
        raise AudienceError(f"{path}: holds {len(members):,} files; no list of readers does")
    tables = [member for member in members if _is_table(member)]
    if not tables:
        raise AudienceError(f"{path}: holds no .csv file; is it the export of the readers?")
    _refuse_bombs(path, tables)
    found = [Part(path=path, size=member.file_size, member=member.filename) for member in tables]
    return sorted(found, key=lambda part: part.member)


def _is_table(member: zipfile.ZipInfo) -> bool:
    name = member.filename.rpartition("/")[2]
    hidden = name.startswith(".") or member.filename.startswith("__MACOSX/")
    return name.lower().endswith((".csv", ".tsv", ".txt")) and not member.is_dir() and not hidden


def _refuse_bombs(path: Path, tables: Sequence[zipfile.ZipInfo]) -> None:
    for table in tables:
        place = f"{path}:{table.filename}"
        if table.flag_bits & _ENCRYPTED:
            raise AudienceError(f"{place}: is locked with a password; unpack it and import the file inside")
        if table.compress_type not in _PACKED:
            raise AudienceError(f"{place}: is packed in an unknown way; unpack it and import the file inside")
        too_dense = table.file_size > MOST_TIMES * max(table.compress_size, 1) and table.file_size > 1 << 20
        if too_dense or table.file_size > MOST_BYTES:
            raise AudienceError(
                f"{place}: would unpack to {table.file_size:,} bytes; that is no list of readers"
            )
    if sum(table.file_size for table in tables) > MOST_BYTES:
        raise AudienceError(
            f"{path}: would unpack to more than {MOST_BYTES:,} bytes; import its files singly"
        )
