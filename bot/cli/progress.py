"""A bar while a file is read: how far, how fast, how long still. Only on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from bot.audience.spreadsheet import Place

NARROW = 80  # columns; with fewer the time left would be cut off, and the rate is left out


@contextmanager
def reading_file(path: Path, console: Console | None = None) -> Iterator[Callable[[Place], None]]:
    """A bar on standard error, fed with the places reached; nothing at all when that is no terminal."""
    if console is None and not sys.stderr.isatty():  # before rich is loaded
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = console or Console(stderr=True)
    rate = ", {task.fields[rate]:,.0f} a second" if console.width >= NARROW else ""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows" + rate),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("Reading", total=path.stat().st_size, rows=0, rate=0.0)

        def tell(place: Place) -> None:
            seconds = progress.tasks[0].elapsed or 0.0
            rate = place.rows / seconds if seconds else 0.0
            progress.update(task, completed=place.bytes, rows=place.rows, rate=rate)
            if progress.finished:
                progress.update(task, description="Storing")

        yield tell
