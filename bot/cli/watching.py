"""Following issues on their way: a bar for each on a terminal, a line for each where nobody sees a bar."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

LOOK = 1.0  # seconds between two looks
RECENT = 10  # looks that the rate is of

# An issue, how many letters are done, of how many, letters a second, and why it stands still, if it does.
Show: TypeAlias = Callable[[str, int, int, float, str], None]


def watch(workspace: Path) -> None:
    """Each issue with its rate and the time left, until nothing is open."""
    from rich.console import Console

    from bot.app.status import on_their_way

    console, past = Console(), dict[str, deque[tuple[float, int]]]()
    with bars(console) if console.is_terminal else lines() as show:
        while found := on_their_way(workspace):
            for subject, (progress, standstill) in found.items():
                done = progress.total - progress.left
                looks = past.setdefault(subject, deque(maxlen=RECENT))
                looks.append((time.monotonic(), done))
                show(subject, done, progress.total, _rate(looks), standstill)
            time.sleep(LOOK)


def _rate(looks: deque[tuple[float, int]]) -> float:
    (then, before), (now, done) = looks[0], looks[-1]
    return (done - before) / (now - then) if now > then else 0.0


@contextmanager
def lines() -> Iterator[Show]:
    """For files and pipes."""

    def show(subject: str, done: int, total: int, rate: float, standstill: str) -> None:
        left = f", {timedelta(seconds=int((total - done) / rate))} left" if rate else ""
        click.echo(f"{subject}: {done:,} of {total:,}, {standstill or f'{rate:,.0f} a second{left}'}")

    yield show


@contextmanager
def bars(console: Console) -> Iterator[Show]:
    """For a terminal."""
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    name, news = TextColumn("{task.description}"), TextColumn("{task.fields[news]}")
    columns = (name, BarColumn(), MofNCompleteColumn(), news, TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console) as progress:

        def show(subject: str, done: int, total: int, rate: float, standstill: str) -> None:
            if subject not in tasks:
                tasks[subject] = progress.add_task(escape(subject), total=total, news="")
            news = escape(standstill) or f"{rate:,.0f} a second"
            progress.update(tasks[subject], completed=done, news=news)

        yield show
