"""Whether an address is a reader's shows nowhere: not in an answer, and not in the time of anything after it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.app.readers import add_reader
from bot.app.workspace import Workspace
from bot.audience.confirming import form_stamp
from tests.support.oracle import PROXY, SINK, beside, bot_serve, look, shuffled, told_apart
from tests.support.site import make_site

SAMPLES = 250  # of each kind; chance alone keeps the AUC within 0.5 +- 0.08 in 999 of 1,000 runs
TELLS_NOTHING = 0.12


def stamps(workspace: Workspace) -> Iterator[str]:
    """Of forms that were opened a minute ago, each by another person."""
    opened = datetime.now(UTC) - timedelta(minutes=1)
    while True:
        opened += timedelta(milliseconds=1)
        yield form_stamp(workspace.settings.signing_keys, opened)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["direct", "proxy"])
def test_timing_oracle(tmp_path: Path, way: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Pings after a form do not tell a reader's address from a stranger's."""
    known = [f"reader{n}@inbox.ngo" for n in range(SAMPLES)]
    unknown = [f"nobody{n}@inbox.ngo" for n in range(SAMPLES)]
    with beside(SINK) as sink:
        here = make_site(tmp_path / "news", port=sink)
        settings = (here / "bot.toml").read_text()
        (here / "bot.toml").write_text(settings.replace("[site]\n", "[site]\nsignups_per_network = 10000\n"))
        workspace = Workspace(here)
        for address in known:
            add_reader(workspace, address, newsletters=["weekly"])
        forms = shuffled(known, unknown)
        with bot_serve(here) as direct, beside(PROXY, direct) as proxy:
            port = {"direct": direct, "proxy": proxy}[way]
            look(port, [f"warm{n}@inbox.ngo" for n in range(20)], stamps(workspace))
            seen = list(zip(forms, look(port, forms, stamps(workspace)), strict=True))
        workspace.release()
    found = told_apart(seen, frozenset(known))
    with capsys.disabled():
        print(f"\n{way}: {found}")

    assert all(abs(each - 0.5) < TELLS_NOTHING for each in found.values()), found
