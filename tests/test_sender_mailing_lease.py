"""A run that slept past its lease: it sends nothing before the ledger says that it still may."""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy import select

from bot.channels.base import Reader
from bot.cli.waiting import waits_are_told
from bot.errors import DeliveryError, Lost, StoreError
from bot.model import Message, State
from bot.sender import MailingSender, Report
from bot.sender import mailing as sender_module
from bot.sender.books import Books
from bot.sender.hand import Hand
from bot.store.chunks import Claimed, Mailing
from bot.store.engine import open_store, reading
from bot.store.mailing import Mailings
from bot.store.schema import letter as letters
from tests.support.ledgers import NOW, WORDS, issue, readers
from tests.support.mailings import until

READERS = 6


@dataclass(frozen=True)
class Sheet:
    """A letter that this test has in its hands."""

    address: str
    tag: Any
    content: bytes = b""


class ByHand:
    """A channel whose two lines are the test itself."""

    name, connections, resends, down = "mail", 2, True, False

    def __init__(self) -> None:
        self.woken, self._over = 0, asyncio.Event()
        self.making: Callable[[], object] = lambda: None
        self.pull: Callable[[], Sheet | None]
        self.began: Callable[[Sheet], bool | None]
        self.done: Callable[[Sheet, str | DeliveryError], None]

    def compiled(self, message: Message) -> ByHand:
        return self

    def letter(
        self,
        to: Reader,
        *,
        key: str,
        values: Mapping[str, str] = {},
        tag: object = None,
    ) -> Sheet:
        self.making()
        return Sheet(to.address, tag)

    def lines(self, *, pull: Any, done: Any, began: Any, trouble: Any) -> ByHand:
        self.pull, self.done, self.began = pull, done, began
        return self

    async def run(self) -> None:
        await self._over.wait()

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def wake(self) -> None:
        self.woken += 1

    def stop(self) -> None:
        self._over.set()

    async def next(self) -> Sheet:
        """The next letter, as soon as there is one."""
        found: list[Sheet] = []

        def pulled() -> bool:
            if (sheet := self.pull()) is not None:
                found.append(sheet)
            return bool(found)

        await until(pulled)
        return found[0]

    def send(self, sheet: Sheet) -> None:
        assert self.began(sheet) is not False
        self.done(sheet, "250 ok")


class Sleeper:
    """A run on a machine that can sleep: its own clock goes on, and so does everybody else's."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.slept, self.stopping = folder, 0.0, False
        self.hand = ByHand()
        self.mailings = Mailings(
            open_store(f"sqlite:///{folder / 'ledger.db'}"),
            mode="live",
            publication="broadside",
            samples=readers(READERS),
        )
        self.mailings.record_issue(issue(), {"": WORDS}, "mail", NOW, list(readers(READERS)))
        self.sender = MailingSender(
            self.mailings,
            self.hand,
            words=lambda _digest: WORDS,
            values=lambda _mailing: lambda _reader: {},
            flights=folder / "flights",
            clock=self.now,
            stopped=lambda: self.stopping,
            age=lambda: self.slept,
        )

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.slept)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[Report]]:
        async with self.running_at_once() as run:
            await until(lambda: run.done() or self.hand.woken)
            yield run

    @asynccontextmanager
    async def running_at_once(self) -> AsyncIterator[asyncio.Task[Report]]:
        """Before the first letter is made."""
        run = asyncio.create_task(self.sender.run())
        try:
            yield run
        finally:
            self.hand.stop()
            await asyncio.wait_for(run, 20)
            self.mailings.engine.dispose()

    def states(self) -> list[str]:
        with reading(self.mailings.engine) as connection:
            return list(connection.scalars(select(letters.c.state).order_by(letters.c.number)))


@pytest.fixture
def sleeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sleeper:
    """Awake, and looking around a hundred times a second."""
    monkeypatch.setattr(sender_module, "GLANCE", 0.01)
    return Sleeper(tmp_path)


async def test_nothing_goes_out_after_a_long_sleep_before_the_lease_is_renewed(sleeper: Sleeper) -> None:
    """Not even what was claimed already; a moment later it goes on."""
    async with sleeper.running():
        sleeper.hand.send(await sleeper.hand.next())
        woken, sleeper.slept = sleeper.hand.woken, 61.0

        at_once = sleeper.hand.pull()
        await until(lambda: sleeper.hand.woken > woken)
        later = await sleeper.hand.next()
        sleeper.hand.send(later)

    assert at_once is None
    assert sleeper.states() == ["sent", "sent", *["planned"] * 4]


async def test_a_short_sleep_stops_nobody(sleeper: Sleeper) -> None:
    """The lease still runs: nobody else can have the chunk."""
    async with sleeper.running():
        sheet = await sleeper.hand.next()
        sleeper.slept = 59.0

        assert sleeper.hand.began(sheet) is True
        sleeper.hand.done(sheet, "250 ok")


async def test_a_letter_that_was_announced_before_the_sleep_does_not_begin_after_it(sleeper: Sleeper) -> None:
    """It goes back in line, and out when the lease was renewed: nobody is forgotten."""
    async with sleeper.running() as run:
        announced = await sleeper.hand.next()
        sleeper.slept = 61.0
        began = sleeper.hand.began(announced)
        while not run.done() and State.SENT.value * READERS != "".join(sleeper.states()):
            if (sheet := sleeper.hand.pull()) is not None:
                sleeper.hand.send(sheet)
            await asyncio.sleep(0)

    assert began is False
    assert sleeper.states() == ["sent"] * READERS


async def test_what_another_took_over_during_the_sleep_is_left_to_it(sleeper: Sleeper) -> None:
    """Neither what was announced nor what waits goes out; the other's outcomes stand."""
    async with sleeper.running() as run:
        announced = await sleeper.hand.next()
        sleeper.slept = 61.0
        chunk = sleeper.mailings.lease("other", sleeper.now(), seconds=1000)
        assert chunk is not None
        theirs = sleeper.mailings.exchange(chunk, [], want=READERS, now=sleeper.now())

        began, pulled = sleeper.hand.began(announced), sleeper.hand.pull()
        await asyncio.wait_for(run, 20)

    assert (began, pulled) == (False, None)
    assert len(theirs) == READERS
    assert sleeper.states() == ["claimed"] * READERS


async def test_what_was_not_begun_is_in_no_doubt_though_it_could_not_be_given_back(
    sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is gone at the end of a run: the next start knows that nothing was on the wire."""

    def away(*_: object, **__: object) -> NoReturn:
        raise StoreError("the server is gone")

    run = asyncio.create_task(sleeper.sender.run())
    await until(lambda: run.done() or sleeper.hand.woken)
    with monkeypatch.context() as outage:
        outage.setattr(sleeper.mailings, "release", away)
        sleeper.hand.stop()
        with pytest.raises(StoreError, match="is gone"):
            await asyncio.wait_for(run, 20)
    claimed = sleeper.states().count("claimed")
    found = sleeper.mailings.recover(sleeper.folder / "flights", NOW)

    assert (found.returned, found.doubtful) == (claimed, ())
    assert sleeper.states() == ["planned"] * READERS
    assert list((sleeper.folder / "flights").iterdir()) == []
    sleeper.mailings.engine.dispose()


async def test_stop_is_heard_while_the_thread_is_busy(
    sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a slow database, and the lines would go on meanwhile."""
    monkeypatch.setattr(sender_module, "FAST", 0)  # each letter would ask, in a group so small
    busy, free, look = threading.Event(), threading.Event(), sleeper.mailings.open_issues

    def slow(now: datetime) -> list[Mailing]:
        busy.set()
        free.wait(20)
        return look(now)

    monkeypatch.setattr(sleeper.mailings, "open_issues", slow)
    async with sleeper.running():
        await until(busy.is_set)
        sleeper.stopping = True
        try:
            await until(lambda: sleeper.hand.is_over)
        finally:
            free.set()

    assert sleeper.states() == ["planned"] * READERS


async def test_a_group_that_was_lost_while_it_was_made_bars_no_other(
    sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine slept meanwhile, and another has the chunk: it is dropped, and the next issue goes on."""
    begun, lost, free = threading.Event(), threading.Event(), threading.Event()
    daily, exchange = issue(newsletter="daily"), sleeper.mailings.exchange
    sleeper.mailings.record_issue(daily, {"": WORDS}, "mail", NOW, list(readers(READERS)))

    def making() -> None:
        begun.set()
        free.wait(20)

    def told(*args: Any, **how: Any) -> list[Claimed]:
        try:
            return exchange(*args, **how)
        except Lost:
            lost.set()
            raise

    monkeypatch.setattr(sleeper.mailings, "exchange", told)
    sleeper.hand.making = making
    async with sleeper.running_at_once():
        await until(begun.is_set)
        sleeper.slept = 61.0
        assert sleeper.mailings.lease("other", sleeper.now(), seconds=1000, issue=1)
        await until(lost.is_set)
        asyncio.get_running_loop().call_later(5 * sender_module.GLANCE, free.set)
        for _ in range(READERS):
            sleeper.hand.send(await sleeper.hand.next())

    assert Counter(sleeper.states())["sent"] == READERS


async def test_what_was_made_while_somebody_paused_the_issue_does_not_go_out(
    sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making a group may take seconds on a slow machine; a line is quick to take what is ready."""
    begun, free, pulled = threading.Event(), threading.Event(), list[Sheet | None]()

    def making() -> None:
        begun.set()
        free.wait(20)

    sleeper.hand.making = making
    monkeypatch.setattr(sleeper.hand, "wake", lambda: pulled.append(sleeper.hand.pull()))
    run = asyncio.create_task(sleeper.sender.run())
    await until(begun.is_set)
    sleeper.mailings.pause(1)
    asyncio.get_running_loop().call_later(2 * sender_module.GLANCE, free.set)
    await asyncio.wait_for(run, 20)

    assert not any(pulled)
    assert sleeper.states() == ["planned"] * READERS
    sleeper.mailings.engine.dispose()


async def test_who_is_told_to_stop_does_not_wait_long_for_a_database_that_is_gone(
    sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answers that could not be written are in the recorder, and the next start writes them."""
    monkeypatch.setattr("bot.sender.outage.HURRIED", 0.1)

    asked = asyncio.Event()

    def away(*_: object, **how: object) -> NoReturn:
        if "want" in how:  # an exchange: what was heard is to be written
            asked.set()
        raise StoreError("the server is gone")

    run = asyncio.create_task(sleeper.sender.run())
    await until(lambda: run.done() or sleeper.hand.woken)
    with monkeypatch.context() as outage:
        for call in ("exchange", "release", "lease", "open_issues", "left"):
            outage.setattr(sleeper.mailings, call, away)
        for _ in range(2):
            sleeper.hand.send(await sleeper.hand.next())
        await until(asked.is_set)
        sleeper.stopping = True
        await asyncio.wait([run], timeout=20)
        in_time = run.done()
        with pytest.raises(StoreError, match="is gone"):
            await asyncio.wait_for(run, 1)
    found = sleeper.mailings.recover(sleeper.folder / "flights", NOW)

    assert in_time
    assert (found.settled, found.doubtful) == (2, ())
    assert sleeper.states() == ["sent", "sent", *["planned"] * (READERS - 2)]
    sleeper.mailings.engine.dispose()


async def test_a_database_that_is_gone_is_told_when_it_goes_and_when_it_is_back(
    sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever sits there reads it at once, one line for each; the report tells how long it was."""
    monkeypatch.setattr("bot.sender.books.GLANCE", 0.01)
    exchange, tries = sleeper.mailings.exchange, 0

    def away(*of: Any, **how: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise StoreError("ledger.db: database or disk is full")
        return exchange(*of, **how)

    monkeypatch.setattr(sleeper.mailings, "exchange", away)
    with waits_are_told():
        run = asyncio.create_task(sleeper.sender.run())
        await until(lambda: run.done() or tries)
        await until(lambda: run.done() or sleeper.hand.woken)
        said = capsys.readouterr().err
        sleeper.hand.stop()
        report = await asyncio.wait_for(run, 20)
    sleeper.mailings.engine.dispose()

    assert said == (
        "! the database does not answer, waiting for it: ledger.db: database or disk is full\n"
        "! the database answers again\n"
    )
    (problem,) = report.problems
    assert re.fullmatch(
        r"mail: the database did not answer for \d+ seconds?: ledger.db: database or disk is full", problem
    )


async def test_a_run_whose_issue_was_cancelled_says_so(sleeper: Sleeper) -> None:
    """By whom and why, and how many had gone out."""
    async with sleeper.running() as run:
        sleeper.hand.send(await sleeper.hand.next())
        sleeper.mailings.cancel(1, "cancelled by Ana: wrong numbers", NOW)
        await asyncio.wait([run], timeout=2)
        sleeper.hand.stop()
        report = await asyncio.wait_for(run, 20)

    (notice,) = report.notices
    assert notice.startswith("mail: weekly@")
    assert notice.endswith(
        ": cancelled by Ana: wrong numbers; 1 of 6 letters were sent, and no others go out"
    )
    assert report.problems == ()


async def test_a_chunk_that_was_given_back_is_not_counted_twice(tmp_path: Path) -> None:
    """Its lease was to be renewed just then: the recorder stays for the other, which is still ours."""
    mailings = Mailings(
        open_store("sqlite://"), mode="live", publication="broadside", samples=readers(READERS)
    )
    for number in (1, 2):
        mailings.record_issue(issue(number), {"": WORDS}, "mail", NOW, list(readers(READERS)))
    books = books_of(mailings, tmp_path)

    with books:
        hands = [await leased(books) for _ in range(2)]
        mailings.exchange(hands[1].chunk, [], want=READERS, now=NOW)
        await books.release(hands[0])
        with pytest.raises(Lost):
            await books.renew(hands[0])
        books.drop(hands[0], [])
    found = mailings.recover(tmp_path, NOW)

    assert (found.returned, found.doubtful) == (READERS, ())
    mailings.engine.dispose()


async def test_the_ledger_waits_for_no_letter_that_is_made(tmp_path: Path) -> None:
    """Holds are seen and leases renewed while a machine that is slow signs a large group."""
    mailings = Mailings(
        open_store("sqlite://"), mode="live", publication="broadside", samples=readers(READERS)
    )
    mailings.record_issue(issue(), {"": WORDS}, "mail", NOW, list(readers(READERS)))
    books, begun, free, by_hand = books_of(mailings, tmp_path), threading.Event(), threading.Event(), ByHand()

    def making() -> None:
        begun.set()
        free.wait(20)

    by_hand.making = making
    with books:
        hand = await leased(books)
        hand.compiled = (by_hand,)
        exchange = asyncio.create_task(books.exchange(hand, [], READERS))
        await until(begun.is_set)
        try:
            async with asyncio.timeout(10):
                goes_on = await books.going_on()
                await books.renew(hand)
        finally:
            free.set()
        made = await exchange
        await books.release(hand)

    assert goes_on == {hand.chunk.mailing.id}
    assert [claimed.number for claimed, _ in made] == list(range(1, READERS + 1))
    mailings.engine.dispose()


def books_of(mailings: Mailings, folder: Path) -> Books:
    return Books(
        mailings,
        folder,
        clock=lambda: NOW + timedelta(weeks=1),
        age=lambda: 0.0,
        tell=lambda _: None,
        stopped=lambda: False,
    )


async def leased(books: Books) -> Hand:
    found = await books.lease("mail", resend=True)
    assert found is not None
    return Hand(found[0], lambda _: {}, found[1])
