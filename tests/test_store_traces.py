"""What is erased can be read nowhere: not from a page, not from the log, not from the planner's samples."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Engine, func, insert, select, text, update

from bot.store import schema, traces
from bot.store.audience import AudienceStore, Signup
from bot.store.engine import open_store, reading, writing
from bot.store.leaving import Leaving
from bot.store.suppression import Hasher
from bot.store.traces import mentions

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
HASHER = Hasher([b"a key of the tests that is long enough"])
ANN = "ann.unusual@example.org"


@pytest.fixture
def audience(any_store: Engine) -> AudienceStore:
    return AudienceStore(any_store, HASHER)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
def engine(file: Path) -> Iterator[Engine]:
    engine = open_store(f"sqlite:///{file}")
    yield engine
    engine.dispose()


def join(engine: Engine, *addresses: str) -> None:
    rows = [Signup(address, name="A name", newsletters=("weekly",)) for address in addresses]
    AudienceStore(engine, HASHER).add_many(rows, now=NOW, source="test")


def on_disk(file: Path) -> bytes:
    return b"".join(path.read_bytes() for path in file.parent.iterdir()).lower()


# --------------------------------------------------------------------------- looking


@pytest.mark.parametrize("text", ["To: Ann@Example.org\n", "<ann@example.org>", "2026-ann@example.org-1.eml"])
def test_an_address_is_found_in_large_letters_and_small(tmp_path: Path, text: str) -> None:
    (tmp_path / "a").write_text(text)

    assert mentions(tmp_path / "a", ["ann@example.org"], whole=True)


@pytest.mark.parametrize(
    "text", ["joann@example.org", "jo.ann@example.org", "jo+ann@example.org", "ann@example.organic"]
)
def test_a_longer_address_is_somebody_else(tmp_path: Path, text: str) -> None:
    (tmp_path / "a").write_text(f"{text} ann@example.org.uk éann@example.org")

    assert not mentions(tmp_path / "a", ["ann@example.org"], whole=True)
    assert mentions(tmp_path / "a", ["ann@example.org"])


def test_an_address_in_other_letters_is_found(tmp_path: Path) -> None:
    """As it was typed, whatever is large of it."""
    (tmp_path / "a").write_text("To: Ünal.ÄRGER@Example.org\n")

    assert mentions(tmp_path / "a", ["Ünal.ÄRGER@example.org"], whole=True)
    assert not mentions(tmp_path / "a", ["unal.arger@example.org"], whole=True)


@given(before=st.integers(0, 200), after=st.integers(0, 80), joined=st.booleans())
@example(before=64, after=0, joined=False)
def test_a_word_is_found_across_the_pieces_of_a_long_file(
    tmp_path_factory: pytest.TempPathFactory, before: int, after: int, joined: bool
) -> None:
    """Wherever it stands; and somebody else's address stays theirs where a piece cuts it."""
    path = tmp_path_factory.mktemp("pieces") / "a"
    path.write_bytes(b" " * before + (b"x" if joined else b"-") + ANN.encode() + b" " * after)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(traces, "_PIECE", 64)

        assert mentions(path, [ANN, "z@z.org"], whole=True) is not joined


# --------------------------------------------------------------------------- SQLite's file


def test_a_stale_copy_within_a_page_is_overwritten(engine: Engine, file: Path) -> None:
    """As an older version left it, which deleted without overwriting."""
    join(engine, *(f"r{n}@example.org" for n in range(50)))
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA secure_delete=OFF")
        connection.rollback()
    join(engine, ANN)
    with writing(engine) as connection:
        connection.execute(text("PRAGMA secure_delete=OFF"))
        connection.execute(text("DELETE FROM subscriber WHERE address = :ann"), {"ann": ANN})
    assert ANN.encode() in on_disk(file)

    erased = Leaving(engine, HASHER).erase(ANN, NOW)

    assert erased.clean
    assert ANN.encode() not in on_disk(file)
    assert b"r49@example.org" in on_disk(file)


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happened_before_nothing_is_left(engine: Engine, file: Path, seed: int) -> None:
    """Pages were split and joined, names grew, people left: the file is read, not trusted."""
    random, leaving = Random(seed), Leaving(engine, HASHER)
    join(engine, *(f"{secrets.token_hex(random.randrange(3, 20))}@example.org" for _ in range(1_500)))
    victims = [f"victim{n}.{secrets.token_hex(4)}@example.net" for n in range(40)]
    join(engine, *victims)
    person = schema.subscriber.c
    for victim in victims:
        change = update(schema.subscriber).where(person.address == victim)
        with writing(engine) as connection:
            connection.execute(change.values(name="x" * random.randrange(2_000)))
        if random.random() < 0.5:
            with reading(engine) as connection:
                of = connection.scalar(select(person.id).where(person.address == victim))
            leaving.unsubscribe(of, "weekly", now=NOW, means="page")
        join(engine, *(f"{secrets.token_hex(8)}@example.org" for _ in range(20)))

    for victim in victims:
        assert leaving.erase(victim, NOW).clean
        assert victim.encode() not in on_disk(file)


def test_who_reads_at_this_moment_keeps_old_pages_and_that_is_told(
    engine: Engine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are gone at once; the file is clean after the next call, when the reader has ended."""
    monkeypatch.setattr("bot.store.engine._PATIENCE", 0.2)
    join(engine, ANN, "bob@example.org")
    leaving = Leaving(open_store(f"sqlite:///{file}"), HASHER)
    with reading(engine) as connection:
        connection.execute(select(schema.subscriber)).all()
        first = leaving.erase(ANN, NOW)
        found = on_disk(file)

    second = leaving.erase(ANN, NOW)
    leaving.engine.dispose()

    assert (first.clean, second.clean) == (False, True)
    assert ANN.encode() in found
    assert ANN.encode() not in on_disk(file)


def test_somebody_with_a_longer_address_does_not_alarm(engine: Engine, file: Path) -> None:
    """Theirs holds the erased one; it stays, and the file is clean nevertheless."""
    join(engine, ANN, f"jo{ANN}")

    erased = Leaving(engine, HASHER).erase(ANN, NOW)

    assert (erased.subscriber != "", erased.clean) == (True, True)
    assert on_disk(file).count(ANN.encode()) == 3  # address and key, and the key in its index
    assert AudienceStore(engine).find(f"jo{ANN}") is not None


# --------------------------------------------------------------------------- on both databases


@pytest.mark.parametrize("others", [0, 200])
def test_the_planner_keeps_no_sample_of_an_erased_address(audience: AudienceStore, others: int) -> None:
    """Also where no other row is left to take new samples of."""
    engine = audience.engine
    join(engine, ANN, *(f"r{n}@example.org" for n in range(others)))
    left = {"at": NOW, "address": ANN, "address_key": ANN, "newsletter": "", "event": "left", "means": "page"}
    with writing(engine) as connection:
        connection.execute(insert(schema.consent), [{**left, "form_url": "", "ip": ""}] * 3)
    is_server = engine.dialect.name == "postgresql"
    if is_server:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))
    sampled = samples(engine) if is_server else ANN

    Leaving(engine, HASHER).erase(ANN, NOW)

    assert ANN in sampled
    assert not is_server or ANN not in samples(engine)


def samples(engine: Engine) -> str:
    query = "SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE schemaname = 'public'"
    with reading(engine) as connection:
        return str(connection.execute(text(query)).all())


def test_what_other_programs_are_told_of_others_stays(audience: AudienceStore) -> None:
    """Only calls that speak of this very person go, in whatever case they were typed."""
    bodies = [f'{{"address":"{address}"}}' for address in ("ANN.Unusual@Example.ORG", f"jo{ANN}", "a@b.org")]
    rest = {
        "hook": "crm",
        "event": "left",
        "at": NOW,
        "due": NOW,
        "attempts": 0,
        "state": "planned",
        "said": "",
    }
    with writing(audience.engine) as connection:
        connection.execute(insert(schema.hook_call), [{"body": body, **rest} for body in bodies])

    Leaving(audience.engine, HASHER).erase(ANN, NOW)

    with reading(audience.engine) as connection:
        assert connection.scalars(select(schema.hook_call.c.body)).all() == bodies[1:]


def test_while_one_is_erased_the_proofs_of_others_stay(audience: AudienceStore) -> None:
    """The door that lets one person's records go is shut for all others, and shut again afterwards."""
    leaving = Leaving(audience.engine, HASHER)
    for address in (ANN, "bob@example.org"):
        join(audience.engine, address)
        found = audience.find(address)
        assert found is not None
        leaving.unsubscribe(found.id, "weekly", now=NOW, means="page")
    with pytest.raises(Exception, match="kept"), writing(audience.engine) as connection:  # noqa: PT012
        connection.execute(insert(schema.erasing), {"address_key": ANN})
        connection.execute(text("DELETE FROM consent"))

    leaving.erase(ANN, NOW)

    with reading(audience.engine) as connection:
        assert connection.scalars(select(schema.consent.c.address)).all() == ["bob@example.org"]
        assert connection.scalar(select(func.count()).select_from(schema.erasing)) == 0
