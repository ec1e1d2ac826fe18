"""The ledger: planning twice plans once, a claim has one owner, and a rehearsal never counts for live."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, event, insert, update

from bot.errors import NotFoundError, PermanentFailure, StoreError, TemporaryFailure
from bot.model import Firing, ListFields, Media, Message, Receipt, Recipient, State, delivery_key, placeholder
from bot.store import schema, words
from bot.store.engine import open_store
from bot.store.ledger import Ledger
from bot.store.mailing import Mailings
from tests.support.ledgers import NOW, WORDS, issue, post, readers, record
from tests.support.postgres import Cluster, until_one_waits

ROOT = Path(__file__).parents[1]
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_store(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    return Ledger(engine, mode="live", publication="broadside")


# --------------------------------------------------------------------------- planning


def test_planning_twice_plans_once(ledger: Ledger) -> None:
    """The slot is taken by the first; the second changes nothing, whatever it brings."""
    assert record(ledger, 3) == 3
    before = ledger.deliveries()

    assert record(ledger, 3) == 0
    assert ledger.record_post(post(channel="mail"), replace(WORDS, text="Other"), "mail", LATER) == 0
    assert ledger.deliveries() == before


def test_a_message_comes_back_as_it_was() -> None:
    """Paths, times, placeholders and every script survive; equal words have one digest."""
    message = Message(
        kind="issue",
        lang="ar",
        text=f"مرحبا {placeholder('name')} ไทย 🙂",
        html="<p>x</p>",
        media=(Media(path=Path("queue/images/a b.png"), mime_type="image/png", alt="ก", cid="1"),),
        mailing=ListFields(
            sender="A <a@example.org>",
            reply_to="",
            list_id="weekly.example.org",
            list_name="Weekly",
            archive_url="https://example.org/1",
            help_url="",
            unsubscribe_url=placeholder("token"),
        ),
        date=NOW.astimezone(ZoneInfo("Asia/Bangkok")),
        shortened=("summary",),
    )

    text = words.to_text(message)

    assert words.from_text(text) == message
    assert words.to_text(words.from_text(text)) == text


def test_a_post_goes_out_once_for_each_channel(ledger: Ledger) -> None:
    """Neither a second slot nor a second try posts the same item again."""
    assert ledger.record_post(post(), WORDS, "social", NOW) == 1
    assert ledger.record_post(post(), WORDS, "social", NOW) == 0
    assert ledger.record_post(post(slot=LATER), WORDS, "social", LATER) == 0
    assert ledger.record_post(post("boats"), WORDS, "social", NOW) == 0, "the slot was taken by ports"
    assert ledger.record_post(post(channel="other"), WORDS, "other", NOW) == 1


def test_a_post_is_for_its_channel(ledger: Ledger) -> None:
    """Nobody else is named; its key is the same however often it is planned anew."""
    ledger.record_post(post(), WORDS, "social", NOW)

    (delivery,) = ledger.deliveries()

    assert delivery.recipient == Recipient(id="social")
    assert (delivery.kind, delivery.subject, delivery.due) == ("post", "ports", NOW)
    assert delivery.message == words.digest(words.to_text(WORDS))
    assert delivery.key == delivery_key(
        publication="broadside", mode="live", subject="ports", channel="social", recipient="social"
    )


def test_history_is_what_was_recorded(ledger: Ledger) -> None:
    """All that planning asks for, and only of the schedules that it names."""
    ledger.note_schedules(["weekly", "social"], NOW)
    ledger.note_approved(["ports", "boats"], NOW)
    mailings = Mailings(ledger.engine, mode="live", publication="broadside")
    mailings.record_issue(issue(items=("ports", "boats")), {"": WORDS}, "mail", NOW, readers(1))
    ledger.record_post(post(), WORDS, "social", NOW)
    ledger.record_skipped(Firing(schedule="social", slot=LATER, outcome="skipped", detail="nothing to post"))
    ledger.hold("boats", "asked by Ann", NOW)

    history = ledger.history(["weekly", "social"])

    assert history.added_at == {"weekly": NOW, "social": NOW}
    assert history.approved_at == {"ports": NOW, "boats": NOW}
    assert history.printed == {"weekly": {"ports", "boats"}}
    assert history.posted == {"social": {"ports"}}
    assert history.last_slot == {"weekly": NOW, "social": LATER}
    assert history.last_post == {"social": NOW}
    assert history.next_number == {"weekly": 2}
    assert history.holds == {"boats": "asked by Ann"}
    assert ledger.history(["weekly"]).posted == {}
    assert ledger.history([]).added_at == {}


def test_a_first_meeting_is_never_moved(ledger: Ledger) -> None:
    """Approved again next week is still approved since this one."""
    ledger.note_approved(["ports"], NOW)
    ledger.note_approved(["ports", "boats", "boats"], LATER)

    assert ledger.history([]).approved_at == {"ports": NOW, "boats": LATER}


def test_ten_thousand_known_items_cost_no_write(ledger: Ledger, engine: Engine) -> None:
    """A tick that meets nothing new reads once and leaves the disk alone."""
    names = [f"item-{number}" for number in range(10_000)]
    ledger.note_approved(names, NOW)
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *heard: statements.append(heard[2]))

    ledger.note_approved(names, LATER)

    assert [statement.split()[0] for statement in statements] == ["BEGIN", "SELECT"]


def test_a_rehearsal_never_counts_for_live(engine: Engine, ledger: Ledger) -> None:
    """The same slots and items are free again when it becomes serious."""
    rehearsal = Ledger(engine, mode="rehearsal", publication="broadside")
    rehearsal.note_approved(["ports"], NOW)
    mailings = Mailings(engine, mode="rehearsal", publication="broadside")
    mailings.record_issue(issue(), {"": WORDS}, "mail", NOW, readers(2))
    record(rehearsal, 2)
    rehearsal.record_post(post(), WORDS, "social", NOW)
    rehearsal.note_tick(NOW)

    history = ledger.history(["weekly", "social", "mail"])

    assert (history.printed, history.posted, history.last_slot, history.next_number) == ({}, {}, {}, {})
    assert (history.approved_at, ledger.last_tick(), ledger.deliveries()) == ({}, None, [])
    assert ledger.due("mail", LATER, 9) == []
    assert ledger.claim([delivery.key for delivery in rehearsal.deliveries()], NOW) == []
    assert record(ledger, 2) == 2
    assert ledger.record_post(post(), WORDS, "social", NOW) == 1


# --------------------------------------------------------------------------- claim and settle


def test_due_comes_in_order_and_not_before_its_time(ledger: Ledger) -> None:
    """The longest due first, then the order of planning; a deferred one takes its place by its time."""
    record(ledger, 3)
    first, second, third = ledger.take("mail", NOW, 3)
    wait = TemporaryFailure("busy", retry_after=timedelta(minutes=1))
    ledger.settle(second.deferred(wait, NOW))
    record(ledger, 1, number=2)

    assert ledger.due("mail", NOW, 9) == []
    assert ledger.next_due(NOW) == NOW + timedelta(minutes=1)
    keys = [delivery.key for delivery in ledger.due("mail", NOW + timedelta(weeks=2), 9)]
    assert keys[0] == second.key
    assert len(keys) == 2
    assert {first.key, third.key}.isdisjoint(keys)


def test_a_second_claimer_gets_nothing(ledger: Ledger) -> None:
    """Both saw the same delivery due; one has it."""
    record(ledger, 2)
    keys = [delivery.key for delivery in ledger.due("mail", NOW, 9)]

    first, second = ledger.claim(keys, NOW), ledger.claim(keys, NOW)

    assert [(d.state, d.attempts, d.claimed_at) for d in first] == [(State.CLAIMED, 1, NOW)] * 2
    assert second == []
    assert ledger.next_due(NOW) is None


def test_every_outcome_survives(ledger: Ledger) -> None:
    """What is written is what is read, receipt and remote code included."""
    record(ledger, 5)
    one, two, three, four, five = ledger.take("mail", NOW, 5)
    outcomes = [
        one.sent(Receipt(remote_id="7", url="https://example.org/7", note="unlisted"), LATER),
        two.deferred(TemporaryFailure("greylisted", code=451), LATER),
        three.failed(PermanentFailure("no such user", code=550), LATER),
        four.unknown("the line was cut", LATER),
        five.cancelled("no longer subscribed", LATER),
    ]

    ledger.settle_many(outcomes)

    assert ledger.deliveries() == outcomes
    assert ledger.counts() == {("mail", outcome.state): 1 for outcome in outcomes}
    assert ledger.deliveries(states=(State.SENT, State.FAILED)) == [outcomes[0], outcomes[2]]


def test_what_is_settled_stays_settled(ledger: Ledger) -> None:
    """A second answer is refused in words."""
    record(ledger, 1)
    (delivery,) = ledger.take("mail", NOW, 1)
    ledger.settle(delivery.sent(Receipt(), NOW))

    with pytest.raises(StoreError, match=rf"{delivery.key[:12]} .*somebody else has changed it"):
        ledger.settle(delivery.failed(PermanentFailure("late"), LATER))

    assert ledger.get(delivery.key).state is State.SENT


def test_a_late_worker_cannot_overwrite_who_came_after(ledger: Ledger) -> None:
    """A worker that slept past its recovery finds its claim gone."""
    record(ledger, 1)
    (asleep,) = ledger.take("mail", NOW, 1)
    (doubtful,) = ledger.recover(LATER)
    ledger.settle(doubtful.again(LATER))
    (awake,) = ledger.take("mail", LATER, 1)

    with pytest.raises(StoreError):
        ledger.settle(asleep.sent(Receipt(remote_id="old"), LATER))

    ledger.settle(awake.sent(Receipt(remote_id="new"), LATER))
    assert ledger.get(awake.key).receipt == Receipt(remote_id="new")


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
def test_a_worker_passes_over_what_another_takes_at_that_moment(postgres: Cluster) -> None:
    """It gets the next ones at once; an empty hand would tell it that all is done."""
    url = postgres.database("t1")
    impatient = open_store(f"{url}&options=-c%20lock_timeout%3D2s")
    ledger = Ledger(impatient, mode="live", publication="broadside")
    record(ledger, 3, channel="social")
    first, second, third = [each.key for each in ledger.due("social", NOW, 3)]

    with impatient.begin() as other:
        other.execute(update(schema.delivery).where(schema.delivery.c.key == first).values(attempts=1))
        taken = [each.key for each in ledger.take("social", NOW, 1)]
    rest = [each.key for each in ledger.take("social", NOW, 3)]

    impatient.dispose()
    postgres.drop(url)
    assert (taken, sorted(rest)) == ([second], sorted([first, third]))


def test_recovery_takes_up_only_what_was_claimed(ledger: Ledger) -> None:
    """Each of them is in doubt; the others stay as they are."""
    record(ledger, 3)
    (claimed,) = ledger.take("mail", NOW, 1)

    (doubtful,) = ledger.recover(LATER)

    assert (doubtful.key, doubtful.state, doubtful.settled_at) == (claimed.key, State.UNKNOWN, LATER)
    assert ledger.counts() == {("mail", State.UNKNOWN): 1, ("mail", State.PLANNED): 2}
    assert ledger.recover(LATER) == []


def test_a_person_may_revise_what_is_still_as_they_saw_it(ledger: Ledger) -> None:
    """A failed one goes back in line; a decision on what has changed meanwhile is refused."""
    record(ledger, 1)
    (delivery,) = ledger.take("mail", NOW, 1)
    ledger.settle(delivery.failed(PermanentFailure("full"), NOW))
    failed = ledger.get(delivery.key)

    ledger.revise(failed.again(LATER), was=State.FAILED)

    assert ledger.due("mail", LATER, 1) == [failed.again(LATER)]
    with pytest.raises(StoreError):
        ledger.revise(failed.again(LATER), was=State.FAILED)


@pytest.mark.parametrize("scope", ["*", "mail"])
def test_a_hold_stops_what_was_planned_already(ledger: Ledger, scope: str) -> None:
    """Everything, or a channel."""
    record(ledger, 2)

    ledger.hold(scope, "wait for Ann", NOW)
    held = (ledger.due("mail", NOW, 9), ledger.take("mail", NOW, 9))
    released = (ledger.release(scope), ledger.release(scope))

    assert held == ([], [])
    assert released == (True, False)
    assert len(ledger.take("mail", NOW, 9)) == 2


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
def test_two_who_hold_the_same_at_once_both_succeed(postgres: Cluster) -> None:
    """In a fright several people say STOP: none of them is shown an error, and the last reason stays."""
    url = postgres.database("t1")
    engine = open_store(url)
    ledger = Ledger(engine, mode="live", publication="broadside")

    with ThreadPoolExecutor(1) as thread:
        with engine.begin() as connection:
            row = {"scope": "*", "reason": "held by ann", "at": NOW}
            connection.execute(insert(schema.hold), row)
            second = thread.submit(ledger.hold, "*", "held by mali", NOW)
            until_one_waits(connection)
        second.result(timeout=20)
    held = ledger.holds()

    engine.dispose()
    postgres.drop(url)
    assert held == {"*": "held by mali"}


def test_a_hold_elsewhere_stops_nothing_here(ledger: Ledger) -> None:
    """Another channel or item, or a newsletter, is no reason to wait."""
    record(ledger, 2)
    ledger.hold("social", "token lost", NOW)
    ledger.hold("boats", "checking", NOW)
    ledger.hold("weekly", "wait for Ann", NOW)

    assert len(ledger.due("mail", NOW, 9)) == 2
    assert ledger.holds() == {"social": "token lost", "boats": "checking", "weekly": "wait for Ann"}


def test_a_held_item_is_not_posted(ledger: Ledger) -> None:
    """STOP on one item after it was planned; the others go on."""
    ledger.record_post(post(), WORDS, "social", NOW)
    ledger.record_post(post("boats", slot=LATER), WORDS, "social", NOW)
    ledger.hold("ports", "a mistake in it", NOW)

    assert [delivery.subject for delivery in ledger.due("social", LATER, 9)] == ["boats"]


def test_a_delivery_is_found_by_the_beginning_of_its_key(ledger: Ledger) -> None:
    """Enough of it to be the only one; else words, not a guess."""
    record(ledger, 40)
    key = ledger.deliveries(limit=1)[0].key

    assert ledger.get(key[:12].upper()).key == key
    with pytest.raises(NotFoundError, match="no delivery begins with 'zz'"):
        ledger.get("zz")
    with pytest.raises(NotFoundError, match="no delivery begins with ''"):
        ledger.get("")
    with pytest.raises(NotFoundError, match="several"):
        [ledger.get(digit) for digit in "0123456789abcdef"]


def test_the_last_tick_is_remembered(ledger: Ledger) -> None:
    """One stamp, the newest."""
    ledger.note_tick(NOW)
    ledger.note_tick(LATER)

    assert ledger.last_tick() == LATER


CLAIMER = """
import json, sys
from datetime import UTC, datetime
from bot.store.engine import open_store
from bot.store.ledger import Ledger
ledger = Ledger(open_store(sys.argv[1]), mode="live", publication="broadside")
print("ready", flush=True)
for line in sys.stdin:
    taken = ledger.take("mail", datetime(2026, 11, 28, tzinfo=UTC), 3)
    print(json.dumps([delivery.key for delivery in taken]), flush=True)
"""


def test_two_processes_never_get_the_same_delivery(ledger: Ledger, engine: Engine) -> None:
    """Both reach for it at the same moment, again and again; together they take all, each once."""
    record(ledger, 150)
    command = [sys.executable, "-c", CLAIMER, str(engine.url)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with ExitStack() as stack:
        claimers = [
            stack.enter_context(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
                )
            )
            for _ in range(2)
        ]
        pipes = [(claimer.stdin, claimer.stdout) for claimer in claimers if claimer.stdin and claimer.stdout]
        assert [out.readline() for _, out in pipes] == ["ready\n"] * 2

        taken: list[str] = []
        for _ in range(25):
            for into, _out in pipes:
                into.write("go\n")
                into.flush()
            taken += [key for _, out in pipes for key in json.loads(out.readline())]

    assert sorted(taken) == sorted(delivery.key for delivery in ledger.deliveries(limit=999))
