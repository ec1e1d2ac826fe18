"""Large issues under any order of events, in many processes at once, and with long lists."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, delete, insert, select, text

from bot.errors import Lost, PermanentFailure, TemporaryFailure, UnknownOutcome
from bot.model import Delivery, State
from bot.store import recording, schema
from bot.store.audience import AudienceStore
from bot.store.chunks import Chunk, Claimed, Settled, put_back, settled
from bot.store.engine import reading, writing
from bot.store.ledger import Ledger
from bot.store.mailing import Mailings
from tests.support.ledgers import NOW, WORDS, issue

ROOT = Path(__file__).parents[1]
READERS = 13
MINUTE = timedelta(minutes=1)
ANSWERS = {
    "sent": "250 ok",
    "later": TemporaryFailure("busy"),
    "never": PermanentFailure("no such user"),
    "lost": UnknownOutcome("cut"),
}


class Worker:
    """What a worker has in hand: a chunk, and the letters it claimed of it."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk, self.hand = chunk, dict[int, Claimed]()


class Sending(RuleBasedStateMachine):
    """Workers come, work, sleep and die in any order, while readers leave and people interfere.

    ``arrived`` is the world outside: what the servers took. Nobody may get a letter twice unless the ledger
    counts a doubt for it, and at the end nobody is forgotten.
    """

    workers: Bundle[Worker] = Bundle("workers")

    engine: Engine

    def __init__(self) -> None:
        super().__init__()
        _empty(self.engine)
        self.mailings = Mailings(self.engine, mode="live", publication="p")
        self.ledger = Ledger(self.engine, mode="live", publication="p")
        self.now, self.arrived, self.names = NOW, Counter[int](), 0
        _sign_up(self.engine, READERS)
        self.mailings.record_issue(issue(), {"": WORDS}, "mail", NOW)
        self.issue = self.mailings.open_issues(NOW)[0].id

    @rule(target=workers, resend=st.booleans())
    def lease(self, resend: bool) -> Worker | None:
        self.names += 1
        chunk = self.mailings.lease(f"w{self.names}", self.now, seconds=60, resend=resend)
        return Worker(chunk) if chunk else None

    @rule(
        worker=workers,
        want=st.integers(0, 4),
        answers=st.lists(st.sampled_from([*ANSWERS, "back"]), max_size=4),
    )
    def exchange(self, worker: Worker | None, want: int, answers: list[str]) -> None:
        if worker is None:
            return
        outcomes = self._work(worker, answers)
        try:
            group = self.mailings.exchange(worker.chunk, outcomes, want=want, now=self.now)
        except Lost:
            worker.hand.clear()
            return
        assert len(group) <= want
        assert not {claimed.number for claimed in group} & worker.hand.keys()
        worker.hand |= {claimed.number: claimed for claimed in group}

    @rule(worker=consumes(workers), answer=st.sampled_from([*ANSWERS, "back"]))
    def release(self, worker: Worker | None, answer: str) -> None:
        if worker is None:
            return
        outcomes = self._work(worker, [answer] * len(worker.hand))
        try:
            self.mailings.release(worker.chunk, outcomes, now=self.now)
        except Lost:
            worker.hand.clear()

    @rule(worker=consumes(workers), went_out=st.booleans())
    def die(self, worker: Worker | None, went_out: bool) -> None:
        """In the middle of its calls: nobody hears of them."""
        if worker is not None and went_out:
            self.arrived.update(worker.hand.keys())

    @rule(minutes=st.integers(1, 30))
    def wait(self, minutes: int) -> None:
        self.now += minutes * MINUTE

    @rule(number=st.integers(0, READERS - 1))
    def leave(self, number: int) -> None:
        AudienceStore(self.engine).remove(f"r{number}@example.org", now=self.now)

    @rule(how=st.sampled_from(["pause", "resume"]))
    def brake(self, how: str) -> None:
        getattr(self.mailings, how)(self.issue)

    @rule(again=st.booleans())
    def decide(self, again: bool) -> None:
        """A person answers for an unknown or a failed one."""
        for delivery in self.ledger.deliveries([State.UNKNOWN, State.FAILED], limit=1):
            self.ledger.revise(self._decision(delivery, again), was=delivery.state)

    def _decision(self, delivery: Delivery, again: bool) -> Delivery:
        return delivery.again(self.now) if again else delivery.cancelled("a person decided", self.now)

    def _work(self, worker: Worker, answers: list[str]) -> list[Settled]:
        outcomes: list[Settled] = []
        for answer in answers[: len(worker.hand)]:
            number = next(iter(worker.hand))
            claimed = worker.hand.pop(number)
            if answer in ("sent", "lost"):
                self.arrived[number] += 1
            outcomes.append(
                put_back(claimed) if answer == "back" else settled(claimed, ANSWERS[answer], self.now)
            )
        return outcomes

    @invariant()
    def counters_are_true(self) -> None:
        with reading(self.engine) as connection:
            c = schema.letter.c
            rows = connection.execute(select(c.state, c.number, c.doubts)).all()
        found = {state: n for state, n in self.mailings.progress(self.issue).counts.items() if n}
        assert found == {State(state): n for state, n in Counter(row.state for row in rows).items()}
        assert len(rows) == READERS

    @invariant()
    def no_repeat_is_unknown_to_the_ledger(self) -> None:
        with reading(self.engine) as connection:
            c = schema.letter.c
            doubts = {row.number: row.doubts for row in connection.execute(select(c.number, c.doubts))}
        assert all(times <= 1 + doubts[number] for number, times in self.arrived.items())

    def teardown(self) -> None:
        """All sleepers die, all brakes are off: what is left goes out, and nobody is forgotten."""
        self.mailings.resume(self.issue)
        for _ in range(3):
            self.now += 12 * 60 * MINUTE
            while chunk := self.mailings.lease("last", self.now, seconds=60):
                group = self.mailings.exchange(chunk, [], want=9, now=self.now)
                self.arrived.update(claimed.number for claimed in group)
                outcomes = [settled(claimed, "250 ok", self.now) for claimed in group]
                self.mailings.release(chunk, outcomes, now=self.now)
        progress = self.mailings.progress(self.issue)
        assert (progress.left, progress.state) == (0, "done")


def _empty(engine: Engine) -> None:
    consent, erasing = schema.consent, schema.erasing
    with writing(engine) as connection:
        # A record of consent goes only while its person is erased.
        everybody = select(consent.c.address_key).distinct()
        connection.execute(insert(erasing).from_select(["address_key"], everybody))
        connection.execute(delete(consent))
        for table in reversed(schema.metadata.sorted_tables):
            connection.execute(delete(table))


def _sign_up(engine: Engine, count: int) -> None:
    with writing(engine) as connection:
        for number in range(count):
            values = {"id": f"{number:032x}", "address": f"r{number}@example.org"}
            connection.execute(
                text(
                    "INSERT INTO subscriber (id, address, address_key, name, lang, created_at, source)"
                    " VALUES (:id, :address, :address, '', '', 0, 'test')"
                ),
                values,
            )
            connection.execute(
                text("INSERT INTO subscription (newsletter, subscriber_id, since) VALUES ('weekly', :id, 0)"),
                {"id": values["id"]},
            )


def test_in_any_order_nobody_is_forgotten_and_every_repeat_is_known(
    any_store: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leases, crashes, zombies, pauses, people and leavers, as Hypothesis likes to mix them."""
    monkeypatch.setattr(recording, "CHUNK", 5)
    quick = any_store.dialect.name == "sqlite"
    rules = hypothesis_settings(
        deadline=None, max_examples=60 if quick else 15, stateful_step_count=30, derandomize=True
    )

    run_state_machine_as_test(type("Here", (Sending,), {"engine": any_store}), settings=rules)


# --------------------------------------------------------------------------- many processes

WORKER = """
import json, sys
from bot.store.chunks import settled
from bot.store.engine import open_store
from bot.store import recording
from bot.store.mailing import Mailings
from tests.support.ledgers import NOW, WORDS, issue, readers
recording.CHUNK = 20
mailings = Mailings(open_store(sys.argv[1]), mode="live", publication="p", samples=readers(600))
print("ready", flush=True)
sys.stdin.readline()
planned = mailings.record_issue(issue(), {"": WORDS}, "mail", NOW, readers(600))
numbers = []
while chunk := mailings.lease(sys.argv[2], NOW, seconds=600):
    group = mailings.exchange(chunk, [], want=7, now=NOW)
    while group:
        numbers += [claimed.number for claimed in group]
        group = mailings.exchange(chunk, [settled(c, "250 ok", NOW) for c in group], want=7, now=NOW)
    mailings.release(chunk, [], now=NOW)
print(json.dumps([planned, numbers]), flush=True)
"""


def test_many_processes_plan_once_and_send_each_once(any_store: Engine, store_url: str) -> None:
    """Three start at the same moment; together they plan one issue and send every letter of it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", WORKER, store_url, name],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=environment,
                )
            )
            for name in "abc"
        ]
        pipes = [(worker.stdin, worker.stdout) for worker in workers if worker.stdin and worker.stdout]
        assert [out.readline() for _, out in pipes] == ["ready\n"] * 3
        for into, _ in pipes:
            into.write("go\n")
            into.flush()
        told = [json.loads(out.readline()) for _, out in pipes]

    assert sorted(planned for planned, _ in told) == [0, 0, 600]
    assert sorted(number for _, numbers in told for number in numbers) == list(range(1, 601))
    mailings = Mailings(any_store, mode="live", publication="p")
    with reading(any_store) as connection:
        number = connection.scalar(select(schema.issue.c.id))
    assert number is not None
    progress = mailings.progress(number)
    assert (progress.state, progress.counts[State.SENT]) == ("done", 600)


# --------------------------------------------------------------------------- long lists


@pytest.mark.slow
def test_memory_does_not_grow_with_the_list(any_store: Engine) -> None:
    """Planning and working 200,000 takes no more than 10,000 does, but for the chunks' own rows."""
    peaks = []
    for count in (10_000, 200_000):
        _empty(any_store)
        _fill(any_store, count)
        tracemalloc.start()
        mailings = Mailings(any_store, mode="live", publication="p")
        assert mailings.record_issue(issue(), {"": WORDS}, "mail", NOW) == count
        for _ in range(10):
            chunk = mailings.lease("one", NOW, seconds=60)
            assert chunk is not None
            group = mailings.exchange(chunk, [], want=1_000, now=NOW)
            mailings.release(chunk, [settled(claimed, "250 ok", NOW) for claimed in group], now=NOW)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < peaks[0] + 2_000_000


def _fill(engine: Engine, count: int) -> None:
    """That many subscribers, made by the database itself."""
    numbers = (
        "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :count)"
        if engine.dialect.name == "sqlite"
        else "WITH n(i) AS (SELECT * FROM generate_series(0, :count - 1))"
    )
    address = "'r' || i || '@example.org'"
    with writing(engine) as connection:
        connection.execute(
            text(
                "INSERT INTO subscriber (id, address, address_key, name, lang, created_at, source) "
                f"{numbers} SELECT 'id' || (1000000 + i), {address}, {address}, '', '', 0, 'test' FROM n"
            ),
            {"count": count},
        )
        connection.execute(
            text("INSERT INTO subscription SELECT 'weekly', id, 0 FROM subscriber ORDER BY id")
        )
