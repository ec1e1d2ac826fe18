"""How the issues stand: what is in doubt is named, and found however many letters there are."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine, event

from bot.errors import UnknownOutcome
from bot.model import State
from bot.store.chunks import settled
from bot.store.engine import open_store
from bot.store.ledger import Ledger
from bot.store.mailing import Mailings
from bot.store.standing import Named, Standing, standings
from tests.support.ledgers import NOW, WORDS, issue, readers

LOST = UnknownOutcome("the line was cut")


def planned(engine: Engine, count: int = 60) -> Mailings:
    mailings = Mailings(engine, mode="live", publication="p", samples=readers(count))
    mailings.record_issue(issue(), {"": WORDS}, "mail", NOW, readers(count))
    return mailings


def doubt(mailings: Mailings, count: int, *, resend: bool) -> None:
    """So many letters went out and no answer came."""
    chunk = mailings.lease("one", NOW, seconds=60, resend=resend)
    assert chunk is not None
    claimed = mailings.exchange(chunk, [], want=count, now=NOW)
    mailings.release(chunk, [settled(each, LOST, NOW, resend=resend) for each in claimed], now=NOW)


def seen(engine: Engine, *, limit: int = 9, on_their_way: bool = False) -> list[Standing]:
    return standings(engine, mode="live", publication="p", limit=limit, on_their_way=on_their_way)


def test_letters_in_doubt_are_named_and_counted(any_store: Engine) -> None:
    """The first twenty; those that a person must answer apart from those that are settled."""
    mailings = planned(any_store)
    doubt(mailings, 23, resend=True)
    doubt(mailings, 2, resend=False)

    (standing,) = seen(any_store)

    assert standing.doubted.count == 21
    assert str(standing.doubted) == ", ".join(f"i1.{n}" for n in range(3, 23)) + " and 1 more"
    assert (standing.unanswered, str(standing.unanswered)) == (
        Named(count=2, first=("i1.1", "i1.2")),
        "i1.1, i1.2",
    )
    assert standing.progress == mailings.progress(1)


def test_what_a_person_answered_is_told_no_more(any_store: Engine) -> None:
    """It is neither in doubt nor gone out twice: somebody looked."""
    mailings = planned(any_store, 3)
    doubt(mailings, 1, resend=False)
    ledger = Ledger(any_store, mode="live", publication="p")
    ledger.revise(ledger.get("i1.1").cancelled("a person decided", NOW), was=State.UNKNOWN)

    (standing,) = seen(any_store)

    assert (standing.unanswered.count, str(standing.doubted)) == (0, "")


def test_an_issue_without_doubts_says_nothing_of_them(any_store: Engine) -> None:
    """And one of another mode is not shown."""
    planned(any_store, 3)

    assert [bool(each.doubted) or bool(each.unanswered) for each in seen(any_store)] == [False]
    assert standings(any_store, mode="rehearsal", publication="p", limit=9) == []


def test_the_latest_issues_are_shown_in_their_order(any_store: Engine) -> None:
    """Those on their way alone where that is asked."""
    mailings = planned(any_store, 3)
    for number in (2, 3):
        later = replace(issue(), number=number, slot=NOW + timedelta(days=number))
        mailings.record_issue(later, {"": WORDS}, "mail", NOW, readers(3))
    mailings.cancel(2, "wrong numbers", NOW)
    mailings.pause(3, "a look at the bounces first")

    assert [each.id for each in seen(any_store, limit=2)] == [2, 3]
    assert [(each.id, each.progress.state) for each in seen(any_store, on_their_way=True)] == [
        (1, "open"),
        (3, "paused"),
    ]


def test_letters_in_doubt_are_found_by_their_index(tmp_path: Path) -> None:
    """A million letters that never were in doubt are not looked through, to name them or to count them."""
    store = open_store(f"sqlite:///{tmp_path / 'ledger.db'}")
    planned(store)
    asked: list[tuple[str, tuple[object, ...]]] = []

    def note(_: object, __: object, statement: str, values: tuple[object, ...], *___: object) -> None:
        asked.append((statement, values))

    event.listen(store, "before_cursor_execute", note)
    seen(store)
    event.remove(store, "before_cursor_execute", note)

    with store.connect() as connection:
        plans = [
            str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all())
            for statement, values in asked
            if "FROM letter" in statement
        ]
    store.dispose()
    assert len(plans) == 4
    assert all("ix_letter_doubtful" in plan for plan in plans), plans
