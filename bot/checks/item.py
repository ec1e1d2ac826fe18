"""What can be said of one item alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from pathlib import Path

from bot.checks.addresses import untracked
from bot.checks.deception import deceptions
from bot.files import is_file_inside
from bot.metadata import MAX_PIXELS, mime_type, size_in_pixels
from bot.model import Finding, Item, Level

MAX_PICTURE_BYTES = 10_000_000
LONG_TITLE = 120
# Characters. Each of them stays when an issue is shortened, so one item could keep all others from going out.
LONGEST = {
    "title": 500,
    "source": 300,
    "region": 300,
    "content_warning": 500,
    "alt": 2_000,
    "summary": 3_000,
    "body": 60_000,  # no mail holds more
}


def check_item(item: Item, *, today: date | None = None) -> tuple[Finding, ...]:
    """Every finding of one item; ``today`` is the publication's day (None: dates are not looked at)."""
    return (
        *_picture(item),
        *_lengths(item),
        *_words(item),
        *_address(item),
        *_date(item, today),
        *deceptions(item),
    )


def _finding(item: Item, level: Level, rule: str, message: str) -> Finding:
    return Finding(level=level, rule=rule, message=message, path=item.path)


def _picture(item: Item) -> Iterator[Finding]:
    path = item.image_path
    if not path:
        return
    if not item.alt:
        message = f"{item.image} has no description; say in 'alt' what it shows"
        yield _finding(item, Level.BLOCK, "image.alt.missing", message)
    if not is_file_inside(path, item.path.parent):
        message = f"there is no picture {item.image} in the queue folder"
        yield _finding(item, Level.BLOCK, "image.file.missing", message)
    elif problem := _picture_problem(path):
        yield _finding(item, Level.BLOCK, "image.type", f"{item.image} {problem}")


def _picture_problem(path: Path) -> str:
    try:
        stat = path.stat()
        if stat.st_size > MAX_PICTURE_BYTES:
            return f"is larger than {MAX_PICTURE_BYTES // 1_000_000} MB; make it smaller"
        return _content_problem(path, stat.st_mtime_ns, stat.st_size)
    except OSError as error:
        return f"cannot be read: {error.strerror}"


@lru_cache(maxsize=20_000)
def _content_problem(path: Path, _mtime_ns: int, _size: int) -> str:
    """Read again only when the file changed: every tick checks every approved item."""
    content = path.read_bytes()
    if not mime_type(content):
        return "is not a PNG, JPEG, GIF or WebP picture; save it as one of these"
    width, height = size_in_pixels(content)
    if width * height > MAX_PIXELS:
        return f"claims {width:,} x {height:,} pixels; at most {MAX_PIXELS:,} fit everywhere; make it smaller"
    return ""


def _lengths(item: Item) -> Iterator[Finding]:
    for key, longest in LONGEST.items():
        if (length := len(getattr(item, key) or "")) > longest:
            message = f"{key} has {length:,} characters; {longest:,} fit everywhere; shorten it"
            yield _finding(item, Level.BLOCK, "text.long", message)


def _words(item: Item) -> Iterator[Finding]:
    if not item.summary:
        message = "has no summary; posts and shortened newsletters show it"
        yield _finding(item, Level.WARN, "summary.missing", message)
    if not item.body:
        yield _finding(item, Level.WARN, "body.empty", "has no text below the front matter")
    if len(item.title) > LONG_TITLE:
        message = (
            f"the title has {len(item.title)} characters; subjects and posts like fewer than {LONG_TITLE}"
        )
        yield _finding(item, Level.INFO, "title.long", message)


def _address(item: Item) -> Iterator[Finding]:
    if (clean := untracked(item.url)) != item.url:
        yield _finding(item, Level.WARN, "url.tracking", f"the address tracks readers; use {clean}")


def _date(item: Item, today: date | None) -> Iterator[Finding]:
    if today and item.published > today:
        message = f"was published on {item.published}, which is still to come"
        yield _finding(item, Level.WARN, "published.future", message)
