"""Use cases about readers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bot.app.workspace import Workspace
from bot.audience.addresses import valid_address
from bot.audience.spreadsheet import Refused, Row, read_rows
from bot.model import Recipient
from bot.store.audience import Signup


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What an import did, or would do."""

    added: int
    changed: int
    unchanged: int
    suppressed: int
    refused: tuple[Refused, ...]


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
    workspace: Workspace, path: Path, *, newsletters: Sequence[str] = (), dry_run: bool = False
) -> Imported:
    """Import a spreadsheet in one transaction; rows that cannot be used are listed, not fatal."""
    wanted = _newsletters(workspace, newsletters)
    refused: list[Refused] = []
    rows = _usable(read_rows(path), refused)
    report = workspace.audience.add_many(
        (Signup(address=r.address, name=r.name, lang=r.lang, newsletters=wanted) for r in rows),
        now=datetime.now(UTC),
        source=f"import of {path.name}",
        dry=dry_run,
    )
    return Imported(
        added=report.added,
        changed=report.changed,
        unchanged=report.unchanged,
        suppressed=report.suppressed,
        refused=tuple(refused),
    )


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


def _usable(rows: Iterable[Row | Refused], refused: list[Refused]) -> Iterator[Row]:
    for row in rows:
        if isinstance(row, Row):
            yield row
        else:
            refused.append(row)
