"""What a run did, for people: counts and sentences, never an address."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.model import State
from bot.store.standing import Named

# Remote answers love to repeat the address ("550 <ann@example.org> unknown"); no record of ours may.
# An issue's name is none, although it looks like one: "weekly@2026-11-27T09:00+07:00".
_SLOT = r"\d{4}-\d\d-\d\dT\d\d:\d\d[+-]\d\d:\d\d(?![\w.@-])"
_ADDRESS = re.compile(rf"(?<![^\s<>/:;,\"'()])[^\s<>/:;,\"'()]+@(?!{_SLOT})[^\s<>/:;,\"'()]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What one run did: outcomes by channel and state, and sentences for people, without addresses."""

    outcomes: Mapping[tuple[str, State], int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()  # nothing is wrong, but a person may wonder
    unanswered: Mapping[str, Named] = field(default_factory=dict)  # letters that wait for a person, by issue
    twice: Mapping[str, Named] = field(default_factory=dict)  # letters that may have gone out twice, by issue

    def count(self, state: State, channel: str | None = None) -> int:
        """How many deliveries came to this state, on one channel or on all."""
        return sum(n for (name, s), n in self.outcomes.items() if s is state and channel in (None, name))

    @property
    def sent(self) -> int:
        return self.count(State.SENT)

    @property
    def deferred(self) -> int:
        return self.count(State.DEFERRED)

    @property
    def failed(self) -> int:
        return self.count(State.FAILED)

    @property
    def unknown(self) -> int:
        return self.count(State.UNKNOWN)

    @property
    def cancelled(self) -> int:
        return self.count(State.CANCELLED)

    @property
    def again(self) -> int:
        """How many came back in line after a crash or a lost answer."""
        return self.count(State.PLANNED)

    def __add__(self, other: Report) -> Report:
        outcomes = Counter(self.outcomes) + Counter(other.outcomes)
        return Report(
            outcomes=dict(outcomes),
            problems=self.problems + other.problems,
            notices=self.notices + other.notices,
            unanswered=_together(self.unanswered, other.unanswered),
            twice=_together(self.twice, other.twice),
        )


def _together(one: Mapping[str, Named], other: Mapping[str, Named]) -> Mapping[str, Named]:
    places = dict.fromkeys((*one, *other))
    return {place: one.get(place, Named()) + other.get(place, Named()) for place in places}


def without_addresses(text: str) -> str:
    """The text with every mail address taken out, and every name of an issue left in."""
    return _ADDRESS.sub("(address)", text)
