"""`bot go-live` and `bot rehearse`: what it means is shown, and only then is one value changed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine

from bot.config.mode import with_mode, write_mode
from bot.errors import ConfigError
from tests.support.commands import Ran, bot, fingerprint
from tests.support.live_workspace import NOW, PASSWORD, USER, addresses
from tests.support.rehearsing import edit, make_rehearsing
from tests.support.smtp_server import Server, self_made_certificate, smtp_server

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A workspace in which only the mode is missing, since Thursday."""

    here: Path
    mail: Server

    async def bot(self, *args: str, stdin: str = "") -> Ran:
        return await asyncio.to_thread(bot, *args, workspace=self.here, stdin=stdin)

    def saved(self) -> None:
        """The settings are a day older than the slot."""
        day_before = (NOW - timedelta(days=1)).timestamp()
        for name in ("bot.toml", ".env"):
            os.utime(self.here / name, (day_before, day_before))

    @property
    def settings(self) -> str:
        return (self.here / "bot.toml").read_text()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_made_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
async def ready(tmp_path: Path, certificate: Path) -> AsyncIterator[Ready]:
    async with smtp_server(certificate=certificate, users={USER: PASSWORD}) as mail:
        ready = Ready(here=make_rehearsing(tmp_path / "news", mail.port, certificate), mail=mail)
        ready.saved()
        yield ready


async def test_going_live_shows_what_comes_and_changes_one_value(ready: Ready) -> None:
    """Subject, items, time and readers are shown before the question; comments stay."""
    before = ready.settings
    with time_machine.travel(NOW - 60 * MINUTE, tick=True):
        ran = await ready.bot("go-live", stdin="live\n")

    assert ran.code == 0, ran.out + ran.err
    assert "weekly 1: Fri 27 Nov 2026 09:00, to 3 readers" in ran.out
    assert "Subject: " in ran.out
    assert "- Ports (ports)" in ran.out
    assert "issue 1: 3 items" in ran.out
    assert ready.settings == before.replace('"rehearsal"', '"live"')
    assert 'mode = "live"  # for now' in ready.settings
    assert ready.mail.taken == []


@pytest.mark.parametrize("answer", ["no\n", "y\n", "\n", ""])
async def test_any_other_answer_changes_nothing(ready: Ready, answer: str) -> None:
    """Also none at all, from a script that forgot --yes."""
    before = fingerprint(ready.here)

    ran = await ready.bot("go-live", stdin=answer)

    assert ran.code != 0
    assert fingerprint(ready.here) == before


async def test_a_fault_keeps_it_from_going_live(ready: Ready) -> None:
    """The mail server refuses the login: code 1, --yes or not, and the file is as it was."""
    edit(ready.here, PASSWORD, "wrong horse", file=".env")
    before = fingerprint(ready.here)

    ran = await ready.bot("go-live", "--yes")

    assert ran.code == 1
    assert "Not live: nothing was changed" in ran.err
    assert fingerprint(ready.here) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("https://news.shelf.ngo", "https://news.example.org"),
        ("1 Harbour Road, 10110 Bangkok", ""),
        ("<weekly@news.shelf.ngo>", "<weekly@example.org>"),
    ],
)
async def test_what_is_not_filled_in_keeps_it_from_going_live(ready: Ready, old: str, new: str) -> None:
    """Each is no fault of a rehearsal, and none may reach a reader."""
    edit(ready.here, old, new)

    ran = await ready.bot("go-live", "--yes")

    assert ran.code == 1
    assert "rehearsal" in ready.settings


async def test_a_slot_that_the_plan_showed_goes_out_after_going_live(ready: Ready) -> None:
    """Live at 09:01: the issue of 09:00, promised by the rehearsal's plan, is announced and sent."""
    with time_machine.travel(NOW - 60 * MINUTE, tick=True):
        planned = await ready.bot("plan")
    with time_machine.travel(NOW + MINUTE, tick=True):
        ran = await ready.bot("go-live", "--yes")
        sent = await ready.bot("run", "--once")

    assert "Fri 27 Nov 2026 09:00" in planned.out
    assert "weekly 1: AT ONCE, for the slot of Fri 27 Nov 2026 09:00, to 3 readers" in ran.out
    assert sent.code == 0, sent.out + sent.err
    assert sorted(mail.recipients[0] for mail in ready.mail.taken) == sorted(addresses(3))


async def test_a_slot_that_is_long_past_is_told_and_not_sent(ready: Ready) -> None:
    """Later than max_lateness: the next week's is the first."""
    with time_machine.travel(NOW + timedelta(hours=7), tick=True):
        ran = await ready.bot("go-live", "--yes")
        await ready.bot("run", "--once")

    assert ran.code == 0, ran.out + ran.err
    assert "AT ONCE" not in ran.out
    assert "weekly 1: Fri 4 Dec 2026 09:00" in ran.out
    assert ready.mail.taken == []


@pytest.mark.parametrize("place", ["environment", ".env"])
async def test_a_mode_that_wins_over_the_file_is_told(
    ready: Ready, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Writing bot.toml would change nothing: say where the other one stands."""
    if place == ".env":
        with (ready.here / ".env").open("a") as file:
            file.write("BOT_MODE=rehearsal\n")
    else:
        monkeypatch.setenv("BOT_MODE", "rehearsal")
    before = fingerprint(ready.here)

    ran = await ready.bot("go-live", "--yes")

    assert ran.code == 3
    assert f"{place}: BOT_MODE: wins over" in ran.err
    assert fingerprint(ready.here) == before


async def test_back_to_rehearsal(ready: Ready) -> None:
    """The file is again what it was, to the byte; asked twice, it says so."""
    before = ready.settings
    await ready.bot("go-live", "--yes")

    twice = await ready.bot("go-live", "--yes")
    ran, again = await ready.bot("rehearse"), await ready.bot("rehearse")

    assert "It is live already" in twice.out
    assert (ran.code, again.code) == (0, 0)
    assert "It rehearses already" in again.out
    assert ready.settings == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'a = 1\n mode="rehearsal"# why\n[t]\n', b'a = 1\n mode="live"# why\n[t]\n'),
        (b"mode = 'rehearsal'\r\n[t]\r\n", b'mode = "live"\r\n[t]\r\n'),
        (b'\xef\xbb\xbf"mode" = "rehearsal"', b'\xef\xbb\xbf"mode" = "live"'),
        (b'# one\n[t]\nmode = "rehearsal"\n', b'mode = "live"\n\n# one\n[t]\nmode = "rehearsal"\n'),
        (b"\xef\xbb\xbf[t]\r\n", b'\xef\xbb\xbfmode = "live"\r\n\r\n[t]\r\n'),
        (b'# mode = "rehearsal"\n', b'mode = "live"\n\n# mode = "rehearsal"\n'),
        (b"", b'mode = "live"\n\n'),
    ],
)
def test_only_the_bytes_of_the_value_change(before: bytes, after: bytes) -> None:
    """Spaces, quotes' places, comments, line ends and a table's own ``mode`` stay."""
    assert with_mode(before, "live") == after


def test_a_file_that_is_not_understood_is_left_alone(tmp_path: Path) -> None:
    """A text over several lines looks like the setting, and is none."""
    file = tmp_path / "bot.toml"
    file.write_bytes(b'note = """\nmode = "rehearsal"\n"""\n')
    before = fingerprint(tmp_path)

    with pytest.raises(ConfigError, match='write mode = "live" by hand'):
        write_mode(tmp_path, "live")

    assert fingerprint(tmp_path) == before
