"""What became of the letters of a run, counted for people."""

from __future__ import annotations

import logging
from collections import Counter

from bot.model import State
from bot.sender.doubts import Doubts
from bot.sender.report import Report, without_addresses
from bot.store.chunks import Mailing, Settled

log = logging.getLogger(__name__)

_SENT = State.SENT
_SAID = {
    State.SENT: "sent",
    State.FAILED: "failed",
    State.DEFERRED: "deferred",
    State.UNKNOWN: "in doubt",
    State.PLANNED: "in line again",
}


class Tally:
    """Outcomes by issue and state, and sentences for people."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._sent: Counter[str] = Counter()  # by issue; apart, because a State's hash is slow
        self._others: Counter[tuple[str, State]] = Counter()
        self._problems: dict[str, None] = {}
        self._notices: dict[str, None] = {}
        self._doubts = Doubts()

    def add(self, subject: str, state: State, count: int = 1) -> None:
        """So many more letters of that issue."""
        if state is _SENT:
            self._sent[subject] += count
        else:
            self._others[subject, state] += count

    @property
    def has_sent(self) -> bool:
        """Whether any letter went out."""
        return bool(self._sent)

    def doubt(self, mailing: Mailing, what: Settled) -> None:
        """That letter may have gone out."""
        self._doubts.note(mailing, what)

    def tell(self, problem: str) -> None:
        """Something that a person should read."""
        self._problems[without_addresses(problem)] = None

    def mention(self, notice: str) -> None:
        """Nothing is wrong, but a person may wonder."""
        self._notices[without_addresses(notice)] = None

    def report(self, said: tuple[str, ...]) -> Report:
        """Counts by state; one line for each issue in the log, and a sentence where a person must look."""
        states: Counter[State] = Counter()
        for subject in dict.fromkeys((*self._sent, *(subject for subject, _ in self._others))):
            counts = {state: self._others[subject, state] for state in _SAID}
            counts[_SENT] = self._sent[subject]
            states.update(counts)
            self._log(subject, counts)
        outcomes = {(self._channel, state): count for state, count in states.items() if count}
        told = Report(outcomes=outcomes, problems=(*self._problems, *said), notices=tuple(self._notices))
        return told + self._doubts.report()

    def _log(self, subject: str, counts: dict[State, int]) -> None:
        said = ", ".join(f"{count:,} {_SAID[state]}" for state, count in counts.items() if count)
        log.info("%s: %s: %s", self._channel, subject, said)
