"""What is done again and again beside the work: only a person's stop ends it, and the log names nobody."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from bot.app.chores import repeat_until_stopped
from bot.app.confirmations import send_due_until_stopped
from bot.app.workspace import Workspace
from bot.errors import AudienceError, PermanentFailure, StoreError
from tests.support.live_workspace import mail_only
from tests.support.site import make_site, served

READER = "mara@inbox.ngo"
AT_ONCE = timedelta(milliseconds=1)
FAILED = "shelves were not dusted"


def script(stop: asyncio.Event, *outcomes: Exception | None) -> Callable[[], Awaitable[None]]:
    """A chore that ends in these ways, one after the other, and then says stop."""
    left = iter(outcomes)

    async def chore() -> None:
        try:
            outcome = next(left)
        except StopIteration:
            stop.set()
            return
        if outcome is not None:
            raise outcome

    return chore


async def told(caplog: pytest.LogCaptureFixture, *outcomes: Exception | None) -> list[tuple[int, str]]:
    """Level and words of each line about a chore that ends in these ways."""
    stop = asyncio.Event()
    async with asyncio.timeout(30):
        await repeat_until_stopped(script(stop, *outcomes), stop, every=AT_ONCE, failed=FAILED)
    return [(record.levelno, record.getMessage()) for record in caplog.records]


async def test_a_fault_that_nobody_thought_of_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The log says what and where, never what was in hand."""
    ((level, words),) = await told(caplog, RuntimeError(f"{READER} could not be dusted"))

    assert level == logging.ERROR
    assert words.startswith(f"{FAILED}: RuntimeError at {Path(__file__).name}:")
    assert READER not in caplog.text


@pytest.mark.parametrize("error", [AudienceError(f"{READER!r} is no address"), PermanentFailure(READER)])
async def test_an_error_whose_words_may_hold_an_address_is_told_without_them(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """A server's own answer repeats the address that it refuses."""
    ((_, words),) = await told(caplog, error)

    assert f"{type(error).__name__} at " in words
    assert READER not in caplog.text


async def test_a_known_error_is_told_once_until_it_changes_or_goes(caplog: pytest.LogCaptureFixture) -> None:
    """A database that is away for a night does not fill the disk with one line."""
    away, full = StoreError("ledger.db: is away"), StoreError("ledger.db: is full")

    found = await told(caplog, away, away, full, full, None, full)

    lines = [f"{FAILED}: {words}; it is tried again" for words in (away, full, full)]
    assert found == [(logging.WARNING, line) for line in lines]


async def test_stopping_acts_at_once() -> None:
    """Whoever rests for an hour wakes up; nothing is begun any more."""
    stop, begun = asyncio.Event(), asyncio.Event()
    rounds = 0

    async def chore() -> None:
        nonlocal rounds
        rounds += 1
        begun.set()

    task = asyncio.create_task(repeat_until_stopped(chore, stop, every=timedelta(hours=1), failed=FAILED))
    await begun.wait()
    await asyncio.sleep(0)  # it rests now

    stop.set()
    async with asyncio.timeout(30):
        await task

    assert rounds == 1


async def test_what_is_stopped_before_it_begins_does_nothing(caplog: pytest.LogCaptureFixture) -> None:
    stop = asyncio.Event()
    stop.set()

    await repeat_until_stopped(script(stop, StoreError("is away")), stop, every=AT_ONCE, failed=FAILED)

    assert caplog.records == []


# --------------------------------------------------------------------------- those that there are


async def test_a_fault_does_not_end_the_reading_of_bounces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It once ended it quietly, until the next start."""
    from bot.app.attending import attend_until_stopped

    workspace, stop = Workspace(mail_only(tmp_path, 25, readers=0)), asyncio.Event()
    faults = [RuntimeError(READER)]

    def attend(*_: object, **__: object) -> None:
        if faults:
            raise faults.pop()
        loop.call_soon_threadsafe(stop.set)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr("bot.app.attending.attend", attend)
    monkeypatch.setattr("bot.app.attending.EVERY", AT_ONCE)
    async with asyncio.timeout(30):
        await attend_until_stopped(workspace, stop)
    workspace.release()

    assert "bounces were not read: RuntimeError at" in caplog.text
    assert READER not in caplog.text


async def test_a_fault_does_not_end_the_sending_of_confirmations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor does its text come into the log."""
    workspace, stop = Workspace(make_site(tmp_path / "news", mode="rehearsal")), asyncio.Event()
    faults = [RuntimeError(READER)]

    def unsent(**_: object) -> list[object]:
        if faults:
            raise faults.pop()
        loop.call_soon_threadsafe(stop.set)
        return []

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(workspace.joining, "unsent", unsent)
    monkeypatch.setattr("bot.app.confirmations.LOOK_EVERY", AT_ONCE)
    async with asyncio.timeout(30):
        await send_due_until_stopped(workspace, stop)
    workspace.release()

    assert "confirmations were not sent: RuntimeError at" in caplog.text
    assert READER not in caplog.text


def test_a_server_of_pages_forgets_what_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its start."""
    forgot = threading.Event()
    monkeypatch.setattr("bot.app.joining.forget", lambda *_, **__: forgot.set())
    with served(make_site(tmp_path / "news", mode="rehearsal")):
        assert forgot.wait(30)
