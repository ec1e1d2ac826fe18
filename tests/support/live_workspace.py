"""A small publication in live mode against servers on this machine, and ``bot`` as a process of its own.

As a module it is that process: ``MOMENT ARGS`` runs ``bot ARGS`` with the clock set to the moment, and with
leases of ``LEASE_SECONDS`` where the environment has that. With ``MOMENT_AT`` it was that moment then, by the
monotonic clock: a machine may take seconds to start a process.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot.app.publish import Tick, tick
from bot.app.readers import add_reader
from bot.app.words import Outgoing, personal
from bot.app.workspace import Workspace
from bot.model import Delivery, Message, State
from tests.support.commands import Ran, bot
from tests.support.mastodon_server import MastodonServer
from tests.support.smtp_server import Server, smtp_server
from tests.support.telegram_server import TelegramServer

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)  # Friday 09:00 in Bangkok: every slot is due
USER, PASSWORD = "weekly@news.shelf.ngo", "correct horse battery staple"
SECRET_KEY = "a-signing-key-of-the-tests-with-enough-letters"

SETTINGS = """\
mode = "live"

[publication]
title = "The Weekly Shelf"
timezone = "Asia/Bangkok"
postal_address = "1 Harbour Road, 10110 Bangkok"
site_url = "https://news.shelf.ngo"

[newsletters.weekly]
channel = "mail"
slots = ["Fri 09:00"]
sender = "The Weekly Shelf <weekly@news.shelf.ngo>"

[channels.mail]
type = "email"
host = "localhost"
port = {port}
timeout = 20
patience = 20
"""

ENCRYPTED = f"""\
username = "{USER}"
ca_file = "{{certificate}}"
"""

SOCIAL = """
[channels.mastodon]
type = "mastodon"
api_base_url = "{mastodon}"
slots = ["Fri 09:00"]
backfill = true

[channels.telegram]
type = "telegram"
chat = "@weekly_shelf"
base_url = "{telegram}"
slots = ["Fri 09:00"]
backfill = true
"""

ITEM = """\
---
title: "{title}"
url: https://news.shelf.ngo/stories/{name}
source: The Weekly Shelf
published: 2026-11-20
summary: "Two sentences about {name} & <others>. They are our own, 💙."
status: approved
approved_by: an editor
{more}---

Three *new* rules, and [what they mean](https://news.shelf.ngo/rules?a=1&b=2) in ข่าว.
"""

PICTURED = """\
image: images/window.png
alt: "A window; one pane holds a blue heart."
content_warning: "Speaks of forced labour"
priority: 9
"""


@dataclass(frozen=True, kw_only=True)
class Live:
    """The workspace and the servers that it talks to."""

    here: Path
    mail: Server
    mastodon: MastodonServer
    telegram: TelegramServer

    async def tick(self, now: datetime = NOW) -> Tick:
        """One tick at that moment, by a workspace that is opened for it and closed again."""
        workspace = Workspace(self.here)
        try:
            return await tick(workspace, now)
        finally:
            await workspace.close()
            workspace.engine.dispose()

    async def bot(self, *args: object) -> Ran:
        """A command as a person types it, beside the servers."""
        return await asyncio.to_thread(bot, *args, workspace=self.here)

    def change(self, old: str, new: str, *, file: str = "bot.toml") -> None:
        """Edit a setting."""
        path = self.here / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def deliveries(self, *states: State) -> list[Delivery]:
        return deliveries(self.here, *states)


@asynccontextmanager
async def live_servers(folder: Path, certificate: Path, *, readers: int = 3) -> AsyncIterator[Live]:
    """The three servers and a workspace that knows them; mail goes by STARTTLS and a login."""
    async with smtp_server(certificate=certificate, users={USER: PASSWORD}) as mail:
        with MastodonServer() as mastodon, TelegramServer() as telegram:
            mastodon.clock = lambda: NOW
            social = SOCIAL.format(mastodon=mastodon.url, telegram=telegram.base_url)
            encrypted = ENCRYPTED.format(certificate=certificate)
            here = make_live(folder / "news", SETTINGS.format(port=mail.port) + encrypted + social)
            secrets = {
                "BOT_CHANNELS__MAIL__PASSWORD": PASSWORD,
                "BOT_CHANNELS__MASTODON__ACCESS_TOKEN": mastodon.token,
                "BOT_CHANNELS__TELEGRAM__TOKEN": telegram.token,
            }
            with (here / ".env").open("a") as file:
                file.writelines(f'{name}="{value}"\n' for name, value in secrets.items())
            open_for(here, readers)
            yield Live(here=here, mail=mail, mastodon=mastodon, telegram=telegram)


def mail_only(folder: Path, port: int, *, readers: int) -> Path:
    """A workspace with the newsletter alone, over a loopback server without encryption."""
    here = make_live(folder / "news", SETTINGS.format(port=port) + 'security = "none"\n')
    open_for(here, readers)
    return here


def make_live(here: Path, settings: str) -> Path:
    """Three approved items, one of them with a picture and a content note."""
    (here / "queue" / "images").mkdir(parents=True)
    (here / "bot.toml").write_text(settings)
    (here / ".env").write_text(f"BOT_SECRET_KEY={SECRET_KEY}\n")
    shutil.copy(ROOT / "queue/images/19-blue-heart-window.png", here / "queue/images/window.png")
    for name, more in {"window": PICTURED, "ports": "", "harbour": ""}.items():
        text = ITEM.format(name=name, title=name.title(), more=more)
        (here / "queue" / f"{name}.md").write_text(text)
    return here


def open_for(here: Path, count: int) -> None:
    """Readers, and schedules that the ledger knows since an hour before they are due."""
    workspace = Workspace(here)
    workspace.ledger.note_schedules(workspace.schedules(), NOW - timedelta(hours=1))
    for address in addresses(count):
        add_reader(workspace, address)
    workspace.engine.dispose()


def addresses(count: int) -> list[str]:
    return [f"reader{number}@inbox{number % 7}.ngo" for number in range(count)]


def deliveries(here: Path, *states: State) -> list[Delivery]:
    """What the ledger says, looked at without a trace."""
    workspace = Workspace(here, readonly=True)
    try:
        return workspace.ledger.deliveries(states=states, limit=9999)
    finally:
        workspace.engine.dispose()


def personal_words(here: Path, out: Outgoing, address: str) -> Message:
    """The planned words of an issue for one reader."""
    workspace = Workspace(here, readonly=True)
    try:
        reader = workspace.audience.find(address)
        assert reader is not None
        (to,) = [r for r in workspace.audience.subscribers("weekly") if r.id == reader.id]
        return personal(workspace, out.message, to, "weekly")
    finally:
        workspace.engine.dispose()


async def start(
    here: Path, moment: datetime | None, *args: str, lease: float | None = None, at: float | None = None
) -> asyncio.subprocess.Process:
    """``bot ARGS`` in a process of its own, where it is that moment, or now; its words come through pipes.

    With ``lease`` a chunk is its own for so many seconds, and not for a minute. The process's clock begins at
    the moment as it begins to work, or shows it ``at`` a moment of the monotonic clock.
    """
    more = {} if lease is None else {"LEASE_SECONDS": str(lease)}
    more |= {} if at is None else {"MOMENT_AT": str(at)}
    return await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            *(["tests.support.live_workspace", moment.isoformat()] if moment else ["bot"]),
        ),
        *("--workspace", str(here), *args),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def ended(process: asyncio.subprocess.Process) -> Ran:
    """What it said and how it ended."""
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return Ran(code=process.returncode, out=out.decode(), err=err.decode())


def main(args: Sequence[str]) -> None:
    """``bot`` at another time; the clock goes on from there."""
    import time_machine

    from bot.cli.main import main as command

    if lease := os.environ.get("LEASE_SECONDS"):
        from bot.sender import books, mailing

        books.LEASE = mailing.LEASE = float(lease)
    moment = datetime.fromisoformat(args[0])
    if at := os.environ.get("MOMENT_AT"):
        moment += timedelta(seconds=time.monotonic() - float(at))
    with time_machine.travel(moment):
        command(args[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
