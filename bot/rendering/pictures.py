"""The pictures that go along with a mail: what they are, how wide, and what the HTML calls them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from bot.errors import QueueError
from bot.files import is_file_inside
from bot.metadata import MAX_PIXELS, mime_type, size_in_pixels

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
    width, height = size_in_pixels(content)
    if width * height > MAX_PIXELS:
        problem = f"image {path.name} claims {width:,} x {height:,} pixels"
        raise QueueError(
            item, problem=problem, advice=f"at most {MAX_PIXELS:,} fit everywhere; make it smaller"
        )
    digest = hashlib.sha256(content).hexdigest()
    return Picture(path=path, mime_type=kind, width=width, digest=digest)


def _content(path: Path, *, folder: Path) -> bytes:
    """An item may name a pipe, a device or a link to a file elsewhere: none of them is ever opened."""
    if not is_file_inside(path, folder):
        raise OSError("not a file in the queue folder")
    if path.stat().st_size > MAX_BYTES:
        raise OSError("too large")
    return path.read_bytes()
