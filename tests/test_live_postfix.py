"""The shipped sample issue, live, through Debian's Postfix into a Maildir and back."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from bot.app.preview import draft
from bot.app.readers import add_reader
from bot.app.setup import make_workspace
from bot.app.words import Outgoing
from bot.app.workspace import Workspace
from bot.model import Message
from bot.reader import item_text, read_item
from tests.support.live_workspace import NOW, ended, personal_words, start
from tests.support.postfix import PASSWORD, USER, MailServer, can_run, mail_server

pytestmark = [
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.skipif(
        not can_run() and not os.environ.get("CI"), reason="needs root, Debian's postfix and dovecot"
    ),
]

BOXES = {"ana@example.test": "ana", "ben@xn--bcher-kva.example": "ben"}


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server(BOXES) as running:
        yield running


@pytest.fixture
def here(tmp_path: Path, server: MailServer) -> Path:
    """The workspace of ``bot init``, set to live with the newsletter as its only schedule."""
    here = tmp_path / "news"
    make_workspace(here, sample=True)
    make_ours(here / "queue")
    toml = (here / "bot.toml").read_text()
    toml = toml.replace('mode = "rehearsal" ', 'mode = "live" ').replace("news.example.org", "news.shelf.ngo")
    toml = re.sub(r"(?ms)^\[channels\.mastodon\].*?(?=^# While)", "", toml)
    toml = re.sub(r"(?m)^host = .*\nport = .*$", f'host = "localhost"\nport = {server.port}', toml)
    toml = re.sub(r"(?m)^username = .*$", f'username = "{USER}"\nca_file = "{server.certificate}"', toml)
    (here / "bot.toml").write_text(toml)
    with (here / ".env").open("a") as file:
        file.write(f"BOT_CHANNELS__MAIL__PASSWORD={PASSWORD}\n")
    workspace = Workspace(here)
    add_reader(workspace, "ana@example.test", name="Ána")
    add_reader(workspace, "ben@bücher.example", name="สมชาย")
    workspace.engine.dispose()
    return here


def make_ours(queue: Path) -> None:
    """The samples with a word of ours in title, summary and text: the shipped ones never go out live."""
    for path in queue.glob("*.md"):
        item = read_item(path)
        summary, body = item.summary and f"{item.summary} Ours.", item.body and f"{item.body}\n\nOurs.\n"
        path.write_text(item_text(replace(item, title=f"{item.title}, ours", summary=summary, body=body)))


def planned(here: Path) -> Outgoing:
    workspace = Workspace(here, readonly=True)
    try:
        (issue,) = draft(workspace, (), newsletter="weekly", now=NOW.replace(hour=1))
        return issue
    finally:
        workspace.engine.dispose()


def read(raw: bytes) -> tuple[EmailMessage, dict[str, list[EmailMessage]]]:
    """A mail and its leaves by type."""
    mail = message_from_bytes(raw, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    parts: dict[str, list[EmailMessage]] = {}
    for part in mail.walk():
        if isinstance(part, EmailMessage) and not part.is_multipart():
            parts.setdefault(part.get_content_type(), []).append(part)
    return mail, parts


def words(part: EmailMessage) -> str:
    return str(part.get_content()).replace("\r\n", "\n")


async def test_the_sample_issue_arrives_as_it_was_rendered(here: Path, server: MailServer) -> None:
    """Text and HTML to the letter, one whole unsubscribe link for each reader, every picture."""
    shown = planned(here)
    expected: dict[str, Message] = {
        "ana": personal_words(here, shown, "ana@example.test"),
        "ben": personal_words(here, shown, "ben@bücher.example"),
    }

    ran = await ended(await start(here, NOW, "run", "--once"))

    assert ran.code == 0, ran.err
    assert "Done: 2 sent" in ran.out
    for box, message in expected.items():
        (raw,) = await asyncio.to_thread(server.mails, box, count=1)
        mail, parts = read(raw)
        assert message.mailing is not None
        url = message.mailing.unsubscribe_url
        assert re.findall(rb"(?m)^List-Unsubscribe: (.*)$", raw) == [f"<{url}>".encode()]
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert mail["Subject"] == message.subject
        assert [words(part) for part in parts["text/plain"]] == [message.text]
        assert [words(part) for part in parts["text/html"]] == [message.html]
        assert url in message.html
        sent = {media.cid: media.path.read_bytes() for media in message.media}
        assert len(sent) == 6
        arrived = {part["Content-ID"].strip("<>"): part.get_content() for part in parts["image/png"]}
        assert arrived == sent
        assert set(re.findall(r'src="cid:([^"]+)"', message.html)) == set(sent)
