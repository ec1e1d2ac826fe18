"""Use cases about readers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bot.app.workspace import Workspace
from bot.audience.addresses import valid_address
from bot.audience.exporting import to_csv, to_json
from bot.audience.spreadsheet import Place, Refused, read_rows
from bot.model import Recipient

SHOWN = 1_000  # refused rows of an import; a file of a million bad ones must not fill the memory


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What an import did, or would do. ``refusals`` are the first ``SHOWN`` of the rows refused."""

    added: int
    changed: int
    unchanged: int
    suppressed: int
    refused: int
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
    if dry_run:
        return workspace.audience.find(address) is None
    return workspace.audience.add(address, name, lang, wanted, datetime.now(UTC), source="command line")


def import_readers(
    workspace: Workspace,
    path: Path,
    *,
    newsletters: Sequence[str] = (),
    dry_run: bool = False,
    tell: Callable[[Place], None] = lambda _: None,
) -> Imported:
    """Import a spreadsheet in one transaction; rows that cannot be used are listed, not fatal."""
    wanted = _newsletters(workspace, newsletters)
    refusals = _Refusals()
    report = workspace.audience.add_many(
        read_rows(path, wanted, refuse=refusals.add, tell=tell),
        now=datetime.now(UTC),
        source=f"import of {path.name}",
        dry=dry_run,
    )
    return Imported(
        added=report.added,
        changed=report.changed,
        unchanged=report.unchanged,
        suppressed=report.suppressed,
        refused=refusals.count,
        refusals=tuple(refusals.first),
    )


def export_readers(workspace: Workspace, newsletter: str | None, *, form: str) -> Iterator[str]:
    """The readers of one newsletter as text, "csv" or "json", piece by piece."""
    name = workspace.newsletter(newsletter).name
    write = to_json if form == "json" else to_csv
    return write(workspace.audience.export(name))


def remove_reader(workspace: Workspace, address: str, *, dry_run: bool = False) -> bool:
    """Remove and suppress; whether the address was on the list."""
    address = valid_address(address)
    known = workspace.audience.find(address) is not None
    if not dry_run:
        workspace.audience.remove(address, now=datetime.now(UTC))
    return known


def list_readers(workspace: Workspace, newsletter: str | None) -> Iterable[Recipient]:
    """The readers of one newsletter."""
    return workspace.audience.subscribers(workspace.newsletter(newsletter).name)


def _newsletters(workspace: Workspace, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(workspace.newsletter(name).name for name in names) or tuple(workspace.settings.newsletters)


class _Refusals:
    """The rows of a file that cannot be used: counted, and the first of them kept."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[Refused] = []

    def add(self, row: Refused) -> None:
        """One more."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(row)
