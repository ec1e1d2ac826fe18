"""What the ledger says went out: nothing planned, held back, failed or cancelled; everything else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Engine, create_engine, text

from bot.errors import PermanentFailure
from bot.model import Receipt, Recipient
from bot.store import upgrade
from bot.store.engine import open_store
from bot.store.ledger import Ledger
from bot.store.mailing import Mailings
from bot.store.published import PublishedIssue, PublishedPost, mark_of, read_published
from tests.support.ledgers import NOW, WORDS, issue, post
from tests.support.postgres import Cluster

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
    ledger(any_store).revise(first.sent(Receipt(remote_id="250"), LATER), was=first.state)

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


def test_an_older_sqlite_keeps_the_order_of_its_issues(tmp_path: Path) -> None:
    """Before revision 0003 the order was that of the rows."""
    assert order_after_upgrade(f"sqlite:///{tmp_path / 'ledger.sqlite3'}") == ("ports", "boats", "anchors")


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
def test_an_older_postgresql_keeps_the_order_of_its_issues(postgres: Cluster) -> None:
    """There too, as long as no row was changed; and none ever is."""
    url = postgres.database()
    try:
        assert order_after_upgrade(url) == ("ports", "boats", "anchors")
    finally:
        postgres.drop(url)


def order_after_upgrade(store_url: str) -> tuple[str, ...]:
    """An issue written at revision 0002, read at the newest."""
    old = create_engine(store_url.replace("postgresql://", "postgresql+psycopg://"))
    with old.begin() as connection:
        config = upgrade._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.execute(
            text(
                "INSERT INTO issue (id, mode, newsletter, number, slot, subject, channel, audience, state,"
                " note, total, recorded_at) VALUES (1, 'live', 'weekly', 1, 0, 's', 'mail', 'given',"
                " 'done', '', 0, 0)"
            )
        )
        for name in ("ports", "boats", "anchors"):
            row = (
                "INSERT INTO printed (mode, newsletter, item, subject) VALUES ('live', 'weekly', :item, 's')"
            )
            connection.execute(text(row), {"item": name})
    old.dispose()

    engine = open_store(store_url)
    (found,) = read_published(engine, "live").issues
    engine.dispose()

    return found.items
