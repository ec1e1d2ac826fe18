"""Two channels at one provider: what one of them uses up, the other one has no more."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.app.publish import tick
from bot.app.readers import add_reader
from bot.app.workspace import Workspace
from bot.errors import TemporaryFailure
from bot.model import State
from tests.support.commands import bot
from tests.support.live_workspace import NOW, addresses, deliveries, live_servers, mail_only
from tests.support.smtp_server import self_made_certificate, smtp_server

HOUR = timedelta(hours=1)
SECOND = """
[channels.mail.pace]
account = "ses"
per_hour = 5

[channels.alerts]
type = "email"
host = "localhost"
port = {port}
security = "none"
pace = {{ account = "ses" }}

[newsletters.monthly]
channel = "alerts"
slots = ["Fri 09:00"]
sender = "The Monthly Shelf <monthly@news.shelf.ngo>"
"""


def two_lists(folder: Path, port: int) -> Path:
    """Four readers of each of two newsletters, which go by two channels of one account."""
    here = mail_only(folder, port, readers=0)
    with (here / "bot.toml").open("a") as toml:
        toml.write(SECOND.format(port=port))
    workspace = Workspace(here)
    workspace.ledger.note_schedules(workspace.schedules(), NOW - HOUR)
    for address in addresses(4):
        add_reader(workspace, address, newsletters=("weekly", "monthly"))
    workspace.release()
    return here


async def ticked(here: Path, now: datetime = NOW) -> None:
    workspace = Workspace(here)
    try:
        await tick(workspace, now)
    finally:
        await workspace.close()
        workspace.release()


async def test_two_issues_share_an_hour(tmp_path: Path) -> None:
    """Five of the eight letters in the first hour, whichever they are; the others in the next.

    One or two fewer where an hour ended while a channel was still opening its connections: those wait, too.
    """
    async with smtp_server() as mail:
        here = two_lists(tmp_path, mail.port)
        sent = []
        for minutes in (0, 30, 62, 124):
            await ticked(here, NOW + timedelta(minutes=minutes))
            sent.append(len(mail.taken))

    assert 3 <= sent[0] <= 5
    assert sent[1] == sent[0]
    assert sent[0] < sent[2] <= sent[0] + 5
    assert sent[3] == 8
    assert {each.channel for each in deliveries(here, State.SENT)} == {"mail", "alerts"}


async def test_a_rest_of_the_account_is_a_rest_for_both_and_either_name_ends_it(tmp_path: Path) -> None:
    """Nothing goes out meanwhile; afterwards up to five, which is the hour's share."""
    async with smtp_server() as mail:
        here = two_lists(tmp_path, mail.port)
        sent = []
        for name in ("ses", "alerts"):
            asked_to_slow_down(here)
            await ticked(here)
            sent.append(len(mail.taken))
            assert bot("resume", name, workspace=here).out == f"Resumed: {name}.\n"
        await ticked(here)

    assert sent == [0, 0]
    assert 3 <= len(mail.taken) <= 5


def asked_to_slow_down(here: Path) -> None:
    workspace = Workspace(here)
    workspace.pace.note("ses", TemporaryFailure("too fast", code=421, retry_after=timedelta(hours=1)))
    workspace.pace.flush(workspace.settings.paces, now=NOW)
    workspace.release()


async def test_posts_and_an_issue_share_a_day(tmp_path: Path, certificate: Path) -> None:
    """Four a day for a post and an issue of six: the post goes, and three letters."""
    async with live_servers(tmp_path, certificate, readers=6) as live:
        with (live.here / "bot.toml").open("a") as toml:
            toml.write('[channels.mail.pace]\naccount = "all"\nper_day = 4\n')
            toml.write('[channels.mastodon.pace]\naccount = "all"\n')
        await live.tick()
        sent = [each.channel for each in live.deliveries(State.SENT)]
        await live.tick(NOW + 25 * HOUR)
        later = [each.channel for each in live.deliveries(State.SENT)]

    assert (len([name for name in sent if name != "telegram"]), later.count("mail")) == (4, 6)
    assert later.count("mastodon") == 1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_made_certificate(tmp_path_factory.mktemp("tls"))
