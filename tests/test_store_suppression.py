"""Suppression wins over everything but the person: in clear or as a hash, for one newsletter or for all."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, event, select, text

from bot.errors import AudienceError
from bot.store import schema
from bot.store.audience import AudienceStore, Signup
from bot.store.engine import reading, writing
from bot.store.leaving import Leaving
from bot.store.suppression import ALL, ERASED, Barrier, Hasher, lift, suppress

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
OLD, NEW = b"an old key of the tests, long enough", b"a new key of the tests, long enough"
HASHER = Hasher([NEW, OLD])
ANN = "ann@example.org"


@pytest.fixture
def audience(any_store: Engine) -> AudienceStore:
    return AudienceStore(any_store, HASHER)


def names(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return sorted(connection.scalars(select(schema.suppression.c.address_key)))


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_hash_names_one_person_under_each_key(one: str, other: str) -> None:
    """Never their address, never somebody else, and nothing that a person could type."""
    assert (HASHER.name(one) == HASHER.name(other)) is (one == other)
    assert HASHER.names(one) == (one, HASHER.name(one), Hasher([OLD]).name(one))
    assert HASHER.name(one).startswith(ERASED)
    assert len(HASHER.name(one)) == len(ERASED) + 64


def test_who_is_away_is_told_for_each_newsletter(any_store: Engine) -> None:
    with writing(any_store) as connection:
        suppress(connection, ANN, newsletter="weekly", reason="left", now=NOW)
        suppress(connection, Hasher([OLD]).name("bob@example.org"), reason="erased", now=NOW)

        found = Barrier(connection, HASHER).barred([ANN, "bob@example.org", "carl@example.org"])
        without = Barrier(connection).barred([ANN, "bob@example.org"])

    assert found == {ANN: {"weekly"}, "bob@example.org": {ALL}}
    assert without == {ANN: {"weekly"}}


@pytest.mark.parametrize(("away", "expected"), [([], 0), ([ANN], 1)])
def test_an_import_pays_only_for_who_is_there(any_store: Engine, away: list[str], expected: int) -> None:
    """While nobody left nothing is asked; while nobody was erased nothing is hashed."""
    heard: list[object] = []
    with writing(any_store) as connection:
        for key in away:
            suppress(connection, key, reason="left", now=NOW)
        barrier = Barrier(connection, HASHER)
        event.listen(any_store, "before_cursor_execute", lambda *args: heard.append(args[3]))

        barrier.barred([f"r{n}@example.org" for n in range(1_000)])

    asked = [len(parameters) for parameters in heard if isinstance(parameters, tuple)]
    assert asked == [1_000] * expected


def test_it_is_recognised_where_a_collation_passes_over_colons(any_store: Engine) -> None:
    """Some databases of the world sort text by its letters alone; a range of texts is none there."""
    with writing(any_store) as connection:
        if any_store.dialect.name == "postgresql":
            connection.execute(
                text('ALTER TABLE suppression ALTER COLUMN address_key TYPE text COLLATE "en-x-icu"')
            )
        suppress(connection, HASHER.name(ANN), reason="erased", now=NOW)

        assert Barrier(connection, HASHER).barred([ANN]) == {ANN: {ALL}}


def test_nobody_erased_is_written_down_again(audience: AudienceStore) -> None:
    """Not by the operator's own remove, and not by an answer to it."""
    Leaving(audience.engine, HASHER).erase(ANN, NOW)

    assert audience.remove(ANN, now=NOW) is False

    assert names(audience.engine) == [HASHER.name(ANN)]
    with pytest.raises(AudienceError, match="erased"):
        audience.add(ANN, "", "", ["weekly"], NOW, source="test")


def test_who_is_removed_by_hand_leaves_a_record(audience: AudienceStore) -> None:
    audience.add(ANN, "", "", ["weekly"], NOW, source="test")

    assert audience.remove(ANN, now=NOW)
    assert not audience.remove(ANN, now=NOW)

    of = schema.consent.c
    with reading(audience.engine) as connection:
        found = [tuple(row) for row in connection.execute(select(of.address, of.event, of.newsletter))]
    assert found == [(ANN, "left", ALL)]


def test_lifting_leaves_the_other_newsletters_away(any_store: Engine) -> None:
    with writing(any_store) as connection:
        suppress(connection, ANN, newsletter="monthly", reason="left", now=NOW)
        suppress(connection, ANN, newsletter="weekly", reason="left", now=NOW)

        lift(connection, HASHER.names(ANN), ["weekly"], besides=["weekly", "monthly", "daily"])

        assert Barrier(connection, HASHER).barred([ANN]) == {ANN: {"monthly"}}


@pytest.mark.parametrize("count", [1, 1_200])
def test_a_list_brings_back_neither_reader_nor_name(audience: AudienceStore, count: int) -> None:
    """Somebody who reads another newsletter stays with it; the list changes nothing about who left."""
    audience.add_many([Signup(ANN, newsletters=("weekly", "monthly"))], now=NOW, source="test")
    found = audience.find(ANN)
    assert found is not None
    Leaving(audience.engine, HASHER).unsubscribe(found.id, "weekly", now=NOW, means="page")
    rows = [Signup(f"r{n}@example.org", newsletters=("weekly",)) for n in range(count)]

    report = audience.add_many([*rows, Signup(ANN.upper(), "Ann", "th", ("weekly",))], now=NOW, source="a")

    after = audience.find(ANN)
    assert after is not None
    assert (after.id, after.name, after.lang, after.newsletters) == (found.id, "", "", ("monthly",))
    assert (report.added, report.suppressed) == (count, 1)
