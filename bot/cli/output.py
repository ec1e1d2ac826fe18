"""How results look: tables for people, JSON for machines. The same values feed both."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from bot.printable import printable, printable_json, printable_lines

F = Callable[..., Any]


def json_option(command: F) -> F:
    """``--json`` on a listing."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)


def dry_run_option(command: F) -> F:
    """``--dry-run`` on whatever sends or writes."""
    return click.option("--dry-run", is_flag=True, help="Show everything, write and send nothing.")(command)


def warn(line: str) -> None:
    """Something that a person should read, on standard error."""
    click.secho("! ", fg="yellow", nl=False, err=True)
    echo(line, err=True)


def echo(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Lines for a person: what strangers wrote in them cannot act on the terminal."""
    click.echo(printable_lines(text), err=err, nl=nl)


def print_json(value: object) -> None:
    """One JSON document, readable and stable."""
    click.echo(printable_json(json.dumps(plain(value), indent=2, ensure_ascii=False)))


def plain(value: object) -> Any:
    """A value as JSON knows it: dataclasses as objects, times as ISO 8601, paths as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value) if isinstance(value, Path) else value


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
    """A table that fits the terminal; plain lines when the output is a file or a pipe."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        *columns,
        title=title or None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_header=any(columns),
    )
    for row in rows:
        table.add_row(*(escape(printable(str(cell))) for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(table)


def when(moment: datetime | None) -> str:
    """A moment as people in that place write it: "Fri 27 Nov 2026 09:00"."""
    return f"{moment:%a} {moment.day} {moment:%b %Y %H:%M}" if moment else ""


def plural(count: int, noun: str) -> str:
    """ "1 item", "2 items", "0 deliveries"."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun[:-1]}ies" if noun.endswith("ry") else f"{count:,} {noun}s"


def open_in_browser(page: Path) -> None:
    """Where there is a screen to show it; elsewhere the path that was printed has to do."""
    import os
    import webbrowser

    if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return
    with suppress(webbrowser.Error):
        webbrowser.open(page.absolute().as_uri())
