"""Following issues on their way: a bar for each on a terminal, a line for each where nobody sees a bar."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bot.cli.output import echo

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

LOOK = 1.0  # seconds between two looks
RECENT = 10  # looks that the rate is of
NARROW = 90  # columns that a bar needs beside the words

# An issue, how many letters are done, of how many, letters a second (None: not known yet), and why it stands
# still, or is over.
Show: TypeAlias = Callable[[str, int, int, float | None, str], None]


def watch(workspace: Path) -> None:
    """Each issue with its rate and the time left, until nothing is open."""
    from rich.console import Console

    from bot.app.status import on_their_way, over

    console, past = Console(), dict[str, deque[tuple[float, int]]]()
    with bars(console) if console.is_terminal else lines() as show:
        while found := on_their_way(workspace):
            for subject, (progress, standstill) in found.items():
                done = progress.total - progress.left
                looks = past.setdefault(subject, deque(maxlen=RECENT))
                if standstill:
                    looks.clear()  # how fast it was says nothing about how fast it will go on
                looks.append((time.monotonic(), done))
                show(subject, done, progress.total, _rate(looks), standstill)
            time.sleep(LOOK)
        for subject, (progress, end) in over(workspace, past).items():
            show(subject, progress.total - progress.left, progress.total, None, end)
    if not past:
        echo("No issue is on its way, so there is nothing to follow.")


def _rate(looks: deque[tuple[float, int]]) -> float | None:
    (then, before), (now, done) = looks[0], looks[-1]
    return (done - before) / (now - then) if now > then else None


def _news(done: int, total: int, rate: float | None, standstill: str) -> str:
    """Why it stands still; else how fast it is, and how long it still takes."""
    if standstill or rate is None:
        return standstill
    left = f", {timedelta(seconds=int((total - done) / rate))} left" if rate and done < total else ""
    return f"{rate:,.0f} a second{left}"


@contextmanager
def lines() -> Iterator[Show]:
    """For files and pipes."""

    def show(subject: str, done: int, total: int, rate: float | None, standstill: str) -> None:
        news = _news(done, total, rate, standstill)
        echo(f"{subject}: {done:,} of {total:,}" + (f", {news}" if news else ""))

    yield show


@contextmanager
def bars(console: Console) -> Iterator[Show]:
    """For a terminal; one too narrow for a bar shows the words alone, on more lines rather than cut off."""
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn
    from rich.table import Column

    name = TextColumn("{task.description}", table_column=Column(overflow="fold"))
    news = TextColumn("{task.fields[news]}", table_column=Column(overflow="fold"))
    count = TextColumn("{task.completed:,.0f} of {task.total:,.0f}", table_column=Column(no_wrap=True))
    bar: tuple[ProgressColumn, ...] = (BarColumn(),) if console.width >= NARROW else ()
    tasks: dict[str, TaskID] = {}
    with Progress(name, *bar, count, news, console=console) as progress:

        def show(subject: str, done: int, total: int, rate: float | None, standstill: str) -> None:
            if subject not in tasks:
                tasks[subject] = progress.add_task(escape(subject), total=total, news="")
            words = escape(_news(done, total, rate, standstill))
            progress.update(tasks[subject], completed=done, news=words)

        yield show
