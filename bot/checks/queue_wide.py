"""What only shows when the items of a queue are seen together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches

from bot.checks.duplicates import Stories
from bot.model import Finding, Item, Level


def check_queue(items: Iterable[Item]) -> tuple[Finding, ...]:
    """Findings between items, and only these: ``check_item`` looks at each one alone."""
    everything, seen = list(items), Stories()
    regions = Counter(item.region for item in everything if item.region)
    found = list[Finding]()
    for item in everything:
        found += (*duplicates(item, seen), *region_findings(item, regions))
        seen.add(item)
    return tuple(found)


def duplicates(item: Item, others: Stories, out: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """A finding for each other item with the same story; ``out`` says where an item went out already."""
    for duplicate in others.like(item):
        other = duplicate.other
        where = f"{other.id}, which went out {out[other.id]}" if out and other.id in out else other.id
        if duplicate.by == "address":
            message = f"{item.id} has the same address as {where} ({other.url}); merge them, or keep one"
            yield Finding(level=Level.WARN, rule="url.duplicate", message=message, path=item.path)
        else:
            message = f"{item.id} has nearly the title of {where} ({other.title}); merge them, or keep one"
            yield Finding(level=Level.WARN, rule="title.duplicate", message=message, path=item.path)


def region_findings(item: Item, regions: Mapping[str, int]) -> Iterator[Finding]:
    """A region that only this item has, and that is nearly one of the others': no list of regions is kept."""
    if not item.region or regions.get(item.region, 0) > 1:
        return
    known = {region.casefold(): region for region in regions if region != item.region}
    if near := get_close_matches(item.region.casefold(), known, n=1, cutoff=0.85):
        message = f"no other item has the region '{item.region}'; did you mean '{known[near[0]]}'?"
        yield Finding(level=Level.WARN, rule="region.unknown", message=message, path=item.path)
