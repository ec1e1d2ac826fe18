"""Whether an address is a reader's shows nowhere: in no answer, and in the time of nothing after it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import event, func, select

from bot.app.confirmations import send_due
from bot.app.joining import LATEST, SOONEST
from bot.app.readers import add_reader
from bot.app.workspace import Workspace
from bot.audience.confirming import form_stamp
from bot.store.schema import signup
from tests.support.oracle import PROXY, SINK, beside, bot_serve, look, shuffled, told_apart
from tests.support.site import Site, make_site, served
from tests.support.smtp_server import smtp_server

SAMPLES = 250  # of each kind; chance alone keeps the AUC within 0.5 +- 0.08 in 999 of 1,000 runs
TELLS_NOTHING = 0.12


def stamps(workspace: Workspace, now: datetime) -> Iterator[str]:
    """Of forms that were opened a minute ago, each by another person."""
    while True:
        now += timedelta(milliseconds=1)
        opened = now - timedelta(minutes=1)
        yield form_stamp(workspace.settings.signing_keys, opened)


def statements(site: Site, address: str) -> list[tuple[str, int]]:
    """What the database is asked while the page of this form is made, each with how many values."""
    found: list[tuple[str, int]] = []

    def heard(_c: object, _u: object, statement: str, values: Sequence[object], *_: object) -> None:
        found.append((statement, len(values)))

    event.listen(site.workspace.engine, "before_cursor_execute", heard)
    try:
        form = {
            "address": address,
            "newsletter": "weekly",
            "stamp": next(stamps(site.workspace, site.clock())),
        }
        assert httpx.post(f"{site.url}/subscribe", data=form).status_code == 200
    finally:
        event.remove(site.workspace.engine, "before_cursor_execute", heard)
    return found


async def test_who_serves_the_pages_looks_at_no_reader_and_sends_no_mail(tmp_path: Path) -> None:
    """The same statements for readers, strangers and who left; what follows is another's work."""
    async with smtp_server() as mail:
        with served(make_site(tmp_path / "news", port=mail.port)) as site:
            for name in ("reader", "gone"):
                add_reader(site.workspace, f"{name}@inbox.ngo", newsletters=["weekly"])
            site.workspace.audience.remove("gone@inbox.ngo", now=site.clock())
            names = ["warm", "reader", "stranger", "gone", "reader", "stranger"]
            asked = [await asyncio.to_thread(statements, site, f"{name}@inbox.ngo") for name in names][1:]
            rows = len(site.contents()["signup"])
            before = mail.connections
            sent = await send_due(site.workspace, clock=lambda: site.clock() + timedelta(seconds=LATEST))

    assert all(each == asked[0] for each in asked)
    assert len(asked[0]) > 6
    assert not any("subscri" in said or "suppression" in said for said, _ in asked[0])
    assert (rows, before, sent) == (6, 0, 3)  # warm, stranger and gone get a mail


def test_every_form_is_looked_at_after_a_time_of_its_own(tmp_path: Path) -> None:
    """Drawn anew for each, within a handful of seconds."""
    with served(make_site(tmp_path / "news", mode="rehearsal")) as site:
        for n in range(40):
            statements(site, f"r{n}@inbox.ngo")
        with site.workspace.engine.connect() as connection:
            due = {row.due_at - row.asked_at for row in connection.execute(select(signup))}

    assert len(due) == 40
    assert timedelta(seconds=SOONEST) <= min(due) < timedelta(seconds=2.5)
    assert timedelta(seconds=4.5) < max(due) <= timedelta(seconds=LATEST)


def wait_until_sent(workspace: Workspace, count: int) -> None:
    """Else nothing would have been there to be seen."""
    query = select(func.count()).select_from(signup)
    query = query.where(signup.c.address.startswith("nobody"), signup.c.mailed_at.is_not(None))
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with workspace.engine.connect() as connection:
            if connection.scalar(query) == count:
                return
        time.sleep(0.1)
    raise AssertionError("the confirmations were not sent")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["direct", "proxy"])
def test_timing_oracle(tmp_path: Path, way: str) -> None:
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
            look(port, [f"warm{n}@inbox.ngo" for n in range(20)], stamps(workspace, datetime.now(UTC)))
            seen = list(zip(forms, look(port, forms, stamps(workspace, datetime.now(UTC))), strict=True))
            wait_until_sent(workspace, len(unknown))
        workspace.release()
    found = told_apart(seen, frozenset(known))

    print(way, found)
    assert all(abs(each - 0.5) < TELLS_NOTHING for each in found.values()), found
