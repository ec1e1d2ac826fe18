"""Two runs that are started together."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.postgres import Cluster
from tests.support.together import run_together

pytestmark = pytest.mark.slow


async def test_two_runs_together_send_and_post_everything_once(tmp_path: Path) -> None:
    """In one folder; whichever comes second finds the other at work, or nothing left to do."""
    chance = random.Random(4)
    found = [await run_together(tmp_path / str(number), chance) for number in range(4)]

    assert [each for each in found if not each.is_right] == []


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
async def test_two_machines_that_both_plan_send_and_post_everything_once(
    tmp_path: Path, postgres: Cluster
) -> None:
    """On one database; nobody is asked to look into a channel for what the other has on the wire."""
    chance = random.Random(5)
    for number in range(4):
        url = postgres.database("t1")

        found = await run_together(tmp_path / str(number), chance, url=url)
        postgres.drop(url)

        assert found.is_right, found
