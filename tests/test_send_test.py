"""`bot send-test`: one mail, really sent, in rehearsal too; its links say that they belong to a test."""

from __future__ import annotations

import asyncio
import email
import email.policy
import os
import pty
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

from bot.app.readers import add_reader
from bot.app.send_test import link_problem
from bot.app.workspace import Workspace
from bot.audience.tokens import TEST_READER, unsubscribe_token
from tests.support.commands import Ran, bot, fingerprint
from tests.support.listening import free_port
from tests.support.live_workspace import PASSWORD, ROOT, USER
from tests.support.rehearsing import edit, make_rehearsing
from tests.support.site import READER, make_site, served
from tests.support.smtp_server import Server, self_made_certificate, smtp_server

EDITOR = "editor@news.shelf.ngo"


@dataclass(frozen=True, kw_only=True)
class Rehearsing:
    """A workspace that rehearses, and its mail server."""

    here: Path
    mail: Server

    async def send_test(self, *args: str) -> Ran:
        return await asyncio.to_thread(bot, "send-test", "--to", EDITOR, *args, workspace=self.here)

    def taken(self) -> EmailMessage:
        (mail,) = self.mail.taken
        message = email.message_from_bytes(mail.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        return message


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_made_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
async def rehearsing(tmp_path: Path, certificate: Path) -> AsyncIterator[Rehearsing]:
    async with smtp_server(certificate=certificate, users={USER: PASSWORD}) as mail:
        yield Rehearsing(here=make_rehearsing(tmp_path / "news", mail.port, certificate), mail=mail)


async def test_a_rehearsal_really_sends_its_test(rehearsing: Rehearsing) -> None:
    """To one address, dated now, outside the ledger; and it says that only this was sent."""
    begun = datetime.now(UTC) - timedelta(seconds=1)

    ran = await rehearsing.send_test()

    assert ran.code == 0, ran.err
    assert rehearsing.mail.taken[0].recipients == (EDITOR,)
    assert str(rehearsing.taken()["Subject"]).startswith("[Test] ")
    assert begun <= parsedate_to_datetime(str(rehearsing.taken()["Date"])) <= datetime.now(UTC)
    assert f"to {EDITOR}: 250 " in ran.out
    assert "everything else still rehearses" in ran.out
    assert not (rehearsing.here / "outbox").exists()


async def test_a_test_of_a_rehearsal_counts_for_the_pace_of_its_account(rehearsing: Rehearsing) -> None:
    """The provider counts it, too."""
    with (rehearsing.here / "bot.toml").open("a") as file:
        file.write("[channels.mail.pace]\nper_hour = 1\n")

    first, second = await rehearsing.send_test(), await rehearsing.send_test()

    assert (first.code, second.code) == (0, 1)
    assert "the pace of mail has no room" in second.err
    assert len(rehearsing.mail.taken) == 1


@pytest.mark.parametrize("mode", ["rehearsal", "live"])
async def test_rehearse_writes_a_file_and_sends_nothing(rehearsing: Rehearsing, mode: str) -> None:
    """In either mode."""
    edit(rehearsing.here, '"rehearsal"', f'"{mode}"')

    ran = await rehearsing.send_test("--rehearse")

    assert ran.code == 0, ran.err
    (path,) = fingerprint(rehearsing.here / "outbox")
    assert ran.out.strip().endswith(path)
    assert path.endswith(".eml")
    assert rehearsing.mail.connections == 0


async def test_what_is_missing_is_said_instead_of_sending(rehearsing: Rehearsing) -> None:
    """Nothing is written to outbox/ as if it had been sent."""
    edit(rehearsing.here, f'"{PASSWORD}"', "", file=".env")
    edit(rehearsing.here, 'host = "localhost"', 'host = "smtp.example.org"')

    ran = await rehearsing.send_test()

    assert ran.code == 3
    assert "BOT_CHANNELS__MAIL__PASSWORD is empty" in ran.err
    assert "smtp.example.org is a name for examples" in ran.err
    assert "--rehearse" in ran.err
    assert not (rehearsing.here / "outbox").exists()


async def test_a_draft_can_be_tested_by_name(rehearsing: Rehearsing) -> None:
    """Without an approved item the command says what to do; the named one alone is in the mail."""
    for name in ("ports", "harbour", "window"):
        edit(
            rehearsing.here,
            "status: approved\napproved_by: an editor",
            "status: draft",
            file=f"queue/{name}.md",
        )

    none = await rehearsing.send_test()
    named = await rehearsing.send_test("ports")

    assert none.code == 3
    assert "'bot approve NAME' one, or name items, drafts too" in none.err
    assert named.code == 0, named.err
    text = rehearsing.taken().get_body(("plain",))
    assert text is not None
    assert "Ports" in text.get_content()
    assert "Harbour\n" not in text.get_content()


async def test_another_time_is_for_files_only(rehearsing: Rehearsing) -> None:
    """A mail that goes out says when that was."""
    ran = await rehearsing.send_test("--now", "2026-11-27 09:00")

    assert ran.code == 2
    assert rehearsing.mail.taken == []


@pytest.mark.parametrize(("answer", "sent"), [(b"y\n", 1), (b"n\n", 0)])
async def test_a_terminal_is_asked_once(rehearsing: Rehearsing, answer: bytes, sent: int) -> None:
    """Somebody sits before it, and the workspace rehearses."""
    ours, theirs = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", "-w", str(rehearsing.here), "send-test", "--to", EDITOR),
            cwd=ROOT,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        os.write(ours, answer)
        out, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        os.close(ours)
        os.close(theirs)

    assert "This really sends '[Test] " in out.decode()
    assert len(rehearsing.mail.taken) == sent


# --------------------------------------------------------------------------- links


async def test_the_links_of_a_test_say_so_and_change_nothing(tmp_path: Path) -> None:
    """GET, the button, one click and the settings: 200 and a kind word, and no row changes."""
    here = make_site(tmp_path / "news")
    with served(here) as site:
        add_reader(site.workspace, READER)
        keys = site.workspace.settings.signing_keys
        token = unsubscribe_token(keys, subscriber=TEST_READER, newsletter="weekly")
        before = site.contents()
        async with httpx.AsyncClient(base_url=site.url, timeout=60) as http:
            leave, prefer = f"/u/weekly/{token}", f"/p/weekly/{token}"
            answers = [
                await http.get(leave),
                await http.post(leave),
                await http.post(leave, data={"List-Unsubscribe": "One-Click"}),
                await http.get(prefer),
                await http.post(prefer, data={"pause": "month", "form": "headlines"}),
            ]
            german = await http.get(leave, params={"lang": "de"})
            forged = await http.get(f"/u/monthly/{token}")
        after = site.contents()

    assert [answer.status_code for answer in answers] == [200] * 5
    assert all("<h1>This is a test</h1>" in answer.text for answer in answers)
    assert all("In the real mail it unsubscribes" in answer.text for answer in answers[:3])
    assert all("it opens the reader’s settings" in answer.text for answer in answers[3:])
    assert not any("<button" in answer.text and 'name="pause"' in answer.text for answer in answers)
    assert "Das ist ein Test" in german.text
    assert forged.status_code == 400
    assert after == before


async def test_links_that_nobody_answers_are_told(rehearsing: Rehearsing) -> None:
    """The mail is sent all the same."""
    site = f"https://localhost:{free_port()}"
    edit(rehearsing.here, "https://news.shelf.ngo", site)

    ran = await rehearsing.send_test()

    assert (ran.code, len(rehearsing.mail.taken)) == (0, 1), ran.err
    assert f"its links lead to {site}, where nobody answers: start 'bot serve'" in ran.err


async def test_links_are_tried_where_they_lead(tmp_path: Path) -> None:
    """Pages of ours that know the token are well; those of another key or program are not."""
    here = make_site(tmp_path / "news")
    with served(here) as site:
        keys = site.workspace.settings.signing_keys
        token = unsubscribe_token(keys, subscriber=TEST_READER, newsletter="weekly")
        other = unsubscribe_token([b"another key"], subscriber=TEST_READER, newsletter="weekly")

        assert await link_problem(f"{site.url}/u/weekly/{token}") == ""
        assert "answers 400 to them" in await link_problem(f"{site.url}/u/weekly/{other}")


async def test_links_to_a_name_for_examples_are_told(rehearsing: Rehearsing) -> None:
    """Nobody is asked for them."""
    edit(rehearsing.here, "https://news.shelf.ngo", "https://news.example.org")

    ran = await rehearsing.send_test()

    assert ran.code == 0
    assert "https://news.example.org, a name for examples" in ran.err


async def test_a_dry_run_of_a_test_leaves_everything(rehearsing: Rehearsing) -> None:
    """Also in a workspace that could send."""
    before = fingerprint(rehearsing.here)

    ran = await rehearsing.send_test("--dry-run")

    assert (ran.code, rehearsing.mail.connections) == (0, 0)
    assert fingerprint(rehearsing.here) == before


def test_no_subscriber_has_the_id_of_a_test(tmp_path: Path) -> None:
    """Ids are drawn; this one is not."""
    workspace = Workspace(make_site(tmp_path / "news"))
    add_reader(workspace, READER)
    found = workspace.audience.find(READER)
    workspace.release()

    assert found is not None
    assert found.id != TEST_READER
    assert len(found.id) == len(TEST_READER)
