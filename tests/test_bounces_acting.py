"""What comes back is read, noted once, and acted on; on both databases, and from a Maildir and a pipe."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.app.bounces import Readings, read_bounces, report, sweep_refusals
from bot.app.publish import tick
from bot.app.workspace import Workspace
from bot.audience.bounces.blaming import FAULTS
from bot.audience.bounces.boxes import Maildir, make_maildir
from bot.audience.tokens import unsubscribe_token
from bot.errors import AudienceError
from tests.support.bounces import complaint, dsn, plain
from tests.support.commands import bot
from tests.support.live_workspace import NOW, ROOT, addresses, mail_only
from tests.support.mailed import mailed
from tests.support.smtp_server import smtp_server

BOUNCES = '\n[bounces]\naddress = "bounce@news.shelf.ngo"\nmaildir = "bounced"\n'
FULL = "552 5.2.2 Mailbox full"
UNKNOWN = "550 5.1.1 <x@inbox.ngo>: Recipient address rejected: User unknown"


class Post:
    """A live workspace whose bounces lie in a Maildir."""

    def __init__(self, here: Path) -> None:
        self.here = Workspace(here)
        self.box = here / "bounced"
        make_maildir(self.box)

    def id(self, number: int) -> str:
        found = self.here.audience.find(addresses(number + 1)[number])
        assert found is not None
        return found.id

    def path(self, number: int) -> str:
        """The return path of that reader."""
        assert self.here.return_paths is not None
        return self.here.return_paths.of(self.id(number))

    def put(self, raw: bytes, name: str = "1") -> Path:
        path = self.box / "new" / name
        path.write_bytes(raw)
        return path

    def read(self, *, days: float = 0, dry_run: bool = False) -> Readings:
        now = NOW + timedelta(days=days)
        return read_bounces(self.here, Maildir(self.box), now=now, dry_run=dry_run)

    def reads(self, number: int) -> bool:
        return self.here.audience.find(addresses(number + 1)[number]) is not None

    def done(self) -> list[str]:
        folder = self.box / ".Bounces" / "cur"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.fixture
def post(tmp_path: Path, store_url: str) -> Iterator[Post]:
    here = mail_only(tmp_path, 25, readers=0)
    with (here / ".env").open("a") as file:
        file.write(f"BOT_DATABASE_URL={store_url}\n")
    with (here / "bot.toml").open("a") as toml:
        toml.write(BOUNCES)
    post = Post(here)
    for address in addresses(8):
        post.here.audience.add(address, "", "", ["weekly"], NOW, "test")
    yield post
    post.here.release()


# --------------------------------------------------------------------------- reading


def test_a_dead_address_is_written_to_no_longer(post: Post) -> None:
    post.put(dsn(UNKNOWN, "5.1.1", to=post.path(0)))

    found = post.read()

    assert dict(found.kinds) == {"dead": 1}
    assert dict(found.stopped) == {"the address does not exist": 1}
    assert not post.reads(0)
    assert post.reads(1)
    assert post.done() == ["1:2,S"]
    with pytest.raises(AudienceError, match="bounce: the address does not exist"):
        post.here.audience.add(addresses(1)[0], "", "", ["weekly"], NOW, "a list")


def test_the_token_says_who_it_was_whatever_address_the_report_names(post: Post) -> None:
    """The mail was forwarded to an address that we do not know; or the report lies."""
    post.put(dsn(UNKNOWN, "5.1.1", to=post.path(0), recipient=addresses(2)[1]))

    post.read()

    assert (post.reads(0), post.reads(1)) == (False, True)


def test_who_is_still_reached_at_one_of_two_addresses_stays(post: Post) -> None:
    """Their mail goes on to two mailboxes: one is full, the other one is gone."""
    both = dsn("552 5.2.2 Mailbox full", "5.2.2", to=post.path(0), recipient="one@home.example")
    gone = b"Final-Recipient: rfc822; two@work.example\nAction: failed\nStatus: 5.1.1\n"
    original = b"\n--b\nContent-Type: message/rfc822"
    post.put(both.replace(original, b"\n" + gone + original, 1))

    assert dict(post.read().kinds) == {"full": 1}
    assert post.reads(0)


def test_a_forged_token_is_ignored(post: Post) -> None:
    before = post.path(0)
    forged = before.replace("bounce+", "bounce+a", 1)[:-1] + before[-1]
    post.put(dsn(UNKNOWN, "5.1.1", to=forged.replace("bounce+a", "bounce+b"), recipient="a@nobody.example"))

    found = post.read()

    assert (found.strangers, dict(found.stopped)) == (1, {})
    assert post.reads(0)


def test_an_address_without_a_token_is_worth_no_more_than_words(post: Post) -> None:
    """Anybody can write such a mail: one is not enough, whatever code stands in it."""
    post.put(dsn(UNKNOWN, "5.1.1", recipient=addresses(1)[0]))

    assert dict(post.read().kinds) == {"dead": 1}
    assert post.reads(0)


def test_a_complaint_is_heard_at_once(post: Post) -> None:
    post.put(complaint(fields=f"Original-Mail-From: {post.path(0)}\n"))

    assert dict(post.read().stopped) == {"complained": 1}
    assert not post.reads(0)


def test_a_complaint_is_known_by_the_link_in_the_returned_mail(post: Post) -> None:
    """Feedback loops strike out addresses; our signed link stays."""
    token = unsubscribe_token(post.here.settings.signing_keys, subscriber=post.id(0), newsletter="weekly")
    link = f"List-Unsubscribe: <https://news.shelf.ngo/u/weekly/{token}>\nSubject: The mailbox"
    post.put(complaint(fields="").replace(b"Subject: The mailbox", link.encode()))

    post.read()

    assert not post.reads(0)


def test_a_complaint_without_a_token_is_left_to_a_person(post: Post) -> None:
    path = post.put(complaint(fields=f"Original-Rcpt-To: {addresses(1)[0]}\n"))

    found = post.read()

    assert post.reads(0)
    assert path.exists()
    assert "complaints" in found.problems[0]


def test_autoreplies_and_mail_of_people_stay_where_they_are(post: Post) -> None:
    away = plain(
        "I am away.", subject="Away", sender="a@b.ngo", fields="Auto-Submitted: auto-replied\n", copy=""
    )
    person = plain("Where is my issue?", subject="A question", sender="a@b.ngo", copy="")
    paths = [post.put(away, "1"), post.put(person, "2"), post.put(dsn(FULL, "5.2.2", to=post.path(0)), "3")]

    found = post.read()

    assert (found.mails, found.left, dict(found.kinds)) == (3, 2, {"full": 1})
    assert [path.exists() for path in paths] == [True, True, False]
    assert paths[0].read_bytes() == away


def test_a_delay_is_moved_away_and_counts_for_nothing(post: Post) -> None:
    post.put(dsn("connect timed out", "4.4.1", action="delayed", to=post.path(0)))

    assert dict(post.read().kinds) == {"notice": 1}
    assert post.here.bounces.history(post.id(0)) == []
    assert len(post.done()) == 1


def test_after_a_crash_the_same_mail_counts_once(post: Post) -> None:
    """It was noted, and the program died before the mail was moved."""
    raw = dsn(FULL, "5.2.2", to=post.path(0))
    post.put(raw)
    post.read()
    post.put(raw)

    found = post.read()

    assert (found.again, dict(found.kinds)) == (1, {})
    assert len(post.here.bounces.history(post.id(0))) == 1


def test_after_a_crash_the_decision_is_made_up_for(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was noted, and the program died before the reader was stopped."""

    def killed(*_: object, **__: object) -> bool:
        raise KeyboardInterrupt

    post.put(dsn(UNKNOWN, "5.1.1", to=post.path(0)))
    with monkeypatch.context() as patch:
        patch.setattr(post.here.bounces, "suppress", killed)
        with pytest.raises(KeyboardInterrupt):
            post.read()
    assert post.reads(0)

    post.read()

    assert not post.reads(0)


def test_a_dry_run_changes_nothing_and_says_the_same(post: Post) -> None:
    path = post.put(dsn(UNKNOWN, "5.1.1", to=post.path(0)))

    would = post.read(dry_run=True)

    assert path.exists()
    assert post.reads(0)
    assert post.here.bounces.history(post.id(0)) == []
    assert post.read() == would


def test_no_address_gets_into_the_database(post: Post) -> None:
    said = f"550 5.2.1 <{addresses(1)[0]}>: reader0 is disabled, write to postmaster@inbox0.ngo"
    post.put(dsn(said, "5.2.1", to=post.path(0), recipient=addresses(1)[0]))

    post.read()

    (noted,) = post.here.bounces.history(post.id(0))
    assert "disabled" in noted.said
    assert "@" not in noted.said
    assert "reader0" not in noted.said


def test_an_unreadable_date_is_the_time_of_reading(post: Post) -> None:
    for number, date in enumerate(
        [b"Date: never\n", b"Date: Thu, 01 Jan 1970 00:00:00 +0000\n", b"Date: \xff\n"]
    ):
        post.put(date + dsn(FULL, "5.2.2", to=post.path(0)), str(number))

    post.read()

    times = [bounce.at for bounce in post.here.bounces.history(post.id(0))]
    assert sorted(times) == [NOW - timedelta(days=60), NOW, NOW]


# --------------------------------------------------------------------------- acting


def test_what_is_our_fault_stops_the_channel_and_no_reader(post: Post) -> None:
    mailed(post.here, 1, NOW - timedelta(hours=1))
    said = "550 5.7.26 Unauthenticated email from news.shelf.ngo is not accepted due to DMARC policy"
    for number in range(FAULTS - 1):
        post.put(dsn(said, "5.7.26", to=post.path(number)), str(number))
    few = post.read()
    assert "mail" not in post.here.ledger.holds()
    assert "4 readers" in few.problems[0]

    post.put(dsn(said, "5.7.26", to=post.path(5)), "last")
    enough = post.read()

    assert "5.7.26" in post.here.ledger.holds()["mail"]
    assert "bot resume" in enough.problems[0]
    assert all(post.reads(number) for number in range(8))
    assert report(post.here, now=NOW + timedelta(minutes=1)).faults == FAULTS


def test_words_of_anybody_hold_nothing(post: Post) -> None:
    """Whoever knows the addresses of five readers can write such reports; they are only noted."""
    for number, address in enumerate(addresses(FAULTS)):
        post.put(dsn("550 5.7.1 Message rejected as spam", "5.7.1", recipient=address), str(number))

    found = post.read()

    assert (found.kinds, found.problems) == ({"sender": FAULTS}, ())
    assert post.here.ledger.holds() == {}
    assert report(post.here, now=NOW).faults == 0


def test_a_channel_that_was_released_is_not_held_again_by_the_same_mails(post: Post) -> None:
    mailed(post.here, 1, NOW - timedelta(hours=1))
    for number in range(FAULTS):
        post.put(dsn("550 5.7.1 Message rejected as spam", "5.7.1", to=post.path(number)), str(number))
    post.read()
    assert "mail" in post.here.ledger.holds()
    post.here.ledger.release("mail")

    post.read()

    assert "mail" not in post.here.ledger.holds()


def test_the_report_is_made_of_sums(post: Post) -> None:
    post.put(dsn(UNKNOWN, "5.1.1", to=post.path(0)), "1")
    post.put(dsn(FULL, "5.2.2", to=post.path(1)), "2")
    post.put(dsn(FULL, "5.2.2", to=post.path(2)), "3")
    post.read()

    found = report(post.here, now=NOW + timedelta(days=1))

    assert [(r.kind, r.code, r.readers) for r in found.returned] == [
        ("full", "5.2.2", 2),
        ("dead", "5.1.1", 1),
    ]
    assert dict(found.stopped) == {"bounce: the address does not exist": 1}


# --------------------------------------------------------------------------- refusals while we are sending


async def test_a_recipient_that_the_server_refuses_counts_too(tmp_path: Path) -> None:
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=3)
        mail.fail("RCPT", "550 5.1.1 no such user")
        mail.fail("RCPT", "550 5.2.1 mailbox disabled")
        workspace = Workspace(here)
        await tick(workspace, NOW)

        first = sweep_refusals(workspace, now=NOW + timedelta(minutes=1))
        second = sweep_refusals(workspace, now=NOW + timedelta(minutes=2))
        left = workspace.audience.count("weekly")
        await workspace.close()
        workspace.release()

    assert dict(first.stopped) == {"the address does not exist": 1}
    assert dict(first.kinds) == {"dead": 1, "full": 1}
    assert dict(second.kinds) == {}
    assert left == 2


async def test_what_a_server_says_of_our_own_domain_costs_no_reader(tmp_path: Path) -> None:
    """Also where it says it when the recipient is named."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=3)
        mail.fail("RCPT", "550 5.1.2 Domain news.shelf.ngo does not exist")
        workspace = Workspace(here)
        await tick(workspace, NOW)

        found = sweep_refusals(workspace, now=NOW + timedelta(minutes=1))
        left = workspace.audience.count("weekly")
        await workspace.close()
        workspace.release()

    assert dict(found.kinds) == {"sender": 1}
    assert (dict(found.stopped), left) == ({}, 3)


# --------------------------------------------------------------------------- the command


def test_the_command_reads_the_maildir_of_bot_toml(post: Post) -> None:
    post.put(dsn(UNKNOWN, "5.1.1", to=post.path(0)))
    post.here.release()

    would = bot("bounces", "--dry-run", workspace=post.here.root)
    ran = bot("bounces", workspace=post.here.root)
    told = bot("bounces", "--report", workspace=post.here.root)

    assert (would.code, ran.code) == (0, 0), ran.err
    assert "Would stop writing to 1 reader: the address does not exist" in would.out
    assert "Stopped writing to 1 reader: the address does not exist" in ran.out
    assert "5.1.1" in told.out
    assert addresses(1)[0] not in would.out + ran.out + told.out


def test_a_workspace_without_a_mailbox_says_what_to_do(tmp_path: Path) -> None:
    ran = bot("bounces", workspace=mail_only(tmp_path, 25, readers=0))

    assert ran.code == 3
    assert "imap_host or maildir" in ran.err


@pytest.mark.parametrize(
    "address", ["bounce+x@news.shelf.ngo", "a-very-long-name-of-a-bounce-mailbox@news.shelf.ngo"]
)
def test_a_bounce_address_that_cannot_carry_a_token_is_told(tmp_path: Path, address: str) -> None:
    here = mail_only(tmp_path, 25, readers=0)
    with (here / "bot.toml").open("a") as toml:
        toml.write(f'\n[bounces]\naddress = "{address}"\n')

    ran = bot("bounces", workspace=here)

    assert ran.code == 3
    assert "bounces.address" in ran.err


def piped(here: Path, raw: bytes) -> tuple[int, str]:
    """As a mail server hands it over."""
    done = subprocess.run(
        [sys.executable, "-m", "bot", "--workspace", str(here), "bounces", "--stdin"],
        input=raw,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
    )
    return done.returncode, (done.stdout + done.stderr).decode()


def test_a_pipe_takes_one_mail(post: Post) -> None:
    code, said = piped(post.here.root, dsn(UNKNOWN, "5.1.1", to=post.path(0)))

    assert (code, said) == (0, "")
    assert not post.reads(0)


def test_a_pipe_keeps_what_it_does_not_understand(post: Post) -> None:
    """A mail server that was told 0 forgets the mail: nothing may be lost."""
    raw = plain("Where is my issue?", subject="A question", sender="a@b.ngo", copy="")

    code, _ = piped(post.here.root, raw)

    (kept,) = (post.box / "new").iterdir()
    assert code == 0
    assert kept.read_bytes() == raw


@pytest.mark.parametrize(
    ("name", "value"),
    [("BOT_DATABASE_URL", "postgresql://nobody@/none?host=/nonexistent"), ("BOT_MODE", "rehearsal")],
)
def test_a_pipe_that_cannot_work_now_says_try_again_later(tmp_path: Path, name: str, value: str) -> None:
    """75: Postfix keeps the mail in its queue."""
    here = mail_only(tmp_path, 25, readers=1)
    with (here / ".env").open("a") as file:
        file.write(f"{name}={value}\n")

    code, said = piped(here, dsn(UNKNOWN, "5.1.1"))

    assert code == 75
    assert "Traceback" not in said


def test_a_pipe_into_no_workspace_says_try_again_later(tmp_path: Path) -> None:
    assert piped(tmp_path, dsn())[0] == 75


# --------------------------------------------------------------------------- beside the sending


async def test_a_running_bot_looks_by_itself(post: Post) -> None:
    from bot.app.attending import attend_until_stopped

    post.put(dsn(UNKNOWN, "5.1.1", to=post.path(0)))
    stop = asyncio.Event()
    looking = asyncio.create_task(attend_until_stopped(post.here, stop))
    async with asyncio.timeout(30):
        while not post.done():  # noqa: ASYNC110 - a Maildir has no bell to ring
            await asyncio.sleep(0.01)
    stop.set()
    await looking

    assert not post.reads(0)
