"""Opening the database: newest schema, durable, and without a trace in a dry run."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, event, insert, inspect, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from bot.errors import BusyError, StoreError
from bot.store import schema
from bot.store.engine import open_store, reading, writing
from bot.store.ledger import Ledger
from bot.store.lock import database_lock, database_locked, tick_lock, tick_locked
from tests.support.ledgers import NOW
from tests.support.postgres import Cluster

ROOT = Path(__file__).parents[1]


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'ledger.db'}"


def tree(folder: Path) -> dict[str, tuple[str, int]]:
    """Each file's digest and time of change."""
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.iterdir()
    }


def filled(folder: Path, reason: str = "stop") -> None:
    """A database with one hold in it, closed again."""
    engine = open_store(url(folder))
    Ledger(engine, mode="live", publication="p").hold("*", reason, NOW)
    engine.dispose()


@contextmanager
def python(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Another process; it is killed when the block ends."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


WRITER = """
import sys
from datetime import UTC, datetime
from bot.store.engine import open_store
from bot.store.ledger import Ledger
ledger = Ledger(open_store(sys.argv[1]), mode="live", publication="p")
ledger.hold("*", "by the writer", datetime.now(UTC))
print("up", flush=True)
for line in sys.stdin:
    ledger.hold("*", line.strip(), datetime.now(UTC))
    print("done", flush=True)
"""


def holds_readonly(folder: Path) -> dict[str, str]:
    engine = open_store(url(folder), readonly=True)
    try:
        return dict(Ledger(engine, mode="live", publication="p").holds())
    finally:
        engine.dispose()


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
def test_a_database_server_that_is_gone_without_a_word_is_noticed(postgres: Cluster) -> None:
    """A worker must not wait for hours; what the URL says itself holds."""
    place = postgres.database("t1")
    engine = open_store(f"{place}&connect_timeout=3")

    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        told = driver.info.get_parameters()

    engine.dispose()
    postgres.drop(place)
    assert (told["keepalives_idle"], told["tcp_user_timeout"], told["connect_timeout"]) == (
        "30",
        "60000",
        "3",
    )


def test_migrations_and_tables_say_the_same(any_store: Engine) -> None:
    """What Alembic builds is what the program's tables describe, and HEAD names it; on either database."""
    with any_store.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, schema.metadata)
        revision = context.get_current_revision()

    assert differences == []
    assert revision == schema.HEAD


def test_the_tables_can_be_written_down_for_postgresql() -> None:
    """No column or index needs what only SQLite has."""
    dialect = postgresql.dialect()
    for table in schema.metadata.sorted_tables:
        assert str(CreateTable(table).compile(dialect=dialect))
        assert all(str(CreateIndex(index).compile(dialect=dialect)) for index in table.indexes)

    assert "BIGSERIAL" in str(CreateTable(schema.delivery).compile(dialect=dialect))


def test_a_file_database_is_durable(tmp_path: Path) -> None:
    """Write-ahead log, every commit on disk, foreign keys enforced."""
    engine = open_store(url(tmp_path))

    with engine.connect() as connection:
        pragmas = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    engine.dispose()

    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
def test_a_server_database_is_durable(postgres: Cluster) -> None:
    """Every commit on disk, also where the server is set up to be quicker; psycopg 3 speaks to it."""
    place = postgres.database()
    quick = create_engine(
        place.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
    )
    with quick.connect() as connection:
        name = connection.execute(text("SELECT current_database()")).scalar()
        connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = 'off'"))
    quick.dispose()

    engine = open_store(place)
    with engine.connect() as connection:
        found = (connection.dialect.driver, connection.execute(text("SHOW synchronous_commit")).scalar())
    engine.dispose()
    postgres.drop(place)

    assert found == ("psycopg", "on")


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
def test_a_server_database_without_tables_is_empty_to_a_reader(postgres: Cluster) -> None:
    """'bot status' and a dry run on a fresh server find nothing, and make no table there."""
    place = postgres.database()

    looking = open_store(place, readonly=True)

    assert Ledger(looking, mode="live", publication="p").holds() == {}
    looking.dispose()
    server = create_engine(place.replace("postgresql://", "postgresql+psycopg://"))
    with server.connect() as connection:
        assert inspect(connection).get_table_names() == []
    server.dispose()
    postgres.drop(place)


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
def test_many_may_open_a_new_server_database_at_once(postgres: Cluster) -> None:
    """The first one makes the tables under a lock; the others wait and find them. A dry run only reads."""
    place = postgres.database()

    def open_and_count(_: int) -> int:
        engine = open_store(place)
        with engine.connect() as connection:
            count = connection.execute(text("SELECT count(*) FROM letter")).scalar_one()
        engine.dispose()
        return int(count)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(open_and_count, range(6))) == [0] * 6
    looking = open_store(place, readonly=True)
    with pytest.raises(StoreError, match="read-only transaction"):
        Ledger(looking, mode="live", publication="p").hold("*", "stop", NOW)
    looking.dispose()
    postgres.drop(place)


def test_alembic_is_not_loaded_when_the_schema_is_current(tmp_path: Path) -> None:
    """A tick does not pay for a migration that has nothing to do."""
    filled(tmp_path)
    code = "import sys, bot.store.engine as e; e.open_store(sys.argv[1]); print('alembic' in sys.modules)"

    with python(code, url(tmp_path)) as process:
        assert process.stdout is not None
        assert process.stdout.read().strip() == "False"


def test_many_may_open_a_new_database_at_once(tmp_path: Path) -> None:
    """The first one makes the tables; the others wait and find them."""

    def open_and_count(_: int) -> int:
        engine = open_store(url(tmp_path))
        with engine.connect() as connection:
            count = connection.execute(text("SELECT count(*) FROM delivery")).scalar_one()
        engine.dispose()
        return int(count)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(open_and_count, range(8))) == [0] * 8


def test_a_migration_that_fails_leaves_no_half_schema(tmp_path: Path) -> None:
    """A table in the way: the error says so, and none of the others was made."""
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("CREATE TABLE delivery (x)")
        connection.commit()

    with pytest.raises(StoreError, match="table delivery already exists"):
        open_store(url(tmp_path))

    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'seen'").fetchall() == []


@pytest.mark.parametrize("readonly", [False, True])
def test_a_newer_database_is_refused_with_advice(tmp_path: Path, readonly: bool) -> None:
    """An old program must not write what a newer one would misread."""
    filled(tmp_path)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()

    with pytest.raises(StoreError, match=r"ledger\.db: its schema '9999' .* upgrade the program"):
        open_store(url(tmp_path), readonly=readonly)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    """The error says which file, and what to do."""
    (tmp_path / "ledger.db").write_text("these are not the bytes of a database " * 30)

    with pytest.raises(StoreError, match=r"ledger\.db: file is not a database; put back"):
        open_store(url(tmp_path))


def test_a_password_is_never_shown() -> None:
    """A URL that leads nowhere is told without its secret."""
    with pytest.raises(StoreError) as caught:
        open_store("sqlite+nonsense//user:secret@host")

    assert "secret" not in str(caught.value)


def test_a_moment_survives_exactly() -> None:
    """To the microsecond, whatever zone it came in; a naive time is refused."""
    engine = open_store("sqlite://")
    moment = datetime(2026, 3, 29, 1, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=5, minutes=45)))

    with writing(engine) as connection:
        connection.execute(insert(schema.tick), {"mode": "live", "at": moment})
        found = connection.scalar(select(schema.tick.c.at))
    with pytest.raises(Exception, match="no time zone"), writing(engine) as connection:
        connection.execute(insert(schema.tick), {"mode": "x", "at": moment.replace(tzinfo=None)})
    engine.dispose()

    assert found == moment


# --------------------------------------------------------------------------- reading without a trace


def test_a_dry_run_makes_no_database(tmp_path: Path) -> None:
    """A missing file is an empty database in memory, not even in a folder that is missing too."""
    assert holds_readonly(tmp_path / "data") == {}

    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_leaves_a_closed_database_alone(tmp_path: Path) -> None:
    """No file changes, none appears."""
    filled(tmp_path)
    before = tree(tmp_path)

    engine = open_store(url(tmp_path), readonly=True)
    ledger = Ledger(engine, mode="live", publication="p")
    seen = (ledger.holds(), tree(tmp_path))
    engine.dispose()

    assert seen == ({"*": "stop"}, before)
    assert tree(tmp_path) == before
    assert list(before) == ["ledger.db"]


def test_a_dry_run_sees_a_live_writer_and_leaves_no_trace(tmp_path: Path) -> None:
    """While another process writes, its newest words are read and no file of it is touched."""
    with python(WRITER, url(tmp_path)) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        writer.stdout.readline()
        before = tree(tmp_path)
        engine = open_store(url(tmp_path), readonly=True)
        ledger = Ledger(engine, mode="live", publication="p")
        first = ledger.holds()
        assert tree(tmp_path) == before

        print("changed", file=writer.stdin, flush=True)
        writer.stdout.readline()
        before = tree(tmp_path)
        second = ledger.holds()
        assert tree(tmp_path) == before
        engine.dispose()

        assert tree(tmp_path) == before
        assert (first, second) == ({"*": "by the writer"}, {"*": "changed"})
        assert sorted(before) == ["ledger.db", "ledger.db-shm", "ledger.db-wal"]


@pytest.mark.parametrize("carried", [True, False], ids=["without -shm", "with -shm"])
def test_a_dry_run_reads_what_a_killed_writer_left(tmp_path: Path, carried: bool) -> None:
    """The log of a dead process is read, not tidied away."""
    with python(WRITER, url(tmp_path)) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
    if carried:
        (tmp_path / "ledger.db-shm").unlink()
    before = tree(tmp_path)

    assert holds_readonly(tmp_path) == {"*": "by the writer"}

    assert tree(tmp_path) == before


def test_a_dry_run_cannot_write(tmp_path: Path) -> None:
    """A mistake of ours becomes an error, not a trace."""
    filled(tmp_path)
    engine = open_store(url(tmp_path), readonly=True)

    with pytest.raises(StoreError, match="opened for a dry run"):
        Ledger(engine, mode="live", publication="p").hold("x", "y", NOW)
    engine.dispose()


def test_a_dry_run_brings_an_older_schema_up_to_date_in_memory(tmp_path: Path) -> None:
    """The file keeps its old schema until a real run."""
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("CREATE TABLE older (x)")
        connection.execute("INSERT INTO older VALUES (7)")
        connection.commit()
    before = tree(tmp_path)

    engine = open_store(url(tmp_path), readonly=True)
    with reading(engine) as connection:
        kept = connection.execute(text("SELECT x FROM older")).scalar()
    holds = Ledger(engine, mode="live", publication="p").holds()
    engine.dispose()

    assert (kept, holds) == (7, {})
    assert tree(tmp_path) == before


# --------------------------------------------------------------------------- the lock

HOLDER = """
import sys
from pathlib import Path
from typing import Any
from bot.store.lock import tick_lock
with tick_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_runs_cannot_overlap_and_death_lets_go(tmp_path: Path) -> None:
    """The second one is told at once; when the first is killed, the next may begin."""
    with python(HOLDER, str(tmp_path)) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(BusyError, match="another run is at work"), tick_lock(tmp_path):
            pass
        assert tick_locked(tmp_path)

    assert not tick_locked(tmp_path)
    with tick_lock(tmp_path):
        pass
    with tick_lock(tmp_path):
        pass


def test_who_looks_at_the_lock_turns_no_run_away_and_leaves_nothing(tmp_path: Path) -> None:
    """However often somebody looks while runs begin; where no run ever was no file appears."""
    assert not tick_locked(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with tick_lock(tmp_path):
        pass

    over = threading.Event()

    def look() -> None:
        while not over.wait(0.001):
            tick_locked(tmp_path)

    with ThreadPoolExecutor() as pool:
        pool.submit(look)
        try:
            for _ in range(100):
                with tick_lock(tmp_path):
                    pass
        finally:
            over.set()


DATABASE_HOLDER = """
import sys
from bot.store.engine import open_store
from bot.store.lock import database_lock
with database_lock(open_store(sys.argv[1]), "live news.shelf.ngo"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
def test_two_machines_cannot_run_at_once_on_one_database_and_death_lets_go(postgres: Cluster) -> None:
    """The second one is told, another publication is not held up, and after a kill the next may begin."""
    url = postgres.database("t1")
    engine = open_store(url)
    with python(DATABASE_HOLDER, url) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match="another run"), database_lock(engine, "live news.shelf.ngo"):
            pass
        with database_lock(engine, "live other.ngo"):
            pass
        assert database_locked(engine, "live news.shelf.ngo")
        assert not database_locked(engine, "live other.ngo")

    taken, deadline = False, time.monotonic() + 60  # the server has to notice the death
    while not taken:
        with suppress(BusyError), database_lock(engine, "live news.shelf.ngo"):
            taken = True
        assert time.monotonic() < deadline, "it is never let go"
    engine.dispose()
    postgres.drop(url)


def slow_to_end(connection: Any, _record: object) -> None:
    """The server clears away before it lets go of what the connection held."""
    for number in range(100):
        connection.execute(f"CREATE TEMP TABLE t{number} ()")
    connection.commit()


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
def test_what_is_let_go_in_the_database_can_be_taken_at_once(postgres: Cluster) -> None:
    """By the same one, too, however long the server takes to end the connection that held it."""
    url = postgres.database("t1")
    engine = open_store(url)
    engine.dispose()
    event.listen(engine, "connect", slow_to_end)
    for connection in [engine.connect() for _ in range(3)]:
        connection.close()
    for _ in range(3):
        with database_lock(engine, "live news.shelf.ngo") as holds:
            assert holds()
    engine.dispose()
    postgres.drop(url)


@pytest.mark.parametrize("name", ["sqlite+nosuch:///db"])
@pytest.mark.parametrize("readonly", [False, True])
def test_a_database_without_its_driver_is_one_line(name: str, readonly: bool) -> None:
    """Said with what to do, never a traceback."""
    with pytest.raises(StoreError, match=r"the driver .* is not (here|installed)"):
        open_store(name, readonly=readonly)


@pytest.mark.parametrize("url", ["postgres://ann:hidden@host/news", "mysql+pymysql://ann:hidden@host/news"])
def test_a_database_that_we_do_not_speak_is_told_with_the_right_spelling(url: str) -> None:
    """No advice to install a driver that would not help, and no password."""
    with pytest.raises(
        StoreError, match="neither SQLite nor PostgreSQL; write it like postgresql://"
    ) as caught:
        open_store(url)

    assert "hidden" not in str(caught.value)
