"""An issue on its way to many readers: the right end for each, at the pace that is allowed."""

from __future__ import annotations

import asyncio
import io
import re
import threading
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bot.app.publish import Tick, tick
from bot.app.workspace import Workspace
from bot.channels.base import Reader
from bot.channels.email.compiled import Compiled
from bot.channels.email.mime import Spliced
from bot.cli.watching import bars
from bot.model import State
from bot.store.importing import Signup
from tests.support.commands import bot
from tests.support.listening import free_port
from tests.support.live_workspace import NOW, addresses, deliveries, ended, mail_only, start
from tests.support.smtp_server import Taken, self_made_certificate, smtp_server

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ISSUE = "weekly@2026-11-27T09:00+07:00"


async def ticked(here: Path, now: datetime = NOW) -> Tick:
    """One tick at that moment."""
    workspace = Workspace(here)
    try:
        return await tick(workspace, now)
    finally:
        await workspace.close()
        workspace.engine.dispose()


def states(here: Path) -> Counter[State]:
    return Counter(delivery.state for delivery in deliveries(here, *State))


def add(here: Path, lines: str) -> None:
    """More settings of the channel, which is the last table of bot.toml."""
    with (here / "bot.toml").open("a") as file:
        file.write(lines)


def takers(taken: list[Taken]) -> Counter[str]:
    return Counter(each.recipients[0] for each in taken)


async def test_each_reader_has_the_right_end_whatever_the_server_does(tmp_path: Path) -> None:
    """Of 200 some are refused, some put off, some cut off: nobody is forgotten, and the ledger is right."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=200)
        mail.fail("RCPT", "550 5.1.1 no such user", times=9)
        mail.fail("MAIL", "451 4.3.0 later", times=11)
        mail.fail("BODY", "drop", times=3)
        first = await ticked(here)
        await ticked(here, NOW + 5 * MINUTE)

        found, got = states(here), takers(mail.taken)

    assert first.report is not None
    assert (first.report.failed, found) == (9, {State.SENT: 191, State.FAILED: 9})
    assert len(got) == 191
    assert sum(got.values()) - len(got) <= 3


async def test_an_answer_that_was_lost_is_counted_as_a_doubt(tmp_path: Path) -> None:
    """The mail was taken and the connection cut: the same one goes out again, and nobody else's."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=20)
        mail.fail("DOT", "drop", times=2)
        await ticked(here)
        await ticked(here, NOW + 5 * MINUTE)

        got = takers(mail.taken)

    assert states(here) == {State.SENT: 20}
    assert sorted(got) == sorted(addresses(20))
    assert sorted(got.values())[-3:] == [1, 2, 2]


async def test_with_on_unknown_hold_a_lost_answer_waits_for_a_person(tmp_path: Path) -> None:
    """The run says so, and the letter's short name is enough to answer."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=5)
        add(here, 'on_unknown = "hold"\n')
        mail.fail("DOT", "drop")
        first = await ticked(here)
        (doubtful,) = deliveries(here, State.UNKNOWN)
        status = await asyncio.to_thread(bot, "status", workspace=here)
        settled = await asyncio.to_thread(bot, "settle", doubtful.name, "--sent", workspace=here)
        await ticked(here, NOW + 5 * MINUTE)

        assert len(mail.taken) == 5

    assert first.report is not None
    assert first.report.unknown == 1
    assert any("may have gone out" in problem for problem in first.report.problems)
    assert (status.code, doubtful.name in status.out) == (1, True)
    assert (settled.code, states(here)) == (0, {State.SENT: 5})


async def test_a_letter_that_failed_goes_out_again_by_its_short_name(tmp_path: Path) -> None:
    """After a person mended what was wrong."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=3)
        mail.fail("RCPT", "550 5.1.1 no such user")
        await ticked(here)
        (failed,) = deliveries(here, State.FAILED)
        retried = await asyncio.to_thread(bot, "retry", failed.name, workspace=here)
        # The command put it in line at the real time, which is before or after the trial's.
        await ticked(here, NOW + timedelta(days=3650))

        assert retried.code == 0, retried.err
        assert sorted(takers(mail.taken)) == sorted(addresses(3))


async def test_letters_are_made_beside_the_loop_and_one_that_cannot_be_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No conversation waits while others are written or signed, in their order; a fault over one is told."""
    makers, make = set(), Compiled.letter

    def letter(self: Compiled, to: Reader, **how: Any) -> Spliced:
        makers.add(threading.current_thread() is threading.main_thread())
        if to.address == addresses(20)[7]:
            raise LookupError
        return make(self, to, **how)

    monkeypatch.setattr(Compiled, "letter", letter)
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=20)
        first = await ticked(here)

    assert first.report is not None
    (problem,) = first.report.problems
    assert "could not be prepared: LookupError" in problem
    assert (makers, states(here)) == ({False}, {State.SENT: 19, State.DEFERRED: 1})


async def test_all_that_failed_go_back_in_line_however_many(tmp_path: Path) -> None:
    """More than a listing shows."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=130)
        add(here, "[channels.mail.pace]\npause = { refused = 1 }\n")
        mail.fail("RCPT", "550 5.1.1 no such user", times=120)
        await ticked(here)
        failed = states(here)[State.FAILED]
        retried = await asyncio.to_thread(bot, "retry", workspace=here)

    assert (failed, retried.code) == (120, 0), retried.err
    assert retried.out == "Put 120 deliveries back in line.\n"
    assert states(here) == {State.SENT: 10, State.PLANNED: 120}


# --------------------------------------------------------------------------- pace


async def test_no_more_goes_out_than_an_hour_may_take(tmp_path: Path) -> None:
    """Five in the first hour, five in the next; the run ends meanwhile and no letter counts an attempt."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=12)
        add(here, "[channels.mail.pace]\nper_hour = 5\n")
        sent = []
        for minutes in (0, 30, 62, 124):
            await ticked(here, NOW + minutes * MINUTE)
            sent.append(len(mail.taken))

    assert sent == [5, 5, 10, 12]
    assert {delivery.attempts for delivery in deliveries(here, *State)} == {1}


async def test_letters_are_spaced_out_within_a_run(tmp_path: Path) -> None:
    """Eleven at twenty a second take half a second at least; the run waits for that and ends by itself."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=11)
        add(here, "[channels.mail.pace]\nper_second = 20\n")
        workspace, began = Workspace(here), time.monotonic()
        await tick(workspace, NOW, clock=lambda: NOW + timedelta(seconds=time.monotonic() - began))
        took = time.monotonic() - began
        await workspace.close()
        workspace.engine.dispose()

        assert len(mail.taken) == 11
        assert took > 0.45


async def test_a_domain_with_its_own_limit_holds_up_no_other(tmp_path: Path) -> None:
    """Readers are of seven domains; two of one domain's three wait for the next hour."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=21)
        add(here, '[channels.mail.pace.domains."inbox0.ngo"]\nper_hour = 1\n')
        await ticked(here)

        got = Counter(name.partition("@")[2] for name in takers(mail.taken))

    assert got == {f"inbox{number}.ngo": 3 if number else 1 for number in range(7)}
    assert states(here) == {State.SENT: 19, State.DEFERRED: 2}


async def test_a_full_domain_does_not_stand_in_the_way(tmp_path: Path) -> None:
    """Six hundred of one domain come first in the list; the ten behind them get theirs in the same run."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=0)
        add(here, '[channels.mail.pace.domains."full.ngo"]\nper_hour = 1\n')
        names = [f"r{n}@full.ngo" for n in range(600)] + [f"r{n}@open.ngo" for n in range(10)]
        workspace = Workspace(here)
        signups = [Signup(address=name, newsletters=("weekly",)) for name in names]
        workspace.audience.add_many(signups, now=NOW, source="test")
        workspace.release()

        await ticked(here)
        first = Counter(name.partition("@")[2] for name in takers(mail.taken))
        await ticked(here, NOW + 2 * timedelta(hours=1))
        second = Counter(name.partition("@")[2] for name in takers(mail.taken))

    assert first == {"full.ngo": 1, "open.ngo": 10}
    assert second == {"full.ngo": 2, "open.ngo": 10}
    assert states(here) == {State.SENT: 12, State.DEFERRED: 598}


async def test_an_account_that_is_asked_to_slow_down_rests_until_a_person_says_go(tmp_path: Path) -> None:
    """452: the next run waits, too; ``bot resume mail`` ends the rest."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=6)
        mail.fail("RCPT", "452 4.7.1 too fast", times=2)
        await ticked(here)
        mail.faults.clear()
        before = len(mail.taken)
        await ticked(here, NOW + timedelta(seconds=1))
        resting = len(mail.taken)
        resumed = await asyncio.to_thread(bot, "resume", "mail", workspace=here)
        await ticked(here, NOW + 6 * MINUTE)

        assert resting == before
        assert (resumed.code, resumed.out) == (0, "Resumed: mail.\n")
        assert sorted(takers(mail.taken)) == sorted(addresses(6))


# --------------------------------------------------------------------------- relays


@pytest.mark.parametrize("choice", ["order", "weight"])
async def test_a_relay_that_is_down_is_stood_in_for_by_the_next(tmp_path: Path, choice: str) -> None:
    """In the same run, and nothing is deferred; the run says so once."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, free_port(), readers=30)
        add(
            here,
            f'relay_choice = "{choice}"\n'
            f'[channels.mail.relays.second]\nhost = "localhost"\nport = {mail.port}\n',
        )

        first = await ticked(here)

        assert states(here) == {State.SENT: 30}
        assert len(mail.taken) == 30
    assert first.report is not None
    (notice,) = first.report.notices
    assert notice.startswith("mail: no mail server listens at localhost:")
    assert f"; localhost:{mail.port} stood in for localhost:" in notice
    assert first.report.problems == ()


async def test_relays_share_the_work_by_their_weight(tmp_path: Path) -> None:
    """Three connections to one and one to the other, as bot.toml says; each logs in as itself."""
    certificate = self_made_certificate(tmp_path)
    async with (
        smtp_server(certificate=certificate, users={"small": "s1"}) as first,
        smtp_server(certificate=certificate, users={"large": "l1"}) as second,
    ):
        here = mail_only(tmp_path, first.port, readers=200)
        toml = (here / "bot.toml").read_text().replace('security = "none"', 'security = "starttls"')
        (here / "bot.toml").write_text(toml)
        add(
            here,
            f'relay_choice = "weight"\nconnections = 4\nusername = "small"\nca_file = "{certificate}"\n'
            f'[channels.mail.relays.second]\nhost = "localhost"\nport = {second.port}\nweight = 3\n'
            'username = "large"\n',
        )
        with (here / ".env").open("a") as file:
            file.write("BOT_CHANNELS__MAIL__PASSWORD=s1\nBOT_CHANNELS__MAIL__RELAYS__SECOND__PASSWORD=l1\n")

        ran = await ticked(here)

        assert ran.report is not None
        assert ran.report.notices == ()
        assert len(first.taken) + len(second.taken) == 200
        assert (first.most_at_once, second.most_at_once) == (1, 3)
        assert set(first.logins) == {("small", "s1")}
        assert set(second.logins) == {("large", "l1")}


# --------------------------------------------------------------------------- cancelling


@pytest.fixture
def put_off(tmp_path: Path) -> Path:
    """An issue to six readers whose mail server is down."""
    return mail_only(tmp_path, free_port(), readers=6)


@pytest.mark.parametrize("name", ["weekly", "weekly@2026-11-27T09:00+07:00", "i1"])
async def test_a_cancelled_issue_never_goes_out(put_off: Path, name: str) -> None:
    """By any of its names; a dry run only says what would be; a second time there is nothing to cancel."""
    await ticked(put_off)
    would = await asyncio.to_thread(bot, "cancel", name, "--dry-run", workspace=put_off)
    before = states(put_off)
    did = await asyncio.to_thread(bot, "cancel", name, "--because", "wrong numbers", workspace=put_off)
    again = await asyncio.to_thread(bot, "cancel", name, workspace=put_off)

    assert would.out == "Would cancel weekly@2026-11-27T09:00+07:00: 6 letters not sent.\n"
    assert State.CANCELLED not in before
    assert did.out == "Cancelled weekly@2026-11-27T09:00+07:00: 6 letters not sent.\n"
    assert states(put_off) == {State.CANCELLED: 6}
    assert "wrong numbers" in deliveries(put_off, State.CANCELLED)[0].error
    assert (again.code, "issues on their way: none" in again.err) == (3, True)


async def test_a_run_and_the_status_say_what_is_left_and_why(put_off: Path) -> None:
    """Also where nothing was sent at all, and where a STOP file lies: by its folder's whole name."""
    await ticked(put_off)
    (put_off / "STOP").touch()
    ran = await ended(await start(put_off, NOW + HOUR, "run", "--once"))
    status = await asyncio.to_thread(bot, "status", workspace=put_off)
    doctor = await asyncio.to_thread(bot, "doctor", "--offline", workspace=put_off)
    resumed = await asyncio.to_thread(bot, "resume", workspace=put_off)

    still = f"a file called STOP lies in {put_off}"
    assert f"Not over: {ISSUE} (i1), 0 of 6 done; {still}\n" in ran.out
    assert f"On its way: {ISSUE} (i1), 0 of 6, {still}\n" in status.out
    assert f"everything stands still: {still}" in doctor.out
    assert resumed.out.startswith("Not held: everything.\nA file called STOP still lies in /")


async def test_a_persons_reason_is_told_in_full(put_off: Path) -> None:
    """Only an account's is shortened, because it is told anyway."""
    await ticked(put_off)
    why = "the numbers are wrong, because Ana mixed two tables"
    await asyncio.to_thread(bot, "hold", "weekly", "--because", why, workspace=put_off)
    status = await asyncio.to_thread(bot, "status", workspace=put_off)

    (line,) = (line for line in status.out.splitlines() if line.startswith("On its way: "))
    assert line.endswith(why)


async def test_a_run_that_sends_nothing_says_what_became_of_it(put_off: Path) -> None:
    ran = await ended(await start(put_off, NOW, "run", "--once"))

    assert re.search(r"^Done: \d deferred$", ran.out, re.MULTILINE)
    assert f"Not over: {ISSUE} (i1), 0 of 6 done\n" in ran.out
    assert "no mail server listens at localhost:" in ran.err


async def test_what_is_told_of_a_paused_account_is_told_once(put_off: Path) -> None:
    """The issue that waits for it says so in two words."""
    await ticked(put_off)
    workspace = Workspace(put_off)
    workspace.pace.pause("mail", "mail: paused, because 13 of the last 136 recipients were refused")
    workspace.release()

    status = await asyncio.to_thread(bot, "status", workspace=put_off)

    assert f"On its way: {ISSUE} (i1), 0 of 6, mail: paused\n" in status.out
    assert " ".join(status.out.split()).count("13 of the last 136") == 1


def test_a_terminal_shows_a_bar_for_each_issue() -> None:
    """How far, how fast and how long still; and why one stands still."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=140)

    with bars(console) as show:
        show("weekly", 500, 1_000, 250.0, "")
        show("daily", 10, 20, 0.0, "held by Ana: wrong numbers [sic]")

    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert re.search(r"weekly .*━.* 500 of 1,000\s+250 a second, 0:00:02 left", said)
    assert re.search(r"daily .*━.* 10 of 20\s+held by Ana: wrong numbers \[sic\]\s*$", said)


def test_a_narrow_terminal_shows_the_words_whole() -> None:
    """Rather than a bar that cuts them off; on two lines where one is not enough."""
    wide, narrow = io.StringIO(), io.StringIO()

    for screen, width in ((wide, 70), (narrow, 48)):
        with bars(Console(file=screen, force_terminal=True, width=width)) as show:
            show(ISSUE, 739, 5_000, 50.0, "")

    assert f"{ISSUE} 739 of 5,000 50 a second, 0:01:25 left" in wide.getvalue()
    assert "739 of 5,000" in narrow.getvalue()
    assert "…" not in narrow.getvalue()


async def test_watching_says_why_an_issue_stands_still(put_off: Path) -> None:
    """A hold with its reason; on it goes, and it is a rate again."""
    await ticked(put_off)
    await asyncio.to_thread(bot, "hold", "mail", "--because", "wrong numbers", workspace=put_off)
    watching = await start(put_off, NOW, "status", "--watch")
    assert watching.stdout is not None
    held = await asyncio.wait_for(watching.stdout.readline(), 60)
    await asyncio.to_thread(bot, "resume", "mail", workspace=put_off)
    async with asyncio.timeout(60):
        while b"a second" not in await watching.stdout.readline():
            pass
    await asyncio.to_thread(bot, "cancel", "weekly", workspace=put_off)

    assert held.startswith(b"weekly@2026-11-27T09:00+07:00: 0 of 6, held by ")
    assert held.endswith(b": wrong numbers\n")
    assert (await ended(watching)).code == 0


async def test_watching_ends_when_nothing_is_open(tmp_path: Path) -> None:
    """It says so, and shows the counts."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=3)
        await ticked(here)

    watched = await asyncio.to_thread(bot, "status", "--watch", workspace=here)

    assert watched.out.startswith("No issue is on its way, so there is nothing to follow.\n")
    assert (watched.code, "mail" in watched.out) == (0, True)


async def test_watching_follows_an_issue_that_is_on_its_way(put_off: Path) -> None:
    """Line by line where there is no terminal; it ends when a person cancels what is left."""
    await ticked(put_off)
    watching = await start(put_off, NOW, "status", "--watch")
    assert watching.stdout is not None
    first = await asyncio.wait_for(watching.stdout.readline(), 60)
    await asyncio.to_thread(bot, "cancel", "weekly", workspace=put_off)

    ran = await ended(watching)

    assert first == b"weekly@2026-11-27T09:00+07:00: 0 of 6\n"
    assert ran.code == 0, ran.err
    assert re.search(r"^weekly\S+: 6 of 6, cancelled by \S+ \(6 cancelled\)$", ran.out, re.MULTILINE)
