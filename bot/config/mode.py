"""Changing ``mode`` in bot.toml: the bytes of that value, and no other."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from bot.config.explaining import FILE, dotenv_names
from bot.errors import ConfigError
from bot.files import write_atomically

NAME = "BOT_MODE"
_BOM = b"\xef\xbb\xbf"
_TABLE = re.compile(rb"^[ \t]*\[", re.MULTILINE)
_MODE = re.compile(
    rb"""^([ \t]*(?:mode|"mode"|'mode')[ \t]*=[ \t]*)("[a-z]*"|'[a-z]*')(?=[ \t]*(?:\#|\r?$))""", re.MULTILINE
)


def mode_override(workspace: Path) -> str:
    """Where ``BOT_MODE`` is set, which wins over bot.toml; empty when it is nowhere."""
    if any(name.upper() == NAME and value for name, value in os.environ.items()):
        return "the environment"
    dotenv = workspace / ".env"
    return str(dotenv) if NAME in (name.upper() for name in dotenv_names(dotenv)) else ""


def write_mode(workspace: Path, mode: str) -> None:
    """Set ``mode`` in bot.toml; comments and everything else stay as they are.

    The file keeps its time of change: the schedule is as old as it was, so that a slot which a plan showed
    before is not skipped. Raises ConfigError, and changes nothing, where the file is not understood.
    """
    file = workspace / FILE
    before, times = file.read_bytes(), file.stat()
    after = with_mode(before, mode)
    if _parsed(after) != {**(_parsed(before) or {}), "mode": mode}:
        raise ConfigError(file, "mode", "cannot be changed safely", f'write mode = "{mode}" by hand')
    write_atomically(file, after)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def with_mode(text: bytes, mode: str) -> bytes:
    """The bytes of a bot.toml with this mode; the line is put on top where there was none."""
    bom = _BOM if text.startswith(_BOM) else b""
    text = text.removeprefix(_BOM)
    table = _TABLE.search(text)
    found = _MODE.search(text, 0, table.start() if table else len(text))
    value = f'"{mode}"'.encode()
    if found:
        return bom + text[: found.start(2)] + value + text[found.end(2) :]
    line_end = b"\r\n" if b"\r\n" in text else b"\n"
    return bom + b"mode = " + value + 2 * line_end + text


def _parsed(text: bytes) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text.decode("utf-8-sig"))
    except ValueError:  # neither UTF-8 nor TOML
        return None
