"""A mail that asks to leave: written by a person's program to the address that ``List-Unsubscribe`` names.

Automatic answers and bounces to that address ask for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from email.message import Message

from bot.audience.bounces import Kind, Source, Verdict
from bot.audience.bounces.opened import parsed

_FOR_WHOM = ("To", "Delivered-To", "X-Original-To", "Envelope-To")
_AUTOMATIC_FIELDS = ("X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Failed-Recipients")
_AUTOMATIC_PRECEDENCE = {"bulk", "junk", "auto_reply"}
_AUTOMATIC_SUBJECT = re.compile(
    r"(?i)\s*(?:auto(?:matic)?[ -]?(?:reply|response|antwort)|automatische antwort|out of (?:the )?office"
    r"|abwesen|r[ée]ponse automatique|respuesta autom[áa]tica|risposta automatica|resposta autom[áa]tica)"
)


def asks_to_leave(raw: bytes, verdicts: Sequence[Verdict]) -> bytes:
    """Whom the mail is for, in the words of its header; empty for a mail that no person's program sent."""
    if not all(_may_be_a_person(verdict) for verdict in verdicts):
        return b""
    head = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    mail = parsed(head + b"\n\n", lines=400)
    if mail is None or _is_automatic(mail):
        return b""
    found = [str(value) for name in _FOR_WHOM for value in mail.get_all(name, [])]
    return "\n".join(found).encode("utf-8", "replace")


def _may_be_a_person(verdict: Verdict) -> bool:
    """ "Please unsubscribe me" is understood as a complaint; here it is what was asked for."""
    return verdict.kind is Kind.NONE or (verdict.kind is Kind.COMPLAINT and verdict.source is Source.TEXT)


def _is_automatic(mail: Message) -> bool:
    """RFC 3834, and what was usual before it."""
    said = str(mail.get("Auto-Submitted", "no")).casefold().strip()
    return (
        not said.startswith("no")
        or str(mail.get("Return-Path", "")).strip() == "<>"
        or any(name in mail for name in _AUTOMATIC_FIELDS)
        or str(mail.get("Precedence", "")).casefold().strip() in _AUTOMATIC_PRECEDENCE
        or bool(_AUTOMATIC_SUBJECT.match(str(mail.get("Subject", ""))))
    )
