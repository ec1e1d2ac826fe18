"""The columns of a table that speak of people's states: what each value means, and what has to be asked.

A table is looked through once before anything is imported. A column speaks of a state by its title, or by
its values where the title does not say so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bot.audience.cells import spoken, unguarded
from bot.audience.headings import Heading
from bot.audience.services import Service
from bot.audience.states import (
    ANSWERS,
    OF_CONSENT,
    OF_LEAVING,
    WORDS,
    Aspect,
    Fate,
    aspect_of,
    is_dated,
    is_nothing,
    is_of_another_channel,
    is_place,
    is_reason,
    is_word_of_a_state,
    is_worded,
    meaning,
    telling_word,
)
from bot.errors import AudienceError

FILE_NAME = "file name"  # what a question about a whole file calls its column
ANY = "*"  # instead of a value: all of this column that nobody knows
OTHERS = "(other values)"
_MOST = 200  # unknown values that are counted apart
_FEW = 20  # different values: a column with more is no list of states
_REMEMBERED = 5_000
_capital = re.compile(r"(?<=[a-z])(?=[A-Z])")  # "isSubscribed" are two words


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A value of a column that speaks of a state, and that nobody knows."""

    column: str
    value: str
    people: int
    part: str = ""  # which table of a zip

    @property
    def told(self) -> str:
        """In words."""
        where = f"{self.part}: " if self.part else ""
        value = repr(self.value) if self.value else "an empty cell"
        return f"{where}column {self.column!r}: {value} of {self.people:,} people"


class Answers:
    """What a person said of values that nobody knows."""

    def __init__(self, said: Iterable[tuple[str, str]] = ()) -> None:
        self._said: dict[tuple[str, str], Fate] = {}
        for fate, what in said:
            if fate not in ANSWERS:
                raise AudienceError(f"there is no answer {fate!r}; one of {', '.join(ANSWERS)}")
            column, mark, value = what.rpartition("=")
            if value == ANY and not mark:
                raise AudienceError("'*' needs its column: COLUMN=*")
            self._said[spoken(column), _key(value)] = ANSWERS[fate]

    def of(self, column: str, value: str) -> Fate | None:
        """What was said of this value of this column."""
        name, key = spoken(column), _key(value)
        places = [(name, key), ("", key), (name, ANY)]
        return next((self._said[place] for place in places if place in self._said), None)


def read_answers(text: str) -> list[tuple[str, str]]:
    """A mapping file: ``left VALUE`` or ``left COLUMN=VALUE``, a line each."""
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition(" ") for line in lines if line and not line.startswith("#"))
    return [(fate, what.strip()) for fate, _, what in pairs]


def _key(value: str) -> str:
    return ANY if value.strip() == ANY else spoken(value) or value.strip()


@dataclass(frozen=True, kw_only=True, slots=True)
class StateColumn:
    """One column that speaks of a state, with what its values mean."""

    place: int
    title: str
    aspect: Aspect
    words: Mapping[str, Fate]
    answers: Answers
    is_free: bool = False  # any text may stand there: only words that tell of a state are looked at
    nothing: Fate | None = None  # what an empty cell means; None: that has to be asked
    _known: dict[str, Fate | None] = field(default_factory=dict)

    def fate_of(self, cells: Sequence[str]) -> Fate | None:
        """What the row's cell means; None: nobody knows."""
        cell = cells[self.place] if self.place < len(cells) else ""
        if cell in self._known:
            return self._known[cell]
        fate = self._meaning(unguarded(cell.strip()))
        if len(self._known) < _REMEMBERED:
            self._known[cell] = fate
        return fate

    def _meaning(self, cell: str) -> Fate | None:
        if is_nothing(cell) and not (self.words.get(spoken(cell)) if cell else None):
            return self.nothing or self.answers.of(self.title, cell)
        if self.is_free and not telling_word(cell):
            return Fate.READS
        known = meaning(self.aspect, cell, self.words, reason=is_reason(spoken(self.title)))
        return known or self.answers.of(self.title, cell)


@dataclass(frozen=True, kw_only=True, slots=True)
class States:
    """All that a table says of its people's states."""

    columns: tuple[StateColumn, ...] = ()
    questions: tuple[Question, ...] = ()
    unread: tuple[str, ...] = ()  # titles of columns that say nothing that is used here

    def fate_of(self, cells: Sequence[str]) -> Fate:
        """The worst that a row says. What nobody knows never makes a reader."""
        worst = Fate.READS
        for column in self.columns:
            fate = column.fate_of(cells) or Fate.UNAGREED
            if fate.weight > worst.weight:
                worst = fate
        return worst


@dataclass(kw_only=True, slots=True)
class _Counted:
    """What a column holds."""

    fates: set[Fate] = field(default_factory=set)
    nothing: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)  # at most _FEW + 1 different ones

    def ask(self, value: str) -> None:
        self.unknown[value if value in self.unknown or len(self.unknown) < _MOST else OTHERS] += 1


def survey(
    rows: Iterable[Sequence[str]],
    heading: Heading,
    service: Service | None,
    answers: Answers,
    *,
    ask: bool = True,
    part: str = "",
) -> States:
    """Look through all rows. Without ``ask`` everybody is gone already, and values can only make it worse."""
    titles = heading.titles
    spoke = [spoken(_capital.sub(" ", title)) for title in titles]
    words = {**WORDS, **(service.words if service else {})}
    named = _by_title(titles, spoke, heading, service, words, answers)
    ours = heading.columns.of_the_person if titles else {heading.columns.address}
    taken = ours | {column.place for column in named}
    looked = None if titles else _width(heading)
    counted = {column.place: _Counted() for column in named}
    free: dict[int, _Counted] = {}
    ignored = service.ignores if service else frozenset()
    if not named and titles and len(taken) >= len(titles):
        return States()
    width = len(titles) if titles else looked
    rest = [
        place
        for place in range(width or 0)
        if place not in taken
        and not (place < len(spoke) and (spoke[place] in ignored or is_of_another_channel(spoke[place])))
    ]
    people = 0
    for cells in rows:
        people += 1
        for column in named:
            _count(counted[column.place], column, cells)
        for place in rest:
            if place < len(cells) and (cell := cells[place]):
                _count_free(free.setdefault(place, _Counted()), cell)
    by_value = _by_value(titles, free, words, answers, counted, people)
    columns = [_settled(column, counted[column.place]) for column in (*named, *by_value)]
    questions = [
        question for column in columns for question in _questions(column, counted[column.place], part)
    ]
    speaking = {column.place for column in columns}
    return States(
        columns=tuple(columns),
        questions=tuple(questions) if ask else (),
        unread=tuple(titles[place] for place in range(len(titles)) if place not in ours | speaking),
    )


def _width(heading: Heading) -> int:
    """Of a table without titles: the columns beside the address, as far as anybody fills them."""
    return heading.columns.address + 12


def _by_title(
    titles: Sequence[str],
    spoke: Sequence[str],
    heading: Heading,
    service: Service | None,
    words: Mapping[str, Fate],
    answers: Answers,
) -> list[StateColumn]:
    ours, ignored = heading.columns.of_the_person, service.ignores if service else frozenset()
    aspects = {
        place: aspect
        for place, title in enumerate(spoke)
        if place not in ours and title not in ignored and (aspect := aspect_of(title))
    }
    undated = [place for place in aspects if not is_dated(spoke[place])]
    found = []
    worded = any(aspect is Aspect.STATE and not is_place(spoke[place]) for place, aspect in aspects.items())
    for place, aspect in aspects.items():
        if worded and is_place(spoke[place]):  # the state that somebody lives in
            continue
        # When somebody agreed is asked for only where nothing else says that they did.
        if aspect is Aspect.CONSENT and place not in undated and any(_agrees(aspects[p]) for p in undated):
            continue
        found.append(
            StateColumn(place=place, title=titles[place], aspect=aspect, words=words, answers=answers)
        )
    return found


def _agrees(aspect: Aspect) -> bool:
    return aspect in (Aspect.STATE, Aspect.STAYS, *OF_CONSENT)


def _count(counted: _Counted, column: StateColumn, cells: Sequence[str]) -> None:
    cell = cells[column.place] if column.place < len(cells) else ""
    value = unguarded(cell.strip())
    if is_nothing(value) and spoken(value) not in column.words:
        counted.nothing += 1
        return
    fate = column.fate_of(cells)
    if fate is None:
        counted.ask(value)
    else:
        counted.fates.add(fate)


def _count_free(counted: _Counted, cell: str) -> None:
    if cell in counted.values or len(counted.values) <= _FEW:
        counted.values[cell] += 1
    if not cell[:1].isdigit() and len(cell) <= _MOST and telling_word(cell):
        counted.ask(cell.strip())


def _by_value(
    titles: Sequence[str],
    free: Mapping[int, _Counted],
    words: Mapping[str, Fate],
    answers: Answers,
    counted: dict[int, _Counted],
    people: int,
) -> list[StateColumn]:
    """Columns whose values speak of a state, whatever they are called."""
    found = []
    for place, values in free.items():
        if not values.unknown:
            continue
        column = StateColumn(
            place=place,
            title=titles[place] if place < len(titles) else f"column {place + 1}",
            aspect=Aspect.STATE,
            words=words,
            answers=answers,
            is_free=len(values.values) > _FEW or not any(map(is_word_of_a_state, values.unknown)),
        )
        again = counted[place] = _Counted(nothing=people - values.values.total())
        for value, count in (values.unknown if column.is_free else values.values).items():
            row = [""] * place + [value]
            for _ in range(count):
                _count(again, column, row)
        found.append(column)
    return found


def _settled(column: StateColumn, counted: _Counted) -> StateColumn:
    """With what an empty cell means there."""
    return StateColumn(
        place=column.place,
        title=column.title,
        aspect=column.aspect,
        words=column.words,
        answers=column.answers,
        is_free=column.is_free,
        nothing=_nothing(column, counted),
    )


def _nothing(column: StateColumn, counted: _Counted) -> Fate | None:
    if column.is_free or column.aspect in OF_LEAVING:
        return Fate.READS
    says_something = bool(counted.fates or counted.unknown)
    if column.aspect in OF_CONSENT:
        return Fate.UNAGREED if says_something else None  # a column that is empty for all says nothing
    if column.aspect is Aspect.STATE or is_worded(spoken(column.title)):
        # Where only those who are gone are marked, the others read.
        only_gone = not counted.unknown and Fate.READS not in counted.fates
        return Fate.READS if only_gone else None
    return None


def _questions(column: StateColumn, counted: _Counted, part: str) -> list[Question]:
    asked = [
        Question(column=column.title, value=value, people=people, part=part)
        for value, people in counted.unknown.most_common()
    ]
    if counted.nothing and column.fate_of(()) is None:
        asked.append(Question(column=column.title, value="", people=counted.nothing, part=part))
    return asked


def told(questions: Sequence[Question], place: str) -> str:
    """What has to be asked, with how to answer."""
    lines = "\n".join(f"  {question.told}" for question in questions)
    first = questions[0]
    return (
        f"{place}: nothing was imported. Of these values it is not known what they mean:\n{lines}\n"
        f"Say it for each with --as FATE VALUE (or COLUMN=VALUE, or COLUMN=* for the whole column), e.g. "
        f"--as left {first.column + '=' + first.value!r}\nFATE is one of: reads, left, dead, never-agreed"
    )
