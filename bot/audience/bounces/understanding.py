"""From the bytes of a mail to what it means: reports first, then words for people. Raises nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from bot.audience.bounces.guessing import guessed_address
from bot.audience.bounces.judging import judged
from bot.audience.bounces.opened import Fields, Opened, blocks_in, opened
from bot.audience.bounces.plainwords import Told, is_bounce, is_delay, others, report_of, told
from bot.audience.bounces.verdict import Kind, Source, Verdict
from bot.printable import without_tokens

LONGEST_WORDS = 200
_ADDRESS = re.compile(r"[^\s<>(),;:\"'\[\]]{1,256}@[^\s<>(),;:\"'\[\]]{1,256}")
_MAILBOX = re.compile(r"[^\s<>(),;:\"'\[\]]{1,128}@[^\s<>(),;:\"'\[\]]{1,255}")
_COMPLAINTS = {"abuse", "fraud", "opt-out", "opt-out-list", "miscategorized", "complaint", "spam"}
_MICROSOFTS = "x-hmxmroriginalrecipient"
_COMPLAINED = re.compile(
    r"(?i)^\s*(?:complaint about message from \d"
    r"|this is an? (?:[\w-]+ ){0,3}abuse report for an? (?:e-?mail )?message)"
)
_OTHER_FEEDBACK = {"not-spam": Kind.NOTICE}
_FINE = {"delayed", "delivered", "relayed", "expanded"}


def understand(raw: bytes) -> tuple[Verdict, ...]:
    """What the mail says, one verdict for each address that it speaks of; at least one."""
    mail = opened(raw)
    found = _complaint(mail) or _report(mail) or _words(mail)
    if any(each.kind.counts and each.address is None for each in found):
        guessed = guessed_address(raw)
        found = [replace(each, address=each.address or guessed) for each in found]
    return tuple(found)


# --------------------------------------------------------------------------- complaints, RFC 5965


def _complaint(mail: Opened) -> list[Verdict]:
    feedback = mail.feedback
    if feedback is None:
        return _told_complaint(mail)
    kind = feedback.get("feedback-type", "").strip().casefold()
    address = _address(feedback.get("original-rcpt-to", "") or feedback.get("removal-recipient", ""))
    meant = Kind.COMPLAINT if kind in _COMPLAINTS else _OTHER_FEEDBACK.get(kind, Kind.SENDER)
    return [Verdict(kind=meant, source=Source.ARF, address=address, words=f"feedback: {_clean(kind)}")]


def _told_complaint(mail: Opened) -> list[Verdict]:
    """Some say it in words; Microsoft's programme puts the address into a field of its own."""
    subject, address = mail.head.get("subject", ""), _address(mail.head.get(_MICROSOFTS, ""))
    if _MICROSOFTS in mail.head or _COMPLAINED.search(subject) or _COMPLAINED.search(mail.text[:500]):
        return [Verdict(kind=Kind.COMPLAINT, source=Source.ARF, address=address, words="feedback: abuse")]
    return []


# --------------------------------------------------------------------------- reports, RFC 3464


def _report(mail: Opened) -> list[Verdict]:
    blocks = [block for block in mail.blocks if "action" in block or "final-recipient" in block]
    if not blocks:  # some write the fields among the words for people
        written = blocks_in(mail.text) if "final-recipient" in mail.text.casefold() else []
        blocks = [block for block in written if {"action", "final-recipient"} <= set(block)]
    around = {each.address: each for each in told(mail.text, mail.ours)} if len(blocks) > 1 else {}
    return [_verdict(block, mail, around, len(blocks) == 1) for block in blocks]


def _verdict(block: Fields, mail: Opened, around: Mapping[str | None, Told], alone: bool) -> Verdict:
    address = _address(block.get("original-recipient", "")) or _address(block.get("final-recipient", ""))
    said, status = _said(block.get("diagnostic-code", "")), block.get("status", "")
    beside = around.get(address)
    words = report_of(mail.text) if alone else beside.words if beside else ""
    kind, code = judged(said, status, around=words, ours=others(mail.ours, address))
    clean = _clean(said, address) or _clean(status, address)
    source = Source.DSN
    if _asks_for_nothing(block, mail):
        kind = Kind.NOTICE
    elif alone and (kind is None or not said):  # people may have been told more than programs
        best = next((each for each in told(mail.text, mail.ours) if each.kind), None)
        if best and (kind is None or best.kind is not Kind.DEAD):
            kind, source = best.kind, Source.TEXT
            code, clean = best.code or code, _clean(best.words, address)
    elif kind is None and beside and beside.kind:
        kind, source, code, clean = beside.kind, Source.TEXT, beside.code, _clean(beside.words, address)
    return Verdict(kind=kind or Kind.FULL, source=source, address=address, code=code, words=clean)


def _asks_for_nothing(block: Fields, mail: Opened) -> bool:
    """Whether it tells of a delay or of success; where the action is left out, by what people are told."""
    action = block.get("action", "").split("(")[0].strip().casefold()
    if not action:
        return "will-retry-until" in block or is_delay(mail)
    return action in _FINE or action.startswith("delay")


def _said(diagnostic: str) -> str:
    """The diagnostic without its type ("smtp; 550 ...")."""
    kind, semicolon, rest = diagnostic.partition(";")
    return rest.strip() if semicolon and re.fullmatch(r"[\w.-]{1,30}", kind.strip()) else diagnostic.strip()


# --------------------------------------------------------------------------- words for people


def _words(mail: Opened) -> list[Verdict]:
    if not is_bounce(mail):
        return [Verdict(kind=Kind.AUTOREPLY if _is_automatic(mail.head) else Kind.NONE)]
    failed = _address(mail.head.get("x-failed-recipients", "").split(",")[0])
    found = list(told(mail.text, mail.ours)) or [Told(address=None, kind=None, code="", words="")]
    if is_delay(mail):
        return [Verdict(kind=Kind.NOTICE, address=each.address or failed) for each in found]
    return [_of(each, failed) for each in found]


def _of(each: Told, failed: str | None) -> Verdict:
    address = each.address or failed
    return Verdict(
        kind=each.kind or Kind.FULL, address=address, code=each.code, words=_clean(each.words, address)
    )


def _is_automatic(head: Fields) -> bool:
    """RFC 3834 and what came before it."""
    automatic = head.get("auto-submitted", "no").casefold().strip()
    return not automatic.startswith("no") or bool(
        {"x-autoreply", "x-autorespond", "x-autoresponder", "x-auto-response-suppress"} & set(head)
        or head.get("precedence", "").casefold().strip() == "auto_reply"
    )


# --------------------------------------------------------------------------- pieces


def _address(field: str) -> str | None:
    """The address of a field: "rfc822; <a@b>" -> "a@b"."""
    found = _MAILBOX.search(field.rpartition(";")[2])
    return found[0].strip(".").lower() if found else None


def _clean(text: str, address: str | None = None) -> str:
    """One short line that may be logged: no address in it, and not the part before the @ by itself."""
    text = without_tokens(_ADDRESS.sub("...", text))
    name = (address or "").rpartition("@")[0]
    if len(name) > 1:
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "...", text, flags=re.IGNORECASE)
    text = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(text.split())[:LONGEST_WORDS]
