"""Who wants to bring the pages down, or to lead visitors astray: slow talkers, held databases, odd names."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.app import joining
from bot.app.joining import send_unsent
from bot.app.readers import add_reader
from bot.audience.confirming import form_stamp
from bot.errors import StoreError
from bot.store import engine
from bot.web import archive, places
from bot.web.connections import ConnectionLimits
from bot.web.security import HEADERS, Guard
from tests.support.site import READER, Site, make_site, served
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


def form(address: str, stamp: str) -> joining.Form:
    """As it comes in."""
    return joining.Form(address=address, newsletters=("weekly",), lang="en", stamp=stamp, ip="10.0.0.0/24")


def test_how_many_may_come_from_one_network_is_the_operators_choice(tmp_path: Path) -> None:
    """A school signs up in one lesson."""
    here = make_site(tmp_path / "news", mode="rehearsal")
    settings = here / "bot.toml"
    settings.write_text(settings.read_text().replace("[site]\n", "[site]\nsignups_per_network = 3\n"))
    with served(here) as site:
        now = site.clock()
        stamp = form_stamp(site.workspace.settings.signing_keys, now - timedelta(minutes=1))
        asked = [
            joining.ask(
                site.workspace,
                joining.Form(
                    address=f"r{n}@inbox.ngo",
                    newsletters=("weekly",),
                    lang="en",
                    stamp=stamp,
                    ip="10.0.0.0/24",
                ),
                now=now,
            )
            for n in range(5)
        ]

    assert [answer.mail is not None for answer in asked] == [True] * 3 + [False] * 2


async def test_a_mail_that_a_dead_server_promised_is_sent_by_the_next(tmp_path: Path) -> None:
    """Once; and the one whose newsletter is no more does not keep the others waiting."""
    async with smtp_server() as mail:
        with served(make_site(tmp_path / "news", port=mail.port)) as site:
            here, now = site.workspace, site.clock()
            stamp = form_stamp(here.settings.signing_keys, now - timedelta(minutes=1))
            for n, address in enumerate(("one@inbox.ngo", "two@inbox.ngo")):
                form = joining.Form(
                    address=address, newsletters=("weekly",), lang="en", stamp=stamp, ip=f"{n}"
                )
                promised = joining.ask(here, form, now=now + timedelta(seconds=n)).mail
                assert promised is not None
            gone = joining.ask(
                here,
                joining.Form(
                    address="old@inbox.ngo", newsletters=("weekly",), lang="en", stamp=stamp, ip="x"
                ),
                now=now - timedelta(seconds=5),
            )
            assert gone.mail is not None
            with here.engine.begin() as connection:
                connection.exec_driver_sql(
                    "UPDATE signup SET newsletters = 'gone' WHERE address = 'old@inbox.ngo'"
                )

            assert await send_unsent(here, now=now) == 0  # whoever promised it may be at it
            assert await send_unsent(here, now=now + timedelta(minutes=6)) == 2
            assert await send_unsent(here, now=now + timedelta(minutes=12)) == 0

            assert [taken.recipients for taken in mail.taken] == [("one@inbox.ngo",), ("two@inbox.ngo",)]
            assert "old@inbox.ngo" not in str(site.contents()["signup"])


@pytest.mark.parametrize("name", ["a" * 300, "é" * 200, "a" * 60_000])
def test_a_name_that_no_file_can_have_is_no_fault(site: Site, name: str) -> None:
    """The file system's limits are no visitor's business."""
    assert httpx.get(f"{site.url}/static/{name}").status_code == 404
