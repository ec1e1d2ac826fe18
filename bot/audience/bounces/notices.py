"""Notices of mail services in JSON: Amazon SES (also through SNS), Mailgun, Postmark, Brevo, SendGrid.

What a service calls a bounce is judged by the words of the server that it repeats; its own class decides
only where there are none. An event of a type that we do not know is said to be so, never taken for a bounce.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from bot.audience.bounces.judging import judged
from bot.audience.bounces.opened import opened
from bot.audience.bounces.verdict import Kind, Source, Verdict
from bot.printable import without_tokens

MOST = 2_000  # events of one notice
_LONGEST_WORDS = 200
_DEEPEST = 3  # an SES event in an SNS notice in a mail
_ADDRESS = re.compile(r"[^\s<>(),;:\"'\[\]]{1,256}@[^\s<>(),;:\"'\[\]]{1,256}")
_AT_RCPT = "after RCPT TO"  # a service that says "hard" says that the recipient was refused

Event = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """One event about one address. ``unknown`` is its type where we do not know that; then it counts for
    nothing."""

    verdict: Verdict
    id: str = ""  # the service's, else made from the event: the same event counts once
    message_id: str = ""
    unknown: str = ""


def notices_in(raw: bytes) -> list[Notice]:
    """Those of a body, a file or a mail; none where it is no JSON of a service that we know."""
    text = raw.strip()
    if not text.startswith((b"{", b"[")):
        text = opened(raw).text.strip().encode("utf-8", "replace")
    found = _json_at_the_start(text.decode("utf-8", "replace"))
    events: list[Any] = found if isinstance(found, list) else [found]
    return [n for event in events[:MOST] if isinstance(event, dict) for n in _read(event)]


def verdicts_of_notices(raw: bytes) -> tuple[Verdict, ...]:
    """The same as verdicts; what is not known is left for a person."""
    return tuple(notice.verdict for notice in notices_in(raw))


def notices_of(service: str, payload: Any) -> list[Notice]:
    """Those of a call of this service."""
    events = payload if isinstance(payload, list) else [payload]
    read = _SERVICES[service]
    return [notice for event in events[:MOST] if isinstance(event, dict) for notice in read(event)]


def _json_at_the_start(text: str) -> Any:
    """A mail may go on behind it: SNS writes how to unsubscribe."""
    if not text.startswith(("{", "[")):
        return None
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None


def _read(event: Event) -> Iterator[Notice]:
    if "event-data" in event:
        yield from _mailgun(event)
    elif "RecordType" in event:
        yield from _postmark(event)
    elif "sg_event_id" in event or "sg_message_id" in event:
        yield from _sendgrid(event)
    elif "notificationType" in event or "eventType" in event or "Message" in event:
        yield from _ses(event)
    elif "event" in event and "email" in event:
        yield from _brevo(event)


# --------------------------------------------------------------------------- each service


def _ses(event: Event, deep: int = 1) -> Iterator[Notice]:
    """Of a topic, or raw; a notification or an event of a configuration set."""
    if "Message" in event and "notificationType" not in event and "eventType" not in event:
        inner = _json_at_the_start(_text(event, "Message").strip())
        if deep < _DEEPEST and isinstance(inner, dict):
            yield from _ses(inner, deep + 1)
        return
    kind = _text(event, "notificationType") or _text(event, "eventType")
    mail, bounce, complaint = (_table(event, name) for name in ("mail", "bounce", "complaint"))
    message_id = _header(mail, "message-id") or _text(_table(mail, "commonHeaders"), "messageId")
    if kind == "Bounce":
        hard, sub = _text(bounce, "bounceType") == "Permanent", _text(bounce, "bounceSubType")
        for to in _tables(bounce, "bouncedRecipients"):
            said, status = _text(to, "diagnosticCode"), _text(to, "status")
            verdict = _failed(_text(to, "emailAddress"), said, status, hard=hard, ours=sub in _SES_OURS)
            yield _notice(event, verdict, _text(bounce, "feedbackId"), message_id)
    elif kind == "Complaint":
        fine = _text(complaint, "complaintFeedbackType") == "not-spam"
        for to in _tables(complaint, "complainedRecipients"):
            verdict = _plain(Kind.NOTICE if fine else Kind.COMPLAINT, _text(to, "emailAddress"), kind)
            yield _notice(event, verdict, _text(complaint, "feedbackId"), message_id)
    else:
        yield _other(event, kind, _SES_FINE)


def _mailgun(event: Event) -> Iterator[Notice]:
    data = _table(event, "event-data")
    kind, to, status = _text(data, "event"), _text(data, "recipient"), _table(data, "delivery-status")
    message_id = _text(_table(_table(data, "message"), "headers"), "message-id")
    if kind in ("failed", "rejected"):
        said = _text(status, "message") or _text(status, "description")
        code = _text(status, "enhanced-code") or _text(status, "code")
        if kind == "rejected":  # by Mailgun itself, before it asked anybody
            verdict = _plain(Kind.SENDER, to, _text(_table(data, "reject"), "reason") or said)
        elif _text(data, "severity") == "temporary":  # it is tried again
            verdict = _plain(Kind.NOTICE, to, said)
        else:
            verdict = _failed(to, said, code, hard=True)
    elif kind in ("complained", "unsubscribed"):
        verdict = _plain(Kind.COMPLAINT, to, kind)
    else:
        yield _other(data, kind, _MAILGUN_FINE)
        return
    yield _notice(data, verdict, _text(data, "id"), message_id)


def _postmark(event: Event) -> Iterator[Notice]:
    record, kind = _text(event, "RecordType"), _text(event, "Type")
    to = _text(event, "Email") or _text(event, "Recipient")
    said = _text(event, "Details") or _text(event, "Description")
    if record == "SpamComplaint" or (record == "Bounce" and kind in ("SpamComplaint", "Unsubscribe")):
        verdict = _plain(Kind.COMPLAINT, to, said or kind)
    elif record == "Bounce" and kind in _POSTMARK_HARD | _POSTMARK_SOFT | _POSTMARK_OURS:
        verdict = _failed(to, said, "", hard=kind in _POSTMARK_HARD, ours=kind in _POSTMARK_OURS)
    else:
        yield _other(event, kind if record == "Bounce" else record, _POSTMARK_FINE)
        return
    yield _notice(event, verdict, f"{record} {event.get('ID') or _text(event, 'MessageID')}")


def _brevo(event: Event) -> Iterator[Notice]:
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", _text(event, "event")).lower()
    to, said = _text(event, "email"), _text(event, "reason")
    if kind in ("hard_bounce", "invalid_email", "invalid"):
        verdict = _failed(to, said, "", hard=True)
    elif kind in ("soft_bounce", "blocked", "error"):
        verdict = _failed(to, said, "", hard=False, ours=kind == "error")
    elif kind in ("spam", "complaint", "unsubscribed", "unsubscribe"):
        verdict = _plain(Kind.COMPLAINT, to, kind)
    else:
        yield _other(event, kind, _BREVO_FINE)
        return
    yield _notice(event, verdict, "", _text(event, "message-id"))


def _sendgrid(event: Event) -> Iterator[Notice]:
    kind, to, said = _text(event, "event"), _text(event, "email"), _text(event, "reason")
    if kind == "bounce":
        hard = _text(event, "type") != "blocked"
        verdict = _failed(to, said, _text(event, "status"), hard=hard, ours=not hard)
    elif kind in ("spamreport", "unsubscribe", "group_unsubscribe"):
        verdict = _plain(Kind.COMPLAINT, to, kind)
    elif kind == "dropped":  # SendGrid did not try: its reason is its own list
        verdict = _plain(Kind.NOTICE, to, said)
    else:
        yield _other(event, kind, _SENDGRID_FINE)
        return
    yield _notice(event, verdict, _text(event, "sg_event_id"), _text(event, "smtp-id"))


_SES_OURS = {"MessageTooLarge", "ContentRejected", "AttachmentRejected"}
_SES_FINE = {
    *("Delivery", "Send", "Open", "Click", "DeliveryDelay", "Reject", "Subscription"),
    "Rendering Failure",
}
_MAILGUN_FINE = {"accepted", "delivered", "opened", "clicked", "stored"}
_POSTMARK_HARD = {"HardBounce", "BadEmailAddress", "AddressChange"}
_POSTMARK_SOFT = {"SoftBounce", "DnsError", "Undeliverable", "Unknown", "ManuallyDeactivated"}
_POSTMARK_OURS = {"SpamNotification", "Blocked", "DMARCPolicy", "VirusNotification", "SMTPApiError"}
_POSTMARK_FINE = {
    *("Delivery", "Open", "Click", "SubscriptionChange", "Inbound", "Transient", "Subscribe"),
    *("AutoResponder", "ChallengeVerification", "OpenRelayTest", "Unconfirmed"),
}
_BREVO_FINE = {
    *("request", "sent", "delivered", "deferred", "click", "opened", "open", "unique_opened"),
    *("proxy_open", "unique_proxy_open", "first_opening"),
}
_SENDGRID_FINE = {"processed", "delivered", "deferred", "open", "click", "group_resubscribe"}
_SERVICES: Mapping[str, Callable[[Event], Iterator[Notice]]] = {
    "ses": _ses,
    "mailgun": _mailgun,
    "postmark": _postmark,
    "brevo": _brevo,
    "sendgrid": _sendgrid,
}


# --------------------------------------------------------------------------- what they share


def _failed(to: str, said: str, status: str, *, hard: bool, ours: bool = False) -> Verdict:
    """A mail that did not arrive. Without words, "hard" is a dead address that needs a second report."""
    kind, code = judged(said, status, around=_AT_RCPT if hard else "")
    if ours:
        kind = Kind.SENDER
    elif hard:
        kind = kind or Kind.DEAD
    elif kind in (None, Kind.DEAD):
        kind = Kind.FULL
    return Verdict(
        kind=kind or Kind.FULL, source=Source.NOTICE, address=_address(to), code=code, words=_clean(said)
    )


def _plain(kind: Kind, to: str, said: str) -> Verdict:
    return Verdict(kind=kind, source=Source.NOTICE, address=_address(to), words=_clean(said))


def _other(event: Event, kind: str, fine: set[str]) -> Notice:
    """Nothing that speaks against an address; or of a type that nobody here knows."""
    known = kind in fine
    verdict = Verdict(kind=Kind.NOTICE if known else Kind.NONE, source=Source.NOTICE)
    return _notice(event, verdict, "", unknown="" if known else _clean(kind)[:40] or "(none)")


def _notice(event: Event, verdict: Verdict, name: str, message_id: str = "", *, unknown: str = "") -> Notice:
    named = name or sha256(json.dumps(event, sort_keys=True, default=str).encode()).hexdigest()
    return Notice(verdict=verdict, id=named, message_id=message_id, unknown=unknown)


def _header(mail: Event, name: str) -> str:
    found = [_text(each, "value") for each in _tables(mail, "headers") if _text(each, "name").lower() == name]
    return found[0] if found else ""


def _address(to: str) -> str | None:
    return to if _ADDRESS.fullmatch(to) else None


def _clean(said: str) -> str:
    return without_tokens(_ADDRESS.sub("…", " ".join(said[:5_000].split())))[:_LONGEST_WORDS]


def _text(event: Event, name: str) -> str:
    """A value as text, cut to size; "" for what is none."""
    value = event.get(name)
    said = str(value)[:100_000] if isinstance(value, str | int | float) else ""
    return said.encode("utf-8", "replace").decode().replace("\0", "")  # half a surrogate, say


def _table(event: Event, name: str) -> Event:
    value = event.get(name)
    return value if isinstance(value, dict) else {}


def _tables(event: Event, name: str) -> Sequence[Event]:
    value = event.get(name)
    return [each for each in value[:MOST] if isinstance(each, dict)] if isinstance(value, list) else []
