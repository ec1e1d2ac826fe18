"""Use cases about readers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bot.app.hooks import tell as tell_hooks
from bot.app.workspace import Workspace
from bot.audience.addresses import valid_address
from bot.audience.exporting import Person, to_csv, to_json
from bot.audience.lists import ReaderList
from bot.audience.spreadsheet import Place, Refused
from bot.store.departures import Departures
from bot.store.listing import add_wishes, chosen

SHOWN = 1_000  # refused rows of an import; a file of a million bad ones must not fill the memory
_KINDS = 50  # reasons that are counted apart


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
    refused: int
    reasons: Mapping[str, int]  # of the refused rows, the most frequent first
    refusals: tuple[Refused, ...]


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
    dry_run: bool = False,
    tell: Callable[[Place], None] = lambda _: None,
) -> Imported:
    """Import a list in one transaction; rows that cannot be used are listed, not fatal.

    The people go to ``newsletters``; with none, to those that the list names, or to all. ``service`` is
    who gave the list out, where that shall not be told from the list itself.
    """
    workspace.newsletter()  # NotFoundError when there is none
    named = tuple(workspace.newsletter(name).name for name in newsletters)
    known, now = tuple(workspace.settings.newsletters), datetime.now(UTC)
    readers, refusals = ReaderList(path, service=service, encoding=encoding), _Refusals()
    leavers = readers.leavers(named, refuse=refusals.add, pass_over=refusals.pass_over)
    departures = Departures(leavers, now=now, source=f"file {readers.origin}", hasher=workspace.hasher)
    joining = departures.joining(readers.signups(named, known, refuse=refusals.add, tell=tell))
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
