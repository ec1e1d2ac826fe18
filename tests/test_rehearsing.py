"""A rehearsal can be taken back, and nothing else goes with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text

from bot.app.workspace import Workspace
from bot.store import schema
from bot.store.engine import reading, writing
from bot.store.lock import tick_lock
from tests.support.commands import MONDAY, NEXT_MONDAY, bot


@pytest.fixture
def here(tmp_path: Path) -> Path:
    assert bot("init", "--sample", tmp_path / "news").code == 0
    return tmp_path / "news"


def rows(engine: Engine, mode: str) -> dict[str, int]:
    tables = [table for table in schema.metadata.sorted_tables if "mode" in table.c]
    with reading(engine) as connection:
        return {
            table.name: connection.scalar(select(func.count()).select_from(table).where(table.c.mode == mode))
            or 0
            for table in tables
        }


def test_the_same_week_can_be_rehearsed_again(here: Path) -> None:
    first = bot("run", "--now", MONDAY, "--until", NEXT_MONDAY, workspace=here)
    before = sorted(path.name for path in (here / "outbox").rglob("*"))

    forgot = bot("forget-rehearsal", workspace=here)
    left = list((here / "outbox").iterdir())
    again = bot("run", "--now", MONDAY, "--until", NEXT_MONDAY, workspace=here)

    assert forgot.code == 0
    assert "slots free again" in forgot.out
    assert left == []
    assert again == first
    assert sorted(path.name for path in (here / "outbox").rglob("*")) == before


def test_nothing_but_the_rehearsal_is_forgotten(here: Path) -> None:
    """Rows of a live run, readers and holds stay."""
    bot("run", "--now", MONDAY, "--until", NEXT_MONDAY, workspace=here)
    bot("subscribers", "add", "ann@example.org", workspace=here)
    bot("hold", "mastodon", workspace=here)
    workspace = Workspace(here)
    with writing(workspace.engine) as connection:
        for table in ("firing", "posted", "tick"):
            columns = [column.name for column in schema.metadata.tables[table].c]
            listed = ", ".join("'live'" if name == "mode" else name for name in columns)
            connection.execute(text(f"INSERT INTO {table} SELECT {listed} FROM {table}"))
    live = rows(workspace.engine, "live")

    bot("forget-rehearsal", workspace=here)

    assert sum(live.values()) > 0
    assert rows(workspace.engine, "live") == live
    assert sum(rows(workspace.engine, "rehearsal").values()) == 0
    assert workspace.audience.find("ann@example.org") is not None
    assert "mastodon" in workspace.ledger.holds()
    workspace.release()


def test_a_dry_run_only_counts(here: Path) -> None:
    bot("run", "--now", MONDAY, "--until", NEXT_MONDAY, workspace=here)
    there = sorted((here / "outbox").rglob("*"))

    would = bot("forget-rehearsal", "--dry-run", workspace=here)
    did = bot("forget-rehearsal", workspace=here)

    assert there
    assert would.out == did.out.replace("Forgot", "Would forget")


def test_a_running_send_is_not_disturbed(here: Path) -> None:
    bot("run", "--now", MONDAY, "--until", NEXT_MONDAY, workspace=here)
    with tick_lock(here / "state"):
        refused = bot("forget-rehearsal", workspace=here)

    assert refused.code == 5
    assert list((here / "outbox").iterdir())
