"""Through Debian's Postfix into a Maildir and back: what a reader's mail program gets."""

from __future__ import annotations

import asyncio
import email
import email.policy
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest
from support.postfix import PASSWORD, USER, MailServer, can_run, mail_server

from bot.channels.base import Channel, ChannelContext
from bot.channels.email import Options, connect
from bot.errors import Blame, PermanentFailure
from bot.model import Level, Media, Message, Recipient
from tests.support.issues import FIELDS, open_issue

pytestmark = [
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.skipif(
        not can_run() and not os.environ.get("CI"), reason="needs root, Debian's postfix and dovecot"
    ),
]

ADDRESS = "1 Harbour Road, Bangkok"
URL = "https://news.example.org/u/weekly/" + "AbC-_" * 80
BOXES = {
    "ana@example.test": "ana",
    "many@example.test": "many",
    "ben@xn--bcher-kva.example": "ben",
    "ünal@example.test": "unal",
}


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    """One pair for all tests of this file."""
    with mail_server(BOXES) as running:
        yield running


@asynccontextmanager
async def channel_to(server: MailServer, *, password: str = PASSWORD) -> AsyncIterator[Channel]:
    options = Options.model_validate(
        {
            "host": "localhost",
            "port": server.port,
            "username": USER,
            "password": password,
            "ca_file": str(server.certificate),
            "timeout": 20,
        }
    )
    context = ChannelContext(
        name="mail",
        site_url="https://news.example.org",
        postal_address=ADDRESS,
        senders=("Größe & Mühe <news@example.org>",),
    )
    channel = connect(options, context)
    try:
        yield channel
    finally:
        await channel.close()


def issue(body: str, *, subject: str, media: tuple[Media, ...] = ()) -> Message:
    """An issue with this body in both parts."""
    return open_issue(
        subject,
        text=f"{body}\n\n{URL}\n{ADDRESS}\n",
        html=f'<p>{body}</p>\n<p><a href="{URL}">Unsubscribe</a></p>\n<p>{ADDRESS}</p>\n',
        media=media,
        mailing=replace(FIELDS, sender="Größe & Mühe <news@example.org>", unsubscribe_url=URL),
    )


def parts(content: bytes) -> dict[str, EmailMessage]:
    """The leaves of an email by their type."""
    whole = email.message_from_bytes(content, policy=email.policy.default)
    return {
        part.get_content_type(): part
        for part in whole.walk()
        if isinstance(part, EmailMessage) and not part.is_multipart()
    }


def words(part: EmailMessage) -> str:
    return str(part.get_content()).replace("\r\n", "\n")


BODIES = {
    "English": "Good morning. " * 20 + "\n.\n..dots\nFrom the desk\n",
    "Thai": "ข่าวประจำสัปดาห์ " * 200,
    "Arabic": "صباح الخير، ستة أخبار هذا الأسبوع. " * 50,
    "emoji": "👩🏽‍🚀 e\u0301 " * 100,
    "one long line": "x" * 20_000,
}


async def test_everything_arrives_as_it_was_sent(server: MailServer, tmp_path: Path) -> None:
    """Subjects, both bodies, pictures, the Message-ID and the list headers, in every script."""
    picture = tmp_path / "p.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 50)
    media = (Media(path=picture, mime_type="image/png", alt="A harbour", cid="p1@broadside"),)
    sent = {
        f"{n:032x}": issue(body, subject=f"{name}: {body[:60]}".replace("\n", " ").strip(), media=media)
        for n, (name, body) in enumerate(BODIES.items(), start=1)
    }
    reader = Recipient(id="r1", address="ana@example.test", name="Ána, from the “desk”")

    async with channel_to(server) as channel:
        receipts = {key: await channel.send(message, reader, key=key) for key, message in sent.items()}

        mails = await asyncio.to_thread(server.mails, "ana", count=len(sent))
        for key, message in sent.items():
            (arrived,) = [mail for mail in mails if receipts[key].remote_id.encode() in mail]
            head = email.message_from_bytes(arrived, policy=email.policy.default)
            found = parts(arrived)
            assert head["Message-ID"] == f"<{key}@weekly.example.org>"
            assert head["Subject"] == message.subject
            assert head["To"].addresses[0].addr_spec == "ana@example.test"
            assert f"\nList-Unsubscribe: <{URL}>\n".encode() in arrived
            assert b"\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\n" in arrived
            assert b"\nList-Id: The Broadside <weekly.example.org>\n" in arrived
            assert words(found["text/plain"]) == message.text
            assert words(found["text/html"]) == message.html
            assert found["image/png"].get_content() == picture.read_bytes()
            assert "queued as" in receipts[key].note


async def test_the_body_is_not_touched_on_its_way(server: MailServer) -> None:
    """What Postfix stores ends with the very bytes we composed: a signature would still hold."""
    message = issue(BODIES["Thai"], subject="Untouched")
    reader = Recipient(id="r2", address="ben@bücher.example")

    async with channel_to(server) as channel:
        await channel.send(message, reader, key="b" * 64)

        (arrived,) = await asyncio.to_thread(server.mails, "ben", count=1)
        composed = channel.request(message, reader, key="b" * 64).body.replace(b"\r\n", b"\n")
        assert arrived.removesuffix(b"\n").endswith(composed.removesuffix(b"\n"))


async def test_an_international_address_arrives(server: MailServer) -> None:
    """Postfix takes SMTPUTF8."""
    message = issue("Guten Tag", subject="Grüße")

    async with channel_to(server) as channel:
        await channel.send(
            message, Recipient(id="r3", address="ünal@example.test", name="Ünal"), key="c" * 64
        )

        (arrived,) = await asyncio.to_thread(server.mails, "unal", count=1)
        assert "ünal@example.test" in arrived.decode()


async def test_several_tasks_at_once_lose_nothing_and_repeat_nothing(server: MailServer) -> None:
    """Forty emails over two connections."""
    message = issue("Good morning", subject="At once")
    reader = Recipient(id="r4", address="many@example.test")
    keys = [f"{number:032x}"[::-1] for number in range(1, 41)]

    async with channel_to(server) as channel:
        await asyncio.gather(*(channel.send(message, reader, key=key) for key in keys))

    mails = await asyncio.to_thread(server.mails, "many", count=len(keys))
    ids = [email.message_from_bytes(mail)["Message-ID"] for mail in mails]
    assert sorted(ids) == sorted(f"<{key}@weekly.example.org>" for key in keys)


async def test_an_unknown_reader_is_the_recipients_fault(server: MailServer) -> None:
    """The next reader gets theirs over the same connection."""
    async with channel_to(server) as channel:
        with pytest.raises(PermanentFailure) as caught:
            await channel.send(
                issue("x", subject="x"), Recipient(id="r5", address="nobody@example.test"), key="d" * 64
            )

        assert (caught.value.code, caught.value.blame) == (550, Blame.RECIPIENT)
        assert "nobody" not in str(caught.value)


async def test_a_wrong_password_is_our_fault(server: MailServer) -> None:
    """And the doctor says so before the first issue."""
    async with channel_to(server, password="wrong") as channel:
        with pytest.raises(PermanentFailure) as caught:
            await channel.send(
                issue("x", subject="x"), Recipient(id="r6", address="ana@example.test"), key="e" * 64
            )
        (finding,) = await channel.check()

    assert (caught.value.code, caught.value.blame) == (535, Blame.SENDER)
    assert finding.level is Level.BLOCK


async def test_the_doctor_is_content(server: MailServer) -> None:
    """Encrypted, logged in, the size that Postfix takes, and the sender; then the way is free for a mail."""
    async with channel_to(server) as channel:
        (finding,) = await channel.check()

    assert "takes mail from news@example.org" in finding.message
    assert "TLSv1.3, logged in as bot, up to 4000000 bytes" in finding.message


async def test_an_email_too_large_is_told_in_advance(server: MailServer, tmp_path: Path) -> None:
    """Postfix says what it takes."""
    path = tmp_path / "huge.png"
    path.write_bytes(b"\x89PNG" + bytes(4_000_000))
    huge = (Media(path=path, mime_type="image/png", alt="", cid="p1@broadside"),)

    async with channel_to(server) as channel:
        with pytest.raises(PermanentFailure, match="4000000") as caught:
            await channel.send(
                replace(issue("x", subject="x"), media=huge),
                Recipient(id="r7", address="ana@example.test"),
                key="f" * 64,
            )

    assert caught.value.blame is Blame.MESSAGE
