"""Readers: found however their address is spelled, streamed in pages, and suppression always wins."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from bot.errors import AudienceError
from bot.model import Recipient
from bot.store.audience import AudienceStore, ImportReport, Signup, address_key
from bot.store.engine import open_store, writing
from bot.store.schema import suppression
from tests.support.ledgers import NOW


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


def test_a_reader_is_resolved_only_while_subscribed(audience: AudienceStore) -> None:
    """Gone, of another newsletter, or suppressed: nobody to write to."""
    join(audience, "ann@example.org", name="Ann", lang="en")
    ann = audience.find("ann@example.org")
    assert ann is not None

    found = audience.by_id(ann.id, "weekly")
    elsewhere = audience.by_id(ann.id, "monthly")
    audience.remove("ann@example.org", now=NOW)

    assert found == Recipient(id=ann.id, address="ann@example.org", name="Ann", lang="en")
    assert elsewhere is None
    assert audience.by_id(ann.id, "weekly") is None


def test_suppression_wins_over_a_subscription(audience: AudienceStore, engine: Engine) -> None:
    """Whoever is both subscribed and suppressed gets nothing, on every way to them."""
    join(audience, "Ann@example.org")
    ann = audience.find("ann@example.org")
    assert ann is not None
    with writing(engine) as connection:
        row = {"address_key": address_key("ann@example.org"), "reason": "bounced", "since": NOW}
        connection.execute(insert(suppression), row)

    assert list(audience.subscribers("weekly")) == []
    assert audience.by_id(ann.id, "weekly") is None
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

    assert report == ImportReport(added=601, changed=2, unchanged=2, suppressed=1)
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
