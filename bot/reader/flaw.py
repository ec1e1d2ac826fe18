"""What is wrong in a text, before anybody asked which file it came from."""

from __future__ import annotations

from pathlib import Path

from bot.errors import QueueError
from bot.printable import printable


class Flaw(Exception):
    """A problem with its line (of the file, from 1) and what to do about it."""

    def __init__(self, line: int, problem: str, advice: str = "") -> None:
        self.line, self.problem, self.advice = line, problem, advice
        super().__init__(problem)

    def at(self, path: Path) -> QueueError:
        """The error that people see."""
        return QueueError(printable(str(path)), line=self.line, problem=self.problem, advice=self.advice)
