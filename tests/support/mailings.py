"""A mailing as the pipelined lines see it: letters to pull, and what became of each."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from bot.channels.email.lines import Lines
from bot.channels.email.mime import Letter
from bot.channels.email.relays import Relay
from bot.channels.email.smtp import Server
from bot.errors import DeliveryError, UnknownOutcome


def letter(
    number: int, *, recipient: str = "", body: bytes = b"Good morning\r\n", head: bytes = b""
) -> Letter:
    """A small email; its number is its Message-ID."""
    name = f"<{number}@news.example.org>"
    return Letter(
        id=name,
        sender="bounces@example.org",
        recipient=recipient or f"reader.{number}@example.com",
        content=f"Message-ID: {name}\r\n".encode() + head + b"\r\n" + body,
        tag=number,
    )


def letters(count: int) -> list[Letter]:
    return [letter(number) for number in range(count)]


def relay(port: int, name: str = "relay", *, limit: int = 0, weight: int = 1, **options: object) -> Relay:
    """A relay on this machine, in clear text unless the options say otherwise."""
    values = {"security": "none", "hello": "news.example.org", "timeout": 20, "patience": 20} | options
    server = Server(host="localhost", port=port, **values)  # type: ignore[arg-type]
    return Relay(name=name, server=server, weight=weight, letters=limit)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Mailing:
    """Letters that wait, and what was said of each. Stops the lines when every letter has its outcome."""

    def __init__(self, waiting: Sequence[Letter]) -> None:
        self.waiting = deque(waiting)
        self.expected = len(waiting)
        self.began: list[str] = []
        self.outcomes: dict[str, list[str | DeliveryError]] = {}
        self.tags: list[object] = []
        self.troubles: list[tuple[str, DeliveryError]] = []
        self.pulled_at_once = 0
        self.lines: Lines
        self.on_trouble: Callable[[], None] = lambda: None

    def pull(self) -> Letter | None:
        return self.waiting.popleft() if self.waiting else None

    def begin(self, one: Letter) -> None:
        self.began.append(one.id)

    def done(self, one: Letter, outcome: str | DeliveryError) -> None:
        self.outcomes.setdefault(one.id, []).append(outcome)
        self.tags.append(one.tag)
        if len(self.outcomes) == self.expected:
            self.lines.stop()

    def trouble(self, name: str, failure: DeliveryError) -> None:
        self.troubles.append((name, failure))
        self.on_trouble()

    def over(self, *relays: Relay, connections: int = 1, **options: object) -> Lines:
        """The lines for these relays."""
        self.lines = Lines(
            relays,
            pull=self.pull,
            done=self.done,
            began=self.begin,
            trouble=self.trouble,
            connections=connections,
            **options,  # type: ignore[arg-type]
        )
        return self.lines

    def outcome(self, number: int) -> str | DeliveryError:
        """The one outcome of this letter."""
        (outcome,) = self.outcomes[f"<{number}@news.example.org>"]
        return outcome

    def those(self, kind: type) -> set[str]:
        """Ids of the letters with such an outcome."""
        return {name for name, (outcome,) in self.outcomes.items() if isinstance(outcome, kind)}

    @property
    def sent(self) -> set[str]:
        return self.those(str)

    @property
    def unknown(self) -> set[str]:
        return self.those(UnknownOutcome)


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until this holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  many kinds of things are waited for
            await asyncio.sleep(0)
