"""What is wrong in a text, before anybody asked which file it came from."""

from __future__ import annotations

from pathlib import Path

from bot.errors import QueueError


class Flaw(Exception):
    """A problem with its line (of the file, from 1) and what to do about it."""

    def __init__(self, line: int, problem: str, advice: str = "") -> None:
        self.line, self.problem, self.advice = line, problem, advice
        super().__init__(problem)

    def at(self, path: Path) -> QueueError:
        """The error that people see."""
        return QueueError(_shown(path), line=self.line, problem=self.problem, advice=self.advice)


def _shown(path: Path) -> Path:
    """The path, with a sign in the place of what would break a line or cannot be printed."""
    if str(path).isprintable():
        return path
    return Path("".join(char if char.isprintable() else "\ufffd" for char in str(path)))
