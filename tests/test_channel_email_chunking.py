"""Letters by BDAT to Debian's Postfix: what it takes, what it refuses before the body and what after it."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from bot.channels.email.mime import Letter
from bot.errors import Blame, PermanentFailure
from tests.support.mailings import Mailing, letter, relay, until
from tests.support.postfix import PASSWORD, USER, MailServer, can_run, mail_server

pytestmark = [
    pytest.mark.server,
    pytest.mark.slow,
    pytest.mark.skipif(
        not can_run() and not os.environ.get("CI"), reason="needs root, Debian's postfix and dovecot"
    ),
]

REFUSES = "header_checks = regexp:{{/^Subject: refuse/ REJECT 5.6.0 we do not like it}}\n"


@pytest.fixture(scope="module")
def server() -> Iterator[MailServer]:
    """It refuses a subject only when it has the whole letter."""
    with mail_server({"ana@example.test": "ana"}, settings=REFUSES) as running:
        yield running


def numbered(number: int) -> Letter:
    """Every seventh letter has a refused body, every eleventh an unknown reader; all have lines of dots."""
    subject = b"refuse me" if number % 7 == 3 else b"good news"
    return letter(
        number,
        recipient="nobody@example.test" if number % 11 == 5 else "ana@example.test",
        body=b".\r\n..\r\nQUIT\r\n.\r\n" + b"x" * 20_000 + b"\r\n",
        head=b"Subject: " + subject + b"\r\n",
    )


async def test_letters_go_out_by_their_length(server: MailServer) -> None:
    """Each has the outcome that is its own, and every byte of it arrives; nobody says DATA."""
    letters = [numbered(n) for n in range(60)]
    bodies = {n for n in range(60) if n % 7 == 3}
    readers = {n for n in range(60) if n % 11 == 5}
    mailing = Mailing(letters)
    options = {"username": USER, "password": SecretStr(PASSWORD), "ca_file": str(server.certificate)}
    lines = mailing.over(relay(server.port, security="starttls", **options), connections=2)
    await asyncio.wait_for(lines.run(), 60)

    taken = set(range(60)) - bodies - readers
    assert mailing.sent == {letters[n].id for n in taken}
    for n in bodies | readers:
        refused = mailing.outcome(n)
        assert isinstance(refused, PermanentFailure)
        assert refused.blame is (Blame.RECIPIENT if n in readers else Blame.MESSAGE)
    mails = await asyncio.to_thread(server.mails, "ana", count=len(taken))
    arrived = {re.findall(rb"Message-ID: (\S+)", mail)[0].decode(): mail for mail in mails}
    for n in taken:
        body = letters[n].content.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n")
        assert arrived[letters[n].id].partition(b"\n\n")[2] == body

    await until(lambda: server.log().count("disconnect from") >= 2)
    said = [line for line in server.log().splitlines() if "disconnect from" in line]
    assert any(" bdat=" in line for line in said)
    assert not any(" data=" in line for line in said)
