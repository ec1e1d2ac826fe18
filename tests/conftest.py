"""What every test may rely on: no settings from outside, no address beyond this machine, no silent skips."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import Engine

from bot.store.engine import open_store
from tests.support.postgres import Cluster, cluster

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_connect = socket.socket.connect

# In CI the same cases every time, so that a red run is red again; at people's desks always new ones.
# How long one takes says more about the machine than about the program.
_any_speed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("desk", _any_speed)
settings.register_profile("ci", _any_speed, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "desk")


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A BOT_* variable of whoever runs the tests has no effect."""
    for name in list(os.environ):
        if name.upper().startswith("BOT_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for another machine fails at once."""

    def connect(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])  # type: ignore[index]
            if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
                raise AssertionError(f"a test tried to reach {host}")
        _connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL of our own, started once for all tests that want it; its database t1 has our tables."""
    with cluster() as server:
        open_store(server.database()).dispose()
        yield server


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgresql", marks=(pytest.mark.server, pytest.mark.xdist_group("postgresql"))),
    ]
)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a new store, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    server: Cluster = request.getfixturevalue("postgres")
    url = server.database("t1")
    yield url
    server.drop(url)


@pytest.fixture
def any_store(store_url: str) -> Iterator[Engine]:
    """That store, opened."""
    engine = open_store(store_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def browser(pages: object) -> Iterator[Browser]:
    """Opened after the module's own ``pages``: Playwright's event loop leaves no room for the bot's."""
    from tests.support.browser import chromium  # heavy, and most tests look at no page

    with chromium() as found:
        yield found


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """In CI a skipped test is a failed one: nothing may be left unproven in silence."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
