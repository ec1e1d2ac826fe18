"""Of whom a refusal speaks: of the sender or of the reader, for good or for now, and of which reader."""

from __future__ import annotations

import pytest

from bot.audience.bounces import Kind, Verdict, understand
from bot.audience.bounces.judging import judged
from bot.audience.bounces.stages import Stage, stage_of
from tests.support.bounces import ORIGINAL, dsn, plain

POSTFIX = "host mx.example.net[192.0.2.1] said: {} (in reply to {} command)"
AT_RCPT, AT_DATA = "RCPT TO", "end of DATA"


def only(raw: bytes) -> Verdict:
    """The one verdict of a mail about one address."""
    (verdict,) = understand(raw)
    return verdict


def at(stage: str, said: str, status: str = "5.0.0") -> Kind:
    """What a report by Postfix says about an answer at that step."""
    return only(dsn(said, status, text=POSTFIX.format(said, stage))).kind


# --------------------------------------------------------------------------- the step


@pytest.mark.parametrize(
    ("words", "stage"),
    [
        ("(in reply to RCPT TO command)", Stage.RECIPIENT),
        ("(in reply to RCPT\n    TO command)", Stage.RECIPIENT),
        ("SMTP error from remote mail server after RCPT TO:<a@b.example>:", Stage.RECIPIENT),
        ("SMTP error from remote mail server after pipelined RCPT TO:<a@b.example>:", Stage.RECIPIENT),
        ("SMTP error from remote server after RCPT command:", Stage.RECIPIENT),
        ("192.0.2.1 does not like recipient.", Stage.RECIPIENT),
        ("mx.example.net [192.0.2.1] did not like our RCPT TO:", Stage.RECIPIENT),
        ("550 user unknown [RCPT_TO]", Stage.RECIPIENT),
        ("SMTP:RCPT host mx.example.net: 550 user unknown", Stage.RECIPIENT),
        ("RCPT TO response: 550 user unknown", Stage.RECIPIENT),
        ("in response to RCPT To:<a@b.example>", Stage.RECIPIENT),
        (">>> RCPT To:<a@b.example>\n<<< 550 user unknown", Stage.RECIPIENT),
        (">>> MAIL From:<x@y.example>\n<<< 250 ok\n>>> RCPT To:<a@b.example>\n<<< 550 no", Stage.RECIPIENT),
        (">>> DATA\n<<< 550 user unknown\n<<< 503 5.0.0 Need RCPT (recipient)", Stage.RECIPIENT),
        ("-------server message\n550 unknown\n-------SMTP command\nRCPT", Stage.RECIPIENT),
        ("the other server returned: 550 User unknown (state 14)", Stage.RECIPIENT),
        ("(in reply to end of DATA command)", Stage.DATA),
        ("SMTP error from remote mail server after end of data:", Stage.DATA),
        ("192.0.2.1 failed after I sent the message.", Stage.DATA),
        (">>> DATA\n<<< 550 user unknown", Stage.DATA),
        ("the other server returned: 550 User unknown (state 18)", Stage.DATA),
        ("(in reply to MAIL FROM command)", Stage.SENDER),
        ("(in reply to EHLO command)", Stage.SENDER),
        ("SMTP error from remote mail server after MAIL FROM:<x@y.example> SIZE=1234:", Stage.SENDER),
        ("SMTP error from remote mail server after initial connection:", Stage.SENDER),
        ("Connected to 192.0.2.1 but sender was rejected.", Stage.SENDER),
        ("host mx.example.net[192.0.2.1] refused to talk to me: 554 no", Stage.SENDER),
        ("550 user unknown [MAIL_FROM]", Stage.SENDER),
        (">>> MAIL From:<x@y.example>\n<<< 550 user unknown", Stage.SENDER),
        ("user unknown", None),
        ("RCPT TO: somebody@example.net", None),  # told, and not how it was answered
    ],
)
def test_the_step_is_read_however_it_is_spelt(words: str, stage: Stage | None) -> None:
    assert stage_of(words) is stage


# --------------------------------------------------------------------------- of the sender


@pytest.mark.parametrize("stage", ["MAIL FROM", "EHLO", "HELO"])
@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("550 5.1.1 User unknown", "5.1.1"),
        ("550 no such user", "5.0.0"),
        ("550 5.1.2 Domain not found", "5.1.2"),
        ("550 mailbox is full", "5.0.0"),
        ("550 account is disabled", "5.0.0"),
    ],
)
def test_what_is_refused_before_the_recipient_was_named_is_never_the_readers(
    stage: str, said: str, status: str
) -> None:
    assert at(stage, said, status) is Kind.SENDER


@pytest.mark.parametrize("code", ["5.1.7", "5.1.8", "5.1.9", "4.1.8"])
@pytest.mark.parametrize("words", ["User unknown", "Mailbox does not exist", "Domain not found", "No"])
def test_codes_of_the_senders_address_win_over_any_word(code: str, words: str) -> None:
    assert at(AT_RCPT, f"550 {code} {words}", code) is Kind.SENDER


@pytest.mark.parametrize(
    "said",
    [
        "550 Domain news.example.org does not exist",
        "550 5.1.1 news.example.org: domain not found",
        "550 unknown domain news.example.org",
        "550 <bounce@news.example.org>: User unknown",
        "550 No such user <bounce@news.example.org>",
    ],
)
def test_what_is_said_of_our_own_domain_is_not_said_of_the_reader(said: str) -> None:
    assert at(AT_RCPT, said) is Kind.SENDER
    assert only(plain(f"<reader@example.net>:\n{said}")).kind is Kind.SENDER


def test_a_reader_at_our_own_domain_may_be_unknown() -> None:
    said = "550 5.1.1 <reader@news.example.org>: User unknown; domain news.example.org"

    assert only(dsn(said, recipient="reader@news.example.org")).kind is Kind.DEAD


@pytest.mark.parametrize(
    "words",
    [
        "From: domain invalid",
        "invalid From domain",
        "The From: header address does not exist",
        "Your address does not exist in DNS",
        "client address unknown",
        "your account is not valid",
        "sender is not a valid mailbox",
        "verify failed for sender: no such user",
        "your IP address is not in our list of allowed recipients",
    ],
)
def test_sentences_about_the_sender_are_not_about_the_reader(words: str) -> None:
    assert at(AT_RCPT, f"550 {words}") is Kind.SENDER


def test_a_server_that_was_busy_at_our_greeting_blames_nobody() -> None:
    said = "421 Service not available, closing transmission channel"

    assert only(dsn(said, "4.0.0", text=f"host mx refused to talk to me: {said}")).kind is Kind.FULL


# --------------------------------------------------------------------------- of the reader


@pytest.mark.parametrize(
    "text",
    [
        "SMTP:RCPT host mx.example.net: 550 User unknown",
        "RCPT TO response: 550 User unknown",
        "The answer to RCPT To:<reader@example.net> was 550 User unknown",
    ],
)
def test_unknown_user_is_believed_at_the_recipient(text: str) -> None:
    assert only(plain(f"<reader@example.net>:\n{text}")).kind is Kind.DEAD


def test_unknown_user_at_the_end_of_the_mail_is_believed_where_it_names_somebody() -> None:
    assert at(AT_DATA, "550 <reader@example.net>: User unknown") is Kind.DEAD
    assert at(AT_DATA, "550 User unknown") is Kind.FULL
    assert at(AT_DATA, "550 <bounce@news.example.org>: User unknown") is Kind.SENDER


def test_carriers_whose_filters_call_every_reader_unknown_are_not_believed_after_the_mail() -> None:
    said = "550 Unknown user reader@docomo.example.net"
    text = f"host mfsmax.docomo.example.net[192.0.2.1] said: {said} (in reply to end of DATA command)"

    assert only(dsn(said, "5.0.0", text=text)).kind is Kind.FULL


def test_unknown_user_in_a_report_without_a_step_is_believed_where_it_names_somebody() -> None:
    """Not where the code says that the mailbox exists."""
    assert only(dsn("550 Unknown user reader@example.net", "5.0.0")).kind is Kind.DEAD
    assert only(dsn("550 User unknown", "5.0.0")).kind is Kind.FULL
    assert only(dsn("550 5.2.1 <reader@example.net>... User unknown", "5.2.1")).kind is Kind.FULL


@pytest.mark.parametrize(
    "words",
    [
        "<reader@example.net> is not known at this server",
        "reader@example.net does not exist",
        "The mail address you've sent to doesn't exist",
        "The email address you entered couldn't be found.",
        "unknown local-part in domain",
        "recipient no longer on server",
        "No one here by that name",
        "we do not have a user by that name",
        "User is not in our system",
        "not in our list of valid recipients",
        "sorry, this recipient is not in my validrcptto list",
        "mailbox does not exist, listed in no table",
        "The following addresses were unknown",
        "reader wasn't found at example.net.",
        "All recipient addresses rejected : Access denied",
        "No existe ese usuario aquí",
        "Non esiste nessun utente con questo nome",
    ],
)
def test_ways_to_say_that_nobody_is_there(words: str) -> None:
    assert at(AT_RCPT, f"550 {words}") is Kind.DEAD


@pytest.mark.parametrize(
    "footer",
    [
        "\n\n--\nThis message has been scanned for viruses by Example Gateway\nand is believed to be clean.",
        "\n\n_____________\nScanned by Example for viruses, spam and phishing.",
        " Checked by Example Antivirus, no virus found",
        " (not listed in the phone book)",
        "\n\nYour mail is protected by Example: spam and malware stay outside.",
    ],
)
def test_an_unknown_user_survives_the_footer_of_a_gateway(footer: str) -> None:
    said = "550 5.1.1 User unknown"

    assert only(plain(f"<reader@example.net>: {said}{footer}")).kind is Kind.DEAD
    assert only(dsn(f"{said} {' '.join(footer.split())}", "5.1.1")).kind is Kind.DEAD


def test_a_virus_in_our_mail_is_no_footer() -> None:
    assert at(AT_RCPT, "550 5.7.1 Virus found in your message", "5.7.1") is Kind.SENDER
    assert at(AT_RCPT, "553 5.1.3 Blocked: listed in a blocklist", "5.1.3") is Kind.SENDER


# --------------------------------------------------------------------------- closed accounts


@pytest.mark.parametrize("status", ["5.1.1", "5.2.1", "5.0.0"])
@pytest.mark.parametrize(
    "words",
    ["Account is disabled", "The account has been suspended", "User is locked", "mailbox frozen"],
)
def test_an_account_that_is_closed_for_now_is_not_unknown(words: str, status: str) -> None:
    assert at(AT_RCPT, f"550 {status} {words}", status) is Kind.FULL


def test_an_account_that_does_not_exist_or_is_disabled_is_dead() -> None:
    words = "The account does not exist or is disabled"

    assert at(AT_RCPT, f"550 5.1.1 {words}", "5.1.1") is Kind.DEAD
    assert at(AT_RCPT, f"550 5.2.1 {words}", "5.2.1") is Kind.DEAD  # with words only: after two issues


# --------------------------------------------------------------------------- not for good


WARNINGS = {
    "exim": """This message was created automatically by mail delivery software.
A message that you sent has not yet been delivered to one or more of its recipients after more than
24 hours on the queue on mx.example.org.

The address to which the message has not yet been delivered is:

  reader@example.net
    Delay reason: SMTP error from remote mail server after RCPT TO:<reader@example.net>: 450 user unknown

Eventually the mail delivery software will give up, and the message will be returned to you as failed.""",
    "sendmail": """<reader@example.net>... Deferred: Connection refused
Warning: message still undelivered after 4 hours
Will keep trying until message is 5 days old""",
    "postfix": """Your message could not be delivered for more than 4 hour(s).
It will be retried until it is 5 day(s) old.

<reader@example.net>: host mx said: 450 4.1.1 user unknown""",
    "gateway": """reader@example.net: 451 user unknown
We will continue to try for 3 days. After that it is returned to you as undeliverable.""",
}


@pytest.mark.parametrize("name", WARNINGS)
def test_a_warning_of_delay_is_a_notice_whatever_it_says_of_later(name: str) -> None:
    assert only(plain(WARNINGS[name], subject="Warning: message delayed")).kind is Kind.NOTICE


def test_a_report_without_an_action_is_a_notice_where_it_will_be_tried_again() -> None:
    will_retry = dsn("450 user unknown", "4.1.1", text=WARNINGS["exim"]).replace(b"Action: failed\n", b"")
    given_up = dsn(text="This is a permanent error; I've given up.").replace(b"Action: failed\n", b"")

    assert only(will_retry).kind is Kind.NOTICE
    assert only(given_up).kind is Kind.DEAD


def test_who_gave_up_does_not_warn() -> None:
    words = "We kept trying for five days: further attempts will not help, we have given up.\nUser not found"

    assert only(plain(f"<reader@example.net>:\n{words}")).kind is Kind.DEAD


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("Host not found, try again", "4.4.3"),
        ("Name service error for name=example.net type=MX: Host not found, try again", "5.4.4"),
        ("example.net: name server: host name lookup failure", "5.4.4"),
        ("host lookup did not complete", "5.0.0"),
        ("example.net: host not found", "4.4.4"),
        ("example.net: host not found", "5.4.3"),
        ("example.net: host not found, the name server timed out", "5.0.0"),
        ("connect to example.net: Connection timed out", "4.4.1"),
        ("lowest numbered MX record points to local host", "5.0.0"),
        ("message expired: host not found", "5.4.7"),
    ],
)
def test_a_fault_of_our_own_name_server_kills_nobody(said: str, status: str) -> None:
    assert only(dsn(said, status)).kind is Kind.FULL
    assert only(plain(f"<reader@example.net>:\n{status} {said}")).kind is not Kind.DEAD


def test_a_domain_that_the_name_server_knows_to_be_gone_is_gone() -> None:
    said = "Host or domain name not found. Name service error for name=gone.example type=MX: Host not found"

    assert only(dsn(said, "5.4.4")).kind is Kind.DEAD


# --------------------------------------------------------------------------- several at once


def two(first: str, second: str, text: str = "Could not be delivered.") -> list[tuple[str | None, Kind]]:
    """What a report about two readers says, by their fields."""
    fields = f"Final-Recipient: rfc822; other@example.net\nAction: failed\n{second}\n"
    raw = dsn("", "STATUS", text=text).decode().replace("Status: STATUS\n\n", f"{first}\n\n{fields}\n")
    return [(verdict.address, verdict.kind) for verdict in understand(raw.encode())]


def test_each_reader_of_a_report_has_a_status_of_their_own() -> None:
    assert two("Status: 5.1.1", "Status: 5.2.2") == [
        ("reader@example.net", Kind.DEAD),
        ("other@example.net", Kind.FULL),
    ]


def test_what_people_are_told_of_the_one_reader_is_not_taken_for_the_other() -> None:
    text = "<reader@example.net>: no such mailbox\n\n<other@example.net>: mailbox is full"

    assert two("Status: 5.0.0", "Status: 5.0.0", text) == [
        ("reader@example.net", Kind.DEAD),
        ("other@example.net", Kind.FULL),
    ]


def test_the_step_of_the_one_reader_is_not_that_of_the_other() -> None:
    text = (
        "<reader@example.net>: host mx said: 550 User unknown (in reply to RCPT TO command)\n\n"
        "<other@example.net>: host mx said: 550 User unknown (in reply to end of DATA command)"
    )
    found = {verdict.address: verdict.kind for verdict in understand(plain(text))}

    assert found == {"reader@example.net": Kind.DEAD, "other@example.net": Kind.FULL}


# --------------------------------------------------------------------------- around the words


def test_a_report_that_a_gateway_wrapped_is_read() -> None:
    raw = (
        b"From: gateway@example.org\nTo: bounce@news.example.org\nSubject: Returned mail\nMIME-Version: 1.0\n"
        b'Content-Type: multipart/mixed; boundary="w"\n\n--w\nContent-Type: text/plain\n\nSee below.\n\n'
        b"--w\nContent-Type: message/rfc822\n\n" + dsn() + b"\n--w--\n"
    )

    assert (only(raw).kind, only(raw).address) == (Kind.DEAD, "reader@example.net")


def test_a_servers_line_that_begins_with_from_is_no_forwarded_mail() -> None:
    words = (
        "<reader@example.net>:\nFrom: <postmaster@mx.example> RCPT: <reader@example.net> 192.0.2.1 does not"
        " like recipient.\nRemote host said: 550 5.1.1 User unknown\nGiving up on 192.0.2.1."
    )

    assert only(plain(words)).kind is Kind.DEAD


def test_the_subject_of_our_mail_is_not_taken_for_a_servers_words() -> None:
    words = (
        "Your message:\n   From: bounce@news.example.org\n   Subject: Spam, viruses and policies\n"
        "could not be delivered because of\n\n550 5.1.1 User unknown\n\nreader@example.net"
    )

    assert only(plain(words)).kind is Kind.DEAD
    assert "Subject: The mailbox is full of spam" in ORIGINAL


def test_the_way_of_a_letter_we_sent_ourselves_is_judged_alike() -> None:
    """What the ledger keeps has no addresses; only the step and the words."""
    said = "550 5.1.1 User unknown"

    assert judged(said, around="after MAIL FROM") == (Kind.SENDER, "5.1.1")
    assert judged(said, around="after RCPT TO") == (Kind.DEAD, "5.1.1")
