"""What the ledger says went out: nothing planned, held back, failed or cancelled; everything else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine

from bot.errors import PermanentFailure
from bot.model import Receipt, Recipient
from bot.store.engine import open_store
from bot.store.ledger import Ledger
from bot.store.mailing import Mailings
from bot.store.published import PublishedIssue, PublishedPost, mark_of, read_published
from tests.support.ledgers import NOW, WORDS, issue, post, readers

LATER = NOW + timedelta(minutes=5)
READERS = [Recipient(id=f"{n:032x}", address=f"r{n}@example.org") for n in range(3)]


def mailings(engine: Engine, mode: str = "live") -> Mailings:
    return Mailings(engine, mode=mode, publication="p", samples=READERS)


def ledger(engine: Engine) -> Ledger:
    return Ledger(engine, mode="live", publication="p")


def send(of: Mailings, engine: Engine, *, failing: bool = False) -> None:
    """Every letter of every open issue gets an outcome."""
    book = Ledger(engine, mode=of.mode, publication="p")
    for delivery in book.deliveries():
        claimed = replace(delivery, attempts=1)
        if failing:
            book.revise(claimed.failed(PermanentFailure("no"), LATER), was=delivery.state)
        else:
            book.revise(claimed.sent(Receipt(remote_id="250"), LATER), was=delivery.state)


def test_an_issue_is_out_when_its_first_reader_has_it(any_store: Engine) -> None:
    """Its link stands in that reader's mail. The items come in the order of print."""
    of = mailings(any_store)
    of.record_issue(issue(items=("ports", "boats", "anchors")), {"": WORDS}, "mail", NOW, READERS)
    before = read_published(any_store, "live"), mark_of(any_store, "live")

    first, *_ = ledger(any_store).deliveries()
    ledger(any_store).revise(first.claimed(NOW).sent(Receipt(remote_id="250"), LATER), was=first.state)

    after = read_published(any_store, "live")
    assert before[0].issues == ()
    assert after.issues == (
        PublishedIssue(newsletter="weekly", number=1, slot=NOW, items=("ports", "boats", "anchors")),
    )
    assert mark_of(any_store, "live") != before[1]


def test_an_issue_that_nobody_got_is_not_out(any_store: Engine) -> None:
    """Recorded and cancelled, or refused for every reader."""
    of = mailings(any_store)
    of.record_issue(issue(1, items=("ports",)), {"": WORDS}, "mail", NOW, READERS)
    send(of, any_store, failing=True)
    of.record_issue(issue(2, items=("boats",)), {"": WORDS}, "mail", NOW, READERS)

    assert read_published(any_store, "live").issues == ()


def test_an_issue_without_readers_is_out_when_it_is_done(any_store: Engine) -> None:
    """A group that begins with the web alone still has its archive."""
    mailings(any_store).record_issue(issue(), {"": WORDS}, "mail", NOW, [])

    assert [each.number for each in read_published(any_store, "live").issues] == [1]


def test_an_issue_that_went_out_in_single_deliveries_is_out_with_the_first(any_store: Engine) -> None:
    """The older way of recording an issue counts the same."""
    book = ledger(any_store)
    book.record_issue(issue(), {"": WORDS}, readers(2), "mail", NOW)
    before = read_published(any_store, "live").issues

    (first, _) = book.take("mail", NOW, 2)
    book.settle(first.sent(Receipt(remote_id="250"), LATER))

    assert before == ()
    assert [each.number for each in read_published(any_store, "live").issues] == [1]


def test_a_post_is_out_when_it_was_sent(any_store: Engine) -> None:
    """Planned, deferred and failed ones are not."""
    book = ledger(any_store)
    for name, minutes in (("ports", 0), ("boats", 1), ("anchors", 2)):
        book.record_post(
            post(name, channel="social", slot=NOW + timedelta(minutes=minutes)), WORDS, "social", NOW
        )
    ports, boats = book.take("social", NOW + timedelta(minutes=1), 2)
    book.settle(ports.sent(Receipt(remote_id="7", url="https://social.example/7"), LATER))
    book.settle(boats.failed(PermanentFailure("no"), LATER))

    assert read_published(any_store, "live").posts == (
        PublishedPost(item="ports", channel="social", at=LATER, url="https://social.example/7"),
    )


def test_a_rehearsal_is_not_out_in_live(any_store: Engine) -> None:
    """And the other way round."""
    rehearsal = mailings(any_store, "rehearsal")
    rehearsal.record_issue(issue(), {"": WORDS}, "mail", NOW, READERS)
    send(rehearsal, any_store)

    assert read_published(any_store, "live").issues == ()
    assert len(read_published(any_store, "rehearsal").issues) == 1


def test_an_older_database_keeps_the_order_of_its_issues(tmp_path: Path) -> None:
    """Before revision 0003 the order was that of the rows."""
    path = tmp_path / "ledger.sqlite3"
    engine = open_store(f"sqlite:///{path}")
    mailings(engine).record_issue(issue(items=("ports", "boats", "anchors")), {"": WORDS}, "mail", NOW, [])
    engine.dispose()
    with closing(sqlite3.connect(path)) as old:
        old.executescript(
            "alter table printed rename to new_one;"
            "create table printed (mode text not null, newsletter text not null, item text not null,"
            " subject text not null, constraint pk_printed primary key (mode, newsletter, item));"
            "insert into printed select mode, newsletter, item, subject from new_one order by place;"
            "drop table new_one; alter table signup drop column mailed_at;"
            "update alembic_version set version_num = '0002'"
        )

    engine = open_store(f"sqlite:///{path}")
    (found,) = read_published(engine, "live").issues
    engine.dispose()

    assert found.items == ("ports", "boats", "anchors")
