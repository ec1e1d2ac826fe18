"""Who wants to bring the pages down, or to lead visitors astray: slow talkers, held databases, odd names."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.app import joining
from bot.app.confirmations import send_due
from bot.app.readers import add_reader
from bot.audience.confirming import form_stamp
from bot.errors import StoreError
from bot.store import engine
from bot.web import archive, places
from bot.web.connections import ConnectionLimits
from bot.web.security import HEADERS, Guard
from tests.support.commands import bot
from tests.support.site import NOON, READER, Site, make_site, served, stamp_of
from tests.support.smtp_server import smtp_server
from tests.support.standstill import standstill

HELD = 4.0  # seconds


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site that does not wait long for its database."""
    monkeypatch.setattr(engine, "_PATIENCE", HELD)
    monkeypatch.setattr(places, "PATIENCE", HELD)
    with served(make_site(tmp_path / "news", mode="rehearsal")) as found:
        add_reader(found.workspace, READER)
        yield found


@contextmanager
def held(site: Site) -> Iterator[None]:
    """Another program writes, and takes its time."""
    with closing(
        sqlite3.connect(site.workspace.state_folder / "ledger.sqlite3", isolation_level=None)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


# --------------------------------------------------------------------------- a database that is held


def test_while_an_import_holds_the_database_everybody_can_read(site: Site) -> None:
    """However many want to write: they are told to come back, in their language, and then it works."""
    path = f"/u/weekly/{site.token()}"

    def leave(_: int) -> httpx.Response:
        return web.post(path, headers={"Accept-Language": "de"})

    many = httpx.Limits(max_connections=None)
    with httpx.Client(base_url=site.url, timeout=60, limits=many) as web, standstill() as still:
        with ThreadPoolExecutor(60) as visitors, held(site):
            answers = visitors.map(leave, range(60))
            time.sleep(0.3)
            began = time.monotonic()
            read = [web.get(path).status_code for path in ("/healthz", "/", "/subscribe", path)]
            took, stood = time.monotonic() - began, still.since(began)
            told = list(answers)
        after = leave(0)

    assert read == [200] * 4
    assert took < HELD - 1 + stood, "they waited for those who wait"
    assert {answer.status_code for answer in told} == {503}
    assert all("Im Augenblick nicht" in answer.text and "retry-after" in answer.headers for answer in told)
    assert all(answer.headers.items() >= HEADERS.items() for answer in told)
    assert after.status_code == 200
    assert site.reader().newsletters == ("monthly",)


def test_the_archive_is_read_on_while_the_database_is_away(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before is as good as it was."""

    def away(_: object) -> object:
        raise StoreError("the database is away")

    before = httpx.get(site.url)
    monkeypatch.setattr(archive, "LOOK", 0.0)
    monkeypatch.setattr(archive, "mark", away)
    time.sleep(2.1)  # the first look counts for that long

    assert httpx.get(site.url).content == before.content


# --------------------------------------------------------------------------- who talks slowly


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET",
    ],
)
def test_who_does_not_ask_is_hung_up_on(tmp_path: Path, said: bytes) -> None:
    """Also with a letter now and then, and also after a question that was answered."""
    here = make_site(tmp_path / "news", mode="rehearsal")
    with (
        served(here, limits=ConnectionLimits(head=0.5)) as site,
        socket.create_connection(("localhost", httpx.URL(site.url).port or 80), timeout=0.1) as wire,
    ):
        end = time.monotonic() + 30
        with suppress(ConnectionError):  # as good as a goodbye: a letter crossed it
            wire.sendall(said)
            while not _is_over(wire):
                assert time.monotonic() < end, "it is never hung up on"
                if said:
                    wire.sendall(b"a")


def _is_over(wire: socket.socket) -> bool:
    """Whether the other side has hung up; waits a little for a word of it."""
    try:
        return not wire.recv(4096)
    except TimeoutError:
        return False


def test_who_asks_in_time_is_served_for_long(tmp_path: Path) -> None:
    """Nobody is hung up on in the middle of a conversation that lasts longer than a silence may."""
    silence = 0.6
    here = make_site(tmp_path / "news", mode="rehearsal")
    with served(here, limits=ConnectionLimits(head=silence)) as site:
        _ask_for_long(httpx.URL(site.url).port or 80, silence)


def _ask_for_long(port: int, silence: float) -> None:
    for _ in range(20):
        with socket.create_connection(("localhost", port), timeout=30) as wire:
            began = asked = time.monotonic()
            longest, answer = 0.0, b""
            while asked < began + 2 * silence and longest < silence / 2:
                time.sleep(silence / 4)
                longest, asked = max(longest, time.monotonic() - asked), time.monotonic()
                answer = b""
                with suppress(ConnectionError):
                    wire.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    answer = wire.recv(65_536)
                longest = max(longest, time.monotonic() - asked)
        if longest < silence / 2:  # else this machine was the one that was silent
            assert answer.startswith(b"HTTP/1.1 200"), "it was hung up on"
            return
    raise AssertionError("this machine is too slow to ask in time")


def test_a_body_that_drips_is_not_waited_for() -> None:
    """The announced length never comes; the visitor is told so."""
    heard: list[Any] = []

    async def app(_: object, receive: Any, __: object) -> None:
        while (await receive())["more_body"]:
            pass

    async def drip() -> dict[str, object]:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"a", "more_body": True}

    async def send(event: Any) -> None:
        heard.append(event)

    scope = {"type": "http", "method": "POST", "path": "/subscribe", "headers": [(b"host", b"localhost")]}
    asyncio.run(asyncio.wait_for(Guard(app, hosts=["localhost"], patience=0.2)(scope, drip, send), 30))

    assert heard[0]["status"] == 408


# --------------------------------------------------------------------------- names and paths


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nobody_is_sent_elsewhere(site: Site, method: str) -> None:
    """A slash at the end is no other page; and a redirect behind a proxy would lead away from HTTPS."""
    for path in ("/subscribe/", "/healthz/", f"/u/weekly/{site.token()}/", "//evil.example/", "//subscribe/"):
        answer = httpx.request(method, site.url + path)
        assert "location" not in answer.headers

    assert httpx.get(f"{site.url}/reading-safely/").status_code == 200
    assert httpx.post(f"{site.url}/u/weekly/{site.token()}/").status_code == 200
    assert site.reader().newsletters == ("monthly",)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example@localhost",
        "localhost/@evil.example",
        "evil.example\\@localhost",
        "localhost#evil.example",
        "localhost?evil.example",
        "localhost:80@evil.example",
        "localhost:x",
        "localhost, evil.example",
    ],
)
def test_a_name_with_more_than_a_name_is_none(site: Site, host: str) -> None:
    """Browsers and proxies read such names each in their own way."""
    assert httpx.get(f"{site.url}/subscribe", headers={"Host": host}).status_code == 421


def test_a_cache_keeps_languages_apart(site: Site) -> None:
    """One visitor's language is not the next one's."""
    german = httpx.get(f"{site.url}/reading-safely", headers={"Accept-Language": "de"})

    assert german.headers["content-language"] == "de"
    assert "accept-language" in german.headers["vary"].lower()


# --------------------------------------------------------------------------- how many, and who died


def form(site: Site, address: str) -> joining.Form:
    """As it comes in."""
    stamp = form_stamp(site.workspace.settings.signing_keys, site.clock() - timedelta(minutes=1))
    return joining.Form(address=address, newsletters=("weekly",), lang="en", stamp=stamp, ip="10.0.0.0/24")


def test_how_many_may_come_from_one_network_is_the_operators_choice(tmp_path: Path) -> None:
    """A school signs up in one lesson."""
    here = make_site(tmp_path / "news", mode="rehearsal")
    settings = here / "bot.toml"
    settings.write_text(settings.read_text().replace("[site]\n", "[site]\nsignups_per_network = 3\n"))
    with served(here) as site:
        asked = [
            joining.ask(site.workspace, form(site, f"r{n}@inbox.ngo"), now=site.clock()) for n in range(5)
        ]

    assert asked == [joining.Answer()] * 3 + [joining.Answer(full=joining.Full.NETWORK)] * 2


def send_form(site: Site, address: str, *, stamp: str = "", network: str = "10.0.0.1") -> httpx.Response:
    """As a visitor of that network, behind the proxy of ours."""
    stamp = stamp or form_stamp(site.workspace.settings.signing_keys, site.clock() - timedelta(minutes=1))
    fields = {"address": address, "newsletter": "weekly", "stamp": stamp}
    return httpx.post(f"{site.url}/subscribe", data=fields, headers={"X-Forwarded-For": network})


def test_a_replayed_form_is_refused(tmp_path: Path, store_url: str) -> None:
    """By every process that serves the pages; a fresh form comes with the answer, and nothing is kept."""
    here = make_site(tmp_path / "news", mode="rehearsal", url=store_url)
    with served(here) as site, served(here) as other:
        page = httpx.get(f"{site.url}/subscribe").text
        site.clock.move(timedelta(seconds=30))
        other.clock.move(timedelta(seconds=30))
        first = send_form(site, READER, stamp=stamp_of(page))
        again = [send_form(each, "eve@inbox.ngo", stamp=stamp_of(page)) for each in (site, other)]
        other.clock.move(timedelta(seconds=30))
        mended = send_form(other, "eve@inbox.ngo", stamp=stamp_of(again[1].text))
        kept = len(site.contents()["signup"])
        site.workspace.joining.sweep(site.clock() + timedelta(days=2))

        assert [first.status_code, *(each.status_code for each in again)] == [200, 422, 422]
        assert all("This form was sent before" in each.text for each in again)
        assert (mended.status_code, kept) == (200, 2)
        assert site.contents()["used_stamp"] == []


def test_forms_from_one_network_leave_room_for_others(tmp_path: Path) -> None:
    """Nor can a whole block of networks use up what there is for all; each is told the truth."""
    with served(make_site(tmp_path / "news", mode="rehearsal", proxies=1)) as site:
        one = [send_form(site, f"a{n}@inbox.ngo").status_code for n in range(62)]
        block = [
            joining.ask(site.workspace, replace(form(site, f"b{n}@inbox.ngo"), ip=f"10.1.{n}.0/24"), now=NOON)
            for n in range(252)
        ]
        told = send_form(site, "c@inbox.ngo")
        others = send_form(site, "c@inbox.ngo", network="192.0.2.1")

    assert one == [200] * 60 + [429] * 2
    assert [each.full for each in block] == [None] * 250 + [joining.Full.NETWORK] * 2
    assert "Too many forms from your network" in told.text
    assert 0 < int(told.headers["retry-after"]) <= 3600
    assert others.status_code == 200


def test_a_storm_of_forms_is_logged_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once an hour in the log; counted for the organiser; visitors are told the truth, whoever they are."""
    here = make_site(tmp_path / "news", mode="rehearsal", proxies=1)
    with served(here) as site:
        add_reader(site.workspace, READER, newsletters=["weekly"])
        told: list[str] = []
        monkeypatch.setattr(site.workspace.joining, "tell", lambda _, event: told.append(event.kind))
        site.clock.now = datetime.now(UTC).replace(minute=30)
        limits = joining.Limits(total_hour=3)
        monkeypatch.setattr(joining, "Limits", lambda **_: limits)
        answers = [send_form(site, f"r{n}@inbox.ngo", network=f"10.{n}.0.1") for n in range(5)]
        answers.append(send_form(site, READER, network="10.9.0.1"))
        asked = bot("status", workspace=here)
        doctor = bot("doctor", "--offline", workspace=here)

    assert [each.status_code for each in answers] == [200] * 3 + [429] * 3
    assert len({each.content for each in answers[3:]}) == 1
    assert "Too many forms just now" in answers[3].text
    assert caplog.text.count("sign-ups: 3 forms came within this hour") == 1
    assert told == ["signups.limited"]
    assert "and 3 forms were refused" in asked.out
    assert "and 3 forms were refused" in doctor.out


async def test_a_mail_that_a_dead_server_promised_is_sent_by_the_next(tmp_path: Path) -> None:
    """Once, when it is due; and the one whose newsletter is no more does not keep the others waiting."""
    async with smtp_server() as mail:
        with served(make_site(tmp_path / "news", port=mail.port)) as site:
            here, now = site.workspace, site.clock()
            for name in ("old", "one", "two"):
                assert joining.ask(here, form(site, f"{name}@inbox.ngo"), now=now) == joining.Answer()
            with here.engine.begin() as connection:
                connection.exec_driver_sql(
                    "UPDATE signup SET newsletters = 'gone' WHERE address = 'old@inbox.ngo'"
                )

            assert await send_due(here, clock=lambda: now) == 0
            assert await send_due(here, clock=lambda: now + timedelta(minutes=1)) == 2
            assert await send_due(here, clock=lambda: now + timedelta(minutes=2)) == 0

            assert {taken.recipients for taken in mail.taken} == {("one@inbox.ngo",), ("two@inbox.ngo",)}
            assert "old@inbox.ngo" not in str(site.contents()["signup"])


@pytest.mark.parametrize("name", ["a" * 300, "é" * 200, "a" * 60_000])
def test_a_name_that_no_file_can_have_is_no_fault(site: Site, name: str) -> None:
    """The file system's limits are no visitor's business."""
    assert httpx.get(f"{site.url}/static/{name}").status_code == 404
