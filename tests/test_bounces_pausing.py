"""What comes back is counted for the account that carried it: too much of it pauses that account."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from bot.app.bounces import Readings, read_bounces, sweep_refusals
from bot.app.publish import tick
from bot.app.workspace import Workspace
from bot.audience.bounces.boxes import Maildir, make_maildir
from bot.pace import Account
from tests.support.bounces import complaint, dsn
from tests.support.commands import Ran
from tests.support.live_workspace import NOW, addresses, ended, mail_only, start
from tests.support.mailed import subscribed_at
from tests.support.smtp_server import Server, Taken, smtp_server

MORE = '[bounces]\naddress = "bounce@news.shelf.ngo"\nmaildir = "bounced"\n'
UNKNOWN = "550 5.1.1 <x@inbox.ngo>: Recipient address rejected: User unknown"
FULL = "552 5.2.2 Mailbox full"
LATER = NOW + timedelta(hours=2)


def made(folder: Path, mail: Server, *, readers: int, more: str = "", url: str = "") -> Path:
    here = mail_only(folder, mail.port, readers=0 if url else readers)
    with (here / "bot.toml").open("a") as toml:
        toml.write(f"{more}\n{MORE}")
    make_maildir(here / "bounced")
    if url:
        with (here / ".env").open("a") as file:
            file.write(f"BOT_DATABASE_URL={url}\n")
        workspace = Workspace(here)
        workspace.ledger.note_schedules(workspace.schedules(), NOW - timedelta(hours=1))
        for address in addresses(readers):
            workspace.audience.add(address, "", "", ["weekly"], NOW, "test")
        workspace.release()
    return here


def put(here: Path, mails: Iterable[bytes]) -> None:
    box = here / "bounced" / "new"
    for raw in mails:
        (box / f"{len(list(box.parent.rglob('*')))}").write_bytes(raw)


def from_provider(taken: Taken) -> bytes:
    """What a provider's feedback loop writes when somebody calls this mail spam."""
    return complaint(fields=f"Original-Mail-From: <{taken.sender}>\n")


async def run(here: Path, minutes: int, *words: str) -> Ran:
    """A command at that time, in a process of its own."""
    return await ended(await start(here, NOW + timedelta(minutes=minutes), *(words or ("run", "--once"))))


async def test_five_complaints_close_the_gate_until_a_person_says_go(tmp_path: Path) -> None:
    """From the reports of a provider through ``bot bounces`` to a run that sends nothing and says why."""
    async with smtp_server() as mail:
        here = made(tmp_path, mail, readers=10, more="[channels.mail.pace]\nper_hour = 5\n")
        workspace = Workspace(here)
        subscribed_at(workspace, NOW - timedelta(days=60))
        workspace.release()
        await run(here, 0)
        put(here, map(from_provider, mail.taken[:5]))
        read = await run(here, 10, "bounces")
        first = len(mail.taken)
        closed = await run(here, 120)
        between = len(mail.taken)
        status = await run(here, 121, "status")
        resumed = await run(here, 122, "resume", "mail")
        free = await run(here, 123)

        assert (first, between, len(mail.taken)) == (5, 5, 10)

    said = "mail: paused, because 5 of the last 5 readers complained (the limit is 0.3%); find out why"
    assert (read.code, closed.code, status.code, resumed.code, free.code) == (1, 1, 1, 0, 0)
    for words in (read.err, closed.err, " ".join(status.out.split())):
        assert said in words
    assert "Stopped writing to 5 readers" in read.out


async def test_bounces_that_come_back_later_pause_it_too(tmp_path: Path, store_url: str) -> None:
    """Dead and full ones; each reader once for a letter, whatever their server writes about it."""
    async with smtp_server() as mail:
        strict = "[channels.mail.pace]\npause = { refused = 0.2, of = 10 }\n"
        workspace = await sent(made(tmp_path, mail, readers=10, more=strict, url=store_url))
        for taken in mail.taken[:2]:
            reports = [dsn(FULL, "5.2.2", to=taken.sender, text=str(n)) for n in range(3)]
            put(workspace.root, reports)
        few = read(workspace)
        enough_of_one = row(workspace)
        put(workspace.root, [dsn(UNKNOWN, "5.1.1", to=mail.taken[2].sender)])
        enough = read(workspace)
        paused = row(workspace)
        workspace.release()

    assert (few.problems, enough_of_one.returned, enough_of_one.mailed) == ((), 2, 10)
    (said,) = enough.problems
    assert said.startswith("mail: paused, because 3 of the last 10 letters came back (the limit is 20.0%)")
    assert (paused.paused, paused.paused_at) == (said, LATER)


@pytest.mark.parametrize("age", [timedelta(days=50), timedelta(hours=3), timedelta(minutes=30)])
async def test_one_letter_in_the_wrong_hands_pauses_nothing(tmp_path: Path, age: timedelta) -> None:
    """Whoever has it can write as many reports as they like, with whatever date in them."""
    async with smtp_server() as mail:
        workspace = await sent(made(tmp_path, mail, readers=2))
        date = f"Date: {format_datetime(LATER - age)}\n".encode()
        reports = [date + dsn(FULL, "5.2.2", to=mail.taken[0].sender, text=str(n)) for n in range(40)]
        put(workspace.root, reports)
        found = read(workspace)
        counted = row(workspace)
        workspace.release()

    assert (found.kinds, found.problems) == ({"full": 40}, ())
    assert (counted.returned, counted.paused) == (int(LATER - age >= NOW), "")


@pytest.mark.parametrize("way", ["no token", "dry run", "seen before", "no channel"])
async def test_what_counts_for_no_account(tmp_path: Path, way: str) -> None:
    """What anybody could have written; a dry run; the same report again; a channel that is gone."""
    async with smtp_server() as mail:
        workspace = await sent(made(tmp_path, mail, readers=4))
        report = dsn(FULL, "5.2.2", to=mail.taken[0].sender, recipient=mail.taken[0].recipients[0])
        if way == "no token":
            report = report.replace(mail.taken[0].sender.encode(), b"bounce@news.shelf.ngo")
        if way == "no channel":
            bot_toml = workspace.root / "bot.toml"
            bot_toml.write_text(bot_toml.read_text().replace("channels.mail", "channels.post"))
            bot_toml.write_text(bot_toml.read_text().replace('"mail"', '"post"'))
            workspace.release()
            workspace = Workspace(workspace.root)
        put(workspace.root, [report, report] if way == "seen before" else [report])
        found = read(workspace, dry_run=way == "dry run")
        counted = row(workspace).returned
        workspace.release()

    assert found.kinds == {"full": 1}
    assert counted == (way == "seen before")


async def test_a_refusal_counts_when_it_is_heard_and_not_again(tmp_path: Path) -> None:
    """The sweep over the ledger finds what the sender has told the account already."""
    async with smtp_server() as mail:
        mail.fail("RCPT", "550 5.1.1 User unknown", times=2)
        workspace = await sent(made(tmp_path, mail, readers=4))
        before = row(workspace)
        found = sweep_refusals(workspace, now=LATER)
        after = row(workspace)
        workspace.release()

    assert found.kinds == {"dead": 2}
    assert (before.refused, after) == (2, before)


async def sent(here: Path) -> Workspace:
    """After the issue went out."""
    workspace = Workspace(here)
    await tick(workspace, NOW)
    await workspace.close()
    return workspace


def read(workspace: Workspace, *, dry_run: bool = False) -> Readings:
    return read_bounces(workspace, Maildir(workspace.root / "bounced"), now=LATER, dry_run=dry_run)


def row(workspace: Workspace) -> Account:
    return workspace.pace.accounts()["mail"]
