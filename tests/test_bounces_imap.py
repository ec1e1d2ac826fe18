"""Bounces in a real IMAP mailbox, and the whole circle: sent, bounced by Postfix, read, and stopped."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.app.publish import tick
from bot.app.workspace import Workspace
from bot.audience.bounces.imap import Account, ImapBox
from bot.errors import UserError
from tests.support import dovecot, postfix
from tests.support.bounces import dsn, plain
from tests.support.commands import Ran, bot
from tests.support.dovecot import ImapServer, imap_server
from tests.support.live_workspace import NOW, SECRET_KEY, SETTINGS, addresses, mail_only, make_live
from tests.support.postfix import mail_server

pytestmark = [
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (postfix.can_run() and dovecot.can_run()) and not os.environ.get("CI"),
        reason="needs root, Debian's postfix and dovecot",
    ),
]

UNKNOWN = "550 5.1.1 <x@inbox.ngo>: Recipient address rejected: User unknown"
AWAY = plain("I am away.", subject="Away", sender="a@b.ngo", fields="Auto-Submitted: auto-replied\n", copy="")
PERSON = plain("Where is my issue?", subject="A question", sender="a@b.ngo", copy="")


@pytest.fixture(scope="module")
def servers() -> Iterator[list[ImapServer]]:
    """One with everything that Dovecot has, one that tells of no extension, one that tells of UIDPLUS."""
    with (
        imap_server() as full,
        imap_server(capability="IMAP4rev1") as old,
        imap_server(capability="IMAP4rev1 UIDPLUS") as middle,
    ):
        yield [full, old, middle]


@pytest.fixture(params=[0, 1, 2], ids=["MOVE", "IMAP4rev1", "UIDPLUS"])
def server(
    servers: list[ImapServer], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> ImapServer:
    server = servers[request.param]
    for path in (p for p in server.maildir.rglob("*") if p.parent.name in ("new", "cur") and p.is_file()):
        path.unlink()
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))  # whom Python trusts
    return server


def account(server: ImapServer, **changes: object) -> Account:
    values = {"port": server.tls, "username": dovecot.USER, "password": dovecot.PASSWORD, **changes}
    return Account(host="localhost", **values)  # type: ignore[arg-type]


def with_mailbox(folder: Path, server: ImapServer, *, readers: int = 3) -> Path:
    here = mail_only(folder, 25, readers=readers)
    with (here / "bot.toml").open("a") as toml:
        toml.write(MAILBOX.format(port=server.tls, address="bounce@news.shelf.ngo"))
    with (here / ".env").open("a") as env:
        env.write(f"BOT_BOUNCES__PASSWORD={dovecot.PASSWORD}\n")
    return here


MAILBOX = """
[bounces]
address = "{address}"
imap_host = "localhost"
imap_port = {port}
username = "bounces"
"""


def return_path(here: Path, address: str) -> str:
    workspace = Workspace(here, readonly=True)
    try:
        found = workspace.audience.find(address)
        assert found is not None
        assert workspace.return_paths is not None
        return workspace.return_paths.of(found.id)
    finally:
        workspace.release()


def readers(here: Path) -> list[str]:
    workspace = Workspace(here, readonly=True)
    try:
        return sorted(reader.address for reader in workspace.audience.subscribers("weekly"))
    finally:
        workspace.release()


def ran(here: Path, *args: str) -> Ran:
    return bot("bounces", *args, workspace=here)


def test_what_is_understood_is_moved_and_the_rest_stays_unread(tmp_path: Path, server: ImapServer) -> None:
    here = with_mailbox(tmp_path, server)
    bounce = dsn(UNKNOWN, "5.1.1", to=return_path(here, addresses(1)[0]))
    for number, raw in enumerate([AWAY, bounce, PERSON]):
        server.put(str(number), raw)

    would = ran(here, "--dry-run")
    before = (server.mails(), server.unread(), readers(here))
    did = ran(here)

    assert before == ([AWAY, bounce, PERSON], 3, addresses(3))
    assert "Would stop writing to 1 reader: the address does not exist." in would.out
    assert (would.code, did.code) == (0, 0), did.err
    assert "Stopped writing to 1 reader: the address does not exist." in did.out
    assert readers(here) == addresses(3)[1:]
    assert server.mails("Bounces") == [bounce]
    assert [raw for raw in server.mails() if raw in (AWAY, PERSON)] == [AWAY, PERSON]


def test_what_was_left_is_not_looked_at_again(tmp_path: Path, server: ImapServer) -> None:
    """It keeps a keyword of ours; a person's mail program still shows it as unread."""
    here = with_mailbox(tmp_path, server)
    server.put("1", AWAY)
    server.put("2", PERSON)

    first, second = ran(here), ran(here)

    assert "2 mails: 2 left" in first.out
    assert "0 mails: 0 left" in second.out
    assert server.unread() == 2


def test_many_mails_are_read_in_blocks(tmp_path: Path, server: ImapServer) -> None:
    here = with_mailbox(tmp_path, server, readers=50)
    for number, address in enumerate(addresses(50)):
        server.put(f"{number:03}", dsn(UNKNOWN, "5.1.1", to=return_path(here, address)))
    server.put("999", PERSON)

    did = ran(here)

    assert "Stopped writing to 50 readers" in did.out, did.err
    assert readers(here) == []
    assert len(server.mails("Bounces")) == 50
    assert server.unread() == 1


def test_a_run_that_was_killed_before_it_moved_anything_is_repeated(
    tmp_path: Path, server: ImapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = with_mailbox(tmp_path, server)
    full = dsn("552 5.2.2 Mailbox full", "5.2.2", to=return_path(here, addresses(1)[0]))
    server.put("1", full)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ImapBox, "settle", killed)
        assert ran(here).code == 130
    again = ran(here)

    assert "1 seen before" in again.out
    assert server.mails("Bounces") == [full]


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_the_conversation_is_encrypted(server: ImapServer, security: str) -> None:
    """From the start, or before the login."""
    port = server.tls if security == "tls" else server.plain

    ImapBox(account(server, port=port, security=security)).close()


def test_a_certificate_that_nobody_vouches_for_ends_it(
    server: ImapServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")

    with pytest.raises(UserError, match="certificate"):
        ImapBox(account(server))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"password": "wrong"}, "log in"),
        ({"folder": "Nowhere"}, "there is no folder 'Nowhere'"),
        ({"port": 1}, "cannot connect"),
        ({"folder": "Entwürfe"}, "English letters"),
    ],
)
def test_what_is_wrong_is_said_with_the_place(
    server: ImapServer, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(UserError, match=words) as caught:
        ImapBox(account(server, **changes))

    assert dovecot.PASSWORD not in str(caught.value)
    assert dovecot.PASSWORD not in repr(account(server))


# --------------------------------------------------------------------------- the whole circle


BOXES = {"ana@example.test": "ana", "bounce@example.test": "bounced"}
ACCEPTS_EVERYBODY = """
smtpd_reject_unlisted_recipient = no
recipient_delimiter = +
"""


async def test_the_whole_circle(tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An issue goes out; Postfix cannot deliver two of three; their genuine reports end it for these two."""
    with mail_server(BOXES, settings=ACCEPTS_EVERYBODY) as mail:
        bounced = mail.folder / "mail" / "bounced"
        here = circle(tmp_path, mail.port, mail.certificate, store_url)
        workspace = Workspace(here)
        for name in ("ana", "nobody", "gone"):
            workspace.audience.add(f"{name}@example.test", "", "", ["weekly"], NOW, "test")
        ticked = await tick(workspace, NOW)
        await workspace.close()
        workspace.release()
        await asyncio.to_thread(mail.mails, "ana", count=1)
        reports = await asyncio.to_thread(mail.mails, "bounced", count=2)
        with imap_server(bounced) as imap:
            monkeypatch.setenv("SSL_CERT_FILE", str(imap.certificate))
            with (here / "bot.toml").open("a") as toml:
                toml.write(MAILBOX.format(port=imap.tls, address="bounce@example.test"))
            did = await asyncio.to_thread(ran, here)
            left, done = imap.mails(), imap.mails("Bounces")

    assert ticked.report is not None
    assert ticked.report.sent == 3
    assert all(b"unknown user" in report for report in reports)
    assert did.code == 0, did.err
    assert "Stopped writing to 2 readers: the address does not exist." in did.out
    assert readers(here) == ["ana@example.test"]
    assert (left, len(done)) == ([], 2)


def circle(folder: Path, port: int, certificate: Path, store_url: str) -> Path:
    """A live workspace that sends by that server; its bounces carry tokens from the start."""
    login = f'username = "{postfix.USER}"\nca_file = "{certificate}"\n'
    here = make_live(folder / "news", SETTINGS.format(port=port) + login)
    secrets = {
        "BOT_SECRET_KEY": SECRET_KEY,
        "BOT_DATABASE_URL": store_url,
        "BOT_CHANNELS__MAIL__PASSWORD": postfix.PASSWORD,
        "BOT_BOUNCES__PASSWORD": dovecot.PASSWORD,
        "BOT_BOUNCES__ADDRESS": "bounce@example.test",
    }
    (here / ".env").write_text("".join(f'{name}="{value}"\n' for name, value in secrets.items()))
    workspace = Workspace(here)
    workspace.ledger.note_schedules(workspace.schedules(), NOW - timedelta(hours=1))
    workspace.release()
    return here
