"""Workers on several machines: one database, one issue, nobody twice and nobody forgotten."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from bot.app.dispatcher import ProcrastinateDispatcher
from bot.app.workspace import Workspace
from bot.cli.worker import Telling
from bot.errors import ConfigError
from bot.sender import Report
from bot.store.engine import reading
from bot.store.schema import chunk
from tests.support.listening import free_port
from tests.support.live_workspace import NOW
from tests.support.plug import Machine, Sink, Trial, machine, plan, sink, subscribe, toll
from tests.support.postgres import Cluster, cluster
from tests.support.strikes import overtaken

WORKER = ("worker",)
LEASE = timedelta(seconds=60)


@pytest.fixture
async def mail() -> AsyncIterator[Sink]:
    async with sink() as running:
        yield running


@pytest.fixture
def url(postgres: Cluster) -> Iterator[str]:
    """A database of this test's own."""
    name = postgres.database("t1")
    yield name
    postgres.drop(name)


def machines(folder: Path, mail: Sink, url: str, count: int) -> list[Machine]:
    return [
        machine(folder / f"machine{number}", mail.port, url=url, connections=4, command=WORKER)
        for number in range(count)
    ]


async def told_to_stop(each: Machine) -> int:
    each.process.send_signal(signal.SIGTERM)
    return await each.end()


async def test_without_postgresql_a_worker_says_what_it_needs(tmp_path: Path) -> None:
    """One line and the exit code of a wrong setting."""
    alone = machine(tmp_path / "alone", 1, connections=1, command=WORKER)

    await alone.start(NOW)

    assert await alone.end() == 3
    assert "BOT_DATABASE_URL: workers need a database that many machines can reach" in alone.complaint


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
async def test_three_workers_share_an_issue(tmp_path: Path, mail: Sink, url: str) -> None:
    """Each takes a part, each reader gets one letter, and SIGTERM ends them well."""
    three = machines(tmp_path, mail, url, 3)
    subscribe(three[0].here, 3_000)
    await plan(three[0].here)
    trial, mail.is_shut = Trial(three, mail), True
    await trial.start()
    await owned(three[0], by=2)  # there are two parts
    mail.let_in()
    found = await trial.finish()

    assert (found.readers, found.lost, found.repeats, found.doubts, found.unsettled) == (3_000, 0, 0, 0, 0)
    assert all(each.process.returncode == 0 for each in three)
    said = [await each.said() for each in three]
    assert sum("sent" in text for text in said) >= 2, "one did it all"


async def owned(each: Machine, *, by: int) -> None:
    """Until so many workers have a part of the issue each."""
    ledger = Workspace(each.here)

    def owners() -> int:
        with reading(ledger.engine) as connection:
            return int(connection.execute(select(func.count(chunk.c.owner.distinct()))).scalar_one())

    try:
        async with asyncio.timeout(60):
            while await asyncio.to_thread(owners) < by:  # noqa: ASYNC110 - it is in a database
                await asyncio.sleep(0.05)
    finally:
        ledger.engine.dispose()


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
async def test_sigterm_finishes_what_is_on_the_wire(tmp_path: Path, mail: Sink, url: str) -> None:
    """Nothing is in doubt afterwards, and the next worker sends the rest."""
    first, second = machines(tmp_path, mail, url, 2)
    subscribe(first.here, 12_000)
    await plan(first.here)
    await first.start(NOW)
    assert await mail.after(300, first.process.terminate, patience=30)

    assert await first.end() == 0
    taken = mail.copies.total()
    between = toll(first.here, mail, kills=0, seconds=0)
    trial = Trial([second], mail)
    await trial.start()
    found = await trial.finish()

    assert taken < 12_000
    assert (between.doubts, between.unsettled) == (0, 12_000 - taken)
    assert (found.lost, found.repeats, found.unsettled) == (0, 0, 0)


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
async def test_the_part_of_a_dead_machine_is_taken_over_after_its_lease(
    tmp_path: Path, mail: Sink, url: str
) -> None:
    """It never comes back; what it had claimed is in doubt, everything else goes out once."""
    dead, other = machines(tmp_path, mail, url, 2)
    subscribe(dead.here, 2_000)
    await plan(dead.here)
    await dead.start(NOW)
    assert await mail.after(200, dead.kill, patience=30)
    assert await dead.end() == -9

    await other.start(NOW + 2 * LEASE)
    trial = Trial([other], mail)
    found = await trial.finish()

    assert (found.lost, found.unexplained, found.unsettled) == (0, 0, 0)
    assert 0 < found.doubts <= 2 * 250 + 8  # two groups at most


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
async def test_a_worker_that_slept_past_its_lease_harms_nothing(tmp_path: Path, mail: Sink, url: str) -> None:
    """The other takes its chunk over while it sleeps; awake again, it sends nothing more of it."""
    sleeper, other = machines(tmp_path, mail, url, 2)
    sleeper.lease = other.lease = 3.0
    subscribe(sleeper.here, 2_000)  # one chunk
    await plan(sleeper.here)
    await sleeper.start(NOW)
    await fallen_asleep(sleeper, mail)
    halfway, taken, before = mail.halfway, mail.copies.total(), fences(other)

    await other.start(NOW)
    overtook = await overtaken(sleeper)
    await all_taken(mail, 2_000)
    while await mail.after(1, lambda: None, patience=2):
        pass
    while_asleep, asleep = mail.copies.total() - taken, len(mail.copies)
    sleeper.wake()
    while await mail.after(1, lambda: None, patience=2):
        pass
    awake = mail.copies.total() - taken - while_asleep
    ends = await asyncio.gather(*(told_to_stop(each) for each in (sleeper, other)))
    found = await Trial([other], mail).settled()

    assert (overtook, fences(other)) == (1, [before[0] + 1]), "nobody took the chunk over"
    assert asleep == 2_000 > taken, "the other has not sent the rest of it"
    assert while_asleep >= 2_000 - taken
    assert awake <= halfway, "it went on with letters that were not its own any more"
    assert ends == [0, 0], sleeper.complaint + other.complaint
    assert (found.lost, found.unexplained, found.unsettled) == (0, 0, 0)
    assert found.doubts <= 2 * 250 + 4


async def all_taken(mail: Sink, count: int) -> None:
    """Until so many readers have their letter, or nothing comes for half a minute."""
    while len(mail.copies) < count and await mail.after(1, lambda: None, patience=30):
        pass


async def fallen_asleep(sleeper: Machine, mail: Sink) -> None:
    """Stopped with letters in its hands, and not within a transaction: that would keep its chunk for it."""
    ledger = Workspace(sleeper.here)
    try:
        for _ in range(20):
            assert await mail.after(100, sleeper.stop, patience=30)
            if not await asyncio.to_thread(transactions, ledger):
                return
            sleeper.wake()
    finally:
        ledger.engine.dispose()
    raise AssertionError("it is always in the middle of a transaction")


def transactions(ledger: Workspace) -> int:
    """How many are open in the database, but for our own."""
    open_ones = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"
    )
    with reading(ledger.engine) as connection:
        return int(connection.execute(open_ones).scalar_one())


def fences(each: Machine) -> list[int]:
    """How many owners each chunk has had."""
    ledger = Workspace(each.here)
    with reading(ledger.engine) as connection:
        found = list(connection.scalars(select(chunk.c.fence).order_by(chunk.c.number)))
    ledger.engine.dispose()
    return found


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
@pytest.mark.timeout(400)
async def test_kills_among_three_workers_lose_nobody(tmp_path: Path, mail: Sink, url: str) -> None:
    """Repeats are at most the calls in flight at each kill, and the ledger counts each as a doubt."""
    three = machines(tmp_path, mail, url, 3)
    subscribe(three[0].here, 12_000)
    await plan(three[0].here)
    trial = Trial(three, mail)
    await trial.start()
    await trial.pull(15, of=12_000)
    found = await trial.finish()

    assert found.kills == 15
    assert (found.lost, found.unexplained, found.unsettled) == (0, 0, 0)
    assert found.doubts <= found.kills * 4


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(400)
async def test_a_database_that_dies_and_comes_back_loses_nobody(tmp_path: Path, mail: Sink) -> None:
    """Three times, under two workers: what they could not tell it they tell it later."""
    with cluster() as database:
        two = machines(tmp_path, mail, database.database(), 2)
        subscribe(two[0].here, 6_000)
        await plan(two[0].here)
        trial = Trial(two, mail)
        await trial.start()
        for _ in range(3):
            assert await mail.after(trial.chance.randint(100, 900), database.kill, patience=60)
            database.start()
        found = await trial.finish()

    assert (found.readers, found.lost, found.unexplained, found.unsettled) == (6_000, 0, 0, 0)
    assert found.repeats == 0, "nobody was killed, so everybody knew what they had done"


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
@pytest.mark.timeout(400)
async def test_two_runs_on_two_machines_at_once_send_nothing_twice(
    tmp_path: Path, mail: Sink, url: str
) -> None:
    """They share a database and no folder; the second one is told so, and nobody gets an issue twice."""
    two = machines(tmp_path, mail, url, 2)
    subscribe(two[0].here, 40)
    for week in range(5):
        for each in two:
            new = (each.here / "queue" / "ports.md").read_text().replace("Ports", f"Ports {week}")
            (each.here / "queue" / f"ports-{week}.md").write_text(new)
            each.command = ("run", "--once")
            await each.start(NOW + timedelta(weeks=week))
        codes = [await each.end() for each in two]
        assert sorted(codes) in ([0, 0], [0, 5]), [each.complaint for each in two]

    assert set(mail.copies.values()) == {1}
    assert mail.copies.total() == 5 * 40


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
async def test_what_a_job_raises_ends_the_worker(url: str) -> None:
    """A wrong setting is told to whoever started it, and not buried in the queue's log."""

    async def work() -> None:
        raise ConfigError("bot.toml", "mode", "is wrong")

    queue = ProcrastinateDispatcher(url, work=work, due=lambda: ["weekly 1/0"])

    with pytest.raises(ConfigError):
        await queue.run_forever(asyncio.Event())


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
async def test_what_is_due_waits_in_the_queue_once(url: str) -> None:
    """However often it is swept; and a queue that is worked off is empty."""
    worked: list[str] = []

    async def work() -> None:
        worked.append("work")

    queue = ProcrastinateDispatcher(url, work=work, due=lambda: ["weekly 1/0", "weekly 1/1"])

    assert [await queue.enqueue_chunks(), await queue.enqueue_chunks()] == [2, 0]
    await queue.run_until_idle()
    assert worked == ["work", "work"]
    assert await queue.enqueue_chunks() == 2


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
async def test_workers_that_start_together_on_an_empty_database_agree(tmp_path: Path, url: str) -> None:
    """Four at once, with an empty database: one makes the tables, and none of them complains."""
    four = machines(tmp_path, Sink(), url, 4)
    for each in four:
        each.command = ("worker", "--once")
        await each.start(NOW)

    ends = await asyncio.gather(*(each.end() for each in four))

    assert (ends, [each.complaint for each in four]) == ([0] * 4, [""] * 4)


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
async def test_a_worker_that_could_not_send_says_so_at_its_end(tmp_path: Path, url: str) -> None:
    """Where it shall end, its exit code is that of a run: 1, with the reason in words."""
    one = machine(tmp_path / "news", free_port(), url=url, connections=1, command=("worker", "--once"))
    subscribe(one.here, 3)
    await plan(one.here)

    await one.start(NOW)

    assert await one.end() == 1
    assert "no mail server listens at" in one.complaint


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
async def test_the_queues_tables_are_made_once(url: str) -> None:
    """Whoever comes second, while the first still makes them, waits and goes on."""

    async def work() -> None:
        """Nothing."""

    queues = [ProcrastinateDispatcher(url, work=work, due=list) for _ in range(6)]

    assert await asyncio.gather(*(queue.enqueue_chunks() for queue in queues)) == [0] * 6


def test_a_worker_never_plans(tmp_path: Path) -> None:
    """Without ``bot run`` there is nothing to do for it."""
    from bot.app.work import work_off

    here = machine(tmp_path / "news", 1, connections=1, command=WORKER).here
    subscribe(here, 3)
    workspace = Workspace(here)

    report = asyncio.run(work_off(workspace, lambda: NOW, lambda: False))

    assert report.outcomes == {}
    assert workspace.mailings.open_issues(NOW) == []
    workspace.engine.dispose()


def test_a_trouble_that_lasts_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Each cause has its line; one that went and comes back later is news again."""
    now = 0.0
    tell = Telling(lambda: now)
    gone = Report(problems=("mail: stopped for this run: a.png: the picture cannot be read; put it back",))

    for now in range(0, 3_600, 5):  # noqa: B007  the clock that it reads
        tell(gone)
    tell(Report(problems=("mail: stopped for this run: the database does not answer",)))
    first = capsys.readouterr().err.splitlines()
    now += 3_600
    tell(gone)

    assert [line.rpartition(": ")[0] for line in first] == [
        "! mail: stopped for this run: a.png",
        "! mail: stopped for this run",
    ]
    assert capsys.readouterr().err.count("a.png") == 1
