"""The pictures that go along with a mail: what they are, how wide, and what the HTML calls them."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

from bot.errors import QueueError
from bot.metadata import mime_type

MAX_BYTES = 10_000_000  # what the checks let pass


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture file, known by its content."""

    path: Path
    mime_type: str
    width: int  # in pixels; 0: not told by the file
    digest: str

    def cid(self, domain: str) -> str:
        """Its Content-ID: the same content has the same one, and nothing in it tells the topic."""
        return f"{self.digest[:32]}@{domain}"


def read_picture(path: Path, *, item: Path) -> Picture:
    """Look at the file; ``item`` is named when it cannot be used."""
    try:
        content = _content(path, folder=item.parent)
    except OSError as error:
        raise QueueError(
            item,
            problem=f"image {path.name} cannot be read: {error.strerror or error}",
            advice="mend 'image:'",
        ) from error
    kind = mime_type(content)
    if not kind:
        advice = "use PNG, JPEG, GIF or WebP"
        raise QueueError(
            item, problem=f"image {path.name} is not a picture that mail can show", advice=advice
        )
    digest = hashlib.sha256(content).hexdigest()
    return Picture(path=path, mime_type=kind, width=_width(content, kind), digest=digest)


def _content(path: Path, *, folder: Path) -> bytes:
    """An item may name a pipe, a device or a link to a file elsewhere: none of them is ever opened."""
    if not path.is_file() or not path.resolve().is_relative_to(folder.resolve()):
        raise OSError("not a file in the queue folder")
    if path.stat().st_size > MAX_BYTES:
        raise OSError("too large")
    return path.read_bytes()


def _width(content: bytes, kind: str) -> int:
    try:
        if kind == "image/png":
            return int(struct.unpack(">I", content[16:20])[0])
        if kind == "image/gif":
            return int(struct.unpack("<H", content[6:8])[0])
        if kind == "image/jpeg":
            return _jpeg_width(content)
    except (struct.error, IndexError):
        pass
    return 0


def _jpeg_width(content: bytes) -> int:
    """The width in the first frame header (SOF); other segments are stepped over."""
    place = 2
    while place + 9 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int(struct.unpack(">H", content[place + 7 : place + 9])[0])
        place += 2 + int(struct.unpack(">H", content[place + 2 : place + 4])[0])
    return 0
