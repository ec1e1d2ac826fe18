"""Every mail that the bot sends is signed: OpenDKIM and dkimpy believe it, and nothing that was changed."""

from __future__ import annotations

import asyncio
import email
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import dkim
import pytest
from support.live_workspace import NOW, addresses, mail_only
from support.opendkim import believed, can_verify
from support.smtp_server import smtp_server

from bot.app.confirmations import Errand, send_confirmation
from bot.app.joining import wording
from bot.app.publish import tick
from bot.app.workspace import Workspace
from bot.channels.email.channel import signer_of
from bot.channels.email.dkim import Signer, new_key
from bot.store.joining import Recorded, SignupRequest
from tests.support.commands import bot
from tests.support.site import record

pytestmark = pytest.mark.skipif(not can_verify(), reason="needs Debian's opendkim")

SIGNING = """
dkim_domain = "news.shelf.ngo"
dkim_selector = "mail2026"
dkim_key_file = "key.pem"
"""
LIST_FIELDS = {"list-unsubscribe", "list-unsubscribe-post"}


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What the mail server got, by the way it came."""

    issue: list[bytes]
    test: bytes
    confirmation: bytes
    signer: Signer

    @property
    def all(self) -> list[bytes]:
        return [*self.issue, self.test, self.confirmation]


def signup(workspace: Workspace) -> SignupRequest:
    """Somebody who is to be asked whether it was them."""
    return SignupRequest(
        id="f" * 32,
        address="new@inbox.ngo",
        newsletters=("weekly",),
        lang="en",
        form_url="https://news.shelf.ngo/subscribe",
        wording=wording(workspace, "en"),
        ip="",
        asked_at=NOW,
    )


@pytest.fixture
async def sent(tmp_path: Path) -> AsyncIterator[Sent]:
    """One issue to three readers, a test and a confirmation, by a workspace that signs."""
    async with smtp_server() as server:
        here = mail_only(tmp_path, server.port, readers=3)
        (here / "key.pem").write_bytes(new_key())
        with (here / "bot.toml").open("a") as file:
            file.write(SIGNING)
        ran = await asyncio.to_thread(bot, "send-test", "--to", "editor@news.shelf.ngo", workspace=here)
        assert ran.code == 0, ran.err
        workspace = Workspace(here)
        await tick(workspace, NOW)
        asked = signup(workspace)
        assert record(workspace.joining, asked) is Recorded.YES
        assert await send_confirmation(workspace, asked, now=NOW) is Errand.DONE
        await workspace.close()
        workspace.release()
        test, *issue, confirmation = (taken.content for taken in server.taken)
        signer = signer_of(workspace.options("mail"), here)  # type: ignore[arg-type]
        assert signer is not None
        yield Sent(issue=issue, test=test, confirmation=confirmation, signer=signer)


@pytest.fixture
def judged(sent: Sent, tmp_path: Path) -> Callable[[list[bytes]], list[bool]]:
    """Both verifiers' word, which must be the same."""
    known = {f"{sent.signer.record_name}.".encode(): sent.signer.record.encode()}

    def judge(mails: list[bytes]) -> list[bool]:
        first = believed(
            mails, record_name=sent.signer.record_name, record=sent.signer.record, folder=tmp_path
        )
        second = [bool(dkim.verify(mail, dnsfunc=lambda n, timeout=5: known.get(n, b""))) for mail in mails]
        assert first == second
        return first

    return judge


def test_every_way_of_a_mail_is_believed(sent: Sent, judged: Callable[[list[bytes]], list[bool]]) -> None:
    """Issue, test and confirmation."""
    assert len(sent.issue) == len(addresses(3))
    assert judged(sent.all) == [True] * 5


def test_both_list_fields_are_signed_and_named_once_more(sent: Sent) -> None:
    """In a confirmation, which has neither, they are named once, so that nobody can add one."""
    for mail in sent.all:
        parsed = email.message_from_bytes(mail)
        present = [name.lower() for name in parsed]
        named = "".join(parsed["DKIM-Signature"].split()).partition("h=")[2].partition(";")[0].split(":")
        assert all(named.count(name) == present.count(name) + 1 for name in LIST_FIELDS)


@pytest.mark.parametrize("field", [b"List-Unsubscribe", b"List-Unsubscribe-Post"])
def test_a_flipped_byte_is_not_believed(
    sent: Sent, judged: Callable[[list[bytes]], list[bool]], field: bytes
) -> None:
    """Wherever it is in the field's value; the same mail, untouched, is."""
    mail = sent.issue[0]
    start = mail.index(b"\r\n" + field + b": ") + len(field) + 4
    end = mail.index(b"\r\n", start)
    flipped = [mail[:place] + bytes([mail[place] ^ 1]) + mail[place + 1 :] for place in range(start, end, 7)]

    assert judged([mail, *flipped]) == [True, *[False] * len(flipped)]


@pytest.mark.parametrize(
    "line",
    [
        b"Subject: x",
        b"Reply-To: <x@other.ngo>",
        b"From: <x@other.ngo>",
        b"List-Unsubscribe: <https://other.ngo/>",
        b"List-Unsubscribe-Post: List-Unsubscribe=One-Click",
    ],
)
def test_a_field_put_in_is_not_believed(
    sent: Sent, judged: Callable[[list[bytes]], list[bool]], line: bytes
) -> None:
    """At the top or at the end of the head, in an issue and in a confirmation."""
    mails = [sent.issue[0], sent.confirmation]
    changed = [line + b"\r\n" + mail for mail in mails]
    changed += [mail.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n", 1) for mail in mails]

    assert judged([*mails, *changed]) == [True, True, *[False] * 4]


def test_a_confirmation_is_no_list_mail(sent: Sent) -> None:
    """No list has this reader yet, and a machine wrote it (RFC 3834)."""
    head = email.message_from_bytes(sent.confirmation)

    assert [name for name in head if name.lower().startswith(("list-", "archived", "precedence"))] == []
    assert head["Auto-Submitted"] == "auto-generated"
    assert head["From"] == "The Weekly Shelf <weekly@news.shelf.ngo>"
    assert head["Message-ID"].endswith("@news.shelf.ngo>")
