"""Bounces as mail systems write them: the shapes are theirs, the words are ours."""

from __future__ import annotations

ORIGINAL = """\
Return-Path: <bounce@news.example.org>
From: The Shelf <shelf@news.example.org>
To: reader@example.net
Subject: The mailbox is full of spam and viruses: user unknown
Message-ID: <1@news.example.org>

The policy of this newsletter: no such user is blocked. Mailbox full.
"""


def dsn(
    said: str = "550 5.1.1 <reader@example.net>: Recipient address rejected: User unknown",
    status: str = "5.1.1",
    *,
    action: str = "failed",
    recipient: str = "reader@example.net",
    text: str = "I'm sorry to have to inform you that your message could not be delivered.",
    report: str = "message/delivery-status",
    to: str = "bounce@news.example.org",
) -> bytes:
    """An RFC 3464 report."""
    diagnostic = f"Diagnostic-Code: smtp; {said}\n" if said else ""
    return (
        f"""\
Return-Path: <>
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
To: {to}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain; charset=utf-8

{text}

--b
Content-Type: {report}

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; {recipient}
Action: {action}
Status: {status}
{diagnostic}
--b
Content-Type: message/rfc822

{ORIGINAL}
--b--
"""
    ).encode()


def plain(
    words: str,
    *,
    subject: str = "failure notice",
    sender: str = "MAILER-DAEMON@mx.example.net",
    fields: str = "",
    copy: str = f"--- Below this line is a copy of the message.\n\n{ORIGINAL}",
) -> bytes:
    """A bounce that is written for people only."""
    head = f"From: {sender}\nTo: bounce@news.example.org\nSubject: {subject}\n{fields}"
    return f"{head}Content-Type: text/plain; charset=utf-8\n\n{words}\n\n{copy}".encode()


def complaint(kind: str = "abuse", fields: str = "Original-Rcpt-To: reader@example.net\n") -> bytes:
    """An RFC 5965 report."""
    return (
        f"""\
From: feedback@isp.example
To: abuse@news.example.org
Subject: FW: The Shelf
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is an email abuse report.

--b
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: Example/1.0
Version: 1
{fields}
--b
Content-Type: message/rfc822

{ORIGINAL}
--b--
"""
    ).encode()
