"""Double opt-in in the store: one mail a day, a proof that nobody can change, on both databases."""

from __future__ import annotations

import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import Engine, event, func, insert, select, text
from sqlalchemy.exc import DatabaseError

from bot.errors import AudienceError, StoreError
from bot.model import Form
from bot.store import schema
from bot.store.audience import AudienceStore, Signup
from bot.store.engine import reading, writing
from bot.store.importing import address_key
from bot.store.joining import Asked, Joining, Limits, Recorded, SignupRequest, Wording
from bot.store.leaving import Leaving, Preferences
from bot.store.suppression import Hasher
from tests.support.site import record

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
DAY = timedelta(days=1)
HASHER = Hasher([b"a key of the tests that is long enough", b"an older key of the tests"])
WORDING = Wording(version="1", lang="en", body="I want this newsletter.")
ROOT = Path(__file__).parents[1]
ASKING = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from bot.store.engine import open_store
from bot.store.joining import Asked, Joining, Limits
from tests.test_store_joining import HASHER, ask, request
joining = Joining(open_store(sys.argv[1]), HASHER)
limits = Limits(per_ip_hour=9_999)
print([ask(joining, request("ann@example.org"), limits=limits) for _ in range(100)].count(Asked.MAIL))
"""


@pytest.fixture
def joining(any_store: Engine) -> Joining:
    return Joining(any_store, HASHER)


@pytest.fixture
def audience(any_store: Engine) -> AudienceStore:
    return AudienceStore(any_store, HASHER)


def request(address: str = "ann@example.org", *letters: str, ip: str = "192.0.2.0") -> SignupRequest:
    return SignupRequest(
        id=secrets.token_hex(16),
        address=address,
        newsletters=letters or ("weekly",),
        lang="th",
        form_url="https://news.example.org/subscribe",
        wording=WORDING,
        ip=ip,
        asked_at=NOW,
    )


def ask(joining: Joining, of: SignupRequest, now: datetime = NOW, limits: Limits | None = None) -> Asked:
    """What becomes of it: recorded by one process, decided on by another."""
    of, limits = replace(of, asked_at=now), limits or Limits()
    if record(joining, of, limits=limits) is not Recorded.YES:
        return Asked.LIMITED
    return joining.decide(of.id, now=now, limits=limits)


def consents(engine: Engine) -> list[tuple[str, str, str, str, str]]:
    of = schema.consent.c
    with reading(engine) as connection:
        rows = connection.execute(
            select(of.event, of.newsletter, of.means, of.form_url, of.ip).order_by(of.id)
        )
        return [tuple(row) for row in rows]


# --------------------------------------------------------------------------- asking


def test_a_thousand_questions_for_one_address_are_one_mail(joining: Joining) -> None:
    """However it is spelled, and however many ask at once."""
    spellings = [
        "ann@bücher.example",
        "ANN@Bücher.Example",
        "ann@xn--bcher-kva.example",
        "ann@bücher.example.",
    ]
    many = [request(spellings[n % 4], ip=f"192.0.{n % 250}.0") for n in range(1_000)]

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda of: ask(joining, of, limits=Limits(per_ip_hour=9_999)), many))

    assert answers.count(Asked.MAIL) == 1
    assert ask(joining, request(spellings[1]), NOW + DAY - timedelta(seconds=1)) is Asked.QUIET
    assert ask(joining, request(spellings[1]), NOW + DAY) is Asked.MAIL


def test_who_asks_for_many_addresses_is_not_served(joining: Joining) -> None:
    answers = [ask(joining, request(f"r{n}@example.org")) for n in range(65)]

    assert answers == [Asked.MAIL] * 60 + [Asked.LIMITED] * 5
    assert ask(joining, request("r99@example.org"), NOW + timedelta(hours=1)) is Asked.MAIL


def test_one_visitor_cannot_use_up_what_there_is_for_all(joining: Joining) -> None:
    limits = Limits(per_ip_hour=3, total_hour=5)
    for n in range(50):
        ask(joining, request(f"r{n}@example.org", ip="192.0.2.0/24"), limits=limits)

    assert ask(joining, request("bob@example.org", ip="198.51.100.0/24"), limits=limits) is Asked.MAIL


def test_two_processes_send_one_mail(any_store: Engine, store_url: str, tmp_path: Path) -> None:
    """Each asks a hundred times for the same address, as two web servers would."""
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", ASKING, store_url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=240) for process in asking]

    assert [err for _, err in said] == [b"", b""]
    assert sum(int(out) for out, _ in said) == 1


def test_a_reader_costs_the_same_statements_as_a_stranger(joining: Joining, audience: AudienceStore) -> None:
    """Whoever measures the answer learns nothing."""
    audience.add("ann@example.org", "", "", ["weekly"], NOW, source="test")

    ask(joining, request("zoe@example.org"))
    known, stranger = (
        statements(joining, request(f"{name}@example.org", ip=f"{name}/24")) for name in ("ann", "bob")
    )

    assert len(known) > 6
    assert known == stranger


def statements(joining: Joining, of: SignupRequest) -> list[str]:
    """What the database is asked, without values."""
    found: list[str] = []

    def heard(_c: object, _u: object, statement: str, *_: object) -> None:
        found.append(statement)

    event.listen(joining.engine, "before_cursor_execute", heard)
    try:
        record(joining, of)
    finally:
        event.remove(joining.engine, "before_cursor_execute", heard)
    return found


def test_what_a_stranger_typed_is_forgotten(joining: Joining) -> None:
    """After a week nothing tells of it; before, no record that stays. Nor does a limit hold an address."""
    of = request("victim@example.org", ip="192.0.2.0/24")
    ask(joining, of)
    assert consents(joining.engine) == []
    assert "victim" not in repr(of)

    joining.sweep(NOW + 7 * DAY)

    with reading(joining.engine) as connection:
        for table in schema.metadata.tables.values():
            found = str(connection.execute(select(table)).all())
            assert "victim" not in found
            assert "192.0.2" not in found
        assert connection.execute(select(schema.knock)).all() == []


def test_a_storm_from_everywhere_ends_at_the_limit_of_the_hour(joining: Joining) -> None:
    limits = Limits(total_hour=10)
    answers = [ask(joining, request(f"r{n}@example.org", ip=f"10.{n}.0.0"), limits=limits) for n in range(15)]

    assert answers == [Asked.MAIL] * 10 + [Asked.LIMITED] * 5


def test_who_reads_it_already_gets_no_mail(joining: Joining, audience: AudienceStore) -> None:
    audience.add("ann@example.org", "", "", ["weekly"], NOW, source="test")

    assert ask(joining, request("Ann@example.org")) is Asked.QUIET
    assert ask(joining, request("Ann@example.org", "weekly", "monthly")) is Asked.MAIL


def test_a_mail_that_did_not_go_out_does_not_count(joining: Joining) -> None:
    first = request()
    ask(joining, first)

    joining.not_sent(first.id, now=NOW)

    assert joining.pending(first.id, NOW) is None
    assert ask(joining, request()) is Asked.MAIL


# --------------------------------------------------------------------------- confirming


def test_confirming_makes_a_reader_once(joining: Joining, audience: AudienceStore) -> None:
    of = request("Ann@example.org", "weekly", "monthly")
    ask(joining, of)

    first = joining.confirm(of.id, now=NOW + DAY, means="confirmation page", ip="198.51.100.0")
    again = joining.confirm(of.id, now=NOW + 2 * DAY, means="confirmation page", ip="")

    reader = audience.find("ann@example.org")
    assert first is not None
    assert again is not None
    assert reader is not None
    assert (reader.address, reader.lang, reader.newsletters) == (
        "Ann@example.org",
        "th",
        ("monthly", "weekly"),
    )
    assert (first.subscriber, first.new) == (reader.id, ("weekly", "monthly"))
    assert (again.subscriber, again.new) == (reader.id, ())
    asked = [("asked", letter, "form", of.form_url, "192.0.2.0") for letter in of.newsletters]
    done = [("confirmed", name, "confirmation page", of.form_url, "198.51.100.0") for name in of.newsletters]
    assert consents(joining.engine) == asked + done


def test_an_old_link_does_not_bring_back_who_left_meanwhile(
    joining: Joining, audience: AudienceStore
) -> None:
    of = request()
    ask(joining, of)
    confirmed = joining.confirm(of.id, now=NOW, means="page", ip="")
    assert confirmed is not None
    Leaving(joining.engine, HASHER).unsubscribe(confirmed.subscriber, "weekly", now=NOW, means="page")

    joining.confirm(of.id, now=NOW, means="page", ip="")

    assert audience.find("ann@example.org") is None


def test_nothing_is_confirmed_after_a_week(joining: Joining, audience: AudienceStore) -> None:
    of = request()
    ask(joining, of)

    assert joining.confirm(of.id, now=NOW + 7 * DAY, means="page", ip="") is None
    assert joining.confirm(secrets.token_hex(16), now=NOW, means="page", ip="") is None
    assert audience.find("ann@example.org") is None
    assert joining.sweep(NOW + 7 * DAY) == 1
    assert joining.sweep(NOW + 7 * DAY) == 0


def test_only_confirming_lifts_a_suppression(joining: Joining, audience: AudienceStore) -> None:
    audience.remove("ann@example.org", now=NOW)
    with pytest.raises(AudienceError):
        audience.add("ann@example.org", "", "", ["weekly"], NOW, source="test")
    of = request()

    assert ask(joining, of) is Asked.MAIL
    assert audience.find("ann@example.org") is None
    joining.confirm(of.id, now=NOW, means="page", ip="")

    assert audience.find("ann@example.org") is not None
    assert not audience.add("ann@example.org", "", "", ["weekly"], NOW, source="test")


def test_who_comes_back_to_one_newsletter_stays_away_from_the_others(any_store: Engine) -> None:
    """They had left all of them, or were erased: what they did not ask for again no list gives them."""
    joining = Joining(any_store, HASHER, ["weekly", "monthly"])
    audience = AudienceStore(any_store, HASHER)
    audience.remove("ann@example.org", now=NOW)
    Leaving(any_store, HASHER).erase("bob@example.org", NOW)

    for address in ("ann@example.org", "bob@example.org"):
        of = request(address, "weekly", ip=address)
        ask(joining, of)
        joining.confirm(of.id, now=NOW, means="page", ip="")
        audience.add_many([Signup(address, newsletters=("weekly", "monthly"))], now=NOW, source="a list")

        found = audience.find(address)
        assert found is not None
        assert found.newsletters == ("weekly",)


def test_two_links_followed_at_once_make_one_reader(joining: Joining, audience: AudienceStore) -> None:
    first, second = request("ann@example.org", "weekly"), request("Ann@example.org", "monthly")
    ask(joining, first)
    ask(joining, second, NOW + DAY)

    with ThreadPoolExecutor(8) as threads:
        done = list(
            threads.map(
                lambda of: joining.confirm(of.id, now=NOW + DAY, means="page", ip=""), [first, second] * 4
            )
        )

    found = audience.find("ann@example.org")
    assert found is not None
    assert found.newsletters == ("monthly", "weekly")
    assert {confirmed.subscriber for confirmed in done if confirmed} == {found.id}
    assert [event for event, *_ in consents(joining.engine)].count("confirmed") == 2


# --------------------------------------------------------------------------- the proof


@pytest.mark.parametrize("change", ["UPDATE consent SET address = 'x'", "DELETE FROM consent"])
def test_a_proof_cannot_be_changed(joining: Joining, change: str) -> None:
    """By nobody, not even with SQL in hand."""
    of = request()
    ask(joining, of)
    joining.confirm(of.id, now=NOW, means="page", ip="")
    before = consents(joining.engine)

    with pytest.raises((DatabaseError, StoreError)), writing(joining.engine) as connection:
        connection.execute(text(change))

    assert consents(joining.engine) == before


def test_the_proof_keeps_the_words_once(joining: Joining) -> None:
    ask(joining, request("ann@example.org"))
    ask(joining, request("bob@example.org"))

    with reading(joining.engine) as connection:
        assert [tuple(row) for row in connection.execute(select(schema.wording))] == [
            (WORDING.digest, "1", "en", WORDING.body)
        ]


# --------------------------------------------------------------------------- suppression for one newsletter


def suppress(engine: Engine, name: str, newsletter: str) -> None:
    row = {"address_key": name, "newsletter": newsletter, "reason": "left", "since": NOW}
    with writing(engine) as connection:
        connection.execute(insert(schema.suppression), row)


@pytest.mark.parametrize("count", [3, 1_500])
def test_an_import_honours_who_left_one_newsletter_or_was_erased(audience: AudienceStore, count: int) -> None:
    """In a short list and in a first long one, under an old key too."""
    suppress(audience.engine, address_key("r0@example.org"), "weekly")
    suppress(audience.engine, Hasher([b"an older key of the tests"]).name("r1@example.org"), "")
    rows = [Signup(address=f"R{n}@example.org", newsletters=("weekly", "monthly")) for n in range(count)]

    dry = audience.add_many(rows, now=NOW, source="test", dry=True)
    report = audience.add_many(rows, now=NOW, source="test")

    assert dry == report
    assert (report.added, report.suppressed) == (count - 1, 1)
    assert audience.find("r1@example.org") is None
    left = audience.find("r0@example.org")
    assert left is not None
    assert left.newsletters == ("monthly",)
    with reading(audience.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(schema.subscriber)) == count - 1


# --------------------------------------------------------------------------- what a stranger could try


def test_asking_again_and_again_tells_nothing(joining: Joining, audience: AudienceStore) -> None:
    """The second question costs for a reader what it costs for a stranger: else it could be measured."""
    audience.add("ann@example.org", "", "", ["weekly"], NOW, source="test")
    ask(joining, request("zoe@example.org"))

    asked = {
        name: [statements(joining, request(f"{name}@example.org", ip=f"{name}/{n}")) for n in range(3)]
        for name in ("ann", "bob")
    }

    assert asked["ann"] == asked["bob"]
    assert len({len(each) for each in asked["ann"]}) == 1


def test_a_readers_address_uses_up_as_much_of_the_limit_as_a_strangers(
    joining: Joining, audience: AudienceStore
) -> None:
    """Whoever fills the limit with one address sees by the page whether it was counted."""
    limits = Limits(total_hour=5)
    audience.add("ann@example.org", "", "", ["weekly"], NOW, source="test")

    for address, hour in (("ann@example.org", NOW), ("bob@example.org", NOW + timedelta(hours=1))):
        taken = [
            record(joining, replace(request(address, ip=f"10.{n}.0.0"), asked_at=hour), limits=limits)
            for n in range(6)
        ]
        assert taken == [Recorded.YES] * 5 + [Recorded.SITE_FIRST]


def test_one_mailbox_gets_few_mails_however_it_is_spelled(joining: Joining) -> None:
    """Many servers take "ann+1" and "a.n.n" for "ann": her mailbox must not be filled that way."""
    spellings = ["ann", "a.nn", "an.n", *(f"ann+{n}" for n in range(20)), *(f"A.n.n+{n}" for n in range(20))]
    answers = [
        ask(joining, request(f"{local}@example.org", ip=f"10.{n}.0.0")) for n, local in enumerate(spellings)
    ]

    assert answers.count(Asked.MAIL) == 5
    assert ask(joining, request("bob@example.org")) is Asked.MAIL
    assert ask(joining, request("ann+99@example.org"), NOW + DAY) is Asked.MAIL


def test_what_was_promised_and_never_tried_is_found(joining: Joining) -> None:
    """Once taken it is one process's; given back it can be taken again; confirmed it is done."""
    of = request()
    ask(joining, of)

    assert joining.unsent(before=NOW - timedelta(seconds=1)) == []
    assert joining.unsent(before=NOW) == [of]
    assert joining.take(of.id, now=NOW)
    assert not joining.take(of.id, now=NOW)
    assert joining.unsent(before=NOW) == []
    joining.give_back(of.id)
    assert joining.unsent(before=NOW) == [of]
    assert joining.unsent(before=NOW + 7 * DAY) == []


def test_who_leaves_while_they_confirm_is_a_reader_again(any_store: Engine, audience: AudienceStore) -> None:
    """Their last word was the confirmation; it waits for the leaving, and must not find half a person."""
    joining = Joining(any_store, HASHER)
    audience.add("ann@example.org", "", "", ["weekly"], NOW, source="test")
    found = audience.find("ann@example.org")
    of = request("ann@example.org", "monthly")
    ask(joining, of)
    confirming: list[Thread] = []

    def confirm_meanwhile(*_: object) -> None:
        confirming.append(Thread(target=lambda: joining.confirm(of.id, now=NOW + DAY, means="page", ip="")))
        confirming[0].start()
        confirming[0].join(0.5)

    assert found is not None
    Leaving(any_store, HASHER, tell=confirm_meanwhile).unsubscribe(found.id, "weekly", now=NOW, means="page")
    confirming[0].join(20)

    after = audience.find("ann@example.org")
    assert after is not None
    assert after.newsletters == ("monthly",)


def test_who_is_erased_while_they_confirm_is_found_nowhere(any_store: Engine) -> None:
    """The proof that is being written at that moment goes as well."""
    leaving = Leaving(any_store, HASHER)
    erasing: list[Thread] = []
    of = request("Ann.Unusual@example.org")

    def erase_meanwhile(*_: object) -> None:
        if not erasing:
            erasing.append(Thread(target=leaving.erase, args=("ann.unusual@example.org", NOW)))
            erasing[0].start()
            erasing[0].join(0.5)

    joining = Joining(any_store, HASHER, tell=erase_meanwhile)
    ask(joining, of)
    assert joining.confirm(of.id, now=NOW, means="page", ip="") is not None
    erasing[0].join(20)

    with reading(any_store) as connection:
        for table in schema.metadata.sorted_tables:
            assert "unusual" not in str(connection.execute(select(table)).all()).lower(), table.name


def test_a_wish_made_while_leaving_does_not_wait_for_the_return(
    any_store: Engine, audience: AudienceStore
) -> None:
    """Else a pause of long ago would silence a newsletter that somebody has just asked for again."""
    leaving = Leaving(any_store, HASHER)
    left: list[Thread] = []
    audience.add("ann@example.org", "", "", ["weekly", "monthly"], NOW, source="test")
    found = audience.find("ann@example.org")
    assert found is not None
    wish = Preferences(newsletter="weekly", form=Form.PLAIN, paused_until=NOW + 90 * DAY)

    def leave_meanwhile(_: object) -> None:
        if not left:
            args = (found.id, "weekly")
            left.append(Thread(target=leaving.unsubscribe, args=args, kwargs={"now": NOW, "means": "page"}))
            left[0].start()
            left[0].join(0.5)

    event.listen(any_store, "commit", leave_meanwhile)
    leaving.prefer(found.id, "weekly", wish, NOW)
    event.remove(any_store, "commit", leave_meanwhile)
    left[0].join(20)

    with reading(any_store) as connection:
        assert connection.execute(select(schema.preference)).all() == []
