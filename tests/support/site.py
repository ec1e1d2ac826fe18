"""The public pages on a real server of this machine, with a clock that the test sets."""

from __future__ import annotations

import asyncio
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, select

from bot.app.confirmations import ConfirmationMailer
from bot.app.joining import LATEST
from bot.app.workspace import Workspace
from bot.audience.tokens import unsubscribe_token
from bot.store.audience import Subscriber
from bot.store.joining import Joining, Limits, Recorded, SignupRequest
from bot.store.schema import metadata
from bot.web.app import create_app
from bot.web.connections import ConnectionLimits
from bot.web.serving import listening_socket, server_for

READER = "mara@inbox.ngo"
NOON = datetime(2026, 11, 25, 5, 0, tzinfo=UTC)  # noon in Bangkok

SETTINGS = """\
mode = "{mode}"

[publication]
title = "News of the Harbour"
timezone = "Asia/Bangkok"
postal_address = "1 Harbour Road, 10110 Bangkok"
site_url = "https://news.shelf.ngo"

[newsletters.weekly]
title = "The Weekly Shelf"
channel = "mail"
slots = ["Fri 09:00"]
sender = "The Weekly Shelf <weekly@news.shelf.ngo>"

[newsletters.monthly]
title = "The Long Table"
tagline = "Once a month"
channel = "mail"
slots = ["Mon 09:00"]
sender = "The Long Table <monthly@news.shelf.ngo>"

[channels.mail]
type = "email"
host = "localhost"
port = {port}
security = "none"
timeout = 20

[site]
quick_exit = "https://weather.example.net/"
quick_exits = {{ ar = "https://weather.example.net/ar" }}
trusted_proxies = {proxies}
"""


@dataclass(kw_only=True)
class Clock:
    """Stands still until it is moved."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def move(self, by: timedelta) -> None:
        self.now += by


@dataclass(kw_only=True)
class Site:
    """A site as a test sees it."""

    url: str
    workspace: Workspace
    clock: Clock = field(default_factory=Clock)

    def reader(self, address: str = READER) -> Subscriber:
        """The subscriber of that address; there must be one."""
        found = self.workspace.audience.find(address)
        assert found is not None
        return found

    def token(self, newsletter: str = "weekly", address: str = READER) -> str:
        """What ends the links in this newsletter to that reader."""
        keys = self.workspace.settings.signing_keys
        return unsubscribe_token(keys, subscriber=self.reader(address).id, newsletter=newsletter)

    def contents(self) -> dict[str, list[tuple[object, ...]]]:
        return contents(self.workspace.engine)

    def settled(self, count: int, found: list[object], *, within: float = 60) -> None:
        """Until ``found`` has this many; an errand is run after its answer."""
        end = time.monotonic() + within
        while len(found) < count and time.monotonic() < end:
            time.sleep(0.01)
        assert len(found) == count


def make_site(here: Path, *, mode: str = "live", port: int = 2525, proxies: int = 0, url: str = "") -> Path:
    """A workspace with two newsletters and an empty queue."""
    (here / "queue").mkdir(parents=True)
    (here / "bot.toml").write_text(SETTINGS.format(mode=mode, port=port, proxies=proxies))
    key = "BOT_SECRET_KEY=a-signing-key-of-the-tests-with-enough-letters\n"
    (here / ".env").write_text(key + (f"BOT_DATABASE_URL={url}\n" if url else ""))
    return here


@contextmanager
def served(
    here: Path, clock: Clock | None = None, *, limits: ConnectionLimits | None = None
) -> Iterator[Site]:
    """The site of that workspace, for as long as the block lasts."""
    clock, workspace = clock or Clock(), Workspace(here)
    app = create_app(workspace, clock=clock)
    door = listening_socket("127.0.0.1", 0)
    proxied = workspace.settings.site.trusted_proxies > 0
    server = server_for(app, limits=limits, behind_proxy=proxied)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, name="site")
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield Site(url=f"http://localhost:{door.getsockname()[1]}", workspace=workspace, clock=clock)
    finally:
        server.should_exit = True
        thread.join(60)
        workspace.release()


@contextmanager
def confirming(site: Site) -> Iterator[None]:
    """Beside the site, what sends its confirmations; for it the few seconds until a mail is due are over."""
    over, here = threading.Event(), site.workspace.root
    thread = threading.Thread(target=lambda: asyncio.run(_confirm(here, site.clock, over)), name="confirming")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(60)


async def _confirm(here: Path, clock: Clock, over: threading.Event) -> None:
    workspace = Workspace(here)
    mailer = ConfirmationMailer(workspace, clock=lambda: clock() + timedelta(seconds=LATEST))
    while not over.is_set():
        await mailer.begin_due()
        await asyncio.sleep(0.01)
    await mailer.finish(within=5)
    await workspace.close()
    workspace.release()


def record(
    joining: Joining, request: SignupRequest, *, limits: Limits | None = None, stamp: str = ""
) -> Recorded:
    """Somebody sent a form; it is due at once."""
    now = request.asked_at
    return joining.record(
        request,
        stamp=stamp or secrets.token_hex(16),
        until=now + timedelta(days=1),
        due=now,
        limits=limits or Limits(),
    )


def contents(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with engine.connect() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
        }


def stamp_of(page: str) -> str:
    """The stamp in the form."""
    found = re.search(r'name="stamp" value="([\w-]+)"', page)
    assert found
    return found[1]
