"""What can be said of one item alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

from bot.checks.addresses import untracked
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
    return (*_picture(item), *_lengths(item), *_words(item), *_address(item), *_date(item, today))


def _finding(item: Item, level: Level, rule: str, message: str) -> Finding:
    return Finding(level=level, rule=rule, message=message, path=item.path)


def _picture(item: Item) -> Iterator[Finding]:
    path = item.image_path
    if not path:
        return
    if not item.alt:
        message = f"{item.image} has no description; say in 'alt' what it shows"
        yield _finding(item, Level.BLOCK, "image.alt.missing", message)
    if not path.is_file() or not _is_inside(path, item.path.parent):
        message = f"there is no picture {item.image} in the queue folder"
        yield _finding(item, Level.BLOCK, "image.file.missing", message)
    elif problem := _picture_problem(path):
        yield _finding(item, Level.BLOCK, "image.type", f"{item.image} {problem}")


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether it stays in the folder, links followed: no link may publish a file from elsewhere."""
    return path.resolve().is_relative_to(folder.resolve())


def _picture_problem(path: Path) -> str:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(16)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if size > MAX_PICTURE_BYTES:
        return f"is larger than {MAX_PICTURE_BYTES // 1_000_000} MB; make it smaller"
    return "" if _is_picture(start) else "is not a PNG, JPEG, GIF or WebP picture; save it as one of these"


def _is_picture(start: bytes) -> bool:
    """By content: the name may say anything."""
    if start.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")):
        return True
    return start[:4] == b"RIFF" and start[8:12] == b"WEBP"


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
