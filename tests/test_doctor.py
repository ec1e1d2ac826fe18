"""`bot doctor` before anything is live: servers are asked, nothing is sent, what is missing is listed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.commands import Ran, bot
from tests.support.listening import free_port
from tests.support.live_workspace import PASSWORD, USER
from tests.support.mastodon_server import MastodonServer
from tests.support.rehearsing import edit, make_rehearsing
from tests.support.smtp_server import SILENT, Server, self_made_certificate, smtp_server


@dataclass(frozen=True, kw_only=True)
class Rehearsing:
    """A workspace that rehearses, and its mail server."""

    here: Path
    mail: Server

    async def doctor(self, *args: str) -> Ran:
        return await asyncio.to_thread(bot, "doctor", *args, workspace=self.here)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_made_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
async def rehearsing(tmp_path: Path, certificate: Path) -> AsyncIterator[Rehearsing]:
    async with smtp_server(certificate=certificate, users={USER: PASSWORD}) as mail:
        yield Rehearsing(here=make_rehearsing(tmp_path / "news", mail.port, certificate), mail=mail)


def crosses(ran: Ran) -> list[str]:
    return [line for line in ran.out.splitlines() if line.startswith("✗")]


async def test_a_rehearsal_asks_the_mail_server_too(rehearsing: Rehearsing) -> None:
    """Encrypted, logged in, the sender named and taken back; no reader is named and nothing is sent."""
    ran = await rehearsing.doctor()

    assert ran.code == 0, ran.out + ran.err
    assert f"TLSv1.3, logged in as {USER}" in ran.out
    assert f"takes mail from {USER}" in ran.out
    assert rehearsing.mail.logins == [(USER, PASSWORD)]
    mail, reset = [c for c in rehearsing.mail.commands if not c.startswith("EHLO")]
    assert (mail.startswith(f"MAIL FROM:<{USER}>"), reset) == (True, "RSET")
    assert rehearsing.mail.taken == []
    assert "Before going live: nothing is missing. Next: bot go-live" in ran.out


async def test_offline_asks_nobody(rehearsing: Rehearsing) -> None:
    """Files only."""
    ran = await rehearsing.doctor("--offline")

    assert ran.code == 0
    assert rehearsing.mail.connections == 0


@pytest.mark.parametrize("answer", ["550 5.7.1 not yours to write from", "451 4.7.1 later"])
async def test_a_refused_sender_is_a_fault_in_rehearsal(rehearsing: Rehearsing, answer: str) -> None:
    """The login is right and the server still takes nothing from us."""
    rehearsing.mail.fail("MAIL", answer)

    ran = await rehearsing.doctor()

    assert ran.code == 1
    (cross,) = crosses(ran)
    assert cross.startswith(f"✗ mail: localhost:{rehearsing.mail.port}: the mail server refused the sender")
    assert answer in cross
    assert "- mend what has a ✗ above" in ran.out


async def test_the_envelope_sender_is_what_is_tried(rehearsing: Rehearsing) -> None:
    """Where bounces go is whom the server hears."""
    edit(rehearsing.here, "timeout = 20", 'timeout = 20\nenvelope_sender = "bounce@news.shelf.ngo"')

    await rehearsing.doctor()

    assert any(c.startswith("MAIL FROM:<bounce@news.shelf.ngo>") for c in rehearsing.mail.commands)


async def test_a_wrong_password_is_a_fault_in_rehearsal(rehearsing: Rehearsing) -> None:
    """Code 1 and where to mend it; the password is nowhere in the words."""
    edit(rehearsing.here, PASSWORD, "wrong horse", file=".env")

    ran = await rehearsing.doctor()

    assert ran.code == 1
    assert "check username in bot.toml and the password in .env" in crosses(ran)[0]
    assert "wrong horse" not in ran.out + ran.err


async def test_a_server_that_is_not_there_is_a_fault_in_rehearsal(rehearsing: Rehearsing) -> None:
    """A cross, never a tick."""
    edit(rehearsing.here, f"port = {rehearsing.mail.port}", f"port = {free_port()}")

    ran = await rehearsing.doctor()

    assert ran.code == 1
    assert "no mail server listens at localhost" in crosses(ran)[0]


async def test_a_server_that_stays_silent_is_a_fault_in_rehearsal(rehearsing: Rehearsing) -> None:
    """Whoever takes the call and says nothing does not answer."""
    edit(rehearsing.here, "timeout = 20", "timeout = 0.3")
    rehearsing.mail.fail("MAIL", SILENT)

    ran = await rehearsing.doctor()

    assert ran.code == 1
    assert len(crosses(ran)) == 1


async def test_a_wrong_certificate_is_a_fault_in_rehearsal(rehearsing: Rehearsing, tmp_path: Path) -> None:
    """And the login is never tried with it."""
    other = tmp_path / "other"
    other.mkdir()
    trusted = self_made_certificate(other)
    lines = (rehearsing.here / "bot.toml").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("ca_file")]
    edit(rehearsing.here, line, f'ca_file = "{trusted}"')

    ran = await rehearsing.doctor()

    assert ran.code == 1
    assert "certificate of localhost" in crosses(ran)[0]
    assert rehearsing.mail.logins == []


async def test_a_rehearsal_asks_the_social_servers_too(rehearsing: Rehearsing) -> None:
    """A token that the server refuses is a fault before anything is live."""
    with MastodonServer() as mastodon:
        table = f'\n[channels.mastodon]\ntype = "mastodon"\napi_base_url = "{mastodon.url}"\n'
        with (rehearsing.here / "bot.toml").open("a") as file:
            file.write(table)
        unset = await rehearsing.doctor()
        with (rehearsing.here / ".env").open("a") as file:
            file.write(f"BOT_CHANNELS__MASTODON__ACCESS_TOKEN={mastodon.token}\n")
        right = await rehearsing.doctor()
        edit(rehearsing.here, mastodon.token, "not-the-token", file=".env")
        wrong = await rehearsing.doctor()

    assert (unset.code, right.code, wrong.code) == (0, 0, 1)
    assert "- BOT_CHANNELS__MASTODON__ACCESS_TOKEN is empty" in unset.out
    assert "posts as @broadside" in right.out
    assert mastodon.statuses == []


def test_what_is_not_filled_in_yet_is_a_list_and_no_fault(tmp_path: Path) -> None:
    """A new workspace: nobody is asked, code 0, and each line says what to write."""
    here = tmp_path / "news"
    bot("init", here)

    ran = bot("doctor", workspace=here)

    assert ran.code == 0, ran.out + ran.err
    assert crosses(ran) == []
    _, _, listed = ran.out.partition("Before going live:")
    for words in (
        "publication.postal_address: is empty",
        "publication.site_url: news.example.org is a name for examples",
        "BOT_CHANNELS__MAIL__PASSWORD is empty",
        "smtp.example.org is a name for examples",
        "the sender's domain news.example.org is a name for examples",
        "no item is approved",
        "newsletter weekly has 0 readers",
    ):
        assert words in listed
    assert len(ran.out.splitlines()) < 24


def test_samples_and_the_address_of_the_samples_are_in_the_list(tmp_path: Path) -> None:
    """So is a signing key that was lost."""
    here = tmp_path / "news"
    bot("init", "--sample", here)
    (here / ".env").write_text("")
    (here / ".env").chmod(0o600)

    ran = bot("doctor", workspace=here)

    assert ran.code == 0, ran.out + ran.err
    _, _, listed = ran.out.partition("Before going live:")
    assert "25 approved items are samples" in listed
    assert "publication.postal_address is an example" in listed
    assert "BOT_SECRET_KEY: is missing" in listed
