"""Use cases about readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path

from bot.app.hooks import tell as tell_hooks
from bot.app.workspace import Workspace
from bot.audience.addresses import masked, valid_address
from bot.audience.exporting import Person, to_csv, to_json
from bot.audience.lists import ReaderList
from bot.audience.spreadsheet import Place, Refused
from bot.audience.states import Fate
from bot.audience.survey import Answers, Question, told
from bot.errors import AudienceError
from bot.store.audience import Signup
from bot.store.departures import Departures
from bot.store.listing import add_wishes, chosen

SHOWN = 1_000  # refused rows of an import; a file of a million bad ones must not fill the memory
_KINDS = 50  # reasons that are counted apart
_EXAMPLES = 3  # of each fate


class OpenQuestions(AudienceError):
    """Values of the list may mean that somebody does not read, and nobody knows: nothing was imported."""

    def __init__(self, path: Path, questions: Sequence[Question]) -> None:
        self.path, self.questions = path, tuple(questions)
        super().__init__(told(self.questions, str(path)))

    def __reduce__(self) -> tuple[object, ...]:
        return (OpenQuestions, (self.path, self.questions))


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What an import did, or would do. ``refusals`` are the first ``SHOWN`` of the rows refused."""

    told: str  # how the file was read
    added: int
    changed: int
    changes: Mapping[str, int]  # of the changed ones: another name, another language, a newsletter more
    unchanged: int
    suppressed: int  # rows of people who must not be written to
    left: int  # people who left elsewhere, and now are suppressed here
    left_before: int  # who were so already
    stayed: int  # who left elsewhere, but confirmed here in person
    not_taken: Mapping[str, int]  # rows of people who never agreed, by why
    set_aside: int  # rows of readers who stand in the list a second time, as somebody who is not taken
    fates: Mapping[str, int]  # rows by what becomes of their people
    refused: int
    reasons: Mapping[str, int]  # of the refused rows, the most frequent first
    refusals: tuple[Refused, ...]
    examples: Mapping[str, tuple[str, ...]] = field(compare=False)  # of each fate, masked


def add_reader(
    workspace: Workspace,
    address: str,
    *,
    name: str = "",
    lang: str = "",
    newsletters: Sequence[str] = (),
    dry_run: bool = False,
) -> bool:
    """Add one reader; False when they were there. AudienceError for a bad or suppressed address."""
    wanted = _newsletters(workspace, newsletters)
    address = valid_address(address)
    before, now = workspace.audience.find(address), datetime.now(UTC)
    if dry_run:
        return before is None
    changed = workspace.audience.add(address, name, lang, wanted, now, source="command line")
    if changed and (reader := workspace.audience.find(address)):
        for newsletter in sorted(set(reader.newsletters) - set(before.newsletters if before else ())):
            tell_hooks(
                workspace,
                "subscribed",
                now=now,
                newsletter=newsletter,
                subscriber=reader.id,
                address=reader.address,
            )
    return changed


def import_readers(
    workspace: Workspace,
    path: Path,
    *,
    newsletters: Sequence[str] = (),
    service: str = "",
    encoding: str = "",
    answers: Sequence[tuple[str, str]] = (),
    everybody: Fate | None = None,
    dry_run: bool = False,
    tell: Callable[[Place], None] = lambda _: None,
) -> Imported:
    """Import a list in one transaction; rows that cannot be used are listed, not fatal.

    The people go to ``newsletters``; with none, to those that the list names, or to all. ``service`` is
    who gave the list out, where that shall not be told from the list itself. OpenQuestions, with nothing
    written, when a value may mean that somebody does not read, and no answer (fate, value) says so;
    ``everybody`` in the list may be said to have left.
    """
    workspace.newsletter()  # NotFoundError when there is none
    named = tuple(workspace.newsletter(name).name for name in newsletters)
    known, now = tuple(workspace.settings.newsletters), datetime.now(UTC)
    readers = ReaderList(
        path, service=service, encoding=encoding, answers=Answers(answers), everybody=everybody
    )
    if readers.questions:
        raise OpenQuestions(path, readers.questions)
    refusals, fates = _Refusals(), _Fates()
    leavers = readers.leavers(named, refuse=refusals.add, pass_over=refusals.pass_over, hear_fate=fates.add)
    departures = Departures(leavers, now=now, source=f"file {readers.origin}", hasher=workspace.hasher)
    joining = fates.reading(departures.joining(readers.signups(named, known, refuse=refusals.add, tell=tell)))
    with closing(departures):
        report = workspace.audience.add_many(
            joining,
            now=now,
            source=f"import of {readers.origin}",
            dry=dry_run,
            before=departures.foresee if dry_run else departures.note,
            after=lambda connection: add_wishes(connection, readers.wishes(known)),
        )
        gone = departures.report()
    return Imported(
        told=readers.told,
        added=report.added,
        changed=report.changed,
        changes={"name": report.names, "language": report.langs, "newsletters": report.letters},
        unchanged=report.unchanged,
        suppressed=report.suppressed + departures.met,
        left=gone.noted,
        left_before=gone.known,
        stayed=gone.stayed,
        not_taken=dict(refusals.passed_over),
        set_aside=departures.set_aside,
        fates=fates.counts(reading=report.added + report.changed + report.unchanged),
        examples={fate.value: tuple(some) for fate, some in fates.examples.items()},
        refused=refusals.count,
        reasons=dict(refusals.kinds.most_common(20)),
        refusals=tuple(refusals.first),
    )


def export_readers(
    workspace: Workspace, newsletter: str | None, *, form: str, full: bool = False
) -> Iterator[str]:
    """The readers of one newsletter as text, "csv" or "json", piece by piece.

    With ``full`` also what else each of them gets, and how.
    """
    name = workspace.newsletter(newsletter).name
    write = to_json if form == "json" else to_csv
    choices = partial(chosen, workspace.engine) if full else None
    return write(workspace.audience.export(name), choices)


def remove_reader(workspace: Workspace, address: str, *, dry_run: bool = False) -> bool:
    """Remove and suppress; whether the address was on the list."""
    address = valid_address(address)
    reader, now = workspace.audience.find(address), datetime.now(UTC)
    if not dry_run:
        workspace.audience.remove(address, now=now)
        if reader:
            tell_hooks(workspace, "left", now=now, subscriber=reader.id, address=reader.address)
    return reader is not None


def list_readers(workspace: Workspace, newsletter: str | None) -> tuple[int, Iterator[Sequence[Person]]]:
    """How many read this newsletter; and who, page by page: memory does not grow with the list."""
    name = workspace.newsletter(newsletter).name
    return workspace.audience.count(name), workspace.audience.export(name)


def _newsletters(workspace: Workspace, names: Sequence[str]) -> tuple[str, ...]:
    """Those named, or all; never none, for a reader of nothing would be kept for nothing."""
    workspace.newsletter()  # NotFoundError when there is none
    return tuple(workspace.newsletter(name).name for name in names) or tuple(workspace.settings.newsletters)


class _Fates:
    """What becomes of the people of a list: counted, with some examples of each."""

    def __init__(self) -> None:
        self._counts: Counter[Fate] = Counter()
        self.examples: dict[Fate, list[str]] = {}

    def add(self, fate: Fate, address: str) -> None:
        """One more."""
        self._counts[fate] += 1
        some = self.examples.setdefault(fate, [])
        if len(some) < _EXAMPLES:
            some.append(masked(address))

    def reading(self, signups: Iterator[Signup]) -> Iterator[Signup]:
        """The same, with the first of them as examples."""
        for signup in islice(signups, _EXAMPLES):
            self.examples.setdefault(Fate.READS, []).append(masked(signup.address))
            yield signup
        yield from signups

    def counts(self, *, reading: int) -> dict[str, int]:
        """By the name of the fate."""
        return {
            fate.value: count
            for fate in Fate
            if (count := {**self._counts, Fate.READS: reading}.get(fate, 0))
        }


class _Refusals:
    """The rows of a file that cannot be used: counted, and the first of them kept."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[Refused] = []
        self.kinds: Counter[str] = Counter()
        self.passed_over: Counter[str] = Counter()

    def add(self, row: Refused) -> None:
        """One more."""
        self.count += 1
        self.kinds[row.kind if row.kind in self.kinds or len(self.kinds) < _KINDS else "other reasons"] += 1
        if len(self.first) < SHOWN:
            self.first.append(row)

    def pass_over(self, why: str) -> None:
        """Somebody who is not taken, and whose row is right all the same."""
        self.passed_over[why] += 1
