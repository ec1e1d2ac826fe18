"""The plug is pulled, again and again, while an issue goes to many readers over several connections."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.plug import Trial, machine, sink, subscribe

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
        await trial.pull(30, letters=120)
        toll = await trial.finish()

    assert toll.kills >= 25
    assert (toll.readers, toll.lost, toll.unsettled) == (4_000, 0, 0)
    assert toll.unexplained == 0
    assert 0 < toll.doubts <= toll.kills * CONNECTIONS
