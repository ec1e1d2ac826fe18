"""The sender: one outcome for each claim, no channel holds up another, and a crash loses nobody."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import Engine, update

from bot.channels.base import CUT, Channel
from bot.errors import Blame, PermanentFailure, StoreError, TemporaryFailure, UnknownOutcome
from bot.model import MAX_ATTEMPTS, Delivery, Message, Receipt, Recipient, State
from bot.pace import PaceRules
from bot.sender import Report, Sender, without_addresses
from bot.sender.wicket import Wicket
from bot.store import schema
from bot.store.engine import open_store, writing
from bot.store.ledger import Ledger
from bot.store.pace import Pace
from tests.support.channels import NotingChannel
from tests.support.ledgers import NOW, WORDS, post, record

ROOT = Path(__file__).parents[1]


class Clock:
    """Stands still until it is told to move."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_store(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def ledger(engine: Engine) -> Ledger:
    return Ledger(engine, mode="live", publication="broadside")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def sender(
    ledger: Ledger,
    clock: Callable[[], datetime],
    *channels: Channel,
    concurrency: Mapping[str, int] | int = 2,
) -> Sender:
    return Sender(
        ledger,
        {channel.name: channel for channel in channels},
        clock=clock,
        concurrency=concurrency,
    )


def always(error: Exception) -> Callable[[str, int], Exception | None]:
    return lambda key, nth: error


def states(ledger: Ledger) -> dict[State, int]:
    return {state: count for (_, state), count in ledger.counts().items()}


# --------------------------------------------------------------------------- outcomes


async def test_everybody_gets_it_once(ledger: Ledger, clock: Clock) -> None:
    """All that is due goes out, in the words that were stored; a second run finds nothing to do."""
    record(ledger, 7)
    mail = NotingChannel("mail")

    first = await sender(ledger, clock, mail).run()
    second = await sender(ledger, clock, mail).run()

    assert (first.sent, second.sent) == (7, 0)
    assert sorted(mail.sent) == sorted(delivery.key for delivery in ledger.deliveries())
    assert mail.messages == [WORDS] * 7
    assert states(ledger) == {State.SENT: 7}
    assert all(delivery.receipt for delivery in ledger.deliveries())


@pytest.mark.parametrize("written", [False, True], ids=["not written", "written, and no answer"])
async def test_an_answer_is_told_again_when_the_database_was_gone(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    """Nothing else knows it: without it somebody would have to look whether the post went out."""
    monkeypatch.setattr("bot.sender.posts.GLANCE", 0.01)
    record(ledger, 1)
    mail, settle, calls = NotingChannel("mail"), ledger.settle, []

    def shaky(delivery: Delivery) -> None:
        calls.append(delivery)
        if written or len(calls) > 2:
            settle(delivery)
        if len(calls) <= 2:
            raise StoreError("the server is gone")

    monkeypatch.setattr(ledger, "settle", shaky)
    report = await sender(ledger, clock, mail).run()

    assert (report.sent, len(mail.sent)) == (1, 1)
    assert states(ledger) == {State.SENT: 1}


async def test_the_claim_is_in_the_ledger_before_the_call(ledger: Ledger, clock: Clock) -> None:
    """At the moment of the call the ledger says claimed, of no more than the calls in flight."""
    record(ledger, 9)
    seen: list[dict[State, int]] = []
    mail = NotingChannel("mail", fault=lambda key, nth: seen.append(states(ledger)))

    await sender(ledger, clock, mail, concurrency={"mail": 3}).run()

    assert len(seen) == 9
    assert all(1 <= counts[State.CLAIMED] <= 3 for counts in seen)


async def test_a_temporary_failure_comes_back_later(ledger: Ledger, clock: Clock) -> None:
    """At the time that the remote named; then it goes out."""
    record(ledger, 1)
    busy = TemporaryFailure("greylisted", code=451, retry_after=timedelta(minutes=7))
    mail = NotingChannel("mail", fault=lambda key, nth: busy if nth == 1 else None)
    at_work = sender(ledger, clock, mail)

    first = await at_work.run()
    clock.forward(minutes=6)
    too_early = await at_work.run()
    clock.forward(minutes=1)
    then = await at_work.run()

    assert (first.deferred, first.sent, too_early.outcomes, then.sent) == (1, 0, {}, 1)


async def test_a_permanent_failure_stops_only_its_delivery(ledger: Ledger, clock: Clock) -> None:
    """One reader's address is gone; the others get theirs."""
    record(ledger, 3)
    gone = PermanentFailure("no such user", code=550, blame=Blame.RECIPIENT)
    mail = NotingChannel("mail", fault=lambda key, nth: gone if nth == 2 else None)

    report = await sender(ledger, clock, mail).run()

    assert (report.sent, report.failed) == (2, 1)
    assert states(ledger) == {State.SENT: 2, State.FAILED: 1}


async def test_our_own_fault_stops_the_channel_and_costs_no_attempt(ledger: Ledger, clock: Clock) -> None:
    """A lost password is found once, not a thousand times; when it is mended all goes out."""
    record(ledger, 50)
    refused = PermanentFailure("login refused", code=535, blame=Blame.SENDER)
    mail = NotingChannel("mail", fault=always(refused))

    report = await sender(ledger, clock, mail, concurrency=1).run()

    assert mail.calls == 1
    assert report.problems == ("mail: stopped for this run: login refused",)
    assert states(ledger) == {State.PLANNED: 49, State.DEFERRED: 1}
    (deferred,) = ledger.deliveries(states=(State.DEFERRED,))
    assert (deferred.attempts, deferred.error, deferred.code) == (0, "login refused", 535)
    clock.forward(minutes=5)
    assert (await sender(ledger, clock, NotingChannel("mail")).run()).sent == 50


class CuttingChannel(NotingChannel):
    """Its server cuts every text."""

    async def send(self, message: Message, to: Recipient, *, key: str) -> Receipt:
        receipt = await super().send(message, to, key=key)
        return Receipt(remote_id=receipt.remote_id, note=CUT)


async def test_two_posts_that_the_server_cut_hold_the_channel_once(ledger: Ledger, clock: Clock) -> None:
    """One is told; after the second nothing goes until a person says so, and then it is not held again."""
    record(ledger, 4, channel="social")
    social = CuttingChannel("social")

    report = await sender(ledger, clock, social, concurrency=1).run()
    held = ledger.holds()
    ledger.release("social")
    await sender(ledger, clock, social, concurrency=1).run()

    assert report.sent == 2
    assert any(CUT in problem for problem in report.problems)
    assert CUT in held["social"]
    assert len(social.sent) == 4
    assert ledger.holds() == {}


async def test_nothing_is_asked_of_an_account_that_rests(
    ledger: Ledger, clock: Clock, engine: Engine
) -> None:
    """What is in doubt there waits, and is told."""
    record(ledger, 1, channel="social")
    social = NotingChannel("social", fault=always(UnknownOutcome("no answer")))
    await sender(ledger, clock, social).run()
    pace, rules = Pace(engine, zone=UTC), PaceRules(account="social")
    pace.note("social", TemporaryFailure("slow down", code=429, retry_after=timedelta(hours=1)))
    pace.flush({"social": rules}, now=clock())
    gates = {"social": Wicket(pace, "social", rules, clock=clock)}

    report = await Sender(ledger, {"social": social}, clock=clock, gates=gates).recover()

    assert (social.asked, report.unknown) == ([], 1)


async def test_a_lost_answer_is_never_tried_again_in_silence(ledger: Ledger, clock: Clock) -> None:
    """It stays unknown, is named to people, and no later run sends it."""
    ledger.record_post(post(), WORDS, "social", NOW)
    social = NotingChannel("social", fault=always(UnknownOutcome("the line was cut")))
    at_work = sender(ledger, clock, social)

    report = await at_work.run()
    clock.forward(days=30)
    await at_work.run()

    (delivery,) = ledger.deliveries()
    advice = f"look there, then run bot settle {delivery.key[:12]}"
    assert (delivery.state, social.calls) == (State.UNKNOWN, 1)
    assert report.problems == (f"social: ports may have gone out: the line was cut; {advice}",)


async def test_a_bug_in_a_channel_is_an_unknown_outcome(ledger: Ledger, clock: Clock) -> None:
    """Whatever it raises, there is an outcome; its text, which may hold secrets, is not shown."""
    record(ledger, 1)
    mail = NotingChannel("mail", fault=always(KeyError("token-12345")))

    report = await sender(ledger, clock, mail).run()

    (delivery,) = ledger.deliveries()
    assert delivery.state is State.UNKNOWN
    assert delivery.error.startswith("unexpected KeyError at channels.py:")
    assert "token" not in str(report)


async def test_what_cannot_be_prepared_was_certainly_not_sent(ledger: Ledger, clock: Clock) -> None:
    """A mistake before the call defers; it does not leave a delivery in doubt."""
    record(ledger, 1)
    with writing(ledger.engine) as connection:
        connection.execute(update(schema.words).values(body="mara@inbox.ngo"))
    mail = NotingChannel("mail")

    report = await sender(ledger, clock, mail).run()

    (delivery,) = ledger.deliveries()
    assert (states(ledger), mail.calls) == ({State.DEFERRED: 1}, 0)
    assert "could not be prepared: JSONDecodeError at decoder.py:" in report.problems[0]
    assert "@" not in report.problems[0] + delivery.error


# --------------------------------------------------------------------------- several channels, and STOP


async def test_a_slow_channel_holds_up_no_other(ledger: Ledger, clock: Clock) -> None:
    """While one call hangs, the other channel does all its work."""
    record(ledger, 20, channel="mail")
    ledger.record_post(post(), WORDS, "social", NOW)
    may_go_on = asyncio.Event()

    class Slow(NotingChannel):
        async def send(self, message: Message, to: Recipient, *, key: str) -> Receipt:
            await may_go_on.wait()
            return await super().send(message, to, key=key)

    class Last(NotingChannel):
        async def send(self, message: Message, to: Recipient, *, key: str) -> Receipt:
            if len(self.sent) == 19:
                may_go_on.set()  # only when the other nineteen have gone out
            return await super().send(message, to, key=key)

    slow, fast = Slow("social"), Last("mail")
    async with asyncio.timeout(20):
        report = await sender(ledger, clock, slow, fast).run()

    assert (report.count(State.SENT, "mail"), report.count(State.SENT, "social")) == (20, 1)


async def test_a_stopped_channel_stops_no_other(ledger: Ledger, clock: Clock) -> None:
    """One account is locked, the mail goes on."""
    record(ledger, 5, channel="mail")
    ledger.record_post(post(), WORDS, "social", NOW)
    locked = PermanentFailure("account suspended", blame=Blame.SENDER)

    report = await sender(
        ledger, clock, NotingChannel("social", fault=always(locked)), NotingChannel("mail")
    ).run()

    assert (report.sent, report.deferred) == (5, 1)


@pytest.mark.parametrize("scope", ["*", "mail"])
async def test_stop_acts_at_once(ledger: Ledger, clock: Clock, scope: str) -> None:
    """Said during the third call, no fifth one follows; let go, the rest goes out."""
    record(ledger, 30)

    def stop(_: str, nth: int) -> None:
        if nth == 3:
            ledger.hold(scope, "STOP", clock())

    mail = NotingChannel("mail", fault=stop)
    report = await sender(ledger, clock, mail).run()
    ledger.release(scope)
    rest = await sender(ledger, clock, mail).run()

    assert (report.sent, rest.sent) == (4, 26)
    assert len(set(mail.sent)) == 30


async def test_one_item_is_stopped_and_the_others_go_on(ledger: Ledger, clock: Clock) -> None:
    """Said during the third call, of one whose turn had not come."""
    record(ledger, 9)

    def stop(_: str, nth: int) -> None:
        if nth == 3:
            ledger.hold("item-1-5", "STOP", clock())

    mail = NotingChannel("mail", fault=stop)
    report = await sender(ledger, clock, mail).run()
    (held,) = ledger.deliveries(states=(State.PLANNED,))
    ledger.release("item-1-5")
    rest = await sender(ledger, clock, mail).run()

    assert (report.sent, held.subject, rest.sent) == (8, "item-1-5", 1)


# --------------------------------------------------------------------------- recovery


def crashed(ledger: Ledger, clock: Clock, name: str = "social") -> Delivery:
    """A post whose call was in flight when the program died."""
    ledger.record_post(post(channel=name), WORDS, name, NOW)
    (delivery,) = ledger.take(name, clock(), 1)
    return delivery


async def test_a_channel_that_finds_it_settles_it(ledger: Ledger, clock: Clock) -> None:
    """The status is there: sent, with its address."""
    crashed(ledger, clock)
    social = NotingChannel("social", answer=lambda delivery: Receipt(url="https://example.org/1"))

    report = await sender(ledger, clock, social).recover()

    assert (report.sent, social.calls) == (1, 0)
    assert ledger.deliveries()[0].receipt == Receipt(url="https://example.org/1")


async def test_a_channel_that_is_sure_it_did_not_go_sends_it(ledger: Ledger, clock: Clock) -> None:
    """Back in line at once, and sent by the next run."""
    crashed(ledger, clock)
    social = NotingChannel("social")
    at_work = sender(ledger, clock, social)

    recovered = await at_work.recover()
    report = await at_work.run()

    assert (recovered.again, report.sent) == (1, 1)


async def test_a_channel_that_cannot_tell_leaves_it_to_a_person(ledger: Ledger, clock: Clock) -> None:
    """Asked and told again at every start, and settled only by an answer."""
    delivery = crashed(ledger, clock)

    def nobody_knows(_: Delivery) -> Receipt | None:
        raise UnknownOutcome("look at the chat")

    social = NotingChannel("social", answer=nobody_knows)
    first = await sender(ledger, clock, social).recover()
    clock.forward(minutes=1)
    second = await sender(ledger, clock, social).recover()

    assert f"look at the chat; look there, then run bot settle {delivery.key[:12]}" in first.problems[0]
    assert (first.unknown, second.unknown, second.problems) == (1, 1, first.problems)
    assert (await sender(ledger, clock, social).run()).outcomes == {}
    ledger.settle(ledger.get(delivery.key).again(clock()))
    assert (await sender(ledger, clock, social).run()).sent == 1


async def test_a_mail_whose_answer_is_always_lost_is_not_sent_for_ever(ledger: Ledger, clock: Clock) -> None:
    """Policy resends it, each time later, and at last asks a person."""
    record(ledger, 1)
    mail = NotingChannel("mail", fault=always(UnknownOutcome("cut after the last dot")))
    at_work = sender(ledger, clock, mail)

    for _ in range(150):
        await at_work.recover()
        await at_work.run()
        clock.forward(minutes=5)

    assert mail.calls == MAX_ATTEMPTS
    assert ledger.deliveries()[0].state is State.UNKNOWN


async def test_a_channel_that_is_no_longer_set_up_is_named(ledger: Ledger, clock: Clock) -> None:
    """Its doubtful deliveries are neither lost nor settled."""
    crashed(ledger, clock)

    report = await sender(ledger, clock).recover()

    assert report.problems == ("social: 1 in doubt, but no such channel is set up; add it to bot.toml again",)
    assert states(ledger) == {State.UNKNOWN: 1}


# --------------------------------------------------------------------------- what people and logs see


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("550 <ann.b+c@example.org>: unknown", "550 <(address)>: unknown"),
        ("สมชาย@ตัวอย่าง.ไทย refused", "(address) refused"),
        ("see https://social.example/@ann/1", "see https://social.example/@ann/1"),
        ("no address here", "no address here"),
        ("weekly@2026-11-27T09:00+07:00 waits", "weekly@2026-11-27T09:00+07:00 waits"),
        ("the-shelf@2026-11-27T09:00-11:30", "the-shelf@2026-11-27T09:00-11:30"),
        ("ann@2026-11-27.example.org", "(address)"),
        ("ann@2026-11-27T09:00+07:00.example.org", "(address):00+07:00.example.org"),
        ("<ann@b.org@2026-11-27T09:00+07:00>", "<(address):00+07:00>"),
        ("ann@2026-11-27T09.example.org", "(address)"),
    ],
)
def test_addresses_are_taken_out_of_remote_answers(said: str, kept: str) -> None:
    """Servers repeat the address; our records do not. A profile's URL is none, nor is an issue's name."""
    assert without_addresses(said) == kept


async def test_one_line_for_each_outcome_and_never_an_address(
    ledger: Ledger, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """For people the line, for machines the fields; the address is nowhere, not even in the ledger."""
    record(ledger, 3)
    faults = {1: None, 2: PermanentFailure("<r0001@example.org> unknown", code=550)}
    mail = NotingChannel("mail", fault=lambda key, nth: faults.get(nth, UnknownOutcome("r0002@example.org?")))

    with caplog.at_level(logging.DEBUG):
        report = await sender(ledger, clock, mail, concurrency=1).run()

    lines = [entry for entry in caplog.records if entry.name == "bot.sender.posts"]
    assert [(vars(line)["state"], vars(line)["code"], line.levelname) for line in lines] == [
        ("sent", None, "INFO"),
        ("failed", 550, "WARNING"),
        ("unknown", None, "WARNING"),
    ]
    assert "@example.org" not in caplog.text + str(report) + str(ledger.deliveries())


def test_reports_add_up() -> None:
    """What recovery and run did, in one."""
    one = Report(outcomes={("mail", State.SENT): 2}, problems=("a",))
    two = Report(outcomes={("mail", State.SENT): 1, ("social", State.FAILED): 1}, problems=("b",))

    both = one + two

    assert (both.sent, both.failed, both.problems) == (3, 1, ("a", "b"))


# --------------------------------------------------------------------------- any order of events, real kills


class AnyOrder(RuleBasedStateMachine):
    """Plan, claim, call, crash, recover, settle, retry in any order: none lost, none twice undoubted."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = open_store("sqlite://")
        self.ledger = Ledger(self.engine, mode="live", publication="broadside")
        self.clock = Clock()
        self.expected: set[str] = set()
        self.in_hand: list[Delivery] = []  # claimed by the running program
        self.calls: Counter[str] = Counter()  # calls that went through
        self.doubted: Counter[str] = Counter()  # how often a key was in doubt and put back in line
        self.vouched: set[str] = set()  # a person said that it went out
        self.number = 0

    def teardown(self) -> None:
        self.engine.dispose()

    @rule(count=st.integers(0, 4))
    def record(self, count: int) -> None:
        self.number += 1
        assert record(self.ledger, count, number=self.number) == count
        assert record(self.ledger, count, number=self.number) == 0
        self.clock.now = max(self.clock.now, NOW + timedelta(weeks=self.number))
        self.expected |= {delivery.key for delivery in self.ledger.deliveries(limit=999)}

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        taken = self.ledger.take("mail", self.clock(), limit)
        assert not {each.key for each in taken} & {each.key for each in self.in_hand}
        self.in_hand += taken

    @precondition(lambda self: self.in_hand)
    @rule(outcome=st.sampled_from(["sent", "temporary", "failed", "lost", "lost before"]))
    def call_and_settle(self, outcome: str) -> None:
        delivery, now = self.in_hand.pop(0), self.clock()
        self.calls[delivery.key] += outcome in ("sent", "lost")
        settled = {
            "sent": delivery.sent(Receipt(), now),
            "temporary": delivery.deferred(TemporaryFailure("busy"), now),
            "failed": delivery.failed(PermanentFailure("no"), now),
        }.get(outcome, delivery.unknown("lost", now))
        self.ledger.settle(settled)

    @rule(went_out=st.booleans())
    def crash_and_recover(self, went_out: bool) -> None:
        for delivery in self.in_hand:
            self.calls[delivery.key] += went_out
        doubtful = self.ledger.recover(self.clock())
        assert {each.key for each in doubtful} == {each.key for each in self.in_hand}
        self.in_hand = []

    @rule(decision=st.sampled_from(["again", "sent", "cancelled"]))
    def settle_the_unknown(self, decision: str) -> None:
        for delivery in self.ledger.deliveries(states=(State.UNKNOWN,), limit=2):
            now = self.clock()
            if decision == "again":
                self.doubted[delivery.key] += 1
            if decision == "sent":
                self.vouched.add(delivery.key)
            self.ledger.settle(
                {
                    "again": delivery.again(now),
                    "sent": delivery.sent(Receipt(), now),
                    "cancelled": delivery.cancelled("no", now),
                }[decision]
            )

    @rule()
    def retry_the_failed(self) -> None:
        for delivery in self.ledger.deliveries(states=(State.FAILED,), limit=2):
            self.ledger.revise(delivery.again(self.clock()), was=State.FAILED)

    @rule(hours=st.integers(1, 50))
    def time_goes_by(self, hours: int) -> None:
        self.clock.forward(hours=hours)

    @invariant()
    def nobody_twice_unless_in_doubt(self) -> None:
        assert all(calls <= 1 + self.doubted[key] for key, calls in self.calls.items())

    @invariant()
    def nobody_is_forgotten(self) -> None:
        rows = self.ledger.deliveries(limit=999)
        assert {row.key for row in rows} == self.expected
        assert sum(self.ledger.counts().values()) == len(self.expected)
        assert {row.key for row in rows if row.state is State.CLAIMED} == {each.key for each in self.in_hand}
        believed = {row.key for row in rows if row.state is State.SENT} - self.vouched
        assert all(self.calls[key] == 1 for key in believed - set(self.doubted))


AnyOrder.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestAnyOrder = AnyOrder.TestCase


@pytest.mark.slow
def test_a_killed_process_loses_nobody_and_knows_whom_it_doubted(tmp_path: Path) -> None:
    """SIGKILL at ten random moments of 300 mails: repeats are only what the ledger named as unknown."""
    url, file = f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "sent"
    engine = open_store(url)
    ledger = Ledger(engine, mode="live", publication="broadside")
    record(ledger, 300)
    chance = random.Random(7)
    unknown: Counter[str] = Counter()
    kills = 0

    for life in range(60):
        if states(ledger) == {State.SENT: 300}:
            break
        kill_after = chance.randrange(1, 45) if kills < 10 else None
        kills += not one_life(url, file, life, kill_after, unknown)

    keys = {delivery.key for delivery in ledger.deliveries(limit=999)}
    sent = Counter(file.read_text().split())
    assert (kills, states(ledger)) == (10, {State.SENT: 300})
    assert set(sent) == keys, "somebody was lost"
    assert all(count <= 1 + unknown[key] for key, count in sent.items()), "a repeat that the ledger missed"
    assert unknown.total() <= 3 * kills, "more in doubt than calls in flight"
    engine.dispose()


def one_life(url: str, file: Path, life: int, kill_after: int | None, unknown: Counter[str]) -> bool:
    """Run the child until it ends or has sent that many; whether it ended by itself."""
    command = [sys.executable, "-m", "tests.support.sending_child", url, str(file), str(life)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as child:
        assert child.stdout is not None
        for line in child.stdout:
            word, _, key = line.strip().partition(" ")
            if word == "unknown":
                unknown[key] += 1
            if word == "sent" and kill_after is not None:
                kill_after -= 1
                if kill_after == 0:
                    child.kill()
            if word == "done":
                return True
    return False
