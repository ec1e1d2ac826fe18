"""What ``bot status`` says of work that nobody is at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.app.publish import prepare, run_lock
from bot.app.status import on_their_way, status
from bot.app.workspace import Workspace
from bot.errors import Blame, PermanentFailure, UnknownOutcome
from bot.store.chunks import settled
from tests.support.commands import bot
from tests.support.ledgers import WORDS, post
from tests.support.live_workspace import NOW, mail_only
from tests.support.postgres import Cluster

ISSUE = "weekly@2026-11-27T09:00+07:00"
NOBODY = "no run is at work here; the next one settles them"


async def claimed(here: Path, count: int, *, at: datetime, seconds: float = 60) -> Workspace:
    """An issue to six readers, of which somebody has claimed so many."""
    workspace = Workspace(here)
    await prepare(workspace, NOW)
    chunk = workspace.mailings.lease("somebody", at, seconds=seconds)
    assert chunk is not None
    workspace.mailings.exchange(chunk, [], want=count, now=at)
    return workspace


def standstill(workspace: Workspace) -> str:
    (issue,) = status(workspace, state=None, channel=None, limit=1).issues
    return issue.standstill


async def test_what_a_dead_run_left_is_said_and_not_while_one_is_at_work(tmp_path: Path) -> None:
    """The lock of a run tells the one from the other."""
    here = mail_only(tmp_path, 9, readers=6)
    workspace = await claimed(here, 4, at=datetime.now(UTC))
    with run_lock(workspace):
        at_work = bot("status", workspace=here)

    left, watched = bot("status", workspace=here), on_their_way(here)

    assert f"On its way: {ISSUE} (i1), 0 of 6\n" in at_work.out
    assert f"On its way: {ISSUE} (i1), 0 of 6, 4 claimed, and {NOBODY}\n" in left.out
    assert [why for _, why in watched.values()] == [f"4 claimed, and {NOBODY}"]
    workspace.release()


def test_a_post_that_a_dead_run_left_is_told_by_its_channel(tmp_path: Path) -> None:
    """As the counts of the table name it."""
    here = mail_only(tmp_path, 9, readers=0)
    workspace = Workspace(here)
    workspace.ledger.record_post(post(), WORDS, "social", NOW)
    workspace.ledger.take("social", NOW, 1)
    with run_lock(workspace):
        at_work = status(workspace, state=None, channel=None, limit=1)

    left = status(workspace, state=None, channel=None, limit=1)

    assert at_work.abandoned == ()
    assert left.abandoned == (f"social: 1 claimed, and {NOBODY}",)
    workspace.release()


async def test_an_issue_that_only_waits_is_not_left_by_anybody(tmp_path: Path) -> None:
    """Between two runs nothing is claimed."""
    here = mail_only(tmp_path, 9, readers=6)
    workspace = await claimed(here, 0, at=NOW)

    assert standstill(workspace) == ""
    workspace.release()


async def test_what_failed_is_listed_and_waits_for_nobody(tmp_path: Path) -> None:
    """A dead address stays failed for ever; what is unknown must be answered."""
    here = mail_only(tmp_path, 9, readers=6)
    workspace = await claimed(here, 0, at=NOW)
    chunk = workspace.mailings.lease("another", NOW + timedelta(minutes=2), seconds=60)
    assert chunk is not None
    one, two = workspace.mailings.exchange(chunk, [], want=2, now=NOW)
    gone, lost = PermanentFailure("no such user", blame=Blame.RECIPIENT), UnknownOutcome("no answer")

    workspace.mailings.exchange(chunk, [settled(one, gone, NOW)], want=0, now=NOW)
    failed = bot("status", workspace=here)
    workspace.mailings.exchange(chunk, [settled(two, lost, NOW, resend=False)], want=0, now=NOW)
    unknown = bot("status", workspace=here)
    workspace.release()

    assert (failed.code, "no such user" in failed.out) == (0, True)
    assert unknown.code == 1


@pytest.fixture
def shared(tmp_path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A workspace whose ledger is in PostgreSQL."""
    here, url = mail_only(tmp_path, 9, readers=0), postgres.database("t1")
    monkeypatch.setenv("BOT_DATABASE_URL", url)
    assert bot("subscribers", "add", "ann@example.org", workspace=here).code == 0
    yield here
    postgres.drop(url)


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
@pytest.mark.parametrize(
    ("ago", "said"),
    [
        (5, ""),
        (40, "1 claimed, no run is at work, and the worker that has them was silent for 4"),
        (61, f"1 claimed, and {NOBODY}"),
    ],
)
async def test_a_worker_that_fell_silent_is_told_with_the_end_of_its_lease(
    shared: Path, ago: int, said: str
) -> None:
    """One that renews its lease is at work; and so is whoever has the run's lock."""
    workspace = await claimed(shared, 1, at=datetime.now(UTC) - timedelta(seconds=ago))
    with ExitStack() as stack:
        stack.callback(workspace.release)
        found = standstill(workspace)
        with run_lock(workspace):
            assert standstill(workspace) == ""

    assert found.startswith(said)
    assert bool(found) == bool(said)
