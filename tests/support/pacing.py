"""Several real processes on one account, and how many went in the fullest second."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


class Racers:
    """Processes that go at one pace; they are killed when the block ends."""

    def __init__(
        self,
        url: str,
        file: Path,
        *,
        count: int,
        seconds: float,
        rules: dict[str, float],
        child: str = "pacing_child",
        kinds: Sequence[str] = (),
    ) -> None:
        """As many as there are ``kinds``, one of each, where the ``child`` knows several."""
        self.file = file
        command = [sys.executable, "-m", f"tests.support.{child}", url, str(file), str(seconds)]
        self._command = [*command, json.dumps(rules)]
        self._kinds, self._stack = [[kind] for kind in kinds] or [[] for _ in range(count)], ExitStack()

    def __enter__(self) -> Racers:
        self.processes = [self._stack.enter_context(self._start(kind)) for kind in self._kinds]
        for process in self.processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
        self._stack.close()

    def _start(self, kind: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self._command, *kind],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ,
        )

    def finish(self) -> list[dict[str, Any]]:
        """What each of them says at its end; one that was killed says nothing."""
        said = [process.communicate()[0] for process in self.processes]
        return [json.loads(text) for text in said if text]

    def kill_one(self) -> None:
        """No goodbye."""
        os.kill(self.processes[0].pid, signal.SIGKILL)

    def moments(self) -> list[float]:
        """When something went, in seconds, in order."""
        return sorted(int(line) / 1e9 for line in self.file.read_text().split())


def fullest(times: Sequence[float], window: float) -> int:
    """The most moments that any half-open window of that length holds."""
    return max((count for _, count in seconds_of(times, window)), default=0)


def seconds_of(times: Sequence[float], window: float = 1) -> Iterator[tuple[float, int]]:
    """Each moment, and how many there are in the half-open window that ends with it."""
    first = 0
    for index, moment in enumerate(times):
        while times[first] <= moment - window + 1e-9:
            first += 1
        yield moment, index - first + 1
