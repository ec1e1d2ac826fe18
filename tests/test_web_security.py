"""What stands before the pages: names, sizes, headers, logs; and what a machine may read about them."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from starlette.requests import Request

from bot.app.readers import add_reader
from bot.audience.confirming import confirm_token, form_stamp
from bot.store.schema import metadata
from bot.web.app import create_app
from bot.web.security import LARGEST_BODY, Guard
from bot.web.visitor import network_of, truncated
from tests.support.site import READER, Site, make_site, served

PATHS = [
    "/subscribe",
    "/reading-safely",
    "/reading-safely/ar",
    "/static/site.css",
    "/healthz",
    "/no/such/page",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A rehearsing site with one reader."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BOT_MODE", raising=False)
        with served(make_site(tmp_path_factory.mktemp("site") / "news", mode="rehearsal")) as found:
            add_reader(found.workspace, READER)
            yield found


# --------------------------------------------------------------------------- every answer


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_every_answer_is_guarded(site: Site, method: str, path: str) -> None:
    """Whatever is asked, however: the strict policy, no referrer, no cookie, nothing to frame, no fault."""
    answer = httpx.request(method, site.url + path)

    assert answer.status_code < 500
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert "set-cookie" not in answer.headers
    assert "server" not in answer.headers
    if method not in ("GET", "HEAD", "OPTIONS") and path != "/no/such/page":
        assert answer.status_code == 422 if (method, path) == ("POST", "/subscribe") else 405


@pytest.mark.parametrize("path", PATHS)
def test_head_is_get_without_its_body(site: Site, path: str) -> None:
    """The same status and headers."""
    got, head = httpx.get(site.url + path), httpx.head(site.url + path)

    assert head.status_code == got.status_code
    assert head.content == b""
    without = {"date", "content-length"} if path == "/subscribe" else {"date"}  # the stamp is of the moment
    assert {k: v for k, v in head.headers.items() if k not in without} == {
        k: v for k, v in got.headers.items() if k not in without
    }


def test_options_says_what_can_be_done(site: Site) -> None:
    """And does nothing."""
    answer = httpx.options(f"{site.url}/u/weekly/x")

    assert answer.status_code == 204
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "POST"}


@pytest.mark.parametrize("host", ["evil.example", "news.shelf.ngo.evil.example", "", "[::1", "a b"])
def test_only_our_own_name_is_answered(site: Site, host: str) -> None:
    """Nobody can make a link that leads elsewhere out of our pages."""
    answer = httpx.get(f"{site.url}/subscribe", headers={"Host": host})

    assert answer.status_code in (400, 421)
    assert "<form" not in answer.text


@pytest.mark.parametrize("host", ["news.shelf.ngo", "NEWS.shelf.ngo:443", "localhost:1", "127.0.0.1"])
def test_our_names_are_answered(site: Site, host: str) -> None:
    """The site's, in any case and with any port, and this machine's for whoever tries it out."""
    assert httpx.get(f"{site.url}/subscribe", headers={"Host": host}).status_code == 200


def test_two_hosts_are_none(site: Site) -> None:
    """A proxy and we might believe different ones."""
    place = httpx.URL(site.url)
    with socket.create_connection((place.host, place.port or 80), timeout=10) as wire:
        wire.sendall(b"GET /subscribe HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert wire.recv(4096).split(b" ")[1] in (b"400", b"421")


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("path", ["/subscribe", "/u/weekly/x"])
def test_a_body_may_not_grow(site: Site, path: str, announced: bool) -> None:
    """With its length told before, or in pieces without end."""
    body = b"a=" + b"b" * LARGEST_BODY
    content: Any = body if announced else (body[at : at + 4096] for at in range(0, len(body), 4096))
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = httpx.post(site.url + path, content=content, headers=headers)

    assert answer.status_code == 413
    assert httpx.get(f"{site.url}/healthz").json() == {"status": "ok"}


def test_files_stay_in_their_folder(site: Site) -> None:
    """No way out of the folder of style sheets."""
    for name in ("..%2flayout.html", "%2e%2e", ".env", "..%5c..%5cbot.toml", "site.css%00", "nothing.css"):
        assert httpx.get(f"{site.url}/static/{name}").status_code == 404


def test_what_is_public_may_be_kept(site: Site) -> None:
    """And is asked for again by its name; what is personal never."""
    first = httpx.get(f"{site.url}/static/site.css")
    again = httpx.get(f"{site.url}/static/site.css", headers={"If-None-Match": first.headers["etag"]})

    assert again.status_code == 304
    assert again.content == b""
    assert "public" in first.headers["cache-control"]
    assert httpx.get(f"{site.url}/subscribe").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("asked", "lang"),
    [("ar;q=0.5, fr-CA", "fr"), ("xx, th;q=0.1", "th"), ("zh", "en"), ("*;q=x,,;", "en"), ("", "en")],
)
def test_a_page_speaks_the_visitors_language(site: Site, asked: str, lang: str) -> None:
    """The most wanted one that there is, else the publication's."""
    page = httpx.get(f"{site.url}/subscribe", headers={"Accept-Language": asked})

    assert f'<html lang="{lang}"' in page.text
    assert page.headers["content-language"] == lang
    assert "accept-language" in page.headers["vary"]


# --------------------------------------------------------------------------- what is written down


def test_the_log_knows_nobody(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Method, place and status; no address of anybody, no token, also not when something breaks."""
    token = site.token()
    with caplog.at_level(logging.DEBUG):
        httpx.get(f"{site.url}/u/weekly/{token}", headers={"X-Forwarded-For": "203.0.113.77"})
        stamp = form_stamp(site.workspace.settings.signing_keys, site.clock() - timedelta(minutes=1))
        form = {"address": "mara@inbox.ngo", "newsletter": "weekly", "stamp": stamp}
        httpx.post(f"{site.url}/subscribe", data=form)
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]

    assert any("GET /u/{newsletter}/{token} 200" in line for line in ours)
    for line in ours:
        assert token not in line
        assert "mara" not in line
        assert "127.0.0.1" not in line
        assert "203.0.113" not in line


def test_a_fault_tells_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the visitor nor the log sees what was in the machine's hands."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("mara@inbox.ngo could not be looked up")

    monkeypatch.setattr(site.workspace.leaving, "preferences", broken)
    with caplog.at_level(logging.DEBUG):
        answer = httpx.get(f"{site.url}/p/weekly/{site.token()}")

    assert answer.status_code == 500
    assert answer.headers["content-security-policy"]
    assert "mara" not in answer.text
    ours = [record for record in caplog.records if not record.name.startswith("http")]
    assert any("RuntimeError" in record.getMessage() for record in ours)
    assert not any("mara" in record.getMessage() or record.exc_info for record in ours)


# --------------------------------------------------------------------------- where a visitor comes from


def _request(client: str | None, *forwarded: str) -> Request:
    headers = [(b"x-forwarded-for", each.encode()) for each in forwarded]
    return Request({"type": "http", "headers": headers, "client": (client, 1) if client else None})


@pytest.mark.parametrize(
    ("trusted", "forwarded", "network"),
    [
        (0, ["203.0.113.7"], "192.0.2.0/24"),
        (1, ["203.0.113.7"], "203.0.113.0/24"),
        (1, ["10.0.0.1, 203.0.113.7"], "203.0.113.0/24"),
        (1, ["10.0.0.1", "203.0.113.7"], "203.0.113.0/24"),
        (2, ["10.0.0.1, 203.0.113.7, 198.51.100.1"], "203.0.113.0/24"),
        (2, ["203.0.113.7"], ""),
        (1, ["not an address"], ""),
        (1, [], ""),
    ],
)
def test_only_our_proxies_are_believed(trusted: int, forwarded: list[str], network: str) -> None:
    """What stands further left was written by whoever liked to."""
    assert network_of(_request("192.0.2.9", *forwarded), trusted_proxies=trusted) == network


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        ("2001:db8:aaaa:bbbb::7", "2001:db8:aaaa::/48"),
        ("::ffff:203.0.113.7", "203.0.113.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", ""),
    ],
)
def test_an_address_is_cut_before_anything_is_done(ip: str, network: str) -> None:
    """To its network; the machine is nobody's business."""
    assert truncated(ip) == network


@given(st.text(max_size=80))
def test_no_header_breaks_it(value: str) -> None:
    """Whatever a proxy or a visitor writes there."""
    assert truncated(value) == "" or "/" in truncated(value)


# --------------------------------------------------------------------------- OpenAPI

WITHOUT_SURPRISE = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]


@pytest.fixture(scope="module")
def description(site: Site) -> Any:
    """The description with some tokens that are ours, so that the pages behind them are reached, too."""
    raw = httpx.get(f"{site.url}/openapi.json").json()
    keys = site.workspace.settings.signing_keys
    ours = [site.token(), confirm_token(keys, signup="ab" * 16)]
    stamp = form_stamp(keys, site.clock() - timedelta(minutes=1))
    for path in raw["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", []):
                known = {"token": ours, "newsletter": ["weekly", "monthly"]}.get(parameter["name"])
                if known:
                    parameter["schema"] = {"anyOf": [{"enum": known}, {"type": "string"}]}
            for body in operation.get("requestBody", {}).get("content", {}).values():
                if "stamp" in body["schema"]["properties"]:
                    body["schema"]["properties"]["stamp"] = {"enum": [stamp, "no stamp"]}
    found = schemathesis.openapi.from_dict(raw)
    found.config.update(base_url=site.url)
    return found


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_nothing_happens_that_is_not_described(description: Any, mode: schemathesis.GenerationMode) -> None:
    """No fault and no status that the description does not know, whatever comes in."""
    operations = [found.ok() for found in description.get_all_operations()]
    assert len(operations) >= 10

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.data())
    def tried(data: st.DataObject) -> None:
        operation = data.draw(st.sampled_from(operations))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        case.call_and_validate(checks=WITHOUT_SURPRISE)

    tried()


def test_the_description_is_whole(site: Site) -> None:
    """Each form has its fields, either way of writing them; and no page of it comes from another site."""
    raw = httpx.get(f"{site.url}/openapi.json").json()
    posts = {path: each["post"] for path, each in raw["paths"].items() if "post" in each}

    leaving = {"/u/{newsletter}/{token}", "/u/{newsletter}/{token}/back"}
    assert set(posts) == {"/subscribe", "/c/{token}", "/p/{newsletter}/{token}", *leaving}
    for post in posts.values():
        kinds = {"application/x-www-form-urlencoded", "multipart/form-data"}
        assert set(post["requestBody"]["content"]) == kinds
        assert "200" in post["responses"]
    assert httpx.get(f"{site.url}/docs").status_code == 404
    assert httpx.get(f"{site.url}/redoc").status_code == 404


def requests_of(raw: Any, site: Site) -> Iterator[tuple[str, str, dict[str, str], set[str]]]:
    """A method, a path and a form for each operation, as good as they can be, and the described answers."""
    keys = site.workspace.settings.signing_keys
    stamp = form_stamp(keys, site.clock() - timedelta(minutes=1))
    form = {"address": "mara@inbox.ngo", "newsletter": "weekly", "stamp": stamp, "pause": "none"}
    reader = site.token()
    for path, each in raw["paths"].items():
        token = confirm_token(keys, signup="ab" * 16) if path.startswith("/c/") else reader
        if path.endswith("/back"):  # known to the server only where somebody has just left
            left = httpx.post(f"{site.url}/u/weekly/{reader}").text
            token = re.findall(r"/u/weekly/([\w-]+)/back", left)[0]
        filled = path.format(token=token, newsletter="weekly", number=1, lang="en", name="site.css")
        for method, operation in each.items():
            yield method, filled, form, set(operation["responses"])


def test_where_the_database_is_needed_the_description_says_that_it_may_be_away(tmp_path: Path) -> None:
    """503 there, in HTML, and nowhere else."""
    with served(make_site(tmp_path / "news", mode="rehearsal")) as site:
        add_reader(site.workspace, "mara@inbox.ngo")
        raw = httpx.get(f"{site.url}/openapi.json").json()
        every = list(requests_of(raw, site))
        metadata.drop_all(site.workspace.engine)

        for method, path, form, described in every:
            fields = {"data": form} if method == "post" else {}
            answer = httpx.request(method, site.url + path, **fields)  # type: ignore[arg-type]
            assert (answer.status_code == 503) is ("503" in described), (method, path, answer.status_code)
            if answer.status_code == 503:
                assert answer.headers["content-type"] == "text/html; charset=utf-8"
                assert answer.headers["retry-after"] == "120"


async def test_where_a_body_is_read_the_description_says_that_it_may_be_too_slow(site: Site) -> None:
    """408 there, as plain text, and nowhere else."""

    async def drip() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.Event().wait()

    app = Guard(create_app(site.workspace, clock=site.clock), hosts=["localhost"], patience=0.05)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as visitor:
        raw = (await visitor.get("/openapi.json")).json()
        for method, path, _, described in requests_of(raw, site):
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            content = drip() if method == "post" else None
            answer = await visitor.request(method, path, headers=headers, content=content)
            assert (answer.status_code == 408) is ("408" in described), (method, path, answer.status_code)


def test_nobody_watches(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FastAPI tells OpenTelemetry of each request unless it is forbidden to."""
    from opentelemetry import trace

    told: list[str] = []

    class Provider(trace.TracerProvider):
        def get_tracer(self, instrumenting_module_name: str, *args: Any, **options: Any) -> Any:
            told.append(instrumenting_module_name)
            return trace.NoOpTracer()

    monkeypatch.setattr(trace, "_TRACER_PROVIDER", Provider())
    with served(make_site(tmp_path / "news", mode="rehearsal")) as watched:
        assert httpx.get(f"{watched.url}/subscribe").status_code == 200

    assert told == []
