"""What a mail in the bounce mailbox means: reports by RFC 3464 and 5965, and words of many mail systems."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.audience.bounces import Kind, Source, understand
from bot.audience.bounces.verdict import Verdict, mildest
from tests.support.bounces import complaint, dsn, plain

GENUINE = Path(__file__).parent / "data" / "dsn"  # made by Postfix, Exim and Pigeonhole on loopback


def only(raw: bytes) -> Verdict:
    """The one verdict of a mail about one address."""
    (verdict,) = understand(raw)
    return verdict


# --------------------------------------------------------------------------- genuine ones


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("dovecot-vacation-plain", ["autoreply"]),
        ("exim-full-failed", ["full"]),
        ("exim-remote-failed", ["dead"]),
        ("exim-unroutable-failed", ["dead"]),
        ("postfix-conn-refused-delayed", ["notice"]),
        ("postfix-conn-refused-failed", ["full"]),
        ("postfix-deferred-450-delayed", ["notice"]),
        ("postfix-deferred-450-failed", ["full"]),
        ("postfix-multi-failed", ["dead", "dead", "dead"]),
        ("postfix-no-domain-failed", ["dead"]),
        ("postfix-remote-550-failed", ["dead"]),
        ("postfix-remote-550-hdrs-failed", ["dead"]),
        ("postfix-smtputf8-failed", ["dead"]),  # message/global-delivery-status
        ("postfix-success-delivered", ["notice"]),
        ("postfix-unknown-local-failed", ["dead"]),
    ],
)
def test_what_real_mail_systems_wrote(name: str, kinds: list[str]) -> None:
    assert [v.kind.value for v in understand((GENUINE / f"{name}.eml").read_bytes())] == kinds


def test_a_report_names_the_address_the_code_and_the_words_without_the_address() -> None:
    verdict = only((GENUINE / "postfix-remote-550-failed.eml").read_bytes())

    assert verdict.address == "user@refuse.test"
    assert verdict.code == "5.1.1"
    assert verdict.source is Source.DSN
    assert "Recipient address rejected" in verdict.words
    assert "@" not in verdict.words
    assert "user@" not in repr(verdict)


def test_an_international_address_is_read_from_a_global_report() -> None:
    assert only((GENUINE / "postfix-smtputf8-failed.eml").read_bytes()).address == "żółw@example.test"


# --------------------------------------------------------------------------- reports


@pytest.mark.parametrize(
    ("said", "status", "kind"),
    [
        # the address
        ("550 5.1.1 <a@b.example>: Recipient address rejected: User unknown", "5.1.1", Kind.DEAD),
        ("550 5.1.1 The email account that you tried to reach does not exist.", "5.1.1", Kind.DEAD),
        (
            "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP lookup",
            "5.1.10",
            Kind.DEAD,
        ),
        ("550 5.4.1 Recipient address rejected: Access denied. [host.example]", "5.4.1", Kind.DEAD),
        ("550 5.5.0 Requested action not taken: mailbox unavailable", "5.5.0", Kind.DEAD),
        ("554 delivery error: dd This user doesn't have a mail.example account", "5.0.0", Kind.DEAD),
        ("550 No such person at this address", "5.0.0", Kind.DEAD),
        ("551 5.1.6 Recipient has moved, please try elsewhere", "5.1.6", Kind.DEAD),
        ("", "5.1.1", Kind.DEAD),
        # its domain
        (
            "Host or domain name not found. Name service error for name=x.example type=MX: Host not found",
            "5.4.4",
            Kind.DEAD,
        ),
        (
            "550 5.4.310 DNS domain gone.example does not exist [Message=InfoDomainNonexistent]",
            "5.4.310",
            Kind.DEAD,
        ),
        ("556 5.1.10 Recipient address has null MX", "5.1.10", Kind.DEAD),
        ("550 Domain does not accept mail", "5.0.0", Kind.DEAD),
        # somebody who is alive
        ("552 5.2.2 Mailbox full", "5.2.2", Kind.FULL),
        ("550 5.1.1 mailbox over quota", "5.1.1", Kind.FULL),
        ("452 4.2.2 The email account that you tried to reach is over quota", "4.2.2", Kind.FULL),
        ("550 5.2.1 The email account that you tried to reach is disabled", "5.2.1", Kind.FULL),
        ("554 30 Sorry, your message cannot be delivered. This mailbox is disabled", "5.0.0", Kind.FULL),
        ("connect to mx.example[192.0.2.1]:25: Connection timed out", "4.4.1", Kind.FULL),
        ("450 4.1.1 <a@b.example>: Recipient address rejected: User unknown", "4.1.1", Kind.FULL),
        ("Host not found, try again", "4.4.3", Kind.FULL),
        ("450 4.4.4 Domain gone.example does not exist", "4.4.4", Kind.FULL),
        ("450 4.1.2 We have no such mailbox just now", "4.1.2", Kind.FULL),
        ("451 4.7.1 Greylisting in action, please come back later", "4.7.1", Kind.FULL),
        # us
        (
            "550 5.7.26 Unauthenticated email from news.example is not accepted due to DMARC policy",
            "5.7.26",
            Kind.SENDER,
        ),
        (
            "550 5.7.515 Access denied, sending domain does not meet the required authentication level",
            "5.7.515",
            Kind.SENDER,
        ),
        ("550 5.7.25 The IP address sending this message does not have a PTR record", "5.7.25", Kind.SENDER),
        (
            "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
            "5.7.1",
            Kind.SENDER,
        ),
        ("550 5.1.8 Sender address rejected: Domain not found", "5.1.8", Kind.SENDER),
        ("550 Sender verify failed: unknown user", "5.0.0", Kind.SENDER),
        ("554 5.7.1 Message rejected as spam", "5.7.1", Kind.SENDER),
        ("552 5.3.4 Message size exceeds fixed limit", "5.3.4", Kind.SENDER),
        ("421 4.7.0 Too many messages from your IP, rate limited", "4.7.0", Kind.SENDER),
        ("553 http://www.spamhaus.org/query/bl?ip=192.0.2.1", "5.1.3", Kind.SENDER),
    ],
)
def test_what_other_servers_said(said: str, status: str, kind: Kind) -> None:
    assert only(dsn(said, status)).kind is kind


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
def test_a_report_that_asks_for_nothing_is_a_notice(action: str) -> None:
    assert only(dsn(action=action)).kind is Kind.NOTICE


def test_user_unknown_after_the_whole_mail_was_taken_is_not_believed() -> None:
    """Filters refuse like this what they do not like; the recipient had been accepted before."""
    said = "550 User unknown"
    at_data = "host mx said: 550 User unknown (in reply to end of DATA command)"
    at_recipient = "host mx said: 550 User unknown (in reply to RCPT TO command)"

    assert only(dsn(said, "5.0.0", text=at_data)).kind is Kind.FULL
    assert only(dsn(said, "5.0.0", text=at_recipient)).kind is Kind.DEAD


def test_user_unknown_with_a_code_for_policy_is_not_believed() -> None:
    assert only(dsn("550 5.7.1 User Unknown", "5.7.1")).kind is Kind.FULL


def test_what_a_gateway_guesses_gives_way_to_what_it_quotes() -> None:
    said = "5.1.0 - Unknown address error 550-'5.7.1 <a@b.example>... Access denied' (delivery attempts: 0)"

    assert only(dsn(said, "5.0.0")).kind is Kind.SENDER


def test_the_returned_mail_is_not_taken_for_the_servers_words() -> None:
    """Our own newsletter may well speak of viruses, policies and full mailboxes."""
    assert only(dsn("", "5.0.0", text="Could not be delivered.")).kind is Kind.FULL
    assert (
        only(plain("<reader@example.net>:\nSorry, no mailbox here by that name. (#5.1.1)")).kind is Kind.DEAD
    )


def test_the_original_recipient_wins_over_the_final_one() -> None:
    """Behind a forward the final address is somebody whom we do not know."""
    raw = dsn().replace(
        b"Final-Recipient:", b"Original-Recipient: rfc822;first@example.org\nFinal-Recipient:"
    )

    assert only(raw).address == "first@example.org"


def test_a_reader_who_is_still_reached_at_one_address_is_not_dead() -> None:
    both = (*understand((GENUINE / "postfix-multi-failed.eml").read_bytes()), Verdict(kind=Kind.FULL))

    assert mildest(both).kind is Kind.FULL


def test_report_fields_among_the_words_are_read() -> None:
    words = (
        "An error occurred.\n\nFinal-Recipient: rfc822; reader@example.net\nAction: failed\n"
        "Status: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 no such user\n"
    )

    assert (only(plain(words)).kind, only(plain(words)).address) == (Kind.DEAD, "reader@example.net")


# --------------------------------------------------------------------------- words for people


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (
            "<reader@example.net>:\n192.0.2.1 does not like recipient.\nIt said: 550 5.1.1 User unknown",
            Kind.DEAD,
        ),
        (
            "<reader@example.net>:\n192.0.2.1 does not like recipient.\nRemote host said: 550 user unknown",
            Kind.DEAD,
        ),
        (
            "<reader@example.net>:\n192.0.2.1 failed after I sent the message.\nThey said: 550 user unknown",
            Kind.FULL,
        ),
        ("<reader@gone.example>:\nSorry, I couldn't find any host named gone.example. (#5.1.2)", Kind.DEAD),
        (
            "  reader@example.net\n    SMTP error after RCPT TO:<reader@example.net>:\n    550 unknown user",
            Kind.DEAD,
        ),
        ("  reader@example.net\n    Unrouteable address", Kind.DEAD),
        ("  reader@example.net\n    mailbox is full: retry timeout exceeded", Kind.FULL),
        ("<reader@example.net>: account is locked", Kind.FULL),
        ("<reader@example.net>: 550 user unknown", Kind.FULL),  # at which step? nobody can tell
        ("reader@example.net: 554 5.7.1 reverse DNS lookup failed", Kind.SENDER),
        ("reader@example.net\nDie E-Mail-Adresse ist unbekannt: Empfänger existiert nicht", Kind.DEAD),
        ("reader@example.net\nLe destinataire est inconnu", Kind.DEAD),
        ("reader@example.net\nLa cuenta de correo no existe", Kind.DEAD),
        ("reader@example.net\nПользователь не найден", Kind.DEAD),
        ("reader@example.net\n宛先のメールアドレスは存在しません", Kind.DEAD),
        ("reader@example.net\n收件人不存在", Kind.DEAD),
        ("reader@example.net\n메일함 용량이 초과되었습니다", Kind.FULL),
        ("reader@example.net\nDas Postfach des Empfängers ist voll", Kind.FULL),
    ],
)
def test_words_of_many_mail_systems(words: str, kind: Kind) -> None:
    verdict = only(plain(f"I'm afraid I wasn't able to deliver your message.\n\n{words}"))

    assert verdict.kind is kind
    assert verdict.source is Source.TEXT


def test_a_bounce_that_somebody_forwarded_is_read() -> None:
    quoted = "\n".join(
        f"> {line}"
        for line in (
            "From: Mail Delivery Subsystem <MAILER-DAEMON@mx.example>",
            "Subject: Returned mail",
            "",
            "   ----- The following addresses had permanent fatal errors -----",
            "<reader@example.net>",
            "    (reason: 550 5.1.1 <reader@example.net>... User unknown)",
        )
    )
    raw = plain(quoted, subject="Fwd: Returned mail", sender="a.person@example.org", copy="")

    assert only(raw).kind is Kind.DEAD


def test_a_warning_is_a_notice() -> None:
    words = "THIS IS A WARNING MESSAGE ONLY. YOU DO NOT NEED TO RESEND IT.\n<reader@example.net>: timed out"

    assert only(plain(words, subject="Warning: could not send message for past 4 hours")).kind is Kind.NOTICE


def test_an_unknown_dialect_lends_the_address_and_never_the_severity() -> None:
    """Where our rules find no address, those that Mailman gathered may."""
    words = "The following addresses had delivery problems:\n\nreader@example.net: it is Tuesday"
    verdict = only(plain(words))

    assert (verdict.kind, verdict.address) == (Kind.FULL, "reader@example.net")


# --------------------------------------------------------------------------- complaints


@pytest.mark.parametrize("kind", ["abuse", "ABUSE", "fraud", "opt-out", "opt-out-list"])
def test_a_complaint_is_a_complaint(kind: str) -> None:
    verdict = only(complaint(kind))

    assert (verdict.kind, verdict.source) == (Kind.COMPLAINT, Source.ARF)
    assert verdict.address == "reader@example.net"


@pytest.mark.parametrize(("kind", "meant"), [("not-spam", Kind.NOTICE), ("auth-failure", Kind.SENDER)])
def test_other_feedback_is_not_a_complaint(kind: str, meant: Kind) -> None:
    assert only(complaint(kind)).kind is meant


def test_a_complaint_by_microsoft_is_one() -> None:
    raw = plain(
        "", subject="complaint about message from 192.0.2.1", sender="staff@outlook.example",
        fields="X-HmXmrOriginalRecipient: reader@example.net\n",
    )  # fmt: skip

    assert (only(raw).kind, only(raw).address) == (Kind.COMPLAINT, "reader@example.net")


# --------------------------------------------------------------------------- what is left where it is


@pytest.mark.parametrize(
    ("subject", "fields", "words", "kind"),
    [
        (
            "Automatic reply: The Shelf",
            "Auto-Submitted: auto-replied\n",
            "I am away until May.",
            Kind.AUTOREPLY,
        ),
        (
            "Out of office",
            "X-Autoreply: yes\n",
            "I no longer work here; the mailbox is full.",
            Kind.AUTOREPLY,
        ),
        ("Away", "Precedence: auto_reply\n", "Back on Monday.", Kind.AUTOREPLY),
        (
            "Re: The Shelf",
            "",
            "The link to 'user unknown' in your last issue is dead. Could you mend it?",
            Kind.NONE,
        ),
        (
            "My address has changed",
            "",
            "Please write to new@example.org, the old one no longer exists.",
            Kind.NONE,
        ),
        ("unsubscribe", "", "Please take me off the list.", Kind.NONE),
    ],
)
def test_mail_of_people_and_their_machines_is_left_alone(
    subject: str, fields: str, words: str, kind: Kind
) -> None:
    verdict = only(plain(words, subject=subject, sender="reader@example.net", fields=fields, copy=""))

    assert verdict.kind is kind
    assert verdict.kind.left_alone
    assert not verdict.kind.counts
