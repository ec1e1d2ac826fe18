"""Two ``bot run --once`` at the same moment, as two cron jobs or two machines start them by mistake."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from pathlib import Path

from tests.support.live_workspace import NOW, SETTINGS, SOCIAL, ended, make_live, start
from tests.support.mastodon_server import POST_STATUS, MastodonServer
from tests.support.plug import Sink, sink, subscribe
from tests.support.telegram_server import TelegramServer

APART = 0.3  # seconds at most, so that one is anywhere in its work when the other comes


@dataclass(frozen=True, kw_only=True)
class Together:
    """What came of two runs, by the servers' counts: an issue to the readers and a post on each channel."""

    readers: int
    letters: int
    repeats: int
    statuses: int  # asked for; Mastodon itself would make one of two with the same key
    messages: int
    codes: tuple[int, ...]
    complaints: str

    @property
    def is_right(self) -> bool:
        """Everything once. One of the two may have said that the other is at work (exit code 5)."""
        once = (self.letters, self.repeats, self.statuses, self.messages) == (self.readers, 0, 1, 1)
        return once and set(self.codes) <= {0, 5} and "Traceback" not in self.complaints


async def run_together(folder: Path, chance: random.Random, *, readers: int = 40, url: str = "") -> Together:
    """In one folder on SQLite; with ``url`` on two machines that share that PostgreSQL database."""
    async with sink() as mail:
        with MastodonServer() as mastodon, TelegramServer() as telegram:
            mastodon.clock = lambda: NOW
            places = [folder / name for name in (("one", "other") if url else ("one",))]
            for here in places:
                _settle_in(here, mail, mastodon, telegram, url)
            subscribe(places[0], readers)
            wait = chance.choice((0.0, chance.uniform(0, APART)))
            first = await start(places[0], NOW, "run", "--once")
            await asyncio.sleep(wait)
            second = await start(places[-1], NOW, "run", "--once")
            runs = await asyncio.gather(ended(first), ended(second))
            return Together(
                readers=readers,
                letters=len(mail.copies),
                repeats=mail.copies.total() - len(mail.copies),
                statuses=mastodon.count(POST_STATUS),
                messages=len(telegram.messages),
                codes=tuple(run.code for run in runs),
                complaints="".join(run.err for run in runs),
            )


def _settle_in(here: Path, mail: Sink, mastodon: MastodonServer, telegram: TelegramServer, url: str) -> None:
    """A workspace that sends to these servers, without encryption: none of this leaves the machine."""
    social = SOCIAL.format(mastodon=mastodon.url, telegram=telegram.base_url)
    make_live(here, SETTINGS.format(port=mail.port) + 'security = "none"\n' + social)
    secrets = {
        "BOT_CHANNELS__MASTODON__ACCESS_TOKEN": mastodon.token,
        "BOT_CHANNELS__TELEGRAM__TOKEN": telegram.token,
        "BOT_DATABASE_URL": url,
    }
    with (here / ".env").open("a") as file:
        file.writelines(f'{name}="{value}"\n' for name, value in secrets.items())
