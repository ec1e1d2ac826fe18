"""Large issues: planned once for a frozen audience, worked off in chunks, safe from zombies and crashes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine, delete, event, func, insert, select, text, update

from bot.errors import (
    Blame,
    Lost,
    NotFoundError,
    PermanentFailure,
    StoreError,
    TemporaryFailure,
    UnknownOutcome,
)
from bot.model import MAX_ATTEMPTS, Recipient, State, Variant, delivery_key
from bot.store import recording, schema, words
from bot.store.audience import AudienceStore
from bot.store.chunks import Chunk, Claimed, Settled, put_back, settled
from bot.store.engine import open_store, reading, writing
from bot.store.ledger import Ledger
from bot.store.mailing import Mailings
from tests.support.ledgers import NOW, WORDS, issue, readers
from tests.support.postgres import Cluster

SECONDS = 60.0
MINUTE = timedelta(minutes=1)
LATER = NOW + timedelta(hours=1)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten letters each, so that small lists have several."""
    monkeypatch.setattr(recording, "CHUNK", 10)


@pytest.fixture
def mailings(any_store: Engine) -> Mailings:
    return Mailings(any_store, mode="live", publication="broadside")


@pytest.fixture
def ledger(any_store: Engine) -> Ledger:
    return Ledger(any_store, mode="live", publication="broadside")


def sign_up(engine: Engine, count: int, *, start: int = 0, lang: str = "") -> None:
    """Readers of the weekly, r0@example.org and so on; their ids are in their order."""
    with writing(engine) as connection:
        for number in range(start, start + count):
            address = f"r{number}@example.org"
            person = {
                "id": f"{number:032x}",
                "address": address,
                "address_key": address,
                "name": f"R {number}",
            }
            rest = {"lang": lang, "created_at": NOW, "source": "test"}
            connection.execute(insert(schema.subscriber), {**person, **rest})
            letters = {"newsletter": "weekly", "subscriber_id": person["id"], "since": NOW}
            connection.execute(insert(schema.subscription), letters)


def plan(mailings: Mailings, count: int) -> int:
    """An issue for that many subscribers; its number in the ledger."""
    sign_up(mailings.engine, count)
    assert mailings.record_issue(issue(), {"": WORDS}, "mail", NOW) == count
    return mailings.open_issues(NOW)[0].id


def lease(
    mailings: Mailings, owner: str = "one", *, at: timedelta = timedelta(0), resend: bool = True
) -> Chunk:
    chunk = mailings.lease(owner, NOW + at, seconds=SECONDS, resend=resend)
    assert chunk is not None
    return chunk


def take(mailings: Mailings, chunk: Chunk, want: int = 10) -> list[Claimed]:
    return mailings.exchange(chunk, [], want=want, now=NOW)


def sent(claimed: list[Claimed], said: str = "250 ok") -> list[Settled]:
    return [settled(each, said, NOW) for each in claimed]


def states(mailings: Mailings) -> list[str]:
    """The state of each letter, in their order."""
    query = select(schema.letter.c.state).order_by(schema.letter.c.issue, schema.letter.c.number)
    with reading(mailings.engine) as connection:
        return list(connection.scalars(query))


def counts(mailings: Mailings, number: int) -> dict[str, int]:
    """What progress says, which must be what the letters say."""
    progress = mailings.progress(number)
    found = {state.value: count for state, count in progress.counts.items() if count}
    assert found == dict(Counter(states(mailings)))
    return found


# --------------------------------------------------------------------------- planning


def test_planning_twice_plans_once(mailings: Mailings, ledger: Ledger) -> None:
    """The slot is taken by the first; who signed up since then is not in it."""
    number = plan(mailings, 25)
    sign_up(mailings.engine, 5, start=25)
    before = ledger.deliveries()

    assert mailings.record_issue(issue(), {"": replace(WORDS, text="Other")}, "mail", LATER) == 0
    assert mailings.record_issue(issue(), {"": WORDS}, "mail", LATER, readers(9)) == 0
    assert counts(mailings, number) == {"planned": 25}
    assert [mailing.total for mailing in mailings.open_issues(NOW)] == [25]
    assert ledger.deliveries() == before


def test_the_audience_is_frozen_when_the_issue_is_recorded(mailings: Mailings, ledger: Ledger) -> None:
    """Who joins afterwards gets nothing of it, not even while it goes out; who leaves meanwhile is out."""
    number = plan(mailings, 25)
    first = lease(mailings)
    group = take(mailings, first, 4)
    sign_up(mailings.engine, 3, start=25)
    leaves(mailings.engine, 2, 6, 20)  # one has it in its hands, two wait: one in this chunk, one in another

    got = group + take(mailings, first, 40)
    mailings.release(first, sent(got), now=NOW)
    while (chunk := mailings.lease("two", NOW, seconds=SECONDS)) is not None:
        rest = take(mailings, chunk)
        mailings.release(chunk, sent(rest), now=NOW)
        got += rest

    assert {each.address for each in got} == {f"r{n}@example.org" for n in range(25) if n not in (6, 20)}
    assert len(got) == 23
    assert counts(mailings, number) == {"sent": 23, "cancelled": 2}
    assert mailings.progress(number).state == "done"
    assert {each.recipient.id for each in ledger.deliveries([State.CANCELLED])} == {
        f"{n:032x}" for n in (6, 20)
    }


def leaves(engine: Engine, *numbers: int) -> None:
    """These readers want the weekly no longer."""
    with writing(engine) as connection:
        of = schema.subscription.c.subscriber_id.in_([f"{number:032x}" for number in numbers])
        connection.execute(delete(schema.subscription).where(of))


def test_an_issue_waits_for_its_slot(mailings: Mailings) -> None:
    """Recorded before it, begun at it."""
    plan(mailings, 3)

    assert mailings.open_issues(NOW - MINUTE) == []
    assert mailings.lease("one", NOW - MINUTE, seconds=SECONDS) is None
    assert mailings.next_due(NOW - MINUTE) == NOW
    assert mailings.next_due(LATER) == LATER


def test_an_issue_nobody_reads_is_done(mailings: Mailings) -> None:
    """It keeps its slot and its number."""
    assert mailings.record_issue(issue(), {"": WORDS}, "mail", NOW) == 0

    assert mailings.open_issues(LATER) == []
    assert mailings.next_due(LATER) is None


def test_the_suppressed_are_not_planned(mailings: Mailings) -> None:
    """Whatever else says that they subscribed."""
    sign_up(mailings.engine, 3)
    with writing(mailings.engine) as connection:
        row = {"address_key": "r1@example.org", "newsletter": "", "reason": "complaint", "since": NOW}
        connection.execute(insert(schema.suppression), row)

    assert mailings.record_issue(issue(), {"": WORDS}, "mail", NOW) == 2


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
def test_planning_for_many_tells_the_database_how_large_its_tables_are(
    postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL takes fresh tables for empty, and would read all readers for each group of letters."""
    monkeypatch.setattr("bot.store.recording.MANY", 20)
    url = postgres.database("t1")
    mailings = Mailings(open_store(url), mode="live", publication="broadside")
    plan(mailings, 30)

    with reading(mailings.engine) as connection:
        sizes = connection.execute(text("SELECT relname, reltuples FROM pg_class WHERE relkind = 'r'")).all()
    mailings.engine.dispose()

    known = {name: int(rows) for name, rows in sizes}
    assert [known[table] for table in ("letter", "subscriber", "subscription")] == [30, 30, 30]
    assert known["suppression"] == 0


@pytest.mark.server
@pytest.mark.xdist_group("postgresql")
def test_an_import_holds_up_no_issue(postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL it holds the readers against other writers, for a minute if it is long."""
    monkeypatch.setattr("bot.store.recording.MANY", 20)
    url = postgres.database("t1")
    impatient = open_store(f"{url}&options=-c%20lock_timeout%3D2s")
    mailings = Mailings(impatient, mode="live", publication="broadside")
    sign_up(impatient, 30)

    with impatient.begin() as importing:
        importing.execute(text("LOCK TABLE subscriber IN SHARE ROW EXCLUSIVE MODE"))
        planned = mailings.record_issue(issue(), {"": WORDS}, "mail", NOW)

    impatient.dispose()
    postgres.drop(url)
    assert planned == 30


def test_each_letter_keeps_the_words_of_its_language(mailings: Mailings, ledger: Ledger) -> None:
    """A variant is chosen when the issue is recorded; who has none of them gets the common words."""
    sign_up(mailings.engine, 2, lang="th")
    sign_up(mailings.engine, 2, start=2, lang="fr")
    thai = replace(WORDS, lang="th", text="สวัสดี")

    mailings.record_issue(issue(), {"th": thai, "": WORDS}, "mail", NOW)

    chunk = lease(mailings)
    digests = [chunk.mailing.words[claimed.variant] for claimed in take(mailings, chunk)]
    assert [ledger.message(digest).text for digest in digests] == ["สวัสดี", "สวัสดี", "Hello", "Hello"]


def wish(engine: Engine, reader: int, *, form: str = "", paused_until: datetime | None = None) -> None:
    row = {"newsletter": "weekly", "subscriber_id": f"{reader:032x}", "form": form}
    with writing(engine) as connection:
        connection.execute(insert(schema.preference), {**row, "paused_until": paused_until})


def test_each_letter_has_the_form_that_its_reader_wants(mailings: Mailings, ledger: Ledger) -> None:
    """Language and form together where there are words for both; else the form goes before the language."""
    sign_up(mailings.engine, 3)
    sign_up(mailings.engine, 2, start=3, lang="th")
    wish(mailings.engine, 1, form="plain")
    wish(mailings.engine, 2, form="headlines")
    wish(mailings.engine, 3, form="plain")
    wish(mailings.engine, 4, form="headlines")
    names = ("", "/plain", "/headlines", "th", "th/plain")
    all_words = {name: replace(WORDS, text=f"words {name}") for name in names}

    mailings.record_issue(issue(), all_words, "mail", NOW)

    chunk = lease(mailings)
    digests = [chunk.mailing.words[claimed.variant] for claimed in take(mailings, chunk)]
    got = [ledger.message(digest).text.removeprefix("words ") for digest in digests]
    assert got == ["", "/plain", "/headlines", "th/plain", "/headlines"]


def test_each_letter_has_the_greeting_that_fits_its_reader(mailings: Mailings, ledger: Ledger) -> None:
    """With a name or without, in each language and form."""
    sign_up(mailings.engine, 3)
    sign_up(mailings.engine, 2, start=3, lang="th")
    wish(mailings.engine, 2, form="plain")
    with writing(mailings.engine) as connection:
        nameless = schema.subscriber.c.address.in_(("r1@example.org", "r4@example.org"))
        connection.execute(update(schema.subscriber).where(nameless).values(name=""))
    names = ("", "//named", "/plain", "/plain/named", "th", "th//named")
    all_words = {name: replace(WORDS, text=f"words {name}") for name in names}

    mailings.record_issue(issue(), all_words, "mail", NOW)

    chunk = lease(mailings)
    digests = [chunk.mailing.words[claimed.variant] for claimed in take(mailings, chunk)]
    got = [ledger.message(digest).text.removeprefix("words ") for digest in digests]
    assert got == ["//named", "", "/plain/named", "th//named", "th"]


@pytest.mark.parametrize("name", ["th", "th/plain", "/headlines", "//named", "th/plain/named", ""])
def test_a_variants_name_is_read_as_it_was_written(name: str) -> None:
    assert Variant.read(name).name == name


def test_who_pauses_is_not_planned_until_then(mailings: Mailings) -> None:
    """Up to the moment they named; the issue of that moment comes again."""
    slot = issue().slot
    sign_up(mailings.engine, 3)
    wish(mailings.engine, 0, paused_until=slot + timedelta(seconds=1))
    wish(mailings.engine, 1, paused_until=slot)

    assert mailings.record_issue(issue(), {"": WORDS}, "mail", NOW) == 2


def test_given_readers_get_it_and_nobody_else(any_store: Engine) -> None:
    """A rehearsal's samples need not be in the list; one that is not known any more is passed by."""
    sign_up(any_store, 3)
    samples = list(readers(25))
    rehearsal = Mailings(any_store, mode="rehearsal", publication="broadside", samples=samples[1:])

    assert rehearsal.record_issue(issue(), {"": WORDS}, "mail", NOW, samples) == 25

    chunk = lease(rehearsal)
    claimed = take(rehearsal, chunk)
    assert [each.address for each in claimed] == [f"r{number}@example.org" for number in range(1, 10)]
    assert states(rehearsal)[0] == "cancelled"


def test_given_readers_get_the_words_of_their_language(mailings: Mailings, ledger: Ledger) -> None:
    """A variant is chosen by language; who has none of them gets the common words."""
    thai = replace(WORDS, lang="th", text="สวัสดี")
    named = replace(WORDS, text="Hello you")
    people = [
        Recipient(id="a", lang="th"),
        Recipient(id="b", lang="fr"),
        Recipient(id="c"),
        Recipient(id="d", name="D", lang="th"),
        Recipient(id="e", name="E", lang="fr"),
    ]

    mailings.record_issue(issue(), {"": WORDS, "th": thai, "//named": named}, "mail", NOW, people)

    texts = [ledger.message(delivery.message).text for delivery in ledger.deliveries()]
    assert texts == ["สวัสดี", "Hello", "Hello", "สวัสดี", "Hello you"]


def test_a_letter_keeps_only_the_readers_id(mailings: Mailings, ledger: Ledger) -> None:
    """The address is looked up when it is sent, so that a reader can be forgotten."""
    plan(mailings, 1)

    (delivery,) = ledger.deliveries()

    assert delivery.recipient == Recipient(id="0" * 32)
    assert delivery.due == issue().slot
    assert delivery.key == delivery_key(
        publication="broadside", mode="live", subject=issue().id, channel="mail", recipient="0" * 32
    )
    with reading(mailings.engine) as connection:
        assert "@" not in str(connection.execute(select(schema.letter)).all())


def test_words_are_stored_once_for_all_readers(mailings: Mailings, ledger: Ledger) -> None:
    """However long the list, one row of words."""
    mailings.record_issue(issue(), {"": WORDS}, "mail", NOW, readers(1_200))

    with reading(mailings.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(schema.words)) == 1
    deliveries = ledger.deliveries(limit=2_000)
    assert len(deliveries) == 1_200
    assert {delivery.message for delivery in deliveries} == {words.digest(words.to_text(WORDS))}


def test_a_list_that_breaks_off_leaves_nothing(mailings: Mailings) -> None:
    """All or nothing: the slot stays free for the next try."""

    def broken() -> Iterator[Recipient]:
        yield from readers(700)
        raise RuntimeError("the list ended badly")

    with pytest.raises(RuntimeError):
        mailings.record_issue(issue(), {"": WORDS}, "mail", NOW, broken())

    assert states(mailings) == []
    assert mailings.record_issue(issue(), {"": WORDS}, "mail", NOW, readers(2)) == 2


def test_a_rehearsal_never_counts_for_live(any_store: Engine, mailings: Mailings) -> None:
    """Neither its issues nor its letters are seen, and the slot is free for the live one."""
    rehearsal = Mailings(any_store, mode="rehearsal", publication="broadside", samples=readers(3))
    rehearsal.record_issue(issue(), {"": WORDS}, "mail", NOW, readers(3))
    (theirs,) = rehearsal.open_issues(NOW)

    assert mailings.open_issues(NOW) == []
    assert mailings.lease("one", NOW, seconds=SECONDS) is None
    assert not mailings.pause(theirs.id)
    with pytest.raises(NotFoundError, match="no issue"):
        mailings.progress(theirs.id)
    assert plan(mailings, 2) != theirs.id


# --------------------------------------------------------------------------- lease, exchange, release


def test_two_workers_never_get_the_same_chunk(mailings: Mailings) -> None:
    """Each has its own; a third one finds nothing while both work."""
    plan(mailings, 20)

    one, two = lease(mailings, "one"), lease(mailings, "two")

    assert (one.first, one.last, two.first, two.last) == (1, 10, 11, 20)
    assert mailings.lease("three", NOW, seconds=SECONDS) is None


def test_a_claim_tells_who_reads_it(mailings: Mailings) -> None:
    """Address, name and language as they are now; the key is the delivery's, for ever."""
    plan(mailings, 1)
    chunk = lease(mailings)

    (claimed,) = take(mailings, chunk)

    assert claimed == Claimed(1, "0" * 32, "r0@example.org", "R 0", "", 0, 1, 0)
    assert chunk.key(claimed) == delivery_key(
        publication="broadside", mode="live", subject=issue().id, channel="mail", recipient="0" * 32
    )
    delivery = chunk.delivery(claimed, NOW)
    assert (delivery.key, delivery.name, delivery.state) == (chunk.key(claimed), "i1.1", State.CLAIMED)


def test_an_issue_goes_out_once_to_each(mailings: Mailings) -> None:
    """Group by group, chunk by chunk, until nothing is left and the issue is done."""
    number = plan(mailings, 25)
    seen: list[str] = []

    while chunk := mailings.lease("one", NOW, seconds=SECONDS):
        group = take(mailings, chunk, 4)
        while group:
            seen += [claimed.address for claimed in group]
            group = mailings.exchange(chunk, sent(group), want=4, now=NOW)
        mailings.release(chunk, [], now=NOW)

    assert sorted(seen) == sorted(f"r{number}@example.org" for number in range(25))
    assert counts(mailings, number) == {"sent": 25}
    assert (mailings.progress(number).state, mailings.progress(number).left) == ("done", 0)


def test_who_left_meanwhile_is_not_claimed(mailings: Mailings) -> None:
    """Unsubscribed, suppressed, or gone altogether: cancelled on the way, and the group is filled up."""
    number = plan(mailings, 10)
    chunk = lease(mailings)
    assert len(take(mailings, chunk, 2)) == 2
    AudienceStore(mailings.engine).remove("r2@example.org", now=NOW)
    with writing(mailings.engine) as connection:
        connection.execute(text("DELETE FROM subscription WHERE subscriber_id = :id"), {"id": f"{3:032x}"})
        row = {"address_key": "r4@example.org", "newsletter": "", "reason": "complaint", "since": NOW}
        connection.execute(insert(schema.suppression), row)

    group = take(mailings, chunk, 3)

    assert [claimed.address for claimed in group] == ["r5@example.org", "r6@example.org", "r7@example.org"]
    assert states(mailings)[2:5] == ["cancelled"] * 3
    assert counts(mailings, number) == {"claimed": 5, "cancelled": 3, "planned": 2}


def test_when_all_have_left_the_chunk_is_done(mailings: Mailings) -> None:
    """Nothing to claim is not nothing happened."""
    number = plan(mailings, 3)
    chunk = lease(mailings)
    for each in range(3):
        AudienceStore(mailings.engine).remove(f"r{each}@example.org", now=NOW)

    assert take(mailings, chunk, 1) == []

    mailings.release(chunk, [], now=NOW)
    assert counts(mailings, number) == {"cancelled": 3}
    assert mailings.progress(number).state == "done"


OUTCOMES = {
    "sent": ("250 2.0.0 queued as 4711", (State.SENT, 1, 0, None, None, "250 2.0.0 queued as 4711")),
    "deferred": (
        TemporaryFailure("greylisted", code=451),
        (State.DEFERRED, 1, 0, NOW + 5 * MINUTE, 451, "greylisted"),
    ),
    "asked to wait": (
        TemporaryFailure("busy", retry_after=2 * MINUTE),
        (State.DEFERRED, 1, 0, NOW + 2 * MINUTE, None, "busy"),
    ),
    "refused": (
        PermanentFailure("no such user", code=550, blame=Blame.RECIPIENT),
        (State.FAILED, 1, 0, None, 550, "no such user"),
    ),
    "our own fault": (
        PermanentFailure("not allowed", code=535, blame=Blame.SENDER),
        (State.DEFERRED, 0, 0, NOW + 5 * MINUTE, 535, "not allowed"),
    ),
    "in doubt": (UnknownOutcome("the line was cut"), (State.PLANNED, 1, 1, None, None, "the line was cut")),
}


@pytest.mark.parametrize("case", list(OUTCOMES))
def test_every_outcome_is_written_as_it_is(mailings: Mailings, case: str) -> None:
    """State, attempts, doubts, time, code and words."""
    outcome, expected = OUTCOMES[case]
    number = plan(mailings, 1)
    chunk = lease(mailings)
    (claimed,) = take(mailings, chunk)

    mailings.exchange(chunk, [settled(claimed, outcome, NOW)], want=0, now=NOW)

    c = schema.letter.c
    with reading(mailings.engine) as connection:
        row = connection.execute(select(c.state, c.attempts, c.doubts, c.due, c.code, c.said)).one()
    assert tuple(row) == expected
    assert counts(mailings, number) == {expected[0].value: 1}


def test_attempts_come_to_an_end() -> None:
    """A server that never has time, or never answers, is not asked for ever."""
    last = Claimed(1, "a", "a@example.org", "", "", 0, MAX_ATTEMPTS, 0)

    assert settled(last, TemporaryFailure("busy"), NOW).state is State.FAILED
    assert settled(last, UnknownOutcome("cut"), NOW).state is State.UNKNOWN
    assert settled(last._replace(attempts=1), UnknownOutcome("cut"), NOW, resend=False).state is State.UNKNOWN
    third = settled(last._replace(attempts=3), UnknownOutcome("cut"), NOW)
    assert (third.state, third.due, third.doubts) == (State.DEFERRED, NOW + 10 * MINUTE, 1)


def test_the_deferred_come_back_when_they_are_due(mailings: Mailings) -> None:
    """The chunk sleeps until then; the issue is not done before."""
    number = plan(mailings, 2)
    chunk = lease(mailings)
    first, second = take(mailings, chunk)
    late = settled(first, TemporaryFailure("greylisted"), NOW)
    mailings.release(chunk, [late, *sent([second])], now=NOW)

    assert mailings.lease("one", NOW + 4 * MINUTE, seconds=SECONDS) is None
    assert mailings.next_due(NOW) == NOW + 5 * MINUTE
    assert mailings.progress(number).state == "open"

    again = lease(mailings, at=5 * MINUTE)
    (back,) = mailings.exchange(again, [], want=9, now=NOW + 5 * MINUTE)
    assert (back.number, back.attempts) == (1, 2)
    mailings.release(again, sent([back]), now=NOW + 5 * MINUTE)
    assert counts(mailings, number) == {"sent": 2}
    assert mailings.progress(number).state == "done"


def test_the_deferred_wait_while_others_go(mailings: Mailings) -> None:
    """The same chunk goes on with those that are due."""
    plan(mailings, 3)
    chunk = lease(mailings)
    (first,) = take(mailings, chunk, 1)
    late = settled(first, TemporaryFailure("greylisted"), NOW)

    assert [each.number for each in mailings.exchange(chunk, [late], want=9, now=NOW)] == [2, 3]
    assert [each.number for each in mailings.exchange(chunk, [], want=9, now=NOW + 5 * MINUTE)] == [1]


def test_what_was_put_back_was_never_tried(mailings: Mailings) -> None:
    """A worker that is asked to stop gives back what it has not begun."""
    number = plan(mailings, 2)
    chunk = lease(mailings)
    mailings.release(chunk, [put_back(claimed) for claimed in take(mailings, chunk)], now=NOW)

    assert counts(mailings, number) == {"planned": 2}
    assert [claimed.attempts for claimed in take(mailings, lease(mailings, "two"))] == [1, 1]


# --------------------------------------------------------------------------- fences


def test_a_zombie_harms_nothing(mailings: Mailings) -> None:
    """Its lease ended while it slept: whatever it brings is refused, and the new owner's work stands."""
    number = plan(mailings, 3)
    asleep = lease(mailings, "asleep")
    (old,) = take(mailings, asleep, 1)
    awake = lease(mailings, "awake", at=MINUTE)
    group = take(mailings, awake)

    for call in (
        lambda: mailings.exchange(asleep, sent([old], "from the dead"), want=2, now=LATER),
        lambda: mailings.release(asleep, sent([old], "from the dead"), now=LATER),
    ):
        with pytest.raises(Lost, match="chunk 1: another worker has it now"):
            call()

    mailings.release(awake, sent(group), now=NOW)
    assert counts(mailings, number) == {"sent": 3}
    with reading(mailings.engine) as connection:
        assert set(connection.scalars(select(schema.letter.c.said))) == {"250 ok"}


def test_a_lease_that_ended_is_not_revived_by_its_owners_name(mailings: Mailings) -> None:
    """The same worker has leased the chunk anew: what it still holds of the first time counts no more."""
    plan(mailings, 2)
    first = lease(mailings, "one")
    take(mailings, first, 1)
    second = lease(mailings, "one", at=MINUTE)

    with pytest.raises(Lost):
        take(mailings, first, 1)
    assert len(take(mailings, second)) == 2


def test_what_the_former_owner_left_is_in_doubt(mailings: Mailings) -> None:
    """Taken over: the doubt is counted and the letter goes out again, or waits for a person."""
    number = plan(mailings, 20)
    for _ in range(2):
        take(mailings, lease(mailings, "gone"), 2)

    again = lease(mailings, "one", at=MINUTE)
    held = lease(mailings, "one", at=MINUTE, resend=False)

    assert [(each.number, each.state, each.doubts) for each in again.doubtful] == [
        (1, State.PLANNED, 1),
        (2, State.PLANNED, 1),
    ]
    assert [(each.number, each.state) for each in held.doubtful] == [
        (11, State.UNKNOWN),
        (12, State.UNKNOWN),
    ]
    assert [(each.number, each.doubts) for each in take(mailings, again, 3)] == [(1, 1), (2, 1), (3, 0)]
    assert counts(mailings, number) == {"planned": 15, "claimed": 3, "unknown": 2}


def test_an_exchange_keeps_the_lease(mailings: Mailings) -> None:
    """Who works is not overtaken, however long it takes."""
    plan(mailings, 5)
    chunk = lease(mailings)

    for minute in range(5):
        assert len(mailings.exchange(chunk, [], want=1, now=NOW + minute * MINUTE)) == 1
        assert mailings.lease("two", NOW + (minute + 0.9) * MINUTE, seconds=SECONDS) is None


def test_an_exchange_whose_answer_was_lost_can_be_made_again(mailings: Mailings) -> None:
    """It was committed and the line broke: the outcomes stand, and what was claimed arrives after all."""
    number = plan(mailings, 9)
    chunk = lease(mailings)
    first, second = take(mailings, chunk, 2)
    done = sent([first])
    lost = mailings.exchange(chunk, done, want=3, now=NOW)

    again = mailings.exchange(chunk, done, want=5, now=NOW, holding=[second.number])

    assert [each.number for each in again] == [3, 4, 5, 6, 7]
    assert again[:3] == lost
    assert counts(mailings, number) == {"sent": 1, "claimed": 6, "planned": 2}


# --------------------------------------------------------------------------- people's brakes


def test_a_pause_acts_at_the_next_exchange(mailings: Mailings) -> None:
    """What is in flight is settled, nothing more is claimed, and it goes on where it stopped."""
    number = plan(mailings, 20)
    chunk = lease(mailings)
    group = take(mailings, chunk, 2)

    assert mailings.pause(number, "wait for Ann") is True
    assert mailings.exchange(chunk, sent(group), want=2, now=NOW) == []
    mailings.release(chunk, [], now=NOW)

    assert mailings.lease("two", NOW, seconds=SECONDS) is None
    assert (mailings.progress(number).state, mailings.progress(number).note) == ("paused", "wait for Ann")
    assert (mailings.resume(number), mailings.resume(number)) == (True, False)
    assert [each.number for each in take(mailings, lease(mailings, "two"), 2)] == [3, 4]


def test_an_issue_whose_last_letters_came_home_during_a_pause_is_done(mailings: Mailings) -> None:
    """As soon as it may go on; nobody would come to say so later."""
    number = plan(mailings, 2)
    chunk = lease(mailings)
    group = take(mailings, chunk, 2)
    mailings.pause(number)
    mailings.release(chunk, sent(group), now=NOW)

    assert mailings.progress(number).state == "paused"
    assert mailings.resume(number)
    assert mailings.progress(number).state == "done"


@pytest.mark.parametrize("scope", ["*", "mail", "weekly", "ports"])
def test_a_hold_acts_at_the_next_exchange(mailings: Mailings, ledger: Ledger, scope: str) -> None:
    """Everything, a channel, a newsletter, or an item that stands in the issue."""
    plan(mailings, 3)
    chunk = lease(mailings)
    group = take(mailings, chunk, 1)
    ledger.hold("another", "no reason to wait", NOW)
    ledger.hold(scope, "stop", NOW)

    assert mailings.exchange(chunk, sent(group), want=1, now=NOW) == []
    assert mailings.open_issues(NOW) == []

    ledger.release(scope)
    assert len(take(mailings, chunk, 1)) == 1


def test_a_cancelled_issue_stops_for_good(mailings: Mailings) -> None:
    """What was in flight keeps its outcome; all the rest never goes out."""
    number = plan(mailings, 45)
    chunk = lease(mailings)
    group = take(mailings, chunk, 3)

    assert mailings.cancel(number, "wrong date in it", NOW) is True

    assert mailings.exchange(chunk, sent(group[:1]), want=2, now=NOW) == []
    mailings.release(chunk, [*sent(group[1:2]), put_back(group[2])], now=NOW)
    assert counts(mailings, number) == {"sent": 2, "cancelled": 43}
    assert (mailings.cancel(number, "again", NOW), mailings.resume(number)) == (False, False)
    assert mailings.progress(number).state == "cancelled"
    assert mailings.lease("two", LATER, seconds=SECONDS) is None


def test_a_cancellation_that_broke_off_is_ended(
    mailings: Mailings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Killed between the word and the deed: the next run marks the rest."""
    number = plan(mailings, 25)
    with writing(mailings.engine) as connection:
        connection.execute(update(schema.issue).values(state="cancelled", note="wrong"))

    mailings.recover(tmp_path_factory.mktemp("flights"), NOW)

    assert counts(mailings, number) == {"cancelled": 25}


def test_what_a_dead_machine_had_claimed_of_a_cancelled_issue_is_cancelled_with_a_doubt(
    mailings: Mailings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nobody takes over its chunk any more: once its lease is over, no letter stays claimed for ever."""
    number = plan(mailings, 25)
    take(mailings, lease(mailings, "gone"), 3)
    mailings.cancel(number, "wrong date in it", NOW)
    folder = tmp_path_factory.mktemp("flights")

    mailings.recover(folder, NOW)
    while_it_may_live = counts(mailings, number)
    mailings.recover(folder, NOW + MINUTE)

    assert while_it_may_live == {"claimed": 3, "cancelled": 22}
    assert counts(mailings, number) == {"cancelled": 25}
    with reading(mailings.engine) as connection:
        assert connection.scalar(select(func.sum(schema.letter.c.doubts))) == 3


# --------------------------------------------------------------------------- looking at letters


def test_letters_are_deliveries_for_people(mailings: Mailings, ledger: Ledger) -> None:
    """Counted, listed and found by their short name or by the beginning of their key."""
    number = plan(mailings, 25)
    chunk = lease(mailings)
    first, second, *rest = take(mailings, chunk)
    refused = settled(second, PermanentFailure("no such user", code=550, blame=Blame.RECIPIENT), NOW)
    mailings.release(chunk, [*sent([first, *rest]), refused], now=NOW)

    (failed,) = ledger.deliveries([State.FAILED])

    assert (failed.name, failed.error, failed.code) == (f"i{number}.2", "no such user", 550)
    assert ledger.get(failed.name.upper()) == ledger.get(failed.key) == ledger.get(failed.key[:12]) == failed
    assert ledger.counts() == {
        ("mail", State.SENT): 9,
        ("mail", State.FAILED): 1,
        ("mail", State.PLANNED): 15,
    }
    assert counts(mailings, number) == {"sent": 9, "failed": 1, "planned": 15}
    assert len(ledger.deliveries([State.PLANNED, State.SENT], limit=20)) == 20
    assert ledger.next_due(NOW) == NOW
    for nothing in ("i9.9", f"i{number}.26", "i1.", "zz"):
        with pytest.raises(NotFoundError):
            ledger.get(nothing)


def test_a_person_decides_about_a_letter(mailings: Mailings, ledger: Ledger) -> None:
    """A failed one goes back in line and its issue is open again; a late decision is refused."""
    number = plan(mailings, 1)
    chunk = lease(mailings)
    (claimed,) = take(mailings, chunk)
    mailings.release(chunk, [settled(claimed, PermanentFailure("full"), NOW)], now=NOW)
    assert mailings.progress(number).state == "done"
    (failed,) = ledger.deliveries([State.FAILED])

    ledger.revise(failed.again(LATER), was=State.FAILED)

    with pytest.raises(StoreError, match=r"i\d+\.1 .*somebody else has changed it"):
        ledger.revise(failed.again(LATER), was=State.FAILED)
    assert counts(mailings, number) == {"planned": 1}
    (again,) = mailings.exchange(lease(mailings, at=timedelta(hours=1)), [], want=1, now=LATER)
    assert again.attempts == 1


def test_a_doubt_is_answered(mailings: Mailings, ledger: Ledger) -> None:
    """It was there after all: sent, and the issue is done."""
    number = plan(mailings, 1)
    take(mailings, lease(mailings, "gone"))
    mailings.release(lease(mailings, "one", at=MINUTE, resend=False), [], now=NOW)
    (doubtful,) = ledger.deliveries([State.UNKNOWN])

    ledger.settle(doubtful.cancelled("a person decided", NOW))

    assert counts(mailings, number) == {"cancelled": 1}
    assert ledger.get(doubtful.name).error == "a person decided"


def test_an_answer_about_a_doubt_is_too_late_once_the_letter_goes_out_again(
    mailings: Mailings, ledger: Ledger
) -> None:
    """A person was quicker than a run that asks: the letter is on the wire, and must not come in line."""
    number = plan(mailings, 1)
    take(mailings, lease(mailings, "gone"))
    mailings.release(lease(mailings, "one", at=MINUTE, resend=False), [], now=NOW)
    (doubtful,) = ledger.deliveries([State.UNKNOWN])
    ledger.revise(doubtful.again(NOW), was=State.UNKNOWN)
    take(mailings, lease(mailings, "two", at=MINUTE))

    with pytest.raises(StoreError, match="somebody else has changed it"):
        ledger.settle(doubtful.again(NOW))

    assert counts(mailings, number) == {"claimed": 1}


# --------------------------------------------------------------------------- cost


def test_progress_and_claims_never_read_the_whole_list(mailings: Mailings) -> None:
    """As many statements for the last chunk as for the first, and progress takes two."""
    number = plan(mailings, 100)
    heard: list[str] = []
    event.listen(mailings.engine, "before_cursor_execute", lambda *call: heard.append(call[2]))

    mailings.progress(number)
    asked = len(heard)
    chunk = lease(mailings)
    group = take(mailings, chunk)
    heard.clear()
    mailings.exchange(chunk, sent(group), want=10, now=NOW)

    assert asked == 2 + mailings.engine.url.get_backend_name().startswith("sqlite")
    assert len(heard) <= 6


def test_a_letter_is_in_one_index_until_it_is_in_doubt(any_store: Engine) -> None:
    """A second one would make every change of state twice as dear; those in doubt are few."""
    (doubtful,) = schema.letter.indexes
    for dialect in ("sqlite", "postgresql"):
        assert str(doubtful.dialect_options[dialect]["where"]) == "doubts > 0"
    with reading(any_store) as connection:
        assert connection.scalar(select(func.count()).select_from(schema.letter)) == 0
