"""The flight recorder: it survives the death of its process, and is believed only when it may be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError

from bot.errors import StoreError
from bot.model import State
from bot.store import flight as flight_module
from bot.store import schema
from bot.store.chunks import STOPPED, Settled
from bot.store.engine import reading, writing
from bot.store.flight import Flight, Wreck, wrecks
from bot.store.mailing import Mailings
from bot.store.salvage import Recovery
from tests.support.ledgers import NOW, WORDS, issue, readers

ROOT = Path(__file__).parents[1]
SENT = Settled(2, State.SENT, 1, 0, said="250 queued as 4711")


def died(flight: Flight) -> None:
    """What the kernel does for a process that is gone: everything closed, nothing tidied."""
    flight._map.close()
    flight._file.close()


def look(folder: Path) -> list[Wreck]:
    """The wrecks, left where they are."""
    found = list(wrecks(folder))
    for wreck in found:
        wreck.file.close()
    return found


# --------------------------------------------------------------------------- what it holds


def test_a_wreck_tells_what_was_begun_and_what_was_answered(tmp_path: Path) -> None:
    """And of whom: the owner is who leased the chunks."""
    flight = Flight(tmp_path)
    flight.began(7, 1, 3)
    flight.began(7, 2, 3)
    flight.ended(7, 3, SENT)
    died(flight)

    (wreck,) = look(tmp_path)

    assert (wreck.owner, wreck.trusted) == (flight.owner, True)
    assert wreck.records == {(7, 1, 3): None, (7, 2, 3): SENT}


def test_a_refusal_before_the_wire_is_an_answer_too(tmp_path: Path) -> None:
    """It ended without having begun."""
    flight = Flight(tmp_path)
    refused = Settled(5, State.FAILED, 1, 0, code=550, said="no such user")
    flight.ended(7, 3, refused)
    died(flight)

    assert look(tmp_path)[0].records == {(7, 5, 3): refused}


def test_what_the_ledger_knows_is_forgotten(tmp_path: Path) -> None:
    """Its place is used again, and an empty recorder leaves nothing behind."""
    with Flight(tmp_path, letters=2) as flight:
        for number in range(100):
            flight.began(7, number, 3)
            flight.settled(7, [number])
        size = flight.path.stat().st_size

    assert size == 3 * 256
    assert list(tmp_path.iterdir()) == []


def test_it_grows_when_more_are_in_flight(tmp_path: Path) -> None:
    """No letter is lost on the way."""
    flight = Flight(tmp_path, letters=2)
    for number in range(50):
        flight.began(7, number, 3)
    died(flight)

    assert look(tmp_path)[0].records == {(7, number, 3): None for number in range(50)}


def test_a_letter_of_a_later_fence_takes_the_place_of_the_first(tmp_path: Path) -> None:
    """Tried again by the same process."""
    flight = Flight(tmp_path)
    flight.ended(7, 3, SENT)
    flight.began(7, 2, 4)
    died(flight)

    assert look(tmp_path)[0].records == {(7, 2, 4): None}


def test_closing_with_letters_in_flight_leaves_the_file(tmp_path: Path) -> None:
    """The next run settles them."""
    with Flight(tmp_path) as flight:
        flight.began(7, 1, 3)

    assert look(tmp_path)[0].records == {(7, 1, 3): None}


numbers = st.integers(min_value=0, max_value=2**31 - 1)
outcomes = st.builds(
    Settled,
    number=numbers,
    state=st.sampled_from(State),
    attempts=st.integers(min_value=0, max_value=99),
    doubts=st.integers(min_value=0, max_value=99),
    due=st.none() | st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)),  # noqa: DTZ001
    code=st.none() | st.integers(min_value=0, max_value=999),
    said=st.none()
    | st.text(max_size=400).filter(lambda text: text.encode(errors="replace").decode() == text),
)


@given(issue_number=st.integers(min_value=1, max_value=2**62), fence=numbers, outcome=outcomes)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_outcome_comes_back(tmp_path: Path, issue_number: int, fence: int, outcome: Settled) -> None:
    """Only a long text loses its end, and never within a character."""
    flight = Flight(tmp_path, letters=1)
    flight.began(issue_number, outcome.number, fence)
    flight.ended(issue_number, fence, outcome)
    died(flight)

    (wreck,) = wrecks(tmp_path)
    with wreck:
        found = wreck.records[issue_number, outcome.number, fence]
    assert found is not None
    assert found._replace(said=None) == outcome._replace(said=None)
    assert (found.said is None) == (outcome.said is None)
    assert (outcome.said or "").startswith(found.said or "")
    assert len((outcome.said or "").encode()) > 190 or found.said == outcome.said


# --------------------------------------------------------------------------- when it is believed


def test_a_living_recorder_is_never_taken(tmp_path: Path) -> None:
    """Its process holds a lock on it, from before the file has its name."""
    with Flight(tmp_path) as flight:
        flight.began(7, 1, 3)

        assert look(tmp_path) == []
        flight.settled(7, [1])


def test_a_recorder_of_an_earlier_start_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power may have gone: what is missing in it proves nothing."""
    flight = Flight(tmp_path)
    flight.began(7, 1, 3)
    died(flight)
    monkeypatch.setattr(flight_module, "_boot", lambda: "another start")

    (wreck,) = look(tmp_path)

    assert (wreck.owner, wreck.trusted, wreck.records) == (flight.owner, False, {})


@pytest.mark.parametrize("content", [b"", b"something else entirely" * 99])
def test_a_file_that_is_no_recorder_is_not_believed(tmp_path: Path, content: bytes) -> None:
    """It belongs to nobody, so no letter is put right by it."""
    (tmp_path / "1-x.flight").write_bytes(content)

    (wreck,) = look(tmp_path)

    assert (wreck.owner, wreck.trusted) == ("", False)


def test_no_folder_means_no_wrecks(tmp_path: Path) -> None:
    """A first run has none."""
    assert look(tmp_path / "flights") == []


# --------------------------------------------------------------------------- with the ledger

CHILD = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from bot.store.chunks import settled
from bot.store.engine import open_store
from bot.store.flight import Flight
from bot.store.mailing import Mailings
from tests.support.ledgers import NOW, readers
mailings = Mailings(open_store(sys.argv[1]), mode="live", publication="p", samples=readers(20))
flight = Flight(Path(sys.argv[2]))
chunk = mailings.lease(flight.owner, NOW, seconds=600)
group = mailings.exchange(chunk, [], want=5, now=NOW)
for claimed in group[:3]:
    flight.began(chunk.mailing.id, claimed.number, chunk.fence)
flight.ended(chunk.mailing.id, chunk.fence, settled(group[0], "250 ok", NOW))
print("flying", flush=True)
time.sleep(600)
"""


@contextmanager
def flying(url: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that has claimed five letters, begun three, and heard of one."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", CHILD, url, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "flying\n"
            yield child
        finally:
            child.kill()


def planned(engine: Engine, count: int = 20) -> Mailings:
    mailings = Mailings(engine, mode="live", publication="p", samples=readers(count))
    mailings.record_issue(issue(), {"": WORDS}, "mail", NOW, readers(count))
    return mailings


def rows(engine: Engine, count: int = 5) -> list[tuple[str, int, int]]:
    c = schema.letter.c
    with reading(engine) as connection:
        query = select(c.state, c.attempts, c.doubts).order_by(c.number).limit(count)
        return [tuple(row) for row in connection.execute(query)]


def test_after_a_kill_only_the_calls_in_flight_are_in_doubt(
    any_store: Engine, store_url: str, tmp_path: Path
) -> None:
    """One is known to be sent, two are in doubt, two were certainly not sent; nobody waits for the lease."""
    mailings = planned(any_store)
    with flying(store_url, tmp_path / "flights") as child:
        assert mailings.recover(tmp_path / "flights", NOW) == Recovery(), "it lives"
        child.send_signal(signal.SIGSTOP)
        assert mailings.recover(tmp_path / "flights", NOW) == Recovery(), "it only sleeps"
        child.kill()
        child.wait()

        found = mailings.recover(tmp_path / "flights", NOW)

    assert (found.settled, found.returned) == (1, 2)
    assert [(mailing.subject, what) for mailing, what in found.doubtful] == [
        (issue().id, Settled(n, State.PLANNED, 1, 1, said=STOPPED)) for n in (2, 3)
    ]
    assert rows(any_store) == [
        ("sent", 1, 0),
        ("planned", 1, 1),
        ("planned", 1, 1),
        ("planned", 0, 0),
        ("planned", 0, 0),
    ]
    assert mailings.recover(tmp_path / "flights", NOW) == Recovery()
    assert list((tmp_path / "flights").iterdir()) == []
    assert mailings.progress(1).counts[State.SENT] == 1
    assert mailings.lease("next", NOW, seconds=60) is not None


def test_with_hold_a_person_must_answer(any_store: Engine, tmp_path: Path) -> None:
    """What is in doubt stays unknown."""
    mailings = planned(any_store)
    flight = Flight(tmp_path)
    chunk = mailings.lease(flight.owner, NOW, seconds=600)
    assert chunk is not None
    (claimed,) = mailings.exchange(chunk, [], want=1, now=NOW)
    flight.began(chunk.mailing.id, claimed.number, chunk.fence)
    died(flight)

    found = mailings.recover(tmp_path, NOW, resend=False)

    assert [doubt.state for _, doubt in found.doubtful] == [State.UNKNOWN]
    assert rows(any_store, 2) == [("unknown", 1, 1), ("planned", 0, 0)]


def test_after_a_power_cut_the_whole_group_is_in_doubt(
    any_store: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claims are on disk, the recorder may not be: whoever was claimed may have got it."""
    mailings = planned(any_store)
    flight = Flight(tmp_path)
    chunk = mailings.lease(flight.owner, NOW, seconds=600)
    assert chunk is not None
    mailings.exchange(chunk, [], want=5, now=NOW)
    died(flight)
    monkeypatch.setattr(flight_module, "_boot", lambda: "after the cut")

    found = mailings.recover(tmp_path, NOW)

    assert (found.settled, found.returned, len(found.doubtful)) == (0, 0, 5)
    assert rows(any_store, 6) == [("planned", 1, 1)] * 5 + [("planned", 0, 0)]


def test_a_chunk_that_somebody_took_over_is_not_touched(any_store: Engine, tmp_path: Path) -> None:
    """The lease ended before the recorder was read: the new owner has settled it."""
    mailings = planned(any_store)
    flight = Flight(tmp_path)
    chunk = mailings.lease(flight.owner, NOW, seconds=1)
    assert chunk is not None
    mailings.exchange(chunk, [], want=2, now=NOW)
    died(flight)
    awake = mailings.lease("awake", NOW + timedelta(seconds=2), seconds=60)
    assert awake is not None
    mailings.exchange(awake, [], want=1, now=NOW)
    before = rows(any_store)

    assert mailings.recover(tmp_path, NOW) == Recovery()
    assert rows(any_store) == before


def test_a_store_that_fails_keeps_the_recorder(any_store: Engine, tmp_path: Path) -> None:
    """What could not be written down must not be forgotten."""
    mailings = planned(any_store)
    flight = Flight(tmp_path)
    chunk = mailings.lease(flight.owner, NOW, seconds=600)
    assert chunk is not None
    mailings.exchange(chunk, [], want=2, now=NOW)
    died(flight)
    with writing(any_store) as connection:
        connection.execute(text("ALTER TABLE letter RENAME TO elsewhere"))

    with pytest.raises((DBAPIError, StoreError)):
        mailings.recover(tmp_path, NOW)

    assert len(look(tmp_path)) == 1
