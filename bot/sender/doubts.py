"""Letters of which nobody knows whether they went out: gathered by issue, named for people."""

from __future__ import annotations

from collections.abc import Mapping

from bot.model import State
from bot.sender.report import Report, without_addresses
from bot.store.chunks import Mailing, Settled, short_name
from bot.store.standing import Named

_LOOK = "look into the mail server's log ('bot status' says for what), then say so of each"


class Doubts:
    """What a run found in doubt. A letter that went out again is told as well: it may be there twice."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, State], Named] = {}  # by issue with its channel, and state

    def note(self, mailing: Mailing, what: Settled) -> None:
        """A letter of the issue, as it stands now."""
        self.add(mailing.channel, mailing.subject, short_name(mailing.id, what.number), what.state)

    def add(self, channel: str, subject: str, letter: str, state: State) -> None:
        """The same by its short name; unless it is unknown, it is in line again."""
        place = f"{channel}: {subject}", State.UNKNOWN if state is State.UNKNOWN else State.PLANNED
        self._found[place] = self._found.get(place, Named()) + Named(count=1, first=(letter,))

    def report(self) -> Report:
        """The names, and a sentence for each issue: a problem where a person must answer."""
        unanswered, twice = self._of(State.UNKNOWN), self._of(State.PLANNED)
        return Report(
            problems=tuple(
                without_addresses(f"{place}: {named.letters} may have gone out: {named}; {_asking(named)}")
                for place, named in unanswered.items()
            ),
            notices=tuple(
                without_addresses(
                    f"{place}: {named.letters} may have gone out twice: {named}; no answer came, so the same "
                    'mail goes out again (on_unknown = "resend"); there is nothing to do'
                )
                for place, named in twice.items()
            ),
            unanswered=unanswered,
            twice=twice,
        )

    def _of(self, state: State) -> Mapping[str, Named]:
        return {place: named for (place, found), named in self._found.items() if found is state}


def _asking(named: Named) -> str:
    return f"{_LOOK}: bot settle {named.first[0]} --sent (or --again, --drop)"
