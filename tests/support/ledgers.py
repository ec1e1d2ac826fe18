"""A small publication for tests of the store and the sender."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from bot.model import Issue, Item, Message, Post, Recipient
from bot.store.ledger import Ledger

NOW = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)
WORDS = Message(kind="issue", lang="en", subject="Weekly 1", text="Hello")


def item(name: str) -> Item:
    return Item(
        id=name,
        path=Path(f"queue/{name}.md"),
        title=name.title(),
        url=f"https://example.org/{name}",
        source="Example",
        published=date(2026, 11, 20),
    )


def issue(number: int = 1, *, newsletter: str = "weekly", items: tuple[str, ...] = ("ports",)) -> Issue:
    slot = NOW + timedelta(weeks=number - 1)
    return Issue(newsletter=newsletter, number=number, slot=slot, items=tuple(item(name) for name in items))


def post(name: str = "ports", *, channel: str = "social", slot: datetime = NOW) -> Post:
    return Post(channel=channel, slot=slot, item=item(name))


def readers(count: int) -> Iterator[Recipient]:
    """Readers with an opaque id each."""
    return (Recipient(id=f"{number:032x}", address=f"r{number}@example.org") for number in range(count))


def record(ledger: Ledger, count: int, *, number: int = 1, channel: str = "mail") -> int:
    """That many posts in one week, a second apart; how many of them are new."""
    last = NOW + timedelta(weeks=number - 1)
    posts = [
        post(f"item-{number}-{place}", channel=channel, slot=last - timedelta(seconds=count - place))
        for place in range(1, count + 1)
    ]
    return sum(ledger.record_post(each, WORDS, channel, last) for each in posts)
