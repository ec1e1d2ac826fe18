"""`bot run --once` does beside the sending what a running bot does: cron is enough."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from bot.app.periodic import run_periodic_tasks
from bot.app.workspace import Workspace
from bot.audience.bounces.boxes import make_maildir
from tests.support.bounces import dsn
from tests.support.live_workspace import NOW, addresses, ended, mail_only, start
from tests.support.smtp_server import Server, smtp_server

GONE = "550 5.1.1 <x>: Recipient address rejected: User unknown"
BOUNCES = '\n[bounces]\naddress = "bounce@news.shelf.ngo"\nmaildir = "bounced"\n'


@dataclass
class Cron:
    """A live workspace, its mail server, and ``bot run --once`` as cron calls it."""

    here: Path
    mail: Server

    async def run(self, *args: str) -> tuple[int, str]:
        ran = await ended(await start(self.here, NOW, "run", "--once", *args))
        return ran.code, ran.out + ran.err

    def put_bounce_of(self, address: str, name: str = "1") -> None:
        workspace = Workspace(self.here, readonly=True)
        reader = workspace.audience.find(address)
        assert reader is not None
        assert workspace.return_paths is not None
        raw = dsn(GONE, to=workspace.return_paths.of(reader.id))
        workspace.release()
        (self.here / "bounced" / "new" / name).write_bytes(raw)

    def change(self, old: str, new: str) -> None:
        path = self.here / "bot.toml"
        path.write_text(path.read_text().replace(old, new))

    def readers(self) -> list[str]:
        workspace = Workspace(self.here, readonly=True)
        found = [address for address in addresses(3) if workspace.audience.find(address)]
        workspace.release()
        return found


@pytest.fixture
async def cron(tmp_path: Path) -> AsyncIterator[Cron]:
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=3)
        make_maildir(here / "bounced")
        with (here / "bot.toml").open("a") as file:
            file.write(BOUNCES)
        yield Cron(here=here, mail=mail)


async def test_cron_writes_no_more_to_an_address_that_was_refused(cron: Cron) -> None:
    """550 5.1.1 at RCPT: counted in the very run that heard it."""
    cron.mail.fail("RCPT", GONE)

    _, said = await cron.run()

    assert len(cron.readers()) == 2
    assert "stopped writing to 1 (the address does not exist)" in said


async def test_cron_reads_the_bounce_mailbox(cron: Cron) -> None:
    first, *others = addresses(3)
    cron.put_bounce_of(first)

    code, said = await cron.run()

    assert (code, cron.readers()) == (0, others)
    assert "came back: 1 dead" in said


async def test_a_dry_run_of_cron_reads_nothing(cron: Cron) -> None:
    cron.put_bounce_of(addresses(1)[0])

    await cron.run("--dry-run")

    assert cron.readers() == addresses(3)
    assert len(list((cron.here / "bounced" / "new").iterdir())) == 1


async def test_a_mailbox_that_is_away_stops_neither_the_sending_nor_the_other_tasks(cron: Cron) -> None:
    """It is told, and the exit code makes cron write a mail."""
    cron.change('maildir = "bounced"', 'maildir = "nowhere"')
    cron.mail.fail("RCPT", GONE)

    code, said = await cron.run()

    assert code == 1
    assert len(cron.mail.taken) == 2
    assert len(cron.readers()) == 2  # the refusal was counted all the same
    assert "bounces were not read: " in said
    assert "the next run tries again" in said


async def test_what_cron_did_stands_in_the_json(cron: Cron) -> None:
    cron.put_bounce_of(addresses(1)[0])

    ran = await ended(await start(cron.here, NOW, "run", "--once", "--json"))

    (done,) = json.loads(ran.out)["beside"]
    assert done["said"].startswith("came back: 1 dead")


async def test_a_running_bot_and_cron_do_the_same_tasks(cron: Cron, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one list; whoever adds to it adds to both."""
    from bot.app import loop, periodic

    done: list[str] = []

    async def once(_workspace: Workspace, _stopping: object) -> str:
        done.append("once")
        return "dusted"

    async def until_stopped(_workspace: Workspace, stop: asyncio.Event) -> None:
        done.append("until stopped")
        stop.set()

    tasks = (periodic.PeriodicTask(once=once, until_stopped=until_stopped, failed="not dusted"),)
    monkeypatch.setattr(periodic, "PERIODIC_TASKS", tasks)
    monkeypatch.setattr(loop, "PERIODIC_TASKS", tasks)
    workspace = Workspace(cron.here)

    await run_periodic_tasks(workspace)
    async with asyncio.timeout(30):
        await loop.run_until_stopped(workspace, asyncio.Event(), lambda _now, _tick: None)
    await workspace.close()
    workspace.release()

    assert done == ["once", "until stopped"]


async def test_no_task_of_cron_begins_a_step_after_its_time(cron: Cron) -> None:
    """A mailbox with a million mails does not hold up the next run: twenty are read, the rest waits."""
    for number in range(25):
        cron.put_bounce_of(addresses(1)[0], name=str(number))
    workspace = Workspace(cron.here)

    await run_periodic_tasks(workspace, longest=timedelta())
    workspace.release()

    assert len(list((cron.here / "bounced" / "new").iterdir())) == 5
