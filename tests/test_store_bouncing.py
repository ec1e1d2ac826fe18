"""What the ledger knows of one reader's letters: found by halves, whatever the size of the list."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, event, insert, select, update

from bot.model import State
from bot.store import schema
from bot.store.bouncing import Bounces, Refused
from bot.store.engine import reading, writing
from bot.store.leaving import Leaving
from bot.store.mailing import Mailings
from bot.store.received import Received, letters_to
from bot.store.suppression import Hasher
from tests.support.ledgers import NOW, WORDS, issue, readers

READERS = 500
DAY = timedelta(days=1)


@pytest.fixture
def engine(any_store: Engine) -> Engine:
    """Two issues for every second id that there could be; a rehearsal's issue for given readers."""
    people = [
        {"id": f"{2 * n:032x}", "address": f"r{n}@example.org", "address_key": f"r{n}@example.org"}
        for n in range(READERS)
    ]
    rest = {"name": "", "lang": "", "created_at": NOW, "source": "test"}
    with writing(any_store) as connection:
        connection.execute(insert(schema.subscriber), [{**person, **rest} for person in people])
        letters = [{"newsletter": "weekly", "subscriber_id": person["id"], "since": NOW} for person in people]
        connection.execute(insert(schema.subscription), letters)
    live = Mailings(any_store, mode="live", publication="broadside")
    for number in (1, 2):
        at = NOW + (number - 1) * DAY
        assert live.record_issue(issue(number, items=(f"i{number}",)), {"": WORDS}, "mail", at) == READERS
    rehearsal = Mailings(any_store, mode="rehearsal", publication="broadside")
    rehearsal.record_issue(issue(), {"": WORDS}, "mail", NOW, recipients=readers(20))
    return any_store


def settle(engine: Engine, number: int, reader: str, **values: object) -> None:
    of = schema.issue.c
    with writing(engine) as connection:
        found = connection.scalar(select(of.id).where(of.mode == "live", of.number == number))
        mine = (schema.letter.c.issue == found) & (schema.letter.c.reader == reader)
        connection.execute(update(schema.letter).where(mine).values(**values))
        failed = values["state"] == "failed"
        change = update(schema.chunk).where(schema.chunk.c.issue == found)
        connection.execute(change.values(failed=schema.chunk.c.failed + int(failed)))


def test_every_letter_is_found_and_no_other(engine: Engine) -> None:
    """The first, the last, each in between; also of somebody whose readership is over."""
    with reading(engine) as connection:
        for n in (0, 1, 2, 250, READERS - 2, READERS - 1):
            found = list(letters_to(connection, f"{2 * n:032x}", schema.issue.c.mode == "live"))
            assert [(one.number, one.newsletter) for one in found] == [(1, "weekly"), (2, "weekly")]
        for stranger in (f"{1:032x}", f"{999:032x}", f"{2 * READERS:032x}", "f" * 32):
            assert list(letters_to(connection, stranger, schema.issue.c.mode == "live")) == []


def test_a_letter_is_found_with_few_looks(engine: Engine) -> None:
    with counted(engine) as looks, reading(engine) as connection:
        (found,) = letters_to(connection, f"{2 * 333:032x}", schema.issue.c.number == 2)

    assert found == Received(
        mode="live", newsletter="weekly", number=2, subject=issue(2).id, state=State.PLANNED, at=None
    )
    assert len(looks) <= 11


def test_a_rehearsals_letters_are_found_too(engine: Engine) -> None:
    with reading(engine) as connection:
        (found,) = letters_to(connection, f"{7:032x}")

    assert (found.mode, found.number) == ("rehearsal", 1)


def test_good_deliveries_are_told_by_time_and_mode(engine: Engine) -> None:
    bounces, ann = Bounces(engine), f"{2:032x}"
    settle(engine, 1, ann, state="sent", at=NOW)
    settle(engine, 2, ann, state="sent", at=NOW + DAY)
    settle(engine, 2, f"{4:032x}", state="failed", at=NOW + DAY, code=550)

    assert bounces.sent(ann, "live", since=NOW - DAY) == [NOW, NOW + DAY]
    assert bounces.sent(ann, "live", since=NOW) == [NOW + DAY]
    assert bounces.sent(ann, "rehearsal", since=NOW - DAY) == []
    assert bounces.sent(f"{4:032x}", "live", since=NOW - DAY) == []


def test_refusals_for_good_are_told(engine: Engine) -> None:
    """Not those that are old, for later, of another mode, or of somebody who is gone."""
    bounces = Bounces(engine)
    wanted, old, later, gone = (f"{2 * n:032x}" for n in range(4))
    settle(engine, 2, wanted, state="failed", at=NOW + DAY, code=550, said="5.1.1 no such user")
    settle(engine, 1, old, state="failed", at=NOW, code=550)
    settle(engine, 2, later, state="failed", at=NOW + DAY, code=451)
    settle(engine, 2, gone, state="failed", at=NOW + DAY, code=550)
    Leaving(engine, Hasher([b"key"])).unsubscribe(gone, "weekly", now=NOW, means="page")

    found = bounces.letters_refused("live", NOW)

    assert found == [
        Refused(name="i2.1", subscriber=wanted, at=NOW + DAY, code=550, said="5.1.1 no such user", issue=2)
    ]
    assert bounces.letters_refused("rehearsal", NOW) == []


def test_what_is_shown_of_a_person_has_their_letters(engine: Engine) -> None:
    ann = f"{2:032x}"
    settle(engine, 1, ann, state="sent", at=NOW)

    held = Leaving(engine, Hasher([b"key"])).person("r1@example.org")["deliveries"]

    assert [
        (one["newsletter"], one["number"], one["state"], one["at"]) for one in held if one["mode"] == "live"
    ] == [
        ("weekly", 1, "sent", NOW),
        ("weekly", 2, "planned", None),
    ]


class counted:  # noqa: N801 - reads as a word
    """The statements that go to the database within the block."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.statements = engine, list[str]()

    def __enter__(self) -> list[str]:
        event.listen(self.engine, "before_cursor_execute", self._heard)
        return self.statements

    def __exit__(self, *_: object) -> None:
        event.remove(self.engine, "before_cursor_execute", self._heard)

    def _heard(self, _c: object, _u: object, statement: str, *_: object) -> None:
        self.statements.append(statement)
