"""Who asked and never confirmed is forgotten by whatever runs, not only by the public pages."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.app.joining import forget_until_stopped
from bot.app.loop import run_until_stopped
from bot.app.workspace import Workspace
from bot.store.engine import reading
from bot.store.joining import SignupRequest, Wording
from bot.store.schema import signup
from tests.support.commands import bot
from tests.support.site import make_site, record

LONG_AGO = datetime(2020, 1, 6, 9, tzinfo=UTC)
FAR_AHEAD = datetime(2199, 1, 7, 9, tzinfo=UTC)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A workspace in which somebody asked long ago, and somebody will for a long time yet."""
    folder = make_site(tmp_path / "news", mode="rehearsal")
    workspace = Workspace(folder)
    for address, at in (("old@inbox.ngo", LONG_AGO), ("new@inbox.ngo", FAR_AHEAD)):
        request = SignupRequest(
            id=secrets.token_hex(16),
            address=address,
            newsletters=("weekly",),
            lang="en",
            form_url="https://news.example.org/subscribe",
            wording=Wording(version="1", lang="en", body="I want this newsletter."),
            ip="192.0.2.0",
            asked_at=at,
        )
        record(workspace.joining, request)
    workspace.release()
    return folder


def waiting(folder: Path) -> list[str]:
    """The addresses that have not confirmed."""
    workspace = Workspace(folder)
    with reading(workspace.engine) as connection:
        found = sorted(connection.execute(select(signup.c.address)).scalars())
    workspace.release()
    return found


def test_cron_forgets(here: Path) -> None:
    """`bot run --once` does; a dry run deletes nothing."""
    bot("run", "--once", "--dry-run", workspace=here)
    assert waiting(here) == ["new@inbox.ngo", "old@inbox.ngo"]

    assert bot("run", "--once", workspace=here).code == 0

    assert waiting(here) == ["new@inbox.ngo"]


def test_a_rehearsed_future_forgets_nobody_of_today(here: Path) -> None:
    """The clock of --now is for what goes out; what is deleted goes by the real one."""
    bot("run", "--once", "--now", "2299-01-01 09:00", workspace=here)

    assert waiting(here) == ["new@inbox.ngo"]


async def test_a_running_bot_forgets(here: Path) -> None:
    """At its start, beside the first tick."""
    workspace, stop = Workspace(here), asyncio.Event()
    running = asyncio.create_task(run_until_stopped(workspace, stop, lambda _now, _tick: None))
    async with asyncio.timeout(30):
        while "old@inbox.ngo" in waiting(here):  # noqa: ASYNC110 - a table has no bell to ring
            await asyncio.sleep(0.01)
    stop.set()
    await running
    await workspace.close()

    assert waiting(here) == ["new@inbox.ngo"]


async def test_every_round_looks_at_the_clock_again(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was waiting at the first round is forgotten by a later one."""
    monkeypatch.setattr("bot.app.joining.FORGET_EVERY", timedelta(milliseconds=5))
    workspace, stop = Workspace(here), asyncio.Event()
    times = iter([LONG_AGO, FAR_AHEAD, FAR_AHEAD + timedelta(days=8)])

    def clock() -> datetime:
        now = next(times, None)
        if now is None:
            stop.set()
        return now or FAR_AHEAD

    async with asyncio.timeout(30):
        await forget_until_stopped(workspace, stop, clock=clock)
    await workspace.close()

    assert waiting(here) == []
