"""``List-Unsubscribe`` offers a mail as well, and one that comes there ends that reader's subscription."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from email import message_from_bytes
from pathlib import Path

import pytest

from bot.app.bounces import Readings, read_bounces
from bot.app.publish import tick
from bot.app.workspace import Workspace
from bot.audience.bounces.boxes import Maildir, make_maildir
from bot.audience.tokens import mail_token, read_mail_token, unsubscribe_token
from bot.audience.verp import ReturnPaths
from tests.support.bounces import dsn
from tests.support.live_workspace import NOW, addresses, mail_only
from tests.support.smtp_server import smtp_server

BOUNCES = '\n[bounces]\naddress = "bounce@news.shelf.ngo"\nmaildir = "bounced"\n'
KEY = b"a-key-of-the-tests"
READER = "0123456789abcdef" * 2


class Box:
    """A live workspace that sent an issue to two readers, and its bounce mailbox."""

    def __init__(self, here: Workspace, header: str, first: str) -> None:
        self.here, self.header, self.first = here, header, first

    @property
    def address(self) -> str:
        found = re.search(r"<mailto:([^?>]+)\?subject=unsubscribe>", self.header)
        assert found
        return found[1]

    def read(self, raw: str | bytes, *, dry_run: bool = False) -> Readings:
        (self.here.root / "bounced" / "new" / "1").write_bytes(raw.encode() if isinstance(raw, str) else raw)
        box = Maildir(self.here.root / "bounced")
        return read_bounces(self.here, box, now=NOW, dry_run=dry_run)

    def readers(self) -> list[str]:
        return [each for each in addresses(2) if self.here.audience.find(each)]

    def left(self) -> int:
        return len(list((self.here.root / "bounced" / "new").iterdir()))


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    async with smtp_server() as server:
        folder = mail_only(tmp_path, server.port, readers=2)
        make_maildir(folder / "bounced")
        with (folder / "bot.toml").open("a") as file:
            file.write(BOUNCES)
        here = Workspace(folder)
        await tick(here, NOW)
        await here.close()
        taken = server.taken[0]
    header = re.sub(r"\s+", " ", message_from_bytes(taken.content)["List-Unsubscribe"])
    yield Box(here, header, taken.recipients[0])
    here.release()


def mail(to: str, *, more: str = "", subject: str = "unsubscribe", body: str = "") -> str:
    """What a mail program sends for its owner."""
    return f"From: A Person <somebody@else.ngo>\nTo: {to}\nSubject: {subject}\n{more}\n{body}\n"


def test_one_tap_of_a_mail_program_ends_the_subscription(box: Box) -> None:
    """Whatever address it is written from: the token says who it is."""
    found = box.read(mail(box.address))

    assert found.left_by_mail == 1
    assert box.readers() == [each for each in addresses(2) if each != box.first]
    assert box.left() == 0


def test_the_link_for_one_click_comes_first(box: Box) -> None:
    """RFC 8058 programs take the https link."""
    assert re.match(r"<https://[^>]+>,", box.header)


def test_the_address_is_read_in_any_case_and_with_a_name(box: Box) -> None:
    box.read(mail(f'"Bye" <{box.address.upper()}>', more=f"Delivered-To: {box.address.upper()}\n"))

    assert len(box.readers()) == 1


def test_a_second_mail_changes_nothing_and_is_put_away(box: Box) -> None:
    box.read(mail(box.address))

    assert box.read(mail(box.address)).left_by_mail == 0
    assert (len(box.readers()), box.left()) == (1, 0)


def test_a_dry_run_ends_nothing(box: Box) -> None:
    assert box.read(mail(box.address), dry_run=True).left_by_mail == 1
    assert (box.readers(), box.left()) == (addresses(2), 1)


@pytest.mark.parametrize(
    "more",
    [
        "Auto-Submitted: auto-replied\n",
        "Return-Path: <>\n",
        "X-Autoreply: yes\n",
        "Precedence: bulk\n",
    ],
)
def test_an_automatic_answer_ends_nothing(box: Box, more: str) -> None:
    """Nobody asked for it."""
    box.read(mail(box.address, more=more, subject="I am away"))

    assert box.readers() == addresses(2)


def test_an_out_of_office_without_any_mark_ends_nothing(box: Box) -> None:
    box.read(mail(box.address, subject="Automatic reply: The Weekly Shelf"))

    assert box.readers() == addresses(2)


def test_a_bounce_to_it_ends_nothing(box: Box) -> None:
    box.read(dsn("452 4.2.2 Mailbox full", "4.2.2", to=box.address))

    assert box.readers() == addresses(2)


@pytest.mark.parametrize("sign", ["a", "b"])
def test_a_guessed_token_ends_nothing(box: Box, sign: str) -> None:
    name, _, domain = box.address.partition("@")
    forged = f"{name[:-5]}{sign * 5}@{domain}"

    box.read(mail(forged))

    assert box.readers() == addresses(2)


def test_a_forwarded_newsletter_ends_nothing(box: Box) -> None:
    """The address in the words of a mail is no address that it was sent to."""
    box.read(mail("bounce@news.shelf.ngo", subject="Fwd: The Weekly Shelf", body=f"To: {box.address}\n"))

    assert box.readers() == addresses(2)


# --------------------------------------------------------------------------- the token


def test_a_token_opens_one_newsletter_only() -> None:
    token = mail_token(unsubscribe_token([KEY], subscriber=READER, newsletter="weekly"))

    assert read_mail_token([KEY], token, newsletters=["daily", "weekly"]) == (READER, "weekly")
    assert read_mail_token([KEY], token, newsletters=["daily"]) is None
    assert read_mail_token([b"another"], token, newsletters=["weekly"]) is None


@pytest.mark.parametrize("token", ["", "a", "=" * 42, "1" * 42, "a" * 42, "a" * 80])
def test_what_we_did_not_sign_is_nobody(token: str) -> None:
    assert read_mail_token([KEY], token, newsletters=["weekly"]) is None


def test_an_address_that_would_be_too_long_is_not_offered() -> None:
    """64 octets before the @, RFC 5321."""
    token = unsubscribe_token([KEY], subscriber=READER, newsletter="weekly")

    assert ReturnPaths("b" * 21 + "@x.ngo", [KEY]).of_unsubscribing(token) == ""
    assert len(ReturnPaths("b" * 20 + "@x.ngo", [KEY]).of_unsubscribing(token)) == 64 + len("@x.ngo")
