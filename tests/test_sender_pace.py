"""Posts go at their account's pace: beside an issue, over many processes, after a restart; STOP is heard."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from bot.errors import Blame, PermanentFailure, StoreError, TemporaryFailure
from bot.model import Message, Receipt, Recipient, State
from bot.pace import Guard, PaceRules
from bot.sender import Sender, Shut, Wicket
from bot.sender.wicket import in_words
from bot.store.engine import open_store
from bot.store.ledger import Ledger
from bot.store.pace import Pace
from tests.support.channels import NotingChannel
from tests.support.ledgers import NOW, record
from tests.support.live_workspace import live_servers
from tests.support.paced import paced
from tests.support.pacing import Racers, fullest
from tests.support.postgres import Cluster
from tests.support.smtp_server import self_made_certificate
from tests.support.standstill import standstill


class Clock:
    """Stands still until it is told to move."""

    now = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


class Timed(NotingChannel):
    """Knows when each call came."""

    def __init__(self, name: str, **options: object) -> None:
        super().__init__(name, **options)  # type: ignore[arg-type]
        self.moments: list[float] = []
        self.first = asyncio.Event()

    async def send(self, message: Message, to: Recipient, *, key: str) -> Receipt:
        self.moments.append(time.monotonic())
        self.first.set()
        return await super().send(message, to, key=key)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_made_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def engine(store_url: str) -> Iterator[Engine]:
    engine = open_store(store_url)
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
    rules: Mapping[str, PaceRules],
    *channels: NotingChannel,
    clock: Clock | None = None,
    stopping: Callable[[], bool] = lambda: False,
    concurrency: int = 2,
) -> Sender:
    """As the bot has it; with a ``clock`` the pace goes by that, else by the database's."""
    pace = Pace(ledger.engine)
    return Sender(
        ledger,
        {channel.name: channel for channel in channels},
        clock=clock or Clock(),
        stopping=stopping,
        concurrency=concurrency,
        gates={name: Wicket(pace, name, each, clock=clock) for name, each in rules.items()},
    )


def states(ledger: Ledger) -> dict[State, int]:
    return {state: count for (_, state), count in ledger.counts().items()}


def untouched(ledger: Ledger) -> list[tuple[int, str]]:
    """Attempts and errors of those that still wait."""
    return [(each.attempts, each.error) for each in ledger.deliveries([State.PLANNED])]


# --------------------------------------------------------------------------- waiting


async def test_posts_are_spaced(ledger: Ledger) -> None:
    """Ten a second, whatever goes out at once."""
    record(ledger, 12, channel="social")
    social, begun = Timed("social"), time.monotonic()

    report = await sender(ledger, {"social": PaceRules(per_second=10)}, social).run()

    assert (report.sent, report.notices, report.problems) == (12, (), ())
    assert fullest(social.moments, 1) <= 12
    assert social.moments[-1] - begun >= 1.05  # the first may use its slot a little late


async def test_an_account_without_limits_waits_for_nothing(ledger: Ledger) -> None:
    """And counts nothing but one look a second."""
    record(ledger, 40, channel="social")
    begun = time.monotonic()

    report = await sender(ledger, {"social": PaceRules()}, Timed("social")).run()

    assert report.sent == 40
    assert Pace(ledger.engine).accounts()["social"].used <= 5 + time.monotonic() - begun


async def test_what_is_used_up_leaves_the_rest_for_a_later_run(ledger: Ledger, clock: Clock) -> None:
    """Planned, not tried, not blamed; the report says why and until when, and that is no failure."""
    record(ledger, 8, channel="social")
    rules = {"social": PaceRules(per_hour=5)}

    first = await sender(ledger, rules, NotingChannel("social"), clock=clock).run()

    (notice,) = first.notices
    assert notice.startswith(
        "social: 3 posts wait for the account's pace: per_hour = 5 is used up; it goes on in"
    )
    assert (first.sent, first.problems, states(ledger)) == (5, (), {State.SENT: 5, State.PLANNED: 3})
    assert untouched(ledger) == [(0, "")] * 3
    clock.forward(minutes=62)
    assert (await sender(ledger, rules, NotingChannel("social"), clock=clock).run()).sent == 3


async def test_a_store_that_fails_while_a_post_waits_leaves_it_planned(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was claimed and not begun: nobody need wonder whether it went out."""
    record(ledger, 1, channel="social")

    async def turn(*_: object, **__: object) -> bool:
        raise StoreError("the disk is full")

    monkeypatch.setattr(Wicket, "turn", turn)
    report = await sender(ledger, {"social": PaceRules()}, NotingChannel("social"), clock=clock).run()

    (problem,) = report.problems
    assert problem.startswith("social: ")
    assert "the disk is full" in problem
    assert untouched(ledger) == [(0, "")]


async def test_a_restart_forgets_nothing(store_url: str, clock: Clock) -> None:
    """Three lives in one hour have one hour's share."""
    rules, counts = {"social": PaceRules(per_hour=5)}, []
    for life in range(3):
        engine = open_store(store_url)
        ledger = Ledger(engine, mode="live", publication="broadside")
        record(ledger, 4, number=life + 1, channel="social")
        clock.now = NOW + timedelta(weeks=2)
        counts.append((await sender(ledger, rules, NotingChannel("social"), clock=clock).run()).sent)
        engine.dispose()

    assert counts == [4, 1, 0]


async def test_a_slow_account_holds_up_no_other(ledger: Ledger) -> None:
    """The other has sent all of its posts before the slow one may send its third."""
    record(ledger, 3, number=1, channel="slow")
    record(ledger, 30, number=2, channel="fast")
    slow, fast = Timed("slow"), Timed("fast")
    rules = {"slow": PaceRules(per_second=0.5), "fast": PaceRules(per_second=500)}
    at_work = sender(ledger, rules, slow, fast)
    at_work.clock = lambda: NOW + timedelta(weeks=2)
    begun = time.monotonic()

    report = await at_work.run()

    assert (report.count(State.SENT, "slow"), report.count(State.SENT, "fast")) == (3, 30)
    assert max(fast.moments) < slow.moments[2]
    assert slow.moments[2] - begun >= 3.9  # the first may use its slot a little late


@pytest.mark.parametrize("way", ["stop", "hold"])
async def test_stop_is_heard_while_a_post_waits(ledger: Ledger, way: str) -> None:
    """Within a second, or before the next slot comes, which is some seconds away; what waits is as it was."""
    record(ledger, 3, channel="social")
    said = asyncio.Event()
    social = Timed("social")

    async def say_stop() -> None:
        await social.first.wait()
        await asyncio.sleep(0.3)
        said.set()
        if way == "hold":
            await asyncio.to_thread(ledger.hold, "*", "STOP", NOW)

    slot = {"stop": 5.0, "hold": 4.0}[way]  # seconds
    stopping = said.is_set if way == "stop" else lambda: False
    at_work = sender(ledger, {"social": PaceRules(per_second=1 / slot)}, social, stopping=stopping)
    begun = time.monotonic()
    with standstill() as still:
        report, _ = await asyncio.gather(at_work.run(), say_stop())

    soon = {"stop": 0.0, "hold": slot}[way] + 2.5
    assert time.monotonic() - begun < soon + still.seconds
    assert (report.sent, len(social.moments)) == (1, 1)
    assert states(ledger) == {State.SENT: 1, State.PLANNED: 2}
    assert untouched(ledger) == [(0, "")] * 2


async def test_a_claim_whose_slot_is_taken_from_it_is_as_if_it_had_not_been(ledger: Ledger) -> None:
    """STOP between the claim and the call: back in line, no attempt counted, nothing in doubt."""
    record(ledger, 2, channel="social")
    stopped = False

    class Late(Wicket):
        async def turn(self, **options: object) -> bool:  # type: ignore[override]
            nonlocal stopped
            stopped = True
            return await super().turn(**options)  # type: ignore[arg-type]

    at_work = sender(ledger, {}, social := Timed("social"), stopping=lambda: stopped)
    at_work._gates = {"social": Late(Pace(ledger.engine), "social", PaceRules(per_second=5))}
    report = await at_work.run()

    assert (social.moments, report.outcomes) == ([], {})
    assert untouched(ledger) == [(0, "")] * 2


# --------------------------------------------------------------------------- answers


async def test_asked_to_slow_down_the_account_rests(ledger: Ledger, clock: Clock) -> None:
    """One 429, and nothing else is tried before the time that it named."""
    record(ledger, 5, channel="social")
    busy = TemporaryFailure("too many posts", code=429, retry_after=timedelta(seconds=60))
    social = Timed("social", fault=lambda key, nth: busy if nth == 1 else None)
    at_work = sender(ledger, {"social": PaceRules()}, social, clock=clock, concurrency=1)

    first = await at_work.run()
    clock.forward(seconds=59)
    second = await at_work.run()
    clock.forward(seconds=2)
    third = await at_work.run()

    assert (first.deferred, first.sent, second.sent, third.sent) == (1, 0, 0, 5)
    assert first.notices == (
        "social: 4 posts wait for the account's pace: the remote asked for a rest; "
        "it goes on in about 60 seconds",
    )


async def test_too_many_refusals_pause_the_account_and_tell_a_person(ledger: Ledger, clock: Clock) -> None:
    """Once when it happens, again while it lasts; let go, the rest goes out."""
    record(ledger, 12, channel="social")
    no = PermanentFailure("no such chat", code=550, blame=Blame.RECIPIENT)
    rules = {"social": PaceRules(per_hour=2, pause=Guard(refused=0.1, of=10))}

    first = await sender(ledger, rules, NotingChannel("social", fault=lambda key, nth: no), clock=clock).run()
    clock.forward(hours=2)
    second = await sender(ledger, rules, social := NotingChannel("social"), clock=clock).run()

    advice = "social: paused, because 2 of the last 2 recipients were refused (the limit is 10.0%); "
    assert any(problem.startswith(advice) for problem in first.problems)
    assert second.problems[0].startswith(advice)
    assert (second.sent, second.notices, social.calls) == (0, (), 0)
    Pace(ledger.engine).resume("social")
    assert (await sender(ledger, rules, social, clock=clock).run()).sent == 2


def test_a_wait_is_told_in_words() -> None:
    """Rounded up, in the unit that people would use."""
    waits = [0.2, 1.2, 60, 91, 3600, 5401, 86_400, 300_000]

    assert [in_words(timedelta(seconds=wait)) for wait in waits] == [
        "about 1 second",
        "about 2 seconds",
        "about 60 seconds",
        "about 2 minutes",
        "about 60 minutes",
        "about 2 hours",
        "about 24 hours",
        "about 4 days",
    ]
    assert str(Shut(why="paused", wait=timedelta(seconds=30), person=True)) == "paused"


# --------------------------------------------------------------------------- the whole way


async def test_a_post_over_its_accounts_pace_waits_and_the_other_account_goes_on(
    tmp_path: Path, certificate: Path
) -> None:
    """Two on one day, one a day allowed on Telegram: Mastodon has both, and Telegram's goes out tomorrow."""
    async with live_servers(tmp_path, certificate) as live:
        live.change('slots = ["Fri 09:00"]\nbackfill', 'slots = ["Fri 09:00", "Fri 10:00"]\nbackfill')
        with (live.here / "bot.toml").open("a") as file:
            file.write("[channels.telegram.pace]\nper_day = 1\n[channels.mastodon.pace]\nper_second = 2\n")
        hour = timedelta(hours=1)
        now = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)
        await live.tick(now)
        ticked = await live.tick(now + hour)
        waiting = live.deliveries(State.PLANNED)
        later = await live.tick(now + 25 * hour)

    assert ticked.report is not None
    assert later.report is not None
    (notice,) = ticked.report.notices
    assert notice.startswith("telegram: 1 post waits for the account's pace: per_day = 1 is used up; it goes")
    assert (ticked.report.count(State.SENT, "mastodon"), ticked.report.problems) == (1, ())
    assert [each.channel for each in waiting] == ["telegram"]
    assert later.report.count(State.SENT, "telegram") == 1


# --------------------------------------------------------------------------- real processes


@pytest.mark.slow
@pytest.mark.xdist_group("pace")
def test_posts_letters_and_singles_of_four_processes_keep_one_pace(store_url: str, tmp_path: Path) -> None:
    """Two that send posts, an issue and single mails: never more than 16 in a second; all get some.

    How near to 14 they come is the database's speed: each post is claimed and settled there.
    """
    ledger = Ledger(open_store(store_url), mode="live", publication="broadside")
    record(ledger, 300, channel="mail")
    kinds = ("posts", "posts", "letters", "singles")

    with Racers(
        store_url,
        tmp_path / "gone",
        count=4,
        seconds=10.5,
        rules={"per_second": 14.0},
        child="pacing_sender_child",
        kinds=kinds,
    ) as racers:
        said = [each["sent"] for each in racers.finish()]
        gone = racers.moments()

    found = states(ledger)
    ledger.engine.dispose()
    within = [moment for moment in gone if moment < gone[0] + 10]
    assert fullest(gone, 1) <= 16
    assert 40 <= len(within) <= 142
    assert min(said) > 3, dict(zip(kinds, said, strict=True))
    assert found == {State.SENT: said[0] + said[1], State.PLANNED: 300 - said[0] - said[1]}


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
@pytest.mark.timeout(500)
async def test_four_workers_keep_the_pace_of_one_account(tmp_path: Path, postgres: Cluster) -> None:
    """Real ones, counted at the mail server: 14 a second together, and never more than 16 in any.

    But for the time in which the machine gave them no turn: a slot not used in time is not made up for.
    """
    url = postgres.database("t1")

    found = await paced(tmp_path, url=url, rate=14, seconds=15, workers=4)

    postgres.drop(url)
    lost = 14 * (found.stood + found.waited) / found.seconds
    assert found.crowd <= 16, found
    assert 13.3 - lost <= found.average <= 14.3 + 14 * found.stood / found.seconds, found
    assert (found.repeats, found.lost) == (0, 0)
