"""The items that come with the program: in live mode no approved one goes out, renamed or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

from bot.model import Finding, Item, Level, Status
from bot.reader import read_queue
from bot.shipped import STARTER, shipped


def sample_findings(items: Iterable[Item], *, mode: str) -> Iterator[Finding]:
    """A finding that stops each approved sample item, where the ``mode`` is live."""
    if mode != "live":
        return
    for item in approved_samples(items):
        yield Finding(
            level=Level.BLOCK,
            rule="sample",
            message="is a sample item that comes with the program, not a story of yours; delete the file",
            path=item.path,
        )


def approved_samples(items: Iterable[Item]) -> list[Item]:
    """Those that are approved and have the words of a shipped item."""
    return [item for item in items if item.status is Status.APPROVED and is_sample(item)]


def is_sample(item: Item) -> bool:
    """Whether its text, its summary, or its headline with its link is that of a shipped item."""
    return not _shipped_words().isdisjoint(_words(item))


@cache
def _shipped_words() -> frozenset[str]:
    items = (*read_queue(shipped("queue")).items, *read_queue(STARTER / "queue").items)
    return frozenset(words for item in items for words in _words(item))


def _words(item: Item) -> Iterator[str]:
    """What an item is recognised by: spaces, line ends and capitals make no difference."""
    for text in (item.body, item.summary, f"{item.title} {item.url}"):
        if text.strip():
            yield " ".join(text.casefold().split())
