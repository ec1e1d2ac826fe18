"""An account that pauses is seen by a person in every place they look, and goes on when they say so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.app.workspace import Workspace
from bot.errors import Blame, PermanentFailure, TemporaryFailure
from bot.pace import PaceRules
from tests.support.commands import Ran, bot
from tests.support.live_workspace import NOW, ended, mail_only, start
from tests.support.smtp_server import smtp_server

PACE = "[channels.mail.pace]\nper_second = 60\n"  # so that there is a while to pause in
LOOKS = (("status",), ("doctor", "--offline"))
LIMIT = r"recipients were refused \(the limit is 5\.0%\); "
SAID = rf"mail: paused, because (2[6-9]|3\d|40) of the last \d+ {LIMIT}"
USER_UNKNOWN = PermanentFailure("no such user", code=550, blame=Blame.RECIPIENT)


def add(here: Path, text: str) -> None:
    with (here / "bot.toml").open("a") as toml:
        toml.write(text)


@pytest.fixture
def still(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace that has not sent anything."""
    workspace = Workspace(mail_only(tmp_path, 25, readers=1))
    yield workspace
    workspace.release()


async def run(here: Path, minutes: int = 0) -> Ran:
    """``bot run --once`` at that time, in a process of its own."""
    return await ended(await start(here, NOW + timedelta(minutes=minutes), "run", "--once"))


async def test_forty_refusals_are_seen_everywhere_until_a_person_says_go(tmp_path: Path) -> None:
    """40 of 200 by a real server: each command says which account, why, since when, and what to do."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=200)
        add(here, PACE)
        mail.fail("RCPT", "550 5.1.1 User unknown", times=40)
        first = await run(here)
        before = len(mail.taken)
        second = await run(here, 30)
        between = len(mail.taken)
        looked = [await ended(await start(here, NOW, *words)) for words in LOOKS]
        counted = await ended(await start(here, NOW, "status", "--json"))
        resumed = await ended(await start(here, NOW, "resume", "mail"))
        free = [await ended(await start(here, NOW, *words)) for words in LOOKS]
        await run(here, 60)

    assert (first.code, second.code) == (1, 1)
    assert re.search(SAID, first.err)
    assert re.search(SAID, second.err)
    assert before == between < 160
    for each in looked:
        assert each.code == 1
        assert re.search(SAID, flat(each))
        assert "then run: bot resume mail (paused since 2026-11-27 09:0" in flat(each)
    (sentence,) = json.loads(counted.out)["paused"]
    assert re.match(SAID, sentence)
    assert (resumed.code, [each.code for each in free]) == (0, [0, 0])
    assert "paused" not in flat(free[0]) + flat(free[1])
    assert len(mail.taken) == 160


def flat(ran: Ran) -> str:
    return " ".join(ran.out.split())


def test_an_account_at_rest_is_told_and_needs_nobody(still: Workspace) -> None:
    """It goes on by itself, and both commands end with 0."""
    still.pace.note("mail", TemporaryFailure("too fast", code=421, retry_after=timedelta(minutes=9)))
    still.pace.flush({"mail": PaceRules()})

    status, doctor = bot("status", workspace=still.root), bot("doctor", "--offline", workspace=still.root)

    assert (status.code, doctor.code) == (0, 0)
    assert "mail: rests until 20" in flat(status)
    assert "because the remote asked us to slow down; it goes on by itself" in flat(doctor)


def test_one_domain_that_is_paused_is_told_too(still: Workspace) -> None:
    add(still.root, '[channels.mail.pace.domains."full.ngo"]\nper_hour = 9\n')
    again = Workspace(still.root)
    again.pace.note("mail", USER_UNKNOWN, domain="full.ngo", count=30)
    again.pace.flush(again.settings.paces)
    again.release()

    status = bot("status", workspace=still.root)

    assert status.code == 1
    assert "mail, to full.ngo: paused, because 30 of the last 30 recipients were refused" in flat(status)


def test_an_account_that_no_channel_uses_any_more_troubles_nobody(still: Workspace) -> None:
    still.pace.pause("old_mail", "somebody looks into it")

    assert bot("status", workspace=still.root).code == 0


def test_a_fresh_workspace_has_nothing_paused(tmp_path: Path) -> None:
    """And looking makes no database."""
    here = mail_only(tmp_path, 25, readers=0)
    for path in (here / "state").iterdir():
        path.unlink()

    assert bot("doctor", "--offline", workspace=here).code == 0
    assert list((here / "state").iterdir()) == []


def test_a_database_that_cannot_be_read_is_a_finding(still: Workspace) -> None:
    """Doctor goes on with the rest."""
    still.release()
    (still.state_folder / "ledger.sqlite3").write_bytes(b"no database at all" * 99)

    ran = bot("doctor", "--offline", workspace=still.root)

    assert ran.code == 1
    assert "file is not a database" in flat(ran)
    assert "bot.toml reads well" in flat(ran)
