"""The pictures of items at their addresses on the site, without what a camera wrote into them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from bot.errors import QueueError
from bot.metadata import without_metadata
from bot.model import Item
from bot.rendering.issue import one_line
from bot.rendering.pictures import Picture, read_picture
from bot.rendering.stories import Image

KINDS = {"image/png": "png", "image/jpeg": "jpg", "image/gif": "gif", "image/webp": "webp"}


def picture_of(item: Item) -> Picture | None:
    """The item's picture file, where it can be shown and somebody said what it shows.

    It is read again only when it changed.
    """
    path = item.image_path
    if path is None or not item.alt:
        return None
    try:
        stat = path.stat()
    except OSError:
        return None
    return _picture(path, item.path, stat.st_mtime_ns, stat.st_size)


def image_of(item: Item) -> Image | None:
    """The same as a page shows it. A new picture has a new name, and the name tells no topic."""
    picture = picture_of(item)
    if picture is None:
        return None
    path = f"/pictures/{picture.digest[:24]}.{KINDS[picture.mime_type]}"
    return Image(path=path, alt=one_line(item.alt), width=picture.width)


def content_of(picture: Picture) -> bytes:
    """What a reader gets."""
    return without_metadata(picture.path.read_bytes()) or b""


@lru_cache(maxsize=20_000)
def _picture(path: Path, item: Path, _mtime_ns: int, _size: int) -> Picture | None:
    try:
        picture = read_picture(path, item=item)
    except QueueError:
        return None
    return picture if without_metadata(path.read_bytes()) else None
