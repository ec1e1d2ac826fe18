"""The email channel against a real SMTP server: what is sent, what each failure means, what stays secret."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError
from support.listening import free_port
from support.smtp_server import DROP, SILENT, Server, self_made_certificate, smtp_server

from bot.channels.base import Channel, ChannelContext
from bot.channels.email import TYPE, Options, connect
from bot.errors import Blame, PermanentFailure, TemporaryFailure, UnknownOutcome
from bot.model import Delivery, Level, ListFields, Message, Recipient

KEY = "0123456789abcdef" * 4
URL = "https://news.example.org/u/weekly/token"
ADDRESS = "1 Harbour Road, Bangkok"
READER = Recipient(id="r1", address="ana.reader@example.com", name="Ana")
PASSWORD = "correct-horse-battery"
MESSAGE = Message(
    kind="issue",
    lang="en",
    subject="The Broadside: Grüße",
    text=f"Good morning\n.a line with a dot\n{URL}\n{ADDRESS}\n",
    html=f'<p>Good morning</p><a href="{URL}">Unsubscribe</a><p>{ADDRESS}</p>',
    date=datetime(2026, 11, 27, 2, 0, tzinfo=UTC),
    mailing=ListFields(
        sender="The Broadside <news@example.org>",
        reply_to="",
        list_id="weekly.example.org",
        list_name="The Broadside",
        archive_url="https://news.example.org/issues/weekly/12",
        help_url="",
        unsubscribe_url=URL,
    ),
)
DELIVERY = Delivery(
    key=KEY, kind="issue", subject="weekly@1", channel="mail", recipient=READER, message="d", due=MESSAGE.date
)  # type: ignore[arg-type]


@asynccontextmanager
async def channel_to(server: Server, **options: object) -> AsyncIterator[Channel]:
    """A channel that talks to this server, closed at the end."""
    values = {"host": server.host, "port": server.port, "security": "none", "timeout": 20, "patience": 20}
    channel = connect(
        Options.model_validate(values | options),
        ChannelContext(name="mail", site_url="https://news.example.org", postal_address=ADDRESS),
    )
    try:
        yield channel
    finally:
        await channel.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made here, valid for localhost; trusted by nobody who is not told to."""
    return self_made_certificate(tmp_path_factory.mktemp("certificate"))


# --------------------------------------------------------------------------- sent


async def test_an_email_arrives_as_it_was_composed() -> None:
    """The bytes on the wire are those that rehearsal shows; the receipt knows the Message-ID."""
    async with smtp_server() as server, channel_to(server) as channel:
        receipt = await channel.send(MESSAGE, READER, key=KEY)

        (taken,) = server.taken
        request = channel.request(MESSAGE, READER, key=KEY)
        assert taken.content == request.body
        assert (taken.sender, taken.recipients) == ("news@example.org", ("ana.reader@example.com",))
        assert receipt.remote_id == f"<{KEY[:32]}@weekly.example.org>"
        assert receipt.note == "250 2.0.0 Ok: queued as 4Bx7"
        assert request.suffix == ".eml"
        assert READER.address not in request.summary


async def test_a_text_without_a_last_line_end_arrives() -> None:
    """The final dot stands on a line of its own all the same."""
    bare = replace(MESSAGE, html="", text=f"{URL} {ADDRESS}")
    async with smtp_server() as server, channel_to(server) as channel:
        await channel.send(bare, READER, key=KEY)

        assert server.taken[0].content.endswith(f"{ADDRESS}\r\n".encode())


async def test_bounces_go_where_the_settings_say() -> None:
    """The envelope may have another sender than the From line."""
    async with smtp_server() as server, channel_to(server, envelope_sender="bounces@example.org") as channel:
        await channel.send(MESSAGE, READER, key=KEY)

        assert server.taken[0].sender == "bounces@example.org"


async def test_the_machines_own_name_is_not_told() -> None:
    """EHLO names the site, not the volunteer's computer."""
    async with smtp_server() as server, channel_to(server) as channel:
        await channel.send(MESSAGE, READER, key=KEY)

        assert server.commands[0] == "EHLO news.example.org"


async def test_our_own_name_is_told_in_ascii() -> None:
    """A server hears A-labels, whatever the settings say."""
    async with smtp_server() as server, channel_to(server, local_hostname="bücher.example") as channel:
        await channel.send(MESSAGE, READER, key=KEY)

        assert "EHLO xn--bcher-kva.example" in server.commands


async def test_the_size_is_announced() -> None:
    """So that the server can refuse before the body is on its way."""
    async with smtp_server(size=100_000) as server, channel_to(server) as channel:
        await channel.send(MESSAGE, READER, key=KEY)

        size = len(server.taken[0].content)
        assert f"MAIL FROM:<news@example.org> SIZE={size}" in server.commands


# --------------------------------------------------------------------------- one connection, several emails


async def test_a_connection_is_kept_for_the_next_email() -> None:
    """Encrypting and logging in once is enough."""
    async with smtp_server() as server, channel_to(server) as channel:
        for number in range(5):
            await channel.send(MESSAGE, READER, key=f"{number}" * 64)

        assert [taken.connection for taken in server.taken] == [1] * 5


async def test_many_tasks_share_a_few_connections() -> None:
    """Never more than the option says, and every email arrives once."""
    async with smtp_server() as server, channel_to(server, connections=3) as channel:
        keys = [f"{number:064x}" for number in range(1, 31)]
        receipts = await asyncio.gather(*(channel.send(MESSAGE, READER, key=key[::-1]) for key in keys))

        assert len({receipt.remote_id for receipt in receipts}) == len(server.taken) == 30
        assert server.most_at_once == 3


async def test_a_connection_that_the_server_closed_is_replaced() -> None:
    """Idle connections are cut by every server; that is no failure."""
    async with smtp_server() as server, channel_to(server) as channel:
        await channel.send(MESSAGE, READER, key="a" * 64)
        server.hang_up()

        await channel.send(MESSAGE, READER, key="b" * 64)

        assert [taken.connection for taken in server.taken] == [1, 2]


@pytest.mark.parametrize("answer", [DROP, "421 4.7.0 too many messages in one connection"])
async def test_a_connection_that_ends_at_the_next_email_is_replaced(answer: str) -> None:
    """Nothing of the email was sent yet, so a new connection may carry it."""
    async with smtp_server() as server, channel_to(server) as channel:
        await channel.send(MESSAGE, READER, key="a" * 64)
        server.fail("MAIL", answer)

        await channel.send(MESSAGE, READER, key="b" * 64)

        assert [taken.connection for taken in server.taken] == [1, 2]


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "DOT"])
async def test_after_a_refusal_the_connection_serves_the_next_email(step: str) -> None:
    """The old envelope is reset first, where one is left: not after the dot (RFC 5321, 4.1.1.4)."""
    async with smtp_server() as server, channel_to(server) as channel:
        server.fail(step, "550 5.1.1 no")
        with pytest.raises(PermanentFailure):
            await channel.send(MESSAGE, READER, key="a" * 64)

        await channel.send(MESSAGE, READER, key="b" * 64)

        assert ("RSET" in server.commands) == (step in ("RCPT", "DATA"))
        assert server.taken[-1].recipients == (READER.address,)
        assert server.connections == 1


async def test_a_channel_can_be_used_again_after_close() -> None:
    """Closing gives back connections, no more."""
    async with smtp_server() as server, channel_to(server) as channel:
        await channel.send(MESSAGE, READER, key="a" * 64)
        await channel.close()

        await channel.send(MESSAGE, READER, key="b" * 64)

        assert server.connections == 2


# --------------------------------------------------------------------------- come back later


@pytest.mark.parametrize("step", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("answer", ["421 4.3.2 shutting down", "451 4.3.0 try later"])
async def test_a_4xx_means_later(step: str, answer: str) -> None:
    """At any step, the answer to the finished email included: the server did not take it."""
    async with smtp_server() as server, channel_to(server) as channel:
        server.fail(step, answer)

        with pytest.raises(TemporaryFailure) as caught:
            await channel.send(MESSAGE, READER, key=KEY)

        assert caught.value.code == int(answer[:3])


@pytest.mark.parametrize("step", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("answer", [DROP, SILENT, "gibberish", "199 what"])
async def test_whatever_goes_wrong_before_the_body_means_later(step: str, answer: str) -> None:
    """Cut, silent or mad: nothing was sent, and that is certain."""
    async with smtp_server() as server, channel_to(server, timeout=0.2) as channel:
        server.fail(step, answer)

        with pytest.raises(TemporaryFailure) as caught:
            await channel.send(MESSAGE, READER, key=KEY)

        assert "\n" not in str(caught.value)
        assert server.taken == []


async def test_nobody_listening_means_later() -> None:
    """The server may be restarting."""
    async with channel_to(Server(port=free_port())) as channel:
        with pytest.raises(TemporaryFailure, match="localhost"):
            await channel.send(MESSAGE, READER, key=KEY)


# --------------------------------------------------------------------------- never


@pytest.mark.parametrize(
    ("step", "answer", "blame"),
    [
        ("GREETING", "554 5.3.2 no service here", Blame.SENDER),
        ("EHLO", "550 5.7.1 we do not like you", Blame.SENDER),
        ("MAIL", "550 5.1.7 bad sender", Blame.SENDER),
        ("MAIL", "530 5.7.0 log in first", Blame.SENDER),
        ("MAIL", "552 5.3.4 too big", Blame.MESSAGE),
        ("RCPT", "550 5.1.1 no such user", Blame.RECIPIENT),
        ("RCPT", "550 no such user", Blame.RECIPIENT),
        ("RCPT", "552 5.2.2 mailbox full", Blame.RECIPIENT),
        ("RCPT", "554 5.7.1 relay access denied", Blame.SENDER),
        ("RCPT", "550 5.1.8 sender's domain not found", Blame.SENDER),
        ("RCPT", "504 5.5.2 helo rejected", Blame.SENDER),
        ("RCPT", "554 5.7.1 <r@x.org>: Recipient address rejected: Access denied", Blame.RECIPIENT),
        ("RCPT", "504 5.5.2 <r@x>: Recipient address rejected: need fully-qualified", Blame.RECIPIENT),
        ("RCPT", "530 log in first", Blame.SENDER),
        ("DATA", "554 no valid recipients", Blame.MESSAGE),
        ("DOT", "554 5.6.0 the content is malformed", Blame.MESSAGE),
        ("DOT", "550 5.7.515 not authenticated", Blame.SENDER),
        ("DOT", "550-5.7.26 unauthenticated\r\n550 5.7.26 set up SPF", Blame.SENDER),
        ("DOT", "552 5.2.2 over quota", Blame.RECIPIENT),
    ],
)
async def test_a_5xx_means_never_and_says_whose_fault_it_is(step: str, answer: str, blame: Blame) -> None:
    """The recipient's, the message's, or ours: then the whole channel stops."""
    async with smtp_server() as server, channel_to(server) as channel:
        server.fail(step, answer)

        with pytest.raises(PermanentFailure) as caught:
            await channel.send(MESSAGE, READER, key=KEY)

        assert (caught.value.code, caught.value.blame) == (int(answer[:3]), blame)


async def test_an_email_larger_than_the_server_takes_is_not_even_begun() -> None:
    """SIZE is read from the greeting; the advice is in words."""
    async with smtp_server(size=500) as server, channel_to(server) as channel:
        with pytest.raises(PermanentFailure, match="pictures") as caught:
            await channel.send(MESSAGE, READER, key=KEY)

        assert caught.value.blame is Blame.MESSAGE
        assert not any(command.startswith("MAIL") for command in server.commands)


async def test_an_international_address_goes_out_where_it_is_taken() -> None:
    """SMTPUTF8, with the domain in ASCII."""
    reader = Recipient(id="r2", address="ünal@bücher.example", name="Ünal")
    async with smtp_server() as server, channel_to(server) as channel:
        await channel.send(MESSAGE, reader, key=KEY)

        (taken,) = server.taken
        assert taken.recipients == ("ünal@xn--bcher-kva.example",)
        assert {"SMTPUTF8", "BODY=8BITMIME"} <= set(taken.options)


async def test_an_international_address_is_refused_where_it_is_not_taken() -> None:
    """In clear words, and only this reader is concerned; others still get theirs."""
    reader = Recipient(id="r2", address="ünal@bücher.example")
    async with smtp_server(smtputf8=False) as server, channel_to(server) as channel:
        with pytest.raises(PermanentFailure, match="SMTPUTF8") as caught:
            await channel.send(MESSAGE, reader, key=KEY)
        await channel.send(MESSAGE, READER, key=KEY)

        assert caught.value.blame is Blame.RECIPIENT
        assert len(server.taken) == 1


# --------------------------------------------------------------------------- nobody knows


@pytest.mark.parametrize("step", ["BODY", "DOT"])
@pytest.mark.parametrize("answer", [DROP, SILENT, "gibberish"])
async def test_silence_after_the_body_began_is_an_unknown_outcome(step: str, answer: str) -> None:
    """It may have been taken: with DOT it was."""
    patience = 1 if answer == SILENT else 20
    async with smtp_server() as server, channel_to(server, patience=patience) as channel:
        server.fail(step, answer)

        with pytest.raises(UnknownOutcome):
            await channel.send(MESSAGE, READER, key=KEY)

        assert len(server.taken) == (step == "DOT")


async def test_an_unknown_outcome_does_not_spoil_the_next_email() -> None:
    """The late answer of the first must never be taken for the answer to the second."""
    async with smtp_server() as server, channel_to(server, patience=1) as channel:
        server.fail("DOT", SILENT)
        with pytest.raises(UnknownOutcome):
            await channel.send(MESSAGE, READER, key="a" * 64)

        await channel.send(MESSAGE, READER, key="b" * 64)

        assert [taken.connection for taken in server.taken] == [1, 2]


async def test_a_cancelled_send_leaves_no_half_used_connection() -> None:
    """Stopping the program in the middle of an email must not mix up two answers."""
    async with smtp_server() as server, channel_to(server) as channel:
        server.fail("DOT", SILENT)
        task = asyncio.create_task(channel.send(MESSAGE, READER, key="a" * 64))
        while not server.taken:  # noqa: ASYNC110  the server has it within a few turns of the loop
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        await channel.send(MESSAGE, READER, key="b" * 64)

        assert [taken.connection for taken in server.taken] == [1, 2]


async def test_the_policy_settles_an_unknown_email() -> None:
    """Resend: the same Message-ID goes again. Hold: a person decides."""
    async with (
        channel_to(Server(port=1)) as resending,
        channel_to(Server(port=1), on_unknown="hold") as holding,
    ):
        assert await resending.settle(DELIVERY, MESSAGE) is None
        with pytest.raises(UnknownOutcome):
            await holding.settle(DELIVERY, MESSAGE)


# --------------------------------------------------------------------------- encryption


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_an_encrypted_login(certificate: Path, security: str) -> None:
    """STARTTLS or TLS from the start, then the login, then the email."""
    options = {"security": security, "username": "bot", "password": PASSWORD, "ca_file": str(certificate)}
    async with (
        smtp_server(
            certificate=certificate, tls_from_the_start=security == "tls", users={"bot": PASSWORD}
        ) as server,
        channel_to(server, **options) as channel,
    ):
        await channel.send(MESSAGE, READER, key=KEY)

        assert server.logins == [("bot", PASSWORD)]
        assert len(server.taken) == 1


@pytest.mark.parametrize("excluded", [("PLAIN",), ("LOGIN",)])
async def test_both_common_logins(certificate: Path, excluded: tuple[str, ...]) -> None:
    """The server may know only one of them."""
    options = {"security": "starttls", "username": "bot", "password": PASSWORD, "ca_file": str(certificate)}
    async with (
        smtp_server(certificate=certificate, users={"bot": PASSWORD}, exclude_logins=excluded) as server,
        channel_to(server, **options) as channel,
    ):
        await channel.send(MESSAGE, READER, key=KEY)

        assert server.logins == [("bot", PASSWORD)]


async def test_without_starttls_nothing_is_sent() -> None:
    """It never falls back to clear text, because somebody in between could have removed the offer."""
    async with smtp_server() as server, channel_to(server, security="starttls") as channel:
        with pytest.raises(PermanentFailure, match="clear text") as caught:
            await channel.send(MESSAGE, READER, key=KEY)

        assert caught.value.blame is Blame.SENDER
        assert [command.split()[0] for command in server.commands] == ["EHLO"]


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Path, security: str) -> None:
    """With advice; the login is not tried."""
    async with (
        smtp_server(
            certificate=certificate, tls_from_the_start=security == "tls", users={"bot": PASSWORD}
        ) as server,
        channel_to(server, security=security, username="bot", password=PASSWORD) as channel,
    ):
        with pytest.raises(PermanentFailure, match="ca_file") as caught:
            await channel.send(MESSAGE, READER, key=KEY)

        assert caught.value.blame is Blame.SENDER
        assert server.logins == []


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    """Trusted, yet not this server's."""
    other = self_made_certificate(tmp_path, names="DNS:elsewhere.example")
    async with (
        smtp_server(certificate=other) as server,
        channel_to(server, security="starttls", ca_file=str(other)) as channel,
    ):
        with pytest.raises(PermanentFailure, match="not valid"):
            await channel.send(MESSAGE, READER, key=KEY)


async def test_tls_at_a_port_that_speaks_plainly_gets_advice() -> None:
    """A common mistake: 587 with "tls"."""
    async with smtp_server() as server, channel_to(server, security="tls") as channel:
        with pytest.raises(PermanentFailure, match="starttls") as caught:
            await channel.send(MESSAGE, READER, key=KEY)

        assert caught.value.blame is Blame.SENDER


@pytest.mark.parametrize("host", ["mail..example.org", f"{'m' * 64}.example.org"])
async def test_a_host_that_cannot_exist_is_told(host: str) -> None:
    """A slip in the settings is a finding of the doctor's and a failure in words, not a crash."""
    async with smtp_server() as server, channel_to(server, host=host, allow_plaintext=True) as channel:
        (finding,) = await channel.check()
        assert (finding.level, "cannot exist" in finding.message) == (Level.BLOCK, True)
        with pytest.raises(PermanentFailure, match="correct host"):
            await channel.send(MESSAGE, READER, key=KEY)


async def test_a_missing_ca_file_is_told() -> None:
    """With its name."""
    async with channel_to(Server(port=1), security="tls", ca_file="/nowhere/ca.pem") as channel:
        with pytest.raises(PermanentFailure, match=r"/nowhere/ca\.pem"):
            await channel.send(MESSAGE, READER, key=KEY)


async def test_words_injected_before_encryption_are_not_believed(certificate: Path) -> None:
    """Bytes after the 220 in clear text must not count as the encrypted server's (RFC 3207)."""
    injected = b"250-mx.evil.test\r\n250 SIZE 1\r\n"  # believed, no email would go out
    async with (
        smtp_server(certificate=certificate, injected=injected) as server,
        channel_to(server, security="starttls", ca_file=str(certificate)) as channel,
    ):
        await channel.send(MESSAGE, READER, key=KEY)

        assert len(server.taken) == 1


# --------------------------------------------------------------------------- the login


async def test_a_wrong_password_stops_the_channel_after_one_try(certificate: Path) -> None:
    """A second wrong try could lock the account."""
    options = {"security": "starttls", "username": "bot", "password": "wrong", "ca_file": str(certificate)}
    async with (
        smtp_server(certificate=certificate, users={"bot": PASSWORD}) as server,
        channel_to(server, **options) as channel,
    ):
        with pytest.raises(PermanentFailure, match="login") as caught:
            await channel.send(MESSAGE, READER, key=KEY)

        assert (caught.value.code, caught.value.blame) == (535, Blame.SENDER)
        assert len(server.logins) == 1


@pytest.mark.parametrize("step_answer", ["454 4.7.0 the login service is busy", DROP, SILENT])
async def test_a_login_that_does_not_work_now_means_later(certificate: Path, step_answer: str) -> None:
    """Only a clear no is a no."""
    options = {"security": "starttls", "username": "bot", "password": PASSWORD, "ca_file": str(certificate)}
    async with (
        smtp_server(certificate=certificate, users={"bot": PASSWORD}) as server,
        channel_to(server, **options, timeout=0.5) as channel,
    ):
        server.fail("AUTH", step_answer)

        with pytest.raises(TemporaryFailure):
            await channel.send(MESSAGE, READER, key=KEY)


async def test_a_server_without_login_is_told() -> None:
    """Rather than sending without it."""
    async with smtp_server() as server, channel_to(server, username="bot", password=PASSWORD) as channel:
        with pytest.raises(PermanentFailure, match="no login"):
            await channel.send(MESSAGE, READER, key=KEY)


async def test_the_password_is_never_shown(certificate: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not in an error, a cause, a log or a repr, even when the server says it aloud in every form."""
    plain = b64encode(f"\0bot\0{PASSWORD}".encode()).decode()
    forms = (PASSWORD, plain, b64encode(PASSWORD.encode()).decode())
    options = {"security": "starttls", "username": "bot", "password": PASSWORD, "ca_file": str(certificate)}
    caplog.set_level(logging.DEBUG, logger="aiosmtplib")
    caplog.set_level(logging.DEBUG, logger="asyncio")
    async with (
        smtp_server(certificate=certificate, users={"bot": PASSWORD}) as server,
        channel_to(server, **options) as channel,
    ):
        server.fail("AUTH", f"535 5.7.8 wrong: {' or '.join(forms)}")

        with pytest.raises(PermanentFailure) as caught:
            await channel.send(MESSAGE, READER, key=KEY)

    causes = repr((caught.value, caught.value.__cause__, vars(caught.value)))
    ours = [record.getMessage() for record in caplog.records if record.name != "mail.log"]
    shown = f"{causes}{ours}{Options(host='localhost', password=PASSWORD)!r}{vars(channel)}"  # type: ignore[arg-type]
    assert not any(form in shown for form in forms)


async def test_a_readers_address_is_not_repeated() -> None:
    """Errors and receipts go to logs and to the ledger, which must not hold it."""
    echo = "550 5.1.1 <ana.reader@example.com>: ana.reader is unknown, write to postmaster@example.com"
    async with smtp_server() as server, channel_to(server) as channel:
        server.fail("RCPT", echo)
        with pytest.raises(PermanentFailure) as caught:
            await channel.send(MESSAGE, READER, key="a" * 64)
        server.fail("DOT", "250 2.0.0 queued for ana.reader@example.com")
        receipt = await channel.send(MESSAGE, READER, key="b" * 64)

        assert str(caught.value) == (
            "the mail server refused the recipient: 550 5.1.1 <...>: ... is unknown, write to <address>"
        )
        assert receipt.note == "250 2.0.0 queued for ..."


# --------------------------------------------------------------------------- doctor and options


async def test_the_doctor_says_what_answers(certificate: Path) -> None:
    """Encryption, login and size in one sentence; nothing is sent."""
    options = {"security": "starttls", "username": "bot", "password": PASSWORD, "ca_file": str(certificate)}
    async with (
        smtp_server(certificate=certificate, users={"bot": PASSWORD}, size=100_000) as server,
        channel_to(server, **options) as channel,
    ):
        (finding,) = await channel.check()

        assert finding.level is Level.INFO
        assert "TLSv1.3, logged in as bot, up to 100000 bytes" in finding.message
        assert server.taken == []


async def test_the_doctor_says_what_is_wrong() -> None:
    """A dead server is a blocking finding, never an exception."""
    async with channel_to(Server(port=free_port())) as channel:
        (finding,) = await channel.check()

        assert finding.level is Level.BLOCK
        assert "localhost" in finding.message


async def test_the_doctor_warns_of_clear_text_to_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within this one nobody listens. It also says which addresses cannot be reached."""
    async with smtp_server(smtputf8=False) as server, channel_to(server) as channel:
        within = await channel.check()
        monkeypatch.setattr("bot.channels.email.channel.is_this_machine", lambda _host: False)
        outside = await channel.check()

    assert [finding.rule for finding in within] == ["email.connected", "email.smtputf8"]
    assert "answers; within this machine, no login" in within[0].message
    assert [finding.rule for finding in outside] == ["email.connected", "email.plaintext", "email.smtputf8"]
    assert "answers; NOT encrypted, no login" in outside[0].message


async def test_the_doctor_asks_every_relay(certificate: Path) -> None:
    """Each with a login of its own; one that is dead is a warning while another stands in."""
    options = {"security": "starttls", "username": "bot", "password": PASSWORD, "ca_file": str(certificate)}
    async with (
        smtp_server(certificate=certificate, users={"other": "theirs"}) as second,
        channel_to(
            Server(port=free_port()),
            relays={
                "second": {
                    "host": second.host,
                    "port": second.port,
                    "username": "other",
                    "password": "theirs",
                }
            },
            **options,
        ) as channel,
    ):
        dead, alive = await channel.check()

        assert (dead.level, dead.rule, alive.level) == (Level.WARN, "email.unreachable", Level.INFO)
        assert f"{second.port} answers; TLSv1.3, logged in as other" in alive.message
        assert second.logins == [("other", "theirs")]


async def test_a_relay_has_the_channels_login_unless_it_has_its_own(certificate: Path) -> None:
    """The channel's password is shown to nobody who has a user of their own."""
    relays = {
        "same": {"host": "localhost", "port": 1},
        "own": {"host": "localhost", "port": 2, "username": "other", "password": "theirs", "security": "tls"},
        "open": {"host": "localhost", "port": 3, "username": "", "security": "none", "weight": 3},
    }
    options = Options.model_validate(
        {"host": "mail.example.org", "username": "bot", "password": PASSWORD, "relays": relays}
    )

    logins = [
        (p.host, p.username, p.password.get_secret_value(), p.security, p.weight) for p in options.places
    ]
    assert logins == [
        ("mail.example.org", "bot", PASSWORD, "starttls", 1),
        ("localhost", "bot", PASSWORD, "starttls", 1),
        ("localhost", "other", "theirs", "tls", 1),
        ("localhost", "", "", "none", 3),
    ]
    assert PASSWORD not in repr(options)
    assert "theirs" not in repr(options)


def test_a_relay_with_a_user_needs_its_password() -> None:
    """It is named as it stands in .env; a password without a user is a mistake."""
    relay = {"host": "localhost", "username": "other"}
    options = Options.model_validate({"host": "localhost", "relays": {"second": relay}})

    assert options.missing() == ("relays__second__password",)
    with pytest.raises(ValidationError, match="name its user"):
        Options.model_validate(
            {"host": "localhost", "relays": {"second": {"host": "localhost", "password": "x"}}}
        )
    clear = {"host": "localhost", "security": "none"}
    with pytest.raises(ValidationError, match="password in clear text"):
        Options.model_validate({"host": "x.org", "username": "bot", "relays": {"here": clear}})
    with pytest.raises(ValidationError, match="clear text"):
        Options.model_validate(
            {"host": "localhost", "relays": {"second": {"host": "mail.example.org", "security": "none"}}}
        )


@pytest.mark.parametrize(
    "host", ["mail.example.org", "10.0.0.1", "127.evil.example", "localhost.evil.example"]
)
def test_clear_text_to_another_machine_must_be_allowed(host: str) -> None:
    """Readers' addresses are worth protecting; a network of one's own may be excepted."""
    with pytest.raises(ValidationError, match="clear text"):
        Options(host=host, security="none")

    assert Options(host=host, security="none", allow_plaintext=True).host == host


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2", "::1"])
def test_clear_text_on_this_machine_is_fine(host: str) -> None:
    """A local mail server needs no encryption."""
    assert Options(host=host, security="none").security == "none"


def test_options_are_strict() -> None:
    """A misspelt key is told, not ignored; the safe way is the default."""
    assert (Options(host="mail.example.org").security, Options(host="mail.example.org").port) == (
        "starttls",
        587,
    )
    with pytest.raises(ValidationError):
        Options.model_validate({"host": "mail.example.org", "pasword": "x"})
    with pytest.raises(ValidationError):
        Options(host="mail.example.org\r\nRCPT TO:<x@example.com>")


def test_a_password_is_missed_only_where_there_is_a_login() -> None:
    """A mail server on this machine may ask for none."""
    assert Options(host="localhost").missing() == ()
    assert Options(host="localhost", username="bot").missing() == ("password",)


def test_the_type_is_its_name_in_the_settings() -> None:
    """``type = "email"``; a length is a number of characters."""
    channel = connect(Options(host="localhost"), ChannelContext(name="mail"))

    assert (TYPE, channel.type, channel.name, channel.length("Grüße")) == ("email", "email", "mail", 5)
