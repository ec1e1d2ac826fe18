"""A whole list of readers, whoever gave it out: who joins, who left, and what they prefer.

The list is read once for each of these, so that all of it needs constant memory and those who left are
known before anybody joins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bot.audience.archives import Part, parts_of
from bot.audience.cells import language_of, unguarded
from bot.audience.headings import NOWHERE
from bot.audience.preferring import wishes_in
from bot.audience.services import (
    SERVICES,
    Service,
    belongs,
    fate_of_table,
    language_in,
    recognised,
    service_named,
)
from bot.audience.spreadsheet import Layout, Line, Place, Refused, look, refused, rows_of, signup, signups
from bot.audience.states import Fate, names_the_gone
from bot.audience.survey import FILE_NAME, Answers, Question, States, survey
from bot.errors import AudienceError
from bot.store.audience import Signup
from bot.store.departures import Leaver
from bot.store.listing import Wish

PLAIN = "csv"  # --from csv: whatever it looks like, it is a plain table
EVERYWHERE = ("",)  # of every newsletter: the address is dead, or its owner was blocked
_WHY = {Fate.LEFT: "left at", Fate.DEAD: "address dead at", Fate.BLOCKED: "blocked at"}
_NOT_TAKEN = {Fate.UNAGREED: "never agreed to a newsletter", Fate.DISABLED: "is disabled"}
_ENCODINGS = {"cp1252": "Windows-1252", "utf-8-sig": "UTF-8"}
_SEPARATORS = {"\t": "tabs", ";": "semicolons", ",": "commas", "|": "bars"}

Refuse = Callable[[Refused], None]
Tell = Callable[[Place], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Table:
    """One table of the list, understood."""

    part: Part
    layout: Layout
    service: Service | None
    fate: Fate  # of everybody in it, at best
    states: States = field(default_factory=States)

    @property
    def may_tell_fates(self) -> bool:
        return self.fate is not Fate.READS or bool(self.states.columns)

    def rows(self, tell: Tell = lambda _: None) -> AbstractContextManager[Iterator[Line]]:
        return rows_of(self.part, self.layout, tell)

    def fate_of(self, cells: Sequence[str]) -> Fate:
        return max(self.fate, self.states.fate_of(cells), key=lambda fate: fate.weight)


class ReaderList:
    """The tables of a file. AudienceError when it cannot be read as a list of readers.

    ``answers`` say what nobody knows of itself; ``everybody`` in it is so at best. Whoever imports it asks
    the ``questions`` first: without an answer these people are not taken.
    """

    def __init__(
        self,
        path: Path,
        *,
        service: str = "",
        encoding: str = "",
        answers: Answers | None = None,
        everybody: Fate | None = None,
    ) -> None:
        self.path = path
        parts = parts_of(path)
        forced = service_named(service)
        if service and forced is None and service != PLAIN:
            known = ", ".join([*(s.name for s in SERVICES), PLAIN])
            raise AudienceError(f"there is no service {service!r}; known: {known}")
        tables = _tables(path, parts, forced, encoding=encoding, plain=service == PLAIN)
        looked = [_surveyed(table, answers or Answers(), everybody) for table in tables]
        self._tables = [table for table, _ in looked]
        self.questions: tuple[Question, ...] = tuple(
            question for table, more in looked for question in (*more, *table.states.questions)
        )

    @property
    def service(self) -> Service | None:
        """Who gave it out, if that is known."""
        return self._tables[0].service

    @property
    def origin(self) -> str:
        """Where its people come from, as it is stored with them."""
        return f"{self.service.title}, {self.path.name}" if self.service else self.path.name

    @property
    def told(self) -> str:
        """How it was read, in one line."""
        first = self._tables[0]
        columns, layout = first.layout.columns, first.layout
        whose = f"a list from {self.service.title}" if self.service else "a table"
        if len(self._tables) > 1:
            whose += f" in {len(self._tables)} files"
        encoding = _ENCODINGS.get(layout.encoding, layout.encoding.upper())
        form = f"{encoding}, {_SEPARATORS.get(layout.separator, layout.separator)}"
        if layout.heading.is_person:
            form += f", no titles: addresses in column {columns.address + 1}"
        unread = ", ".join(
            dict.fromkeys(name for table in self._tables for name in table.states.unread if name)
        )
        return f"{self.path}: {whose} ({form})" + (f"; not read: {unread}" if unread else "")

    @property
    def tells_fates(self) -> bool:
        """Whether somebody in it may have left."""
        return any(table.may_tell_fates for table in self._tables)

    def signups(
        self,
        newsletters: tuple[str, ...],
        known: Sequence[str],
        *,
        refuse: Refuse,
        tell: Tell = lambda _: None,
    ) -> Iterator[Signup]:
        """Everybody who joins: ``newsletters``, or what the row names of the ``known`` ones."""
        done = _Progress(self.path, self._tables, tell)
        for table in self._tables:
            hear = _named(table.part, refuse)
            with table.rows(done.within(table)) as rows:
                columns = table.layout.columns
                if table.may_tell_fates or columns.says_more:
                    yield from _careful(rows, table, newsletters, known, hear)
                else:
                    yield from signups(rows, columns, newsletters or tuple(known), hear)

    def leavers(
        self,
        newsletters: tuple[str, ...],
        *,
        refuse: Refuse,
        pass_over: Callable[[str], None],
        hear_fate: Callable[[Fate, str], None] = lambda fate, address: None,
    ) -> Iterator[Leaver]:
        """Everybody who left there: of ``newsletters``, or of all; of all when the address is dead.

        ``pass_over`` hears why somebody is not taken who neither reads nor left: they are among the leavers
        too, of no newsletter. ``hear_fate`` hears what becomes of each of them.
        """
        for table in self._tables:
            if not table.may_tell_fates:
                continue
            where = table.service.title if table.service else table.part.name
            hear = _named(table.part, refuse)
            with table.rows() as rows:
                for line, cells in rows:
                    fate = table.fate_of(cells)
                    if fate is Fate.READS:
                        continue
                    if not fate.is_suppressed:
                        pass_over(_NOT_TAKEN[fate])
                    try:
                        address = signup(cells, table.layout.columns, ()).address
                    except AudienceError as error:
                        if fate.is_suppressed and any(cell.strip() for cell in cells):
                            hear(refused(line, error))
                        continue
                    hear_fate(fate, address)
                    yield _leaver(address, fate, newsletters, where)

    def wishes(self, known: Sequence[str]) -> Iterator[Wish]:
        """How people want their newsletters; what cannot be understood was refused with its row."""
        for table in self._tables:
            at = table.layout.columns.preferences
            if at == NOWHERE:
                continue
            with table.rows() as rows:
                for _, cells in rows:
                    if at < len(cells) and cells[at].strip() and table.fate_of(cells) is Fate.READS:
                        yield from _wishes(cells, table.layout, known)


def _tables(
    path: Path, parts: Sequence[Part], forced: Service | None, *, encoding: str, plain: bool
) -> list[_Table]:
    found, problem = [], None
    for part in parts:
        if forced and len(parts) > 1 and not belongs(forced, part.name):
            continue
        try:
            layout = look(part, encoding=encoding)
        except AudienceError as error:
            problem = problem or error  # a zip holds other tables too
            if len(parts) == 1:
                raise
            continue
        service = forced or (None if plain else recognised(layout.heading))
        found.append(
            _Table(
                part=part,
                layout=layout,
                service=service,
                fate=fate_of_table(service, part.name) or Fate.READS,
            )
        )
    whose = next((table.service for table in found if table.service), None)
    if len(parts) > 1 and whose:
        found = [table for table in found if table.service == whose and belongs(whose, table.part.name)]
    if not found:
        raise problem or AudienceError(f"{path}: holds no list of readers; name its system with --from")
    return found


def _surveyed(table: _Table, answers: Answers, everybody: Fate | None) -> tuple[_Table, tuple[Question, ...]]:
    """The table with what its columns say of states, and what its name asks."""
    fate = table.fate
    questions: tuple[Question, ...] = ()
    if everybody:
        fate = max(fate, everybody, key=lambda one: one.weight)
    elif fate is Fate.READS and names_the_gone(table.part.name):
        answer = answers.of(FILE_NAME, table.part.name)
        fate = answer or Fate.UNAGREED
        if answer is None:
            with table.rows() as rows:
                people = sum(1 for _ in rows)
            questions = (Question(column=FILE_NAME, value=table.part.name, people=people),)
    with table.rows() as rows:
        states = survey(
            (cells for _, cells in rows),
            table.layout.heading,
            table.service,
            answers,
            ask=fate is Fate.READS,
            part=table.part.member,
        )
    return replace(table, fate=fate, states=states), questions


def _leaver(address: str, fate: Fate, newsletters: tuple[str, ...], where: str) -> Leaver:
    if not fate.is_suppressed:
        return Leaver(address, (), _NOT_TAKEN[fate])
    letters = newsletters if fate is Fate.LEFT else ()
    return Leaver(address, letters or EVERYWHERE, f"{_WHY[fate]} {where}")


def _careful(
    rows: Iterable[Line], table: _Table, newsletters: tuple[str, ...], known: Sequence[str], refuse: Refuse
) -> Iterator[Signup]:
    """The same as ``signups``, for a list that says more of its people."""
    columns = table.layout.columns
    for line, cells in rows:
        if table.fate_of(cells) is not Fate.READS:  # ``leavers`` deals with them
            continue
        try:
            joins = signup(cells, columns, newsletters or _letters(cells, columns.newsletters, known))
            if columns.preferences < len(cells):
                wishes_in(joins.address, unguarded(cells[columns.preferences].strip()), known)
        except AudienceError as error:
            if any(cell.strip() for cell in cells):
                refuse(refused(line, error))
            continue
        if not joins.lang and columns.attributes < len(cells):
            joins = joins._replace(lang=language_of(language_in(cells[columns.attributes])) or "")
        yield joins


def _letters(cells: Sequence[str], place: int, known: Sequence[str]) -> tuple[str, ...]:
    """The newsletters that a row names; all of them when it names none."""
    names = unguarded(cells[place].strip()).replace(",", " ").split() if place < len(cells) else []
    for name in names:
        if name not in known:
            raise AudienceError(
                f"there is no newsletter {name!r} here; name the wanted ones with --newsletter"
            )
    return tuple(dict.fromkeys(names)) or tuple(known)


def _wishes(cells: list[str], layout: Layout, known: Sequence[str]) -> Iterator[Wish]:
    columns = layout.columns
    try:
        address = signup(cells, columns, ()).address
        yield from wishes_in(address, unguarded(cells[columns.preferences].strip()), known)
    except AudienceError:
        return


def _named(part: Part, refuse: Refuse) -> Refuse:
    """In a zip every refusal says in which table."""
    return (lambda row: refuse(replace(row, part=part.member))) if part.member else refuse


class _Progress:
    """Rows and bytes over several tables, in bytes of the file as it lies on the disk."""

    def __init__(self, path: Path, tables: Sequence[_Table], tell: Tell) -> None:
        self._tell, self._rows, self._bytes, self._seen = tell, 0, 0, 0
        self._scale = path.stat().st_size / max(1, sum(table.part.size for table in tables))

    def within(self, table: _Table) -> Tell:
        rows, before = self._rows + self._seen, self._bytes
        self._rows, self._seen, self._bytes = rows, 0, before + table.part.size

        def tell(place: Place) -> None:
            self._seen = place.rows
            self._tell(Place(rows + place.rows, int((before + place.bytes) * self._scale)))

        return tell
