"""Which issue came back is kept: by the Message-ID in the report, or by our own letter."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.app.bounces import BounceReport, read_bounces, report, sweep_refusals
from bot.app.publish import tick
from bot.app.workspace import Workspace
from bot.audience.bounces.boxes import Pipe
from bot.model import message_name
from tests.support.bounces import dsn
from tests.support.commands import bot
from tests.support.live_workspace import NOW, mail_only
from tests.support.smtp_server import Server, smtp_server

BOUNCES = '\n[bounces]\naddress = "bounce@news.shelf.ngo"\n'
GONE = "550 5.1.1 <x>: Recipient address rejected: User unknown"


async def sent(folder: Path, server: Server) -> Workspace:
    """An issue that three readers got over SMTP."""
    here = mail_only(folder, server.port, readers=3)
    with (here / "bot.toml").open("a") as file:
        file.write(BOUNCES)
    workspace = Workspace(here)
    await tick(workspace, NOW)
    await workspace.close()
    return workspace


def read(workspace: Workspace, raw: bytes) -> BounceReport:
    read_bounces(workspace, Pipe(raw, workspace.state_folder / "kept"), now=NOW)
    return report(workspace, now=NOW)


async def test_a_report_that_returns_the_mail_tells_the_issue(tmp_path: Path) -> None:
    async with smtp_server() as server:
        workspace = await sent(tmp_path, server)
        original = server.taken[0]

        head = original.content.partition(b"\r\n\r\n")[0].replace(b"\r\n", b"\n")
        raw = dsn(GONE, to=original.sender).replace(b"Message-ID: <1@news.example.org>", head)
        found = read(workspace, raw)

        ((issue),) = found.issues
        assert (issue.newsletter, issue.number, dict(issue.readers)) == ("weekly", 1, {"dead": 1})
        shown = bot("bounces", "--report", workspace=workspace.root)
        workspace.release()
    assert "weekly 1" in shown.out
    assert "1 dead" in shown.out


async def test_a_report_without_the_mail_belongs_to_no_issue(tmp_path: Path) -> None:
    """Its date does not tell: the day after the issue it may be about the one before."""
    async with smtp_server() as server:
        workspace = await sent(tmp_path, server)

        found = read(workspace, dsn(GONE, to=server.taken[0].sender))
        workspace.release()

    assert [each.kind for each in found.returned] == ["dead"]
    assert found.issues == ()


async def test_the_message_id_of_another_reader_tells_no_issue(tmp_path: Path) -> None:
    """Only a Message-ID made for this very reader counts."""
    async with smtp_server() as server:
        workspace = await sent(tmp_path, server)
        name = next(line for line in server.taken[1].content.split(b"\r\n") if b"Message-ID" in line)

        raw = dsn(GONE, to=server.taken[0].sender).replace(b"Message-ID: <1@news.example.org>", name)
        found = read(workspace, raw)
        workspace.release()

    assert found.issues == ()


async def test_a_refusal_while_sending_tells_the_issue(tmp_path: Path) -> None:
    async with smtp_server() as server:
        server.fail("RCPT", GONE)
        workspace = await sent(tmp_path, server)

        sweep_refusals(workspace, now=NOW)
        found = report(workspace, now=NOW)
        workspace.release()

    assert [(each.number, dict(each.readers)) for each in found.issues] == [(1, {"dead": 1})]


@pytest.mark.parametrize("key", ["a" * 64, "short", "with/signs" * 4])
def test_a_message_name_has_32_characters_that_need_no_quotes(key: str) -> None:
    assert len(message_name(key)) == 32
    assert message_name(key).isalnum()
