"""README's two console blocks, typed one after the other by somebody new, up to real mail and real posts.

An empty home, ``make install``, a local Postfix, local servers for Mastodon and Telegram. The commands are
read from the page: change it, and the walk changes. Only the clock is ours where the page says "in cron".
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from tests.support.mastodon_server import MastodonServer
from tests.support.postfix import PASSWORD, USER, MailServer, can_run, mail_server
from tests.support.telegram_server import TelegramServer

ROOT = Path(__file__).parent.parent
BOXES = {"you@example.test": "you", "ana@example.test": "ana", "ben@example.test": "ben"}
READERS = """\
email,name,status
ana@example.test,Ana,subscribed
ben@example.test,Ben,active
gone@example.test,Gone,unsubscribed
dead@example.test,Dead,subscribed
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.server,
    pytest.mark.skipif(not can_run(), reason="needs root, Postfix and Dovecot from Debian's packages"),
]


@dataclass
class Person:
    """Somebody at a terminal with an empty home; ``typed`` is what they typed and how it ended."""

    home: Path
    here: Path
    typed: list[tuple[str, int, float]] = field(default_factory=list)

    def types(self, line: str, *, answer: str = "", code: int = 0) -> str:
        """The line as a shell reads it; what both streams said."""
        begun = time.monotonic()
        path = f"{self.home / 'bin'}:{os.environ['PATH']}"
        environment = {"HOME": str(self.home), "PATH": path, "EDITOR": "true", "LANG": "C.UTF-8"}
        ran = subprocess.run(
            ["bash", "-c", line],
            cwd=self.here,
            env=environment,
            input=answer,
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.typed.append((line, ran.returncode, time.monotonic() - begun))
        assert ran.returncode == code, f"{line}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout + ran.stderr

    def cron(self, moment: datetime) -> str:
        """``bot run --once`` at that moment, as cron would start it."""
        command = [sys.executable, "-m", "tests.support.live_workspace", moment.isoformat()]
        ran = subprocess.run(
            [*command, "--workspace", str(self.here), "run", "--once"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        return ran.stdout + ran.stderr

    def writes(self, name: str, *changes: tuple[str, str]) -> None:
        """Edits a file by hand."""
        file = self.here / name
        text = file.read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        file.write_text(text)


def console(title: str) -> list[str]:
    """The commands of the section's console block, without their remarks."""
    page = (ROOT / "README.md").read_text()
    section = page[page.index(f"## {title}") :]
    block = section[section.index("```console") : section.index("```\n", section.index("```console") + 3)]
    return [re.sub(r"\s{2,}#.*", "", line[2:]) for line in block.splitlines() if line.startswith("$ ")]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[MailServer, MastodonServer, TelegramServer]]:
    with mail_server(BOXES) as mail, MastodonServer() as mastodon, TelegramServer() as telegram:
        yield mail, mastodon, telegram


def test_the_readme_leads_to_real_mail_and_real_posts(
    tmp_path: Path, servers: tuple[MailServer, MastodonServer, TelegramServer]
) -> None:
    """Every printed command works as printed; who left is not mailed; the promised slot is kept."""
    mail, mastodon, telegram = servers
    you = Person(home=tmp_path, here=ROOT)
    started = time.monotonic()

    # --- Five minutes: rehearsed
    install, init, _cd, _editor, add, approve, preview, plan = console("Five minutes")
    you.types(f"{install} BIN=$HOME/bin")
    you.types(init)
    you.here = tmp_path / "our-newsletter"
    you.writes("bot.toml", ('timezone = "UTC"', 'timezone = "Asia/Bangkok"'))
    assert "as a draft" in you.types(add)
    assert "Approved a-headline" in you.types(approve)
    assert "outbox/preview/index.html" in you.types(preview)
    assert "issue 1: 1 item" in you.types(plan)
    rehearsed = len(you.typed)

    # --- Ten minutes: live
    doctor, send_test, dry_import, real_import, go_live, run, listing = console("Ten minutes")
    before = you.types(doctor)
    assert "Before going live" in before
    for missing in ("postal", "example", "PASSWORD"):
        assert missing in before
    you.writes(
        "bot.toml",
        ("news.example.org", "news.shelf.ngo"),
        ('postal_address = ""', 'postal_address = "1 Main Street, 10000 Town"'),
        ('host = "smtp.example.org"', 'host = "localhost"'),
        ("port = 587", f'port = {mail.port}\nca_file = "{mail.certificate}"'),
        ('username = "weekly@news.shelf.ngo"', f'username = "{USER}"'),
        *(
            (f"# {line}", line)
            for line in ("[channels.mastodon]", 'type = "mastodon"', 'slots = ["Mon-Fri 12:30"')
        ),
        ('# api_base_url = "https://mastodon.example.org"', f'api_base_url = "{mastodon.url}"'),
        *(
            (f"# {line}", line)
            for line in ("[channels.telegram]", 'type = "telegram"', 'slots = ["daily 18:00"]')
        ),
        ('# chat = "@your_channel"', f'chat = "@weekly_shelf"\nbase_url = "{telegram.base_url}"'),
    )
    you.writes(
        ".env",
        ("MAIL__PASSWORD=", "MAIL__PASSWORD=wrong"),
        ("MASTODON__ACCESS_TOKEN=", f"MASTODON__ACCESS_TOKEN={mastodon.token}"),
        ("TELEGRAM__TOKEN=", f"TELEGRAM__TOKEN={telegram.token}"),
    )
    assert "password" in you.types(doctor, code=1).lower()  # in rehearsal, before anything is live
    you.writes(".env", ("MAIL__PASSWORD=wrong", f'MAIL__PASSWORD="{PASSWORD}"'))
    you.types(doctor)
    you.types(send_test.replace("you@your-domain.org", "you@example.test"))
    (test,) = mail.mails("you", count=1)
    assert str(message_from_bytes(test, policy=policy.default)["Subject"]).startswith("[Test]")
    (you.here / "readers.csv").write_text(READERS)
    assert "left" in you.types(dry_import)
    you.types(real_import)
    assert "live" in you.types(shlex.join([*shlex.split(go_live), "--yes"]))
    assert 'mode = "live"' in (you.here / "bot.toml").read_text()
    assert "Nothing" in you.types(run)  # before the slot, nothing goes out
    first_mail = len(you.typed) + 1

    # --- the slot, at the first run that is due ever
    friday = next_friday()
    you.cron(friday + timedelta(minutes=3))
    for box in ("ana", "ben"):
        (raw,) = mail.mails(box, count=1)
        assert "A headline" in raw.decode()
    assert "a-headline" in you.types(listing)
    assert "weekly: sent, issue 1" in you.types("bot show a-headline")

    # --- cron for a week: posts at their slots, and the dead address is given up after two issues
    second = you.here / "queue" / "second-story.md"
    second.write_text(
        (you.here / "queue" / "a-headline.md").read_text().replace("A headline", "Second story")
    )
    for days, hour, minute in ((0, 11, 3), (1, 11, 3), (3, 5, 33), (7, 2, 3), (7, 11, 3)):
        you.cron(friday.replace(hour=hour, minute=minute) + timedelta(days=days))
    assert [status.text.split(",")[0] for status in mastodon.statuses][:1] != []
    assert len(telegram.messages) >= 2
    shown = you.types("bot subscribers show dead@example.test")
    assert "suppress" in shown.lower() or "stopped" in shown.lower()
    assert len(mail.mails("ana", count=2)) == 2
    gone = you.types("bot subscribers show gone@example.test")
    assert "left" in gone.lower() or "suppress" in gone.lower()

    took = sum(seconds for _, _, seconds in you.typed)
    print(f"{rehearsed} commands to the first rehearsal, {first_mail} to the first real mail,")
    print(f"{took:.0f} s of commands, {time.monotonic() - started:.0f} s in all")


def next_friday() -> datetime:
    """The next Friday, 09:00 in Bangkok."""
    now = datetime.now(UTC)
    days = (4 - now.weekday()) % 7 or 7
    return (now + timedelta(days=days)).replace(hour=2, minute=0, second=0, microsecond=0)
