"""Running ``bot`` as a person would, and reading what it says."""

from __future__ import annotations

import contextlib
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

from bot.cli.main import main

MONDAY = "2026-11-23 08:00"
NEXT_MONDAY = "2026-11-30 07:59"
FRIDAY = "2026-11-27 09:00"


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


class _Stream(io.TextIOWrapper):
    """A stream with a byte side, as the terminal has."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    def text(self) -> str:
        return self.buffer.getvalue().decode()  # type: ignore[attr-defined]


def bot(*args: object, workspace: Path | None = None, stdin: str = "") -> Ran:
    """``bot --workspace WORKSPACE ARGS``, in this process."""
    out, err = _Stream(), _Stream()
    where = ["--workspace", str(workspace)] if workspace else []
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _stdin(stdin):
        try:
            main([*where, *map(str, args)])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
    return Ran(code=code, out=out.text(), err=err.text())


@contextlib.contextmanager
def _stdin(text: str):  # type: ignore[no-untyped-def]
    import sys

    before = sys.stdin
    sys.stdin = io.StringIO(text)
    try:
        yield
    finally:
        sys.stdin = before


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file below a folder with a hash of its bytes, its size, mode and time of change."""
    return {
        str(path.relative_to(folder)): _mark(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }


def _mark(path: Path) -> str:
    stat = path.stat()
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()} {stat.st_mode:o} {stat.st_mtime_ns}"
