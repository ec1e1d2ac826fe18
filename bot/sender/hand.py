"""A chunk of an issue in the hands of a run, and what became of its letters since the last exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from bot.channels.base import Compiled, Parcel
from bot.errors import DeliveryError
from bot.model import FIRST_RETRY, State
from bot.store.chunks import Chunk, Claimed, Settled, doubted, put_back

Values = Callable[[Claimed], Mapping[str, str]]  # of a reader: the personal pieces

CUT_OFF = "the run ended before the answer came"


class Hand:
    """``out`` are the letters that were claimed and have no outcome yet."""

    def __init__(self, chunk: Chunk, values: Values, now: float) -> None:
        self.chunk, self.values = chunk, values
        self.renewed = now  # since when the lease runs, by a clock that goes on while the machine sleeps
        self.compiled: tuple[Compiled, ...] = ()  # its words
        self.out: dict[int, Claimed] = {}
        self.begun: set[int] = set()  # those of them that may be on the wire
        self.settled: list[Settled] = []
        self.waited: set[int] = set()  # that were not begun when we looked last
        self.dry = False  # nothing more to claim in it now
        self.lost = False  # somebody else has it

    def is_ours(self, now: float) -> bool:
        """Whether the lease runs: nobody else can have the chunk."""
        return now - self.renewed < self.chunk.seconds and not self.lost

    def made(self, claimed: Claimed) -> Parcel | Exception:
        """The letter, or why there is none. Any thread."""
        try:
            return self.compiled[claimed.variant].letter(
                claimed,
                key=self.chunk.mailing.key(claimed.reader),
                values=self.values(claimed),
                tag=(self, claimed),
            )
        except Exception as error:
            return error

    def take_settled(self) -> list[Settled]:
        """The outcomes since the last time."""
        taken, self.settled = self.settled, []
        return taken

    def put_back(self, letters: Iterable[Claimed], why: Callable[[Claimed], Settled] = put_back) -> int:
        """These were not begun: they go back in line; how many."""
        mine = [claimed for claimed in letters if self.out.pop(claimed.number, None)]
        self.settled += [why(claimed) for claimed in mine]
        return len(mine)

    def let_leave(self, left: Mapping[int, Settled], waiting: Iterable[Claimed]) -> None:
        """Of those that wait: who has left gets none, and that is the outcome."""
        self.put_back([each for each in waiting if each.number in left], lambda each: left[each.number])

    def let_go(self, why: Callable[[Claimed], Settled], now: datetime, *, resend: bool) -> int:
        """At the end of the run: an outcome for everything; how many were not begun."""
        for number in self.begun & self.out.keys():  # only after a fault of our own
            claimed = self.out.pop(number)
            self.settled.append(
                doubted(number, claimed.attempts, claimed.doubts, now, said=CUT_OFF, resend=resend)
            )
        return self.put_back([*self.out.values()], why)

    def lose(self) -> list[int]:
        """Somebody else has the chunk: what we hold of it is theirs to settle; which letters."""
        mine = [*self.out, *(each.number for each in self.settled)]
        self.lost = True
        self.out.clear()
        self.settled.clear()
        return mine


def later(failure: DeliveryError, now: datetime) -> Callable[[Claimed], Settled]:
    """Certainly not sent, and for no reason of the letter's: the attempt does not count."""

    def deferred(claimed: Claimed) -> Settled:
        return put_back(claimed)._replace(
            state=State.DEFERRED, due=now + FIRST_RETRY, code=failure.code, said=failure.problem
        )

    return deferred
