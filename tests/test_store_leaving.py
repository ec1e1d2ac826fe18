"""Leaving, wishes, being forgotten: at once, for good, and so that nothing is found. On both databases."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, inspect, select, text

from bot.model import Form
from bot.store import schema
from bot.store.audience import AudienceStore, Signup
from bot.store.bouncing import Bounce, Bounces
from bot.store.engine import open_store, reading, writing
from bot.store.joining import Joining, Limits, SignupRequest, Wording
from bot.store.leaving import Leaving, Preferences
from bot.store.suppression import Hasher
from tests.support.postgres import Cluster, until_one_waits

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
KEY = b"a key of the tests that is long enough"
HASHER = Hasher([KEY])
ANN = "Ann.Unusual@Example.org"


@pytest.fixture
def leaving(any_store: Engine) -> Leaving:
    return Leaving(any_store, HASHER)


@pytest.fixture
def audience(any_store: Engine) -> AudienceStore:
    return AudienceStore(any_store, HASHER)


def reader(audience: AudienceStore, address: str = ANN, *letters: str) -> str:
    """A reader of the weekly; their id."""
    audience.add(
        address, "Ann Unusual" if address == ANN else "", "", letters or ("weekly",), NOW, source="test"
    )
    found = audience.find(address)
    assert found is not None
    return found.id


def everything(engine: Engine) -> str:
    """All that the database says, table by table."""
    with reading(engine) as connection:
        return "\n".join(
            str(tuple(row))
            for name in inspect(connection).get_table_names()
            for row in connection.execute(text(f'SELECT * FROM "{name}"'))
        )


# --------------------------------------------------------------------------- leaving

LEAVE: dict[str, Callable[[Engine, str], object]] = {
    "unsubscribe": lambda e, of: Leaving(e, HASHER).unsubscribe(of, "weekly", now=NOW, means="one click"),
    "prefer": lambda e, of: Leaving(e, HASHER).prefer(of, "weekly", Preferences(newsletter="weekly"), NOW),
    "erase": lambda e, _: Leaving(e, HASHER).erase(ANN, NOW),
    "remove": lambda e, _: AudienceStore(e, HASHER).remove(ANN, now=NOW),
    "bounce": lambda e, of: Bounces(e).suppress(of, reason="dead", now=NOW),
}


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
@pytest.mark.parametrize("how", LEAVE)
def test_who_leaves_during_an_import_holds_nothing_that_it_needs(postgres: Cluster, how: str) -> None:
    """On PostgreSQL they wait for its end: otherwise one of the two would be broken off as a deadlock."""
    url = postgres.database("t1")
    engine, importing = open_store(url), open_store(f"{url}&options=-c%20lock_timeout%3D2s")
    of = reader(AudienceStore(engine, HASHER), ANN, "weekly", "daily")

    with ThreadPoolExecutor(1) as thread:
        with importing.begin() as connection:
            connection.execute(text("LOCK TABLE subscriber IN SHARE ROW EXCLUSIVE MODE"))
            left = thread.submit(LEAVE[how], engine, of)
            until_one_waits(connection)
            connection.execute(text("UPDATE subscriber SET name = 'Ann'"))
            connection.execute(text("SELECT * FROM subscription FOR UPDATE"))
        assert left.result(timeout=20)

    for each in (engine, importing):
        each.dispose()
    postgres.drop(url)


def test_who_leaves_one_newsletter_keeps_the_other(leaving: Leaving, audience: AudienceStore) -> None:
    ann = reader(audience, ANN, "weekly", "monthly")

    assert leaving.unsubscribe(ann, "weekly", now=NOW, means="one click")
    assert not leaving.unsubscribe(ann, "weekly", now=NOW, means="one click")

    found = audience.find(ANN)
    assert found is not None
    assert found.newsletters == ("monthly",)
    assert not audience.add(ANN, "", "", ["weekly", "monthly"], NOW, source="a list")


def test_who_leaves_the_last_one_is_no_reader_any_more(leaving: Leaving, audience: AudienceStore) -> None:
    ann = reader(audience)
    leaving.prefer(ann, "weekly", Preferences(newsletter="weekly", form=Form.PLAIN), NOW)

    assert leaving.unsubscribe(ann, "weekly", now=NOW, means="page", ip="192.0.2.0")

    assert audience.find(ANN) is None
    assert leaving.preferences(ann, "weekly") is None
    report = audience.add_many([Signup(address=ANN, newsletters=("weekly",))], now=NOW, source="a list")
    assert report.suppressed == 1
    with reading(leaving.engine) as connection:
        of = schema.consent.c
        assert [
            tuple(row) for row in connection.execute(select(of.event, of.means, of.newsletter, of.ip))
        ] == [("left", "page", "weekly", "192.0.2.0")]


def test_an_unknown_reader_leaves_nothing(leaving: Leaving) -> None:
    assert not leaving.unsubscribe(secrets.token_hex(16), "weekly", now=NOW, means="page")


# --------------------------------------------------------------------------- wishes


def test_wishes_are_kept_for_each_newsletter(leaving: Leaving, audience: AudienceStore) -> None:
    ann = reader(audience, ANN, "weekly", "monthly")
    wanted = Preferences(newsletter="weekly", lang="th", form=Form.HEADLINES, paused_until=LATER)

    assert leaving.prefer(ann, "weekly", wanted, NOW)

    assert leaving.preferences(ann, "weekly") == wanted
    assert leaving.preferences(ann, "monthly") == Preferences(newsletter="monthly", lang="th")
    assert audience.wishes("weekly") == {("th", "headlines")}


def test_a_pause_that_is_over_is_none(leaving: Leaving, audience: AudienceStore) -> None:
    ann = reader(audience)
    leaving.prefer(ann, "weekly", Preferences(newsletter="weekly", paused_until=LATER), NOW)

    leaving.prefer(ann, "weekly", Preferences(newsletter="weekly", paused_until=NOW), NOW)

    assert leaving.preferences(ann, "weekly") == Preferences(newsletter="weekly")


def test_a_stranger_has_no_wishes(leaving: Leaving, audience: AudienceStore) -> None:
    ann = reader(audience)

    assert leaving.preferences(ann, "monthly") is None
    assert not leaving.prefer(ann, "monthly", Preferences(newsletter="monthly"), NOW)
    assert not leaving.prefer(secrets.token_hex(16), "weekly", Preferences(newsletter="weekly"), NOW)


# --------------------------------------------------------------------------- everything about one person


def fill(engine: Engine, audience: AudienceStore) -> str:
    """Ann in every table that can hold something of hers; her id."""
    joining = Joining(engine, HASHER)
    request = SignupRequest(
        id=secrets.token_hex(16),
        address=ANN,
        newsletters=("weekly",),
        lang="en",
        form_url="https://news.example.org/subscribe",
        wording=Wording(version="1", lang="en", body="Yes."),
        ip="192.0.2.0",
        asked_at=NOW,
    )
    until = NOW + timedelta(days=1)
    joining.record(request, stamp="form", until=until, due=NOW, limits=Limits())
    joining.decide(request.id, now=NOW, limits=Limits())
    confirmed = joining.confirm(request.id, now=NOW, means="page", ip="")
    assert confirmed is not None
    audience.add(ANN, "Ann Unusual", "", ["weekly", "monthly"], NOW, source="test")
    leaving = Leaving(engine, HASHER)
    leaving.prefer(confirmed.subscriber, "weekly", Preferences(newsletter="weekly", form=Form.PLAIN), NOW)
    leaving.unsubscribe(confirmed.subscriber, "monthly", now=NOW, means="one click")
    Bounces(engine).record(
        Bounce(digest="d1", at=NOW, subscriber=confirmed.subscriber, kind="full", source="dsn", code="4.2.2")
    )
    body = f'{{"subscriber": "{confirmed.subscriber}", "address": "{ANN}"}}'
    row = {"hook": "crm", "event": "subscribed", "body": body, "at": NOW, "due": NOW, "attempts": 0}
    with writing(engine) as connection:
        connection.execute(insert(schema.hook_call), {**row, "state": "planned", "said": ""})
    return confirmed.subscriber


def test_a_person_can_have_all_that_we_hold_of_them(leaving: Leaving, audience: AudienceStore) -> None:
    ann = fill(leaving.engine, audience)

    held = leaving.person("ann.unusual@example.ORG")

    assert set(held) == {
        "subscriber",
        "subscriptions",
        "preferences",
        "suppressions",
        "signups",
        "consent",
        "bounces",
        "hook_calls",
    }
    assert held["subscriber"][0]["id"] == ann
    assert [(row["event"], row["body"]) for row in held["consent"]] == [
        ("asked", "Yes."),
        ("confirmed", "Yes."),
        ("left", None),
    ]
    assert leaving.person("somebody@example.org") == {}


def test_after_an_erasure_nothing_is_found(leaving: Leaving, audience: AudienceStore) -> None:
    """Not the address in any spelling, not the name, not the id; and no list brings them back."""
    other = reader(audience, "bob@example.org")
    ann = fill(leaving.engine, audience)
    before = everything(leaving.engine)

    erased = leaving.erase("ANN.unusual@example.org", NOW)

    after = everything(leaving.engine)
    assert erased.subscriber == ann
    assert "nusual" in before
    assert "nusual" not in after.casefold()
    assert ann not in after
    assert other in after
    again = audience.add_many([Signup(address=ANN, newsletters=("weekly",))], now=NOW, source="a list")
    assert (again.added, again.suppressed) == (0, 1)
    assert leaving.erase(ANN, NOW).rows == 0


@pytest.mark.parametrize("spelled", ["Ünal.Ärger@example.org", "ünal.ärger@example.org"])
def test_large_letters_beyond_a_to_z_are_letters_too(
    leaving: Leaving, audience: AudienceStore, spelled: str
) -> None:
    """SQLite and files know only 26 of them: what another program is to be told must go all the same."""
    ann = reader(audience, "Ünal.Ärger@example.org")
    row = {"hook": "crm", "event": "left", "body": '{"address": "Ünal.Ärger@example.org"}'}
    rest = {"at": NOW, "due": NOW, "attempts": 0, "state": "planned", "said": ""}
    with writing(leaving.engine) as connection:
        connection.execute(insert(schema.hook_call), row | rest)
    leaving.unsubscribe(ann, "weekly", now=NOW, means="page")

    leaving.erase(spelled, NOW)

    assert "rger@" not in everything(leaving.engine)


def test_the_erased_stay_out_when_the_key_has_changed(leaving: Leaving, audience: AudienceStore) -> None:
    reader(audience)
    leaving.erase(ANN, NOW)
    rotated = AudienceStore(leaving.engine, Hasher([b"the next key", KEY]))

    report = rotated.add_many([Signup(address=ANN, newsletters=("weekly",))], now=NOW, source="a list")

    assert report.suppressed == 1


def test_the_erased_are_in_no_file_any_more(tmp_path: Path) -> None:
    """Neither in the database, its free pages, nor its log; also what was deleted long before."""
    engine = open_store(f"sqlite:///{tmp_path / 'ledger.sqlite3'}")
    audience = AudienceStore(engine, HASHER)
    crowd = [Signup(address=f"r{n}@example.org", newsletters=("weekly",)) for n in range(3_000)]
    audience.add_many(crowd, now=NOW, source="test")
    fill(engine, audience)
    found = audience.find(ANN)
    assert found is not None
    Leaving(engine, HASHER).unsubscribe(found.id, "weekly", now=NOW, means="page")

    Leaving(engine, HASHER).erase(ANN, NOW)

    files = b"".join(path.read_bytes() for path in tmp_path.iterdir()).lower()
    engine.dispose()
    assert b"r2999@example.org" in files
    assert b"unusual" not in files


def test_bounces_suppress_the_dead(leaving: Leaving, audience: AudienceStore) -> None:
    """The same mail counts once; the address is out for every newsletter."""
    ann, bounces = reader(audience), Bounces(leaving.engine)
    bounce = Bounce(digest="d1", at=NOW, subscriber=ann, kind="dead", source="dsn", code="5.1.1", said="no")

    assert bounces.record(bounce)
    assert not bounces.record(bounce)
    assert bounces.history(ann) == [bounce]
    assert bounces.suppress(ann, reason="bounced", now=NOW)
    assert not bounces.suppress(ann, reason="bounced", now=NOW)

    report = audience.add_many([Signup(address=ANN, newsletters=("monthly",))], now=NOW, source="a list")
    assert report.suppressed == 1
