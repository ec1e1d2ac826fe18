"""Channels side by side in a running bot: no one waits for another, and no fault of one ends the others."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.app.crew import Crew
from bot.app.loop import SHORTEST_NAP, nap
from bot.app.publish import Tick, run_lock, tick
from bot.app.readers import add_reader
from bot.app.workspace import Workspace
from bot.errors import BusyError
from bot.model import State
from bot.sender import Report
from bot.store.lock import database_lock
from tests.support.live_workspace import (
    NOW,
    SETTINGS,
    SOCIAL,
    Live,
    addresses,
    deliveries,
    ended,
    live_servers,
    make_live,
    start,
)
from tests.support.mastodon_server import POST_STATUS, MastodonServer
from tests.support.plug import machine, sink, subscribe
from tests.support.postgres import Cluster, cluster
from tests.support.slow_sink import SlowSink, slow_sink
from tests.support.smtp_server import self_made_certificate
from tests.support.standstill import loop_standstill

pytestmark = pytest.mark.timeout(300)

MINUTE = timedelta(minutes=1)
READERS = 80
OTHER = """
[newsletters.daily]
channel = "other"
slots = ["Fri 09:01"]
sender = "The Daily Shelf <daily@news.shelf.ngo>"

[channels.other]
type = "email"
host = "localhost"
port = {port}
security = "none"
"""


async def until(condition: Callable[[], object], *, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def settle_in(folder: Path, mail: SlowSink, other: SlowSink, mastodon: MastodonServer) -> Path:
    """A slow mail channel at 09:00; at 09:01 another newsletter on a quick one, and a post."""
    social = SOCIAL.format(mastodon=mastodon.url, telegram="http://localhost:1").replace("09:00", "09:01")
    social, _, _ = social.partition("[channels.telegram]")
    slow = 'security = "none"\nconnections = 1\n'
    settings = SETTINGS.format(port=mail.port) + slow + OTHER.format(port=other.port) + social
    here = make_live(folder / "news", settings)
    with (here / ".env").open("a") as file:
        file.write(f'BOT_CHANNELS__MASTODON__ACCESS_TOKEN="{mastodon.token}"\n')
    workspace = Workspace(here)
    workspace.ledger.note_schedules(workspace.schedules(), NOW - timedelta(hours=1))
    for address in addresses(READERS):
        add_reader(workspace, address, newsletters=["weekly"])
    for address in addresses(3):
        add_reader(workspace, address, newsletters=["daily"])
    workspace.engine.dispose()
    return here


@pytest.mark.slow
async def test_what_is_due_while_an_issue_is_slow_goes_out_in_time(tmp_path: Path) -> None:
    """An issue takes half a minute; a post and another issue that fall due meanwhile do not wait for it."""
    lead = timedelta(seconds=6)
    async with slow_sink(0.4) as mail, slow_sink(0) as other:
        with MastodonServer() as mastodon:
            mastodon.clock = lambda: NOW
            here = settle_in(tmp_path, mail, other, mastodon)
            begun = time.monotonic()
            slot = begun + lead.total_seconds()
            async with loop_standstill() as still:
                process = await start(here, NOW + MINUTE - lead, "run", at=begun)
                await mail.reach(1, patience=60)
                await until(lambda: mastodon.count(POST_STATUS) and len(other) == 3, seconds=60)
            late = time.monotonic() - max(slot, mail.moments[0])
            under_way = len(mail)
            await mail.reach(under_way + 3, patience=30)
            process.send_signal(signal.SIGTERM)
            ran = await ended(process)

    assert late < 5 + still.seconds, f"{late:.1f} s late"
    assert under_way < READERS - 10
    assert mastodon.count(POST_STATUS) == 1
    assert len(other) == 3
    assert ran.code == 0, ran.err
    assert deliveries(here, State.UNKNOWN, State.CLAIMED) == []
    assert len(mail) == len([d for d in deliveries(here, State.SENT) if d.channel == "mail"])
    assert ran.out.count("weekly 1: ") == 1, "the table of what goes out is shown once, as it begins"


def test_a_slot_that_passed_during_a_tick_is_due_at_once(tmp_path: Path) -> None:
    """The nap asks for slots since the tick began, not since it ended."""
    workspace = Workspace(make_live(tmp_path / "news", SETTINGS.format(port=1)))
    before, after = NOW - MINUTE, NOW + MINUTE

    assert nap(workspace, after, since=before) == SHORTEST_NAP
    assert nap(workspace, after, since=NOW) > SHORTEST_NAP
    workspace.engine.dispose()


# --------------------------------------------------------------------------- one crew


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_made_certificate(tmp_path_factory.mktemp("tls"))


class Ear:
    """What a crew tells."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []

    def __call__(self, _: datetime, ticked: Tick) -> None:
        self.ticks.append(ticked)

    @property
    def problems(self) -> list[str]:
        return [said for ticked in self.ticks if ticked.report for said in ticked.report.problems]

    def sent(self, channel: str) -> int:
        return sum(t.report.count(State.SENT, channel) for t in self.ticks if t.report)


def crew(workspace: Workspace, told: Ear, clock: Callable[[], datetime] = lambda: NOW) -> Crew:
    return Crew(workspace, clock=clock, stopping=lambda: False, told=told)


async def test_a_fault_in_one_channel_ends_no_other_and_is_told(
    tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its type and place, and never its words; the next tick tries again."""
    async with live_servers(tmp_path, certificate) as live:
        workspace, told, now = Workspace(live.here), Ear(), NOW

        def broken(**_: object) -> None:
            raise RuntimeError("about reader0@inbox0.ngo")

        with monkeypatch.context() as patch:
            patch.setattr(workspace.channels["mail"], "lines", broken)
            at_work = crew(workspace, told, lambda: now)
            await at_work.tick(now)
            await until(lambda: not at_work.at_work, seconds=60)
        first = list(told.problems)
        posted = (told.sent("mastodon"), told.sent("telegram"), told.sent("mail"))
        now += 2 * MINUTE  # the lease of what it had in hand has ended
        await at_work.tick(now)
        await at_work.finish()
        await close(workspace)

    assert posted == (1, 1, 0)
    assert len(first) == 1
    assert first[0].startswith("mail: stopped by RuntimeError at ")
    assert "inbox0" not in first[0]
    assert told.sent("mail") == 3


async def close(workspace: Workspace) -> None:
    await workspace.close()
    workspace.engine.dispose()


async def test_the_lock_is_held_until_the_last_channel_rests(tmp_path: Path, certificate: Path) -> None:
    """Another run is told so between two ticks of ours, as long as an issue is on its way, and no longer."""
    async with live_servers(tmp_path, certificate) as live:
        workspace, told, go = Workspace(live.here), Ear(), asyncio.Event()

        async def think(_: object) -> None:
            await go.wait()

        live.mail.when_taken = think
        at_work = crew(workspace, told)
        await at_work.tick(NOW)
        await until(lambda: live.mail.taken and told.sent("mastodon") and told.sent("telegram"), seconds=60)
        with pytest.raises(BusyError):
            await live.tick(NOW)
        await at_work.tick(NOW)  # ours goes on
        go.set()
        await until(lambda: not at_work.at_work, seconds=60)
        await live.tick(NOW)
        await at_work.finish()
        await close(workspace)

    assert told.sent("mail") == 3
    assert len(live.mail.taken) == 3, "begun twice"


async def test_a_channel_that_ends_as_a_tick_begins_leaves_it_the_lock(
    tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look whether the lock still holds and the tick itself nobody lets go of it."""
    workspace, go, held = sharing(tmp_path, store_url), asyncio.Event(), list[bool]()
    loop = asyncio.get_running_loop()
    monkeypatch.setattr("bot.app.crew.work_channel", waiting_for(go))
    at_work = Crew(
        workspace, clock=lambda: NOW, stopping=lambda: False, told=lambda *_: held.append(is_held(workspace))
    )
    await at_work.tick(NOW)
    holds = at_work._holds

    def slowly() -> bool:
        loop.call_soon_threadsafe(go.set)
        time.sleep(0.2)
        return holds()

    at_work._holds = slowly
    await at_work.tick(NOW + MINUTE)
    await at_work.finish()
    after = is_held(workspace)
    await close(workspace)

    assert len(held) == 2
    assert all(held)
    assert not after


@pytest.mark.slow
@pytest.mark.server
async def test_a_bot_at_rest_outlives_its_database(tmp_path: Path) -> None:
    """It dies and comes back between two issues: the next one goes out as if nothing had been."""
    async with sink() as mail:
        with cluster() as database:
            one = machine(tmp_path, mail.port, url=database.database(), connections=1, command=("run",))
            subscribe(one.here, READERS)
            await one.start(NOW - timedelta(seconds=12))
            await one.ready.wait()
            await asyncio.sleep(2)  # its first tick, which is told of nothing
            database.kill()
            await asyncio.sleep(2)
            database.start()
            await until(lambda: len(mail.copies) == READERS, seconds=40)
            one.process.send_signal(signal.SIGTERM)
            code = await one.end()

    assert code == 0, one.complaint
    assert set(mail.copies.values()) == {1}


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
async def test_a_lock_that_went_to_another_run_is_asked_for_again_and_again(
    tmp_path: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database forgot it while a channel was at work; when the other run has ended it is ours again."""
    url = postgres.database("t1")
    workspace, go = sharing(tmp_path, url), asyncio.Event()
    monkeypatch.setattr("bot.app.crew.work_channel", waiting_for(go))
    at_work = crew(workspace, Ear())
    await at_work.tick(NOW)
    with workspace.engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks JOIN pg_database ON oid = database"
            " WHERE locktype = 'advisory' AND datname = current_database()"
        )
    name = f"{workspace.mode} {workspace.ledger.publication}"
    with database_lock(workspace.engine, name):
        for _ in range(2):
            with pytest.raises(BusyError):
                await at_work.tick(NOW)
    await at_work.tick(NOW)
    again = is_held(workspace)
    go.set()
    await at_work.finish()
    await close(workspace)
    postgres.drop(url)

    assert again


def sharing(folder: Path, url: str) -> Workspace:
    """A workspace on this database."""
    here = make_live(folder / "news", SETTINGS.format(port=1))
    with (here / ".env").open("a") as file:
        file.write(f"BOT_DATABASE_URL={url}\n")
    return Workspace(here)


def waiting_for(go: asyncio.Event) -> Callable[..., Awaitable[Report]]:
    async def work(*_: object, **__: object) -> Report:
        await go.wait()
        return Report()

    return work


def is_held(workspace: Workspace) -> bool:
    """Whether another run would be told that one is at work."""
    try:
        with run_lock(workspace):
            return False
    except BusyError:
        return True


async def test_who_was_asked_for_while_at_work_is_news_when_it_ends(live_and_crew: tuple[Live, Crew]) -> None:
    """What a tick recorded just as a channel came to its end does not wait for the longest nap."""
    live, at_work = live_and_crew
    (live.here / "STOP").touch()  # so that nobody sends anything: that would be news, too
    await at_work.tick(NOW)
    await until(lambda: not at_work.at_work, seconds=60)
    assert not at_work.news.is_set()

    at_work._begin("mail")
    at_work._begin("mail")
    await until(lambda: not at_work.at_work, seconds=60)

    assert at_work.news.is_set()


@pytest.fixture
async def live_and_crew(tmp_path: Path, certificate: Path) -> AsyncIterator[tuple[Live, Crew]]:
    async with live_servers(tmp_path, certificate) as live:
        workspace = Workspace(live.here)
        at_work = crew(workspace, Ear())
        yield live, at_work
        await at_work.finish()
        await close(workspace)


async def test_a_run_by_hand_ends_when_its_work_is_done(tmp_path: Path, certificate: Path) -> None:
    """``tick`` by itself waits for every channel, as ``bot run --once`` promises."""
    async with live_servers(tmp_path, certificate) as live:
        workspace = Workspace(live.here)

        ticked = await tick(workspace, NOW)
        await close(workspace)

    assert ticked.report is not None
    assert (ticked.report.sent, len(live.mail.taken), len(live.mastodon.statuses)) == (5, 3, 1)
