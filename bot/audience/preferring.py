"""How somebody wants a newsletter, as a cell of an export: "weekly=plain monthly=headlines/2026-12-24"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from bot.errors import AudienceError
from bot.model import Form
from bot.store.listing import Choice, Wish
from bot.store.schema import EARLIEST, LATEST

FORMS = frozenset(Form)


def cell_of(wishes: Iterable[Choice]) -> str:
    """Newsletter, form and end of a pause of each; what is as everybody has it is left out."""
    return " ".join(
        f"{letter}={form}" + (f"/{until.astimezone(UTC).isoformat()}" if until else "")
        for letter, form, until in wishes
        if form or until
    )


def wishes_in(address: str, cell: str, known: Sequence[str]) -> Iterator[Wish]:
    """What ``cell_of`` wrote. AudienceError for anything else."""
    return iter([_wish(address, word, known) for word in cell.split()])


def _wish(address: str, word: str, known: Sequence[str]) -> Wish:
    letter, _, rest = word.partition("=")
    form, _, until = rest.partition("/")
    if letter not in known or form not in FORMS:
        raise AudienceError(f"the preference {word!r} is unknown; it looks like 'weekly=plain'")
    return Wish(address, letter, form, _end(word, until) if until else None)


def _end(word: str, until: str) -> datetime:
    """The end of a pause, in UTC; naive times are UTC."""
    try:
        moment = datetime.fromisoformat(until)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise AudienceError(f"the preference {word!r} ends at no time: {error}") from error
    if not EARLIEST <= moment <= LATEST:
        raise AudienceError(
            f"the preference {word!r} ends in the year {moment.year}, which must be a mistake"
        )
    return moment
