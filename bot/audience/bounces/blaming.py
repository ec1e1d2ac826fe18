"""Whether so many mail systems blame us that the newsletter waits for a person. Pure.

A reader's own token signs whatever they like to write, and anybody can subscribe with five addresses. So it
is the share of those who got the mail that counts, of those who have been subscribers for a while. Only where
it is half of everybody, as on a list that is new, it does not matter for how long.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

FAULTS = 5  # readers; fewer hold nothing, however few there are
SETTLED = timedelta(days=30)  # for so long somebody has been a subscriber before their word counts in full
SHARE = 0.1  # of the settled ones who got the mail
SHARE_OF_ALL = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Blamed:
    """Of one newsletter: how many readers' servers blamed us, and how many readers got the mail."""

    readers: int
    settled: int  # of these, subscribers for long enough
    written_to: int
    settled_written_to: int


def is_enough(blamed: Blamed) -> bool:
    """Whether to hold what carries the newsletter."""
    return _is(blamed.settled, blamed.settled_written_to, SHARE) or _is(
        blamed.readers, blamed.written_to, SHARE_OF_ALL
    )


def _is(count: int, of: int, share: float) -> bool:
    return count >= FAULTS and count >= share * of
