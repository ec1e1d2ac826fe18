"""Readers: found however their address is spelled, streamed in pages, and suppression always wins."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import IntegrityError

from bot.errors import AudienceError
from bot.model import Recipient
from bot.store import audience as store
from bot.store import firstload
from bot.store.audience import AudienceStore, ImportReport, Signup, address_key
from bot.store.engine import open_store, reading, writing
from bot.store.schema import subscriber, subscription, suppression
from tests.support.ledgers import NOW
from tests.support.postgres import cluster


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_store(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield engine
    engine.dispose()


@pytest.fixture
def audience(engine: Engine) -> AudienceStore:
    return AudienceStore(engine)


def join(audience: AudienceStore, address: str, *newsletters: str, name: str = "", lang: str = "") -> bool:
    return audience.add(address, name, lang, newsletters or ("weekly",), NOW, "test")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ann@Example.ORG", "ann@example.org"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("ann@BÜCHER.example", "ann@bu\u0308cher.example"),
        ("Jose\u0301@example.org", "josé@EXAMPLE.org"),
        ("ann@例え。テスト", "ann@xn--r8jz45g.xn--zckzah"),
        (" ann@example.org. ", "ann@example.org"),
    ],
)
def test_spellings_of_one_address_are_one(one: str, other: str) -> None:
    """Case, composed letters and the domain's script make no second reader."""
    assert address_key(one) == address_key(other)


def test_different_addresses_stay_different() -> None:
    """No part is thrown away: not a tag, not a dot, not a hopeless domain."""
    keys = {address_key(a) for a in ("a@x.org", "a+b@x.org", "a.b@x.org", "a@y.org", "a@-ü-.org", "a@ü..org")}

    assert len(keys) == 6


def test_signing_up_twice_makes_one_reader(audience: AudienceStore) -> None:
    """The second time nothing changes, and says so; a new newsletter or name does change something."""
    assert join(audience, "ann@example.org", name="Ann") is True
    assert join(audience, "ANN@example.org") is False
    assert join(audience, "ann@example.org", "weekly", "monthly") is True
    assert join(audience, "ann@example.org", name="Anna", lang="th") is True

    ann = audience.find("Ann@Example.org")
    assert ann is not None
    assert (ann.name, ann.lang, ann.newsletters) == ("Anna", "th", ("monthly", "weekly"))
    assert (ann.address, ann.created_at, ann.source, len(ann.id)) == ("ann@example.org", NOW, "test", 32)
    assert audience.count("weekly") == 1


def test_who_left_is_forgotten_and_stays_out(audience: AudienceStore) -> None:
    """Their address is gone; an import passes them by and a new sign-up is refused in words."""
    join(audience, "ann@example.org")

    assert audience.remove("ANN@example.org", now=NOW) is True
    assert audience.remove("ann@example.org", now=NOW) is False

    assert audience.find("ann@example.org") is None
    assert list(audience.subscribers("weekly")) == []
    with pytest.raises(AudienceError, match=r"Ann@example\.org: is suppressed \(asked to leave\)"):
        join(audience, "Ann@example.org")
    report = audience.add_many([Signup(address="ann@EXAMPLE.org")], now=NOW, source="csv")
    assert report == ImportReport(suppressed=1)


def test_an_unknown_address_can_be_suppressed(audience: AudienceStore) -> None:
    """Whoever asks to be left alone is, before any import brings them."""
    assert audience.remove("bob@example.org", now=NOW) is False

    with pytest.raises(AudienceError):
        join(audience, "bob@example.org")


def test_a_reader_is_written_to_only_while_subscribed(audience: AudienceStore) -> None:
    """Gone, or of another newsletter: nobody to write to."""
    join(audience, "ann@example.org", name="Ann", lang="en")
    ann = audience.find("ann@example.org")
    assert ann is not None

    found = list(audience.subscribers("weekly"))
    elsewhere = list(audience.subscribers("monthly"))
    audience.remove("ann@example.org", now=NOW)

    assert found == [Recipient(id=ann.id, address="ann@example.org", name="Ann", lang="en")]
    assert elsewhere == []
    assert list(audience.subscribers("weekly")) == []


def test_suppression_wins_over_a_subscription(audience: AudienceStore, engine: Engine) -> None:
    """Whoever is both subscribed and suppressed gets nothing, on every way to them."""
    join(audience, "Ann@example.org")
    with writing(engine) as connection:
        row = {
            "address_key": address_key("ann@example.org"),
            "newsletter": "",
            "reason": "bounced",
            "since": NOW,
        }
        connection.execute(insert(suppression), row)

    assert list(audience.subscribers("weekly")) == []
    assert audience.count("weekly") == 0


def test_a_long_list_is_read_in_pages_each_reader_once(audience: AudienceStore) -> None:
    """Also while the list changes: nobody twice, and only those who left are missing."""
    people = [Signup(address=f"r{n}@example.org", newsletters=("weekly",)) for n in range(1_234)]
    audience.add_many(people, now=NOW, source="csv")
    stream = audience.subscribers("weekly")

    first = next(stream)
    audience.add_many([Signup(address="new@example.org", newsletters=("weekly",))], now=NOW, source="csv")
    rest = list(stream)

    addresses = [first.address] + [reader.address for reader in rest]
    assert len(addresses) == len(set(addresses))
    assert {person.address for person in people} <= set(addresses)
    assert audience.count("weekly") == 1_235


def test_a_newsletter_in_some_languages_goes_to_who_reads_them(audience: AudienceStore) -> None:
    """ "en" takes "en-GB"; who never named a language gets it too."""
    for lang in ("en-GB", "th", ""):
        join(audience, f"reader-{lang}@example.org", lang=lang)

    assert {reader.lang for reader in audience.subscribers("weekly", ["en"])} == {"en-GB", ""}
    assert len(list(audience.subscribers("weekly"))) == 3


ROWS = [
    Signup(address="ann@example.org", name="Ann", newsletters=("weekly",)),  # unchanged
    Signup(address="bob@example.org", name="Bobby", newsletters=("weekly",)),  # another name
    Signup(address="cyd@example.org", newsletters=("weekly",)),  # suppressed
    Signup(address="dee@example.org", newsletters=("weekly",)),  # new
    Signup(address="DEE@example.org", newsletters=("weekly",)),  # the same again
    *[Signup(address=f"r{n}@example.org", newsletters=("weekly",)) for n in range(600)],
    Signup(address="dee@example.org", name="Dee", newsletters=("weekly",)),  # in a later batch
]


@pytest.mark.parametrize("dry", [True, False])
def test_an_import_counts_what_it_does(audience: AudienceStore, dry: bool) -> None:
    """A dry import says the same as the real one and changes nothing."""
    join(audience, "ann@example.org", name="Ann")
    join(audience, "bob@example.org", name="Bob")
    audience.remove("cyd@example.org", now=NOW)

    report = audience.add_many(iter(ROWS), now=NOW + timedelta(days=1), source="csv", dry=dry)

    assert report == ImportReport(added=601, changed=2, unchanged=2, suppressed=1, names=2)
    assert audience.count("weekly") == (2 if dry else 603)
    bob = audience.find("bob@example.org")
    assert bob is not None
    assert bob.name == ("Bob" if dry else "Bobby")


def test_an_import_that_breaks_off_leaves_nothing(audience: AudienceStore) -> None:
    """All or nothing."""

    def broken() -> Iterator[Signup]:
        yield from ROWS
        raise RuntimeError("the file ended badly")

    with pytest.raises(RuntimeError):
        audience.add_many(broken(), now=NOW, source="csv")

    assert audience.count("weekly") == 0


# --------------------------------------------------------------------------- long lists

_PEOPLE = st.builds(
    Signup,
    address=st.sampled_from(
        ["ann@example.org", "ANN@example.org", "bob@example.org", "cyd@b\u00fccher.example"]
    )
    | st.integers(0, 5).map(lambda number: f"r{number}@example.org"),
    name=st.sampled_from(["", "Ann", "An"]),
    lang=st.sampled_from(["", "en", "th"]),
    newsletters=st.sampled_from([("weekly",), ("weekly", "monthly"), ()]),
)


def state(audience: AudienceStore) -> set[tuple[str, str, str, tuple[str, ...]]]:
    """All that an import may change, whatever the ids are."""
    query = select(subscriber.c.address)
    with reading(audience.engine) as connection:
        addresses = connection.scalars(query).all()
    people = [audience.find(address) for address in addresses]
    assert None not in people
    return {(who.address, who.name, who.lang, who.newsletters) for who in people if who}


def emptied(engine: Engine, suppressed: Sequence[str]) -> AudienceStore:
    """Nobody on the list but those who left."""
    with writing(engine) as connection:
        for table in (subscription, subscriber, suppression):
            connection.execute(delete(table))
    audience = AudienceStore(engine)
    for address in suppressed:
        audience.remove(address, now=NOW)
    return audience


def imports_alike(engine: Engine, rows: list[Signup], suppressed: list[str]) -> None:
    """One row at a time, a dry run, and the quick way with tiny batches."""
    slow = emptied(engine, suppressed)
    reports = [slow.add_many([row], now=NOW, source="csv") for row in rows]
    counts = [sum(getattr(report, name.name) for report in reports) for name in fields(ImportReport)]
    expected = state(slow)
    quick = emptied(engine, suppressed)
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in [
            (store, "ROWS", 3),
            (firstload, "_MOST_WAITING", 4),
        ]:
            patch.setattr(module, name, value)
        dry = quick.add_many(rows, now=NOW, source="csv", dry=True)
        assert state(quick) == set()
        report = quick.add_many(rows, now=NOW, source="csv")

    assert [getattr(report, name.name) for name in fields(ImportReport)] == counts
    assert dry == report
    assert state(quick) == expected


@pytest.fixture(scope="module")
def in_memory() -> Iterator[Engine]:
    engine = open_store("sqlite://")
    yield engine
    engine.dispose()


@settings(deadline=None)
@given(
    rows=st.lists(_PEOPLE, max_size=20),
    suppressed=st.lists(st.sampled_from(["ann@example.org", "r1@example.org"])),
)
def test_the_first_long_list_counts_like_any_other(
    in_memory: Engine, rows: list[Signup], suppressed: list[str]
) -> None:
    """The quick way into an empty table, a dry run and row after row: one outcome, repeats and all."""
    imports_alike(in_memory, rows, suppressed)


@pytest.mark.server
def test_the_same_on_postgresql() -> None:
    """The same rows, the same counts, the same readers."""
    chance = Random(7)
    names = ["", "Ann", "An"]
    rows = [
        Signup(
            f"R{chance.randrange(30)}@example.org", chance.choice(names), "", ("weekly", "monthly")[: n % 3]
        )
        for n in range(60)
    ]
    with cluster() as server:
        engine = open_store(server.database())
        try:
            imports_alike(engine, rows, ["r1@example.org"])
            audience = emptied(engine, [])
            long = [Signup(f"r{number}@example.org", newsletters=("weekly",)) for number in range(5_000)]

            first = audience.add_many(long, now=NOW, source="csv")
            second = audience.add_many(long, now=NOW, source="csv")

            assert (first.added, second.unchanged) == (5_000, 5_000)
            assert sum(map(len, audience.export("weekly"))) == 5_000
            assert join(audience, "R7@example.org") is False
        finally:
            engine.dispose()


def long_list(count: int = 9_000) -> list[Signup]:
    return [Signup(f"r{number}@example.org", newsletters=("weekly",)) for number in range(count)]


def test_a_long_list_can_be_imported_again(audience: AudienceStore) -> None:
    """The second time nothing changes, and says so."""
    first = audience.add_many(long_list(), now=NOW, source="csv")
    second = audience.add_many(long_list(), now=NOW, source="csv")

    assert first == ImportReport(added=9_000)
    assert second == ImportReport(unchanged=9_000)
    assert audience.count("weekly") == 9_000


def test_who_comes_twice_in_a_long_list_is_one_reader(audience: AudienceStore) -> None:
    """The first row stays where it was; later ones say what is new, as in any list."""
    people = long_list()
    again = [people[7]._replace(address="R7@Example.org", name="Ann"), people[7]._replace(lang="th")]

    report = audience.add_many([*people, *again, people[8]], now=NOW, source="csv")

    assert report == ImportReport(added=9_000, changed=2, unchanged=1, names=1, langs=1)
    read = list(audience.subscribers("weekly"))
    assert [reader.address for reader in read] == [person.address for person in people]
    assert (read[7].name, read[7].lang) == ("Ann", "th")


def test_the_people_of_one_list_are_neighbours(audience: AudienceStore) -> None:
    """In the order of the file: what writes or reads them all goes from front to back."""
    audience.add_many(long_list(), now=NOW, source="csv")

    read = list(audience.subscribers("weekly"))

    assert [reader.address for reader in read] == [person.address for person in long_list()]
    assert {len(reader.id) for reader in read} == {32}


def test_no_address_is_there_twice_after_a_long_list(audience: AudienceStore, engine: Engine) -> None:
    """The index that sees to that is there again, also after an import that broke off."""

    def broken() -> Iterator[Signup]:
        yield from long_list()
        raise RuntimeError("the file ended badly")

    with pytest.raises(RuntimeError):
        audience.add_many(broken(), now=NOW, source="csv")
    assert audience.count("weekly") == 0
    audience.add_many(long_list(), now=NOW, source="csv")

    row = {
        "id": "0" * 32,
        "address": "R1@example.org",
        "address_key": "r1@example.org",
        "name": "",
        "lang": "",
    }
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(insert(subscriber), row | {"created_at": NOW, "source": "test"})


def test_an_export_holds_the_same_readers_as_a_mailing(
    audience: AudienceStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In pages; whoever is suppressed is in neither."""
    monkeypatch.setattr(store, "EXPORTED", 7)
    audience.add_many(long_list(100), now=NOW, source="csv")
    audience.remove("r5@example.org", now=NOW)

    exported = [address for page in audience.export("weekly") for address, _, _ in page]

    assert len(exported) == 99
    assert exported == [reader.address for reader in audience.subscribers("weekly")]


ENDLESS = """
import itertools, sys
from datetime import UTC, datetime
from bot.store.audience import AudienceStore, Signup
from bot.store.engine import open_store
def rows():
    for number in itertools.count():
        if number == 30_000:
            print("now", flush=True)
        yield Signup(f"r{number}@example.org", newsletters=("weekly",))
AudienceStore(open_store(sys.argv[1])).add_many(rows(), now=datetime.now(UTC), source="csv")
"""


def test_a_killed_import_leaves_nothing(tmp_path: Path) -> None:
    """SIGKILL in the middle, with much of it in the file already: the list is as it was."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with subprocess.Popen([sys.executable, "-c", ENDLESS, url], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.kill()

    engine = open_store(url)
    audience = AudienceStore(engine)
    assert audience.count("weekly") == 0
    assert audience.add_many(long_list(), now=NOW, source="csv").added == 9_000
    engine.dispose()


PEAK = """
import resource, sys
from datetime import UTC, datetime
from bot.store.audience import AudienceStore, Signup
from bot.store.engine import open_store
audience = AudienceStore(open_store(sys.argv[1]))
for _ in range(2):
    numbers = (n * 7919 % 1_000_003 for n in range(int(sys.argv[2])))
    rows = (Signup(f"r{number}@example.org", "Ann", "en", ("weekly",)) for number in numbers)
    audience.add_many(rows, now=datetime.now(UTC), source="csv", dry="dry" in sys.argv)
sum(map(len, audience.export("weekly")))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["real", "dry"])
def test_memory_does_not_grow_with_the_list(tmp_path: Path, how: str) -> None:
    """In, in again and out: 200,000 readers need at most 32 MiB more than 2,000."""

    def peak(count: int) -> int:
        url = f"sqlite:///{tmp_path / str(count)}.db"
        command = [sys.executable, "-c", PEAK, url, str(count), how]
        return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)

    assert peak(200_000) - peak(2_000) < 32 * 1024
