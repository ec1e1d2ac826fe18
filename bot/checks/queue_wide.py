"""What only shows when the items of a queue are seen together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from bot.checks.addresses import same_page
from bot.model import Finding, Item, Level


def check_queue(items: Iterable[Item]) -> tuple[Finding, ...]:
    """Findings between items, and only these: ``check_item`` looks at each one alone."""
    by_page: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_page[same_page(item.url)].append(item)
    return tuple(_duplicate(later, first) for first, *others in by_page.values() for later in others)


def _duplicate(later: Item, first: Item) -> Finding:
    message = f"{later.id} has the same address as {first.id} ({first.url}); merge them, or keep one"
    return Finding(level=Level.WARN, rule="url.duplicate", message=message, path=later.path)
