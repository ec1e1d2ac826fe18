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


class UnusablePictureError(Exception):
    """Why the file cannot be shown, and what to do."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(problem)
        self.problem, self.advice = problem, advice


def read_picture(path: Path, *, item: Path) -> Picture:
    """Look at an item's picture; the item is named when it cannot be used."""
    try:
        return picture_in(item.parent, path, called="image")
    except UnusablePictureError as error:
        raise QueueError(item, problem=error.problem, advice=error.advice) from error


def picture_in(folder: Path, path: Path, *, called: str, max_bytes: int = MAX_BYTES) -> Picture:
    """Look at a picture file of this folder. UnusablePictureError where mail cannot show it."""
    name = f"{called} {path.name}"
    try:
        content = content_in(folder, path, max_bytes=max_bytes)
    except OSError as error:
        why = error.strerror or error
        raise UnusablePictureError(f"{name} cannot be read: {why}", f"mend '{called}:'") from error
    kind = mime_type(content)
    if not kind:
        raise UnusablePictureError(
            f"{name} is not a picture that mail can show", "use PNG, JPEG, GIF or WebP"
        )
    width, height = size_in_pixels(content)
    if width * height > MAX_PIXELS:
        raise UnusablePictureError(
            f"{name} claims {width:,} x {height:,} pixels",
            f"at most {MAX_PIXELS:,} fit everywhere; make it smaller",
        )
    digest = hashlib.sha256(content).hexdigest()
    return Picture(path=path, mime_type=kind, width=width, digest=digest)


def content_in(folder: Path, path: Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """A pipe, a device or a link to a file elsewhere may have the name: none of them is ever opened."""
    if not is_file_inside(path, folder):
        raise OSError(f"not a file in the {folder.name} folder")
    if path.stat().st_size > max_bytes:
        raise OSError("too large")
    return path.read_bytes()
