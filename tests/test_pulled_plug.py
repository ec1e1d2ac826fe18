"""The plug is pulled, again and again, while an issue goes to many readers over several connections."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.plug import Trial, machine, plan, sink, subscribe
from tests.support.strikes import fill, small_disk

pytestmark = pytest.mark.slow

CONNECTIONS = 5


@pytest.mark.timeout(400)
async def test_thirty_kills_on_sqlite_lose_nobody_and_every_repeat_is_known(tmp_path: Path) -> None:
    """Repeats are at most the calls in flight at each kill, and the ledger counts each as a doubt."""
    async with sink() as server:
        one = machine(tmp_path / "news", server.port, connections=CONNECTIONS, command=("run", "--once"))
        subscribe(one.here, 4_000)
        trial = Trial([one], server)
        await trial.start()
        await trial.pull(30, of=4_000)
        toll = await trial.finish()

    assert toll.kills == 30
    assert (toll.readers, toll.lost, toll.unsettled) == (4_000, 0, 0)
    assert toll.unexplained == 0
    assert 0 < toll.doubts <= toll.kills * CONNECTIONS


@pytest.mark.timeout(500)
async def test_a_mail_server_that_dies_again_and_again_loses_nobody(tmp_path: Path) -> None:
    """Letters past their dot are in doubt, one for each connection at most; all others go out once."""
    deaths = 5
    async with sink() as server:
        one = machine(tmp_path / "news", server.port, connections=CONNECTIONS, command=("run", "--once"))
        subscribe(one.here, 3_000)
        trial = Trial([one], server)
        await trial.start()
        for _ in range(deaths):
            assert await server.after(trial.chance.randint(1, 300), server.hang_up, patience=60)
            await server.kill()
            await server.open()
        toll = await trial.finish()

    assert (toll.readers, toll.lost, toll.unsettled) == (3_000, 0, 0)
    assert toll.unexplained == 0
    assert deaths <= toll.doubts <= deaths * CONNECTIONS


@pytest.mark.timeout(500)
async def test_a_full_disk_stops_the_run_and_loses_nobody(tmp_path: Path) -> None:
    """What cannot be claimed on disk is not sent; with room again the rest goes out."""
    async with sink() as server:
        one = machine(tmp_path / "news", server.port, connections=CONNECTIONS, command=("run", "--once"))
        with small_disk(one.here / "state", megabytes=8):
            subscribe(one.here, 3_000)
            await plan(one.here)
            filler = one.here / "state" / "filler"
            trial = Trial([one], server)
            await trial.start()
            assert await server.after(200, lambda: fill(filler), patience=60)
            code = await one.end(patience=200)
            complaint, taken = one.complaint, server.copies.total()
            filler.unlink()
            toll = await trial.settled()

    assert code != 0
    assert "Traceback" not in complaint
    assert "disk" in complaint
    assert taken < 3_000
    assert (toll.readers, toll.lost, toll.unsettled) == (3_000, 0, 0)
    assert toll.unexplained == 0
