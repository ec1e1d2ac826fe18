"""What strangers write to the bounce address: they remove nobody and hold nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from sqlalchemy import delete

from bot.app.bounces import Readings, read_bounces
from bot.app.doctor import examine
from bot.app.status import status
from bot.app.unsigned import unsigned_reports
from bot.app.workspace import Workspace
from bot.audience.bounces.blaming import Blamed, is_enough
from bot.audience.bounces.boxes import Maildir, make_maildir
from bot.audience.bounces.deciding import most_unsigned
from bot.store.engine import writing
from bot.store.schema import subscriber
from tests.support.bounces import complaint, dsn
from tests.support.commands import bot
from tests.support.live_workspace import NOW, addresses, mail_only
from tests.support.mailed import mailed, subscribed_at

BOX = '\n[bounces]\nmaildir = "bounced"\n'
UNKNOWN = "550 5.1.1 <x@inbox.ngo>: Recipient address rejected: User unknown"
BLOCKED = "550 5.7.1 Message rejected as spam"
FULL = "552 5.2.2 Mailbox full"
LONG_AGO = NOW - timedelta(days=200)


class List:
    """A list of readers who have been there for long, some issues on, with a Maildir for what comes back."""

    def __init__(self, folder: Path, readers: int, *, signs: bool, url: str = "") -> None:
        here = mail_only(folder, 25, readers=0)
        with (here / ".env").open("a") as file:
            file.write(f"BOT_DATABASE_URL={url}\n" if url else "")
        with (here / "bot.toml").open("a") as toml:
            toml.write(BOX + ('address = "bounce@news.shelf.ngo"\n' if signs else ""))
        self.here, self.box, self._put = Workspace(here), here / "bounced", 0
        make_maildir(self.box)
        self.subscribe(addresses(readers), LONG_AGO)

    def subscribe(self, who: Sequence[str], at: datetime) -> list[str]:
        """Their ids."""
        for address in who:
            self.here.audience.add(address, "", "", ["weekly"], at, "test")
        found = [reader.id for address in who if (reader := self.here.audience.find(address))]
        subscribed_at(self.here, at, found)
        return found

    def ids(self, count: int) -> list[str]:
        return [reader.id for a in addresses(count) if (reader := self.here.audience.find(a))]

    def path(self, reader: str) -> str:
        assert self.here.return_paths is not None
        return self.here.return_paths.of(reader)

    def arrive(self, *mails: bytes, day: float) -> Readings:
        """These mails are there and read on that day."""
        for raw in mails:
            self._put += 1
            (self.box / "new" / str(self._put)).write_bytes(raw)
        return read_bounces(self.here, Maildir(self.box), now=NOW + timedelta(days=day))

    def count(self) -> int:
        return self.here.audience.count("weekly")

    def held(self) -> bool:
        return "mail" in self.here.ledger.holds()


@pytest.fixture
def unsigned(tmp_path: Path, store_url: str) -> Iterator[List]:
    """Twelve readers; no bounce address, so that no report can be signed."""
    made = List(tmp_path, 12, signs=False, url=store_url)
    yield made
    made.here.release()


@pytest.fixture
def signed(tmp_path: Path) -> Iterator[List]:
    """A hundred readers and a bounce address."""
    made = List(tmp_path, 100, signs=True)
    yield made
    made.here.release()


def about(who: Sequence[str], date: datetime | None = None, *, text: str = "") -> bytes:
    """One report that names all of them as dead, with whatever date."""
    raw = dsn(UNKNOWN, "5.1.1", recipient=who[0], text=text)
    block = b"".join(
        b"\nFinal-Recipient: rfc822; %s\nAction: failed\nStatus: 5.1.1\n" % a.encode() for a in who[1:]
    )
    original = b"\n--b\nContent-Type: message/rfc822"
    return (f"Date: {format_datetime(date)}\n".encode() if date else b"") + raw.replace(
        original, block + original, 1
    )


# --------------------------------------------------------------------------- without a token


def test_two_forged_reports_with_different_dates_remove_nobody_where_reports_are_signed(signed: List) -> None:
    """With a bounce address they are listed and nothing else."""
    mailed(signed.here, 1, NOW - timedelta(days=7))
    mailed(signed.here, 2, NOW)
    who = addresses(3)
    for day in range(1, 9):
        found = signed.arrive(about(who, NOW - timedelta(days=9 - day)), day=day)

    assert (signed.count(), found.unsigned, dict(found.stopped)) == (100, 3, {})
    assert len(unsigned_reports(signed.here, NOW + timedelta(days=9))) == 8 * 3


def test_forged_dates_make_two_issues_of_nothing(unsigned: List) -> None:
    """Two mails at once, each with the date of another issue: it is the day of their arrival that counts."""
    mailed(unsigned.here, 1, NOW - timedelta(days=7))
    mailed(unsigned.here, 2, NOW)
    forged = [about([addresses(1)[0]], NOW - timedelta(days=age)) for age in (6, 0)]

    found = unsigned.arrive(*forged, day=1)

    assert (unsigned.count(), found.unsigned, found.again) == (12, 1, 1)


async def test_two_mails_never_empty_a_list_of_twelve(unsigned: List) -> None:
    """They are about everybody and come after two issues: nobody goes, and the organiser is told."""
    mailed(unsigned.here, 1, NOW)
    unsigned.arrive(about(addresses(12)), day=1)
    mailed(unsigned.here, 2, NOW + timedelta(days=7))

    found = unsigned.arrive(about(addresses(12), text="again"), day=8)

    assert (unsigned.count(), dict(found.stopped)) == (12, {})
    (problem,) = found.problems
    assert "12 readers cannot be reached, more than the 2 a day" in problem
    assert "bot bounces --unsigned" in problem


async def test_whom_too_many_unsigned_reports_are_about_is_told_by_every_command(unsigned: List) -> None:
    """`bot status`, `bot doctor` and `bot bounces --unsigned` say the same."""
    today = datetime.now(NOW.tzinfo)
    age = (today - NOW).total_seconds() / 86_400
    mailed(unsigned.here, 1, today - timedelta(days=9))
    unsigned.arrive(about(addresses(12)), day=age - 8)
    mailed(unsigned.here, 2, today - timedelta(days=2))
    unsigned.arrive(about(addresses(12), text="again"), day=age - 1)

    asked = status(unsigned.here, state=None, channel=None, limit=1)
    findings = (await examine(unsigned.here, offline=True)).findings
    unsigned.here.release()
    listed = bot("bounces", "--unsigned", workspace=unsigned.here.root)

    assert "12 readers cannot be reached" in asked.unsigned[0]
    assert any("12 readers cannot be reached" in finding.message for finding in findings)
    assert all(address in listed.out for address in addresses(12))


def test_a_genuine_dead_address_goes_after_two_issues_also_without_signatures(unsigned: List) -> None:
    mailed(unsigned.here, 1, NOW)
    first = unsigned.arrive(about(addresses(1)), day=1)
    mailed(unsigned.here, 2, NOW + timedelta(days=7))
    second = unsigned.arrive(about(addresses(1), text="again"), day=8)

    reason = "the address does not exist, said after 2 issues, by reports that are not signed"
    assert (dict(first.stopped), dict(second.stopped)) == ({}, {reason: 1})
    assert unsigned.count() == 11


def test_one_mail_for_each_reader_removes_two_a_day_and_no_more(unsigned: List) -> None:
    """As a pipe brings them, one by one."""
    mailed(unsigned.here, 1, NOW)
    for address in addresses(12):
        unsigned.arrive(about([address]), day=1)
    mailed(unsigned.here, 2, NOW + timedelta(days=7))
    for address in addresses(12):
        unsigned.arrive(about([address], text="again"), day=8)

    assert unsigned.count() == 10


def test_unsigned_reports_may_remove_two_a_day_or_a_hundredth_of_the_list() -> None:
    assert [most_unsigned(readers) for readers in (0, 12, 299, 1_000, 50_000)] == [2, 2, 2, 10, 500]


def test_the_same_unsigned_report_again_is_no_second_report(unsigned: List) -> None:
    """Byte for byte, after the next issue, too."""
    mailed(unsigned.here, 1, NOW)
    unsigned.arrive(about(addresses(1)), day=1)
    mailed(unsigned.here, 2, NOW + timedelta(days=7))

    found = unsigned.arrive(about(addresses(1)), day=8)

    assert (found.again, unsigned.count()) == (1, 12)


# --------------------------------------------------------------------------- with tokens of their own


def blocked(to: str, text: str = "") -> bytes:
    return dsn(BLOCKED, "5.7.1", to=to, text=text)


@pytest.mark.parametrize("age", [1, 100])
def test_sock_puppets_cannot_hold_the_newsletter(signed: List, age: int) -> None:
    """Eight own addresses among a hundred readers, new ones or patient ones, each with many reports."""
    puppets = signed.subscribe([f"p{n}@puppets.ngo" for n in range(8)], NOW - timedelta(days=age))
    mailed(signed.here, 1, NOW)

    found = signed.arrive(*(blocked(signed.path(p), str(n)) for p in puppets for n in range(5)), day=1)

    assert not signed.held()
    assert "8 readers blamed us" in found.problems[0]


def test_a_crowd_of_new_sock_puppets_cannot_hold_the_newsletter(signed: List) -> None:
    """Sixty who subscribed last week, beside a hundred readers."""
    puppets = signed.subscribe([f"p{n}@puppets.ngo" for n in range(60)], NOW - timedelta(days=7))
    mailed(signed.here, 1, NOW)

    signed.arrive(*(blocked(signed.path(p)) for p in puppets), day=1)

    assert not signed.held()


def test_a_provider_that_refuses_us_holds_the_newsletter_once(signed: List) -> None:
    """Fourteen of a hundred readers; after `bot resume` the same readers are heard no more."""
    mailed(signed.here, 1, NOW)
    readers = signed.ids(14)

    first = signed.arrive(*(blocked(signed.path(r)) for r in readers), day=1)
    held = signed.held()
    signed.here.ledger.release("mail")
    mailed(signed.here, 2, NOW + timedelta(days=7))
    signed.arrive(*(blocked(signed.path(r), "again") for r in readers), day=8)

    assert held
    assert "mail is held" in first.problems[0]
    assert not signed.held()


def test_a_new_list_that_half_the_world_refuses_is_held() -> None:
    """Nobody has been there for long, and it is no stranger's doing."""
    assert is_enough(Blamed(readers=50, settled=0, written_to=100, settled_written_to=0))
    assert not is_enough(Blamed(readers=49, settled=0, written_to=100, settled_written_to=0))
    assert not is_enough(Blamed(readers=4, settled=4, written_to=4, settled_written_to=4))


def test_complaints_of_new_sock_puppets_stop_their_own_mail_and_nothing_else(signed: List) -> None:
    puppets = signed.subscribe([f"p{n}@puppets.ngo" for n in range(20)], NOW - timedelta(days=1))
    mailed(signed.here, 1, NOW)

    found = signed.arrive(
        *(complaint(fields=f"Original-Mail-From: {signed.path(p)}\n") for p in puppets), day=1
    )

    assert (dict(found.stopped), found.problems) == ({"complained": 20}, ())
    assert signed.here.pace.halts() == []
    assert signed.count() == 100


def test_a_token_of_one_reader_says_nothing_about_another(signed: List) -> None:
    """The report names somebody else's address; it is the token's reader whom it is about."""
    (puppet,) = signed.subscribe(["p@puppets.ngo"], LONG_AGO)
    mailed(signed.here, 1, NOW)

    signed.arrive(dsn(UNKNOWN, "5.1.1", to=signed.path(puppet), recipient=addresses(1)[0]), day=1)

    assert signed.here.audience.find(addresses(1)[0])
    assert signed.here.audience.find("p@puppets.ngo") is None


def test_a_replayed_report_says_nothing_about_who_signed_up_again(signed: List) -> None:
    """Their old token is of a subscription that is over."""
    mailed(signed.here, 1, NOW)
    (reader,) = signed.subscribe(["ann@inbox.ngo"], LONG_AGO)
    raw = complaint(fields=f"Original-Mail-From: {signed.path(reader)}\n")
    with writing(signed.here.engine) as connection:  # they left and signed up again: a reader of another id
        connection.execute(delete(subscriber).where(subscriber.c.id == reader))
    signed.subscribe(["ann@inbox.ngo"], NOW)

    found = signed.arrive(raw, day=1)

    assert (found.strangers, signed.count()) == (1, 101)


def test_one_reader_who_reports_each_issue_as_returned_weighs_once(signed: List) -> None:
    """Full again and again: the pace of the account hears of it once."""
    (reader,) = signed.ids(1)
    for week in range(3):
        mailed(signed.here, week + 1, NOW + timedelta(days=7 * week))
        signed.arrive(dsn(FULL, "5.2.2", to=signed.path(reader), text=str(week)), day=7 * week + 1)

    assert signed.here.pace.accounts()["mail"].returned == 1
