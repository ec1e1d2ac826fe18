"""Notices of mail services in JSON: what they mean, in a file, a mail and a signed call."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from fastapi import FastAPI

from bot.app.bounces import report
from bot.app.workspace import Workspace
from bot.audience.bounces.judging import judged
from bot.audience.bounces.notice_signatures import (
    certificate_url,
    is_mailguns,
    is_of_topic,
    is_sendgrids,
    subscribe_url,
)
from bot.audience.bounces.notices import notices_in, notices_of
from bot.web.notices import routes
from tests.support.commands import bot
from tests.support.live_workspace import NOW, addresses, mail_only
from tests.support.site import Clock, Site, served

TO = "reader0@inbox0.ngo"
GONE = "550 5.1.1 User unknown"
SHA = ec.ECDSA(hashes.SHA256())
TOPIC = "arn:aws:sns:eu-central-1:123456789012:bounces"
STAMP = str(int(NOW.timestamp()))


def ses(
    kind: str = "Permanent", said: str = f"smtp; {GONE}", status: str = "5.1.1", sub: str = "General"
) -> Any:
    to = {"emailAddress": TO, "action": "failed", "status": status, "diagnosticCode": said}
    bounce = {"bounceType": kind, "bounceSubType": sub, "bouncedRecipients": [to], "feedbackId": "0102"}
    return {"notificationType": "Bounce", "mail": {"messageId": "01"}, "bounce": bounce}


def mailgun(event: str = "failed", severity: str = "permanent", **more: Any) -> Any:
    status = {"code": 550, "message": "5.1.1 User unknown", "enhanced-code": "5.1.1"}
    data = {"event": event, "severity": severity, "recipient": TO, "id": "a1", "delivery-status": status}
    return {"event-data": {**data, **more}}


def postmark(kind: str = "HardBounce", record: str = "Bounce", details: str = f"smtp;{GONE}") -> Any:
    return {"RecordType": record, "Type": kind, "ID": 42, "Email": TO, "Details": details}


def brevo(event: str = "hard_bounce", reason: str = GONE) -> Any:
    return {"event": event, "email": TO, "reason": reason, "message-id": "<1@x>", "ts_event": 1}


def sendgrid(event: str = "bounce", **more: Any) -> Any:
    return {"event": event, "email": TO, "reason": GONE, "status": "5.1.1", "sg_event_id": "z", **more}


@pytest.mark.parametrize(
    ("service", "payload", "kind"),
    [
        ("ses", ses(), "dead"),
        ("ses", ses("Transient", "smtp; 552 5.2.2 Mailbox full", "5.2.2"), "full"),
        ("ses", ses("Transient", "", "", "MessageTooLarge"), "sender"),
        ("ses", ses("Permanent", "smtp; 550 5.7.1 Message blocked by policy", "5.7.1"), "sender"),
        ("ses", {"eventType": "DeliveryDelay"}, "notice"),
        ("mailgun", mailgun(), "dead"),
        ("mailgun", mailgun(severity="temporary"), "notice"),
        ("mailgun", mailgun("complained"), "complaint"),
        ("mailgun", mailgun("rejected"), "sender"),
        ("mailgun", mailgun("opened"), "notice"),
        ("postmark", postmark(), "dead"),
        ("postmark", postmark("SoftBounce", details="smtp;452 4.2.2 Mailbox full"), "full"),
        ("postmark", postmark("Blocked"), "sender"),
        ("postmark", postmark("SpamComplaint", "SpamComplaint"), "complaint"),
        ("postmark", postmark("AutoResponder"), "notice"),
        ("brevo", brevo(), "dead"),
        ("brevo", brevo("soft_bounce", "mailbox full"), "full"),
        ("brevo", brevo("spam"), "complaint"),
        ("brevo", brevo("uniqueOpened"), "notice"),
        ("sendgrid", sendgrid(), "dead"),
        ("sendgrid", sendgrid(type="blocked", status="", reason="550 blocked"), "sender"),
        ("sendgrid", sendgrid("spamreport"), "complaint"),
        ("sendgrid", sendgrid("dropped"), "notice"),
    ],
)
def test_an_event_means_what_the_server_said(service: str, payload: Any, kind: str) -> None:
    """The same in a call, and alone in a file."""
    for found in (notices_of(service, payload), notices_in(json.dumps(payload).encode())):
        (notice,) = found
        assert (notice.verdict.kind, notice.unknown) == (kind, "")
        assert TO not in notice.verdict.words


def test_a_soft_bounce_never_says_that_the_address_is_dead() -> None:
    (notice,) = notices_of("brevo", brevo("soft_bounce", GONE))

    assert judged(GONE)[0] == "dead"
    assert notice.verdict.kind == "full"


@pytest.mark.parametrize(
    ("service", "payload"),
    [
        ("ses", {"eventType": "Hiccup"}),
        ("mailgun", mailgun("hiccup")),
        ("postmark", postmark("Hiccup")),
        ("brevo", brevo("hiccup")),
        ("sendgrid", sendgrid("hiccup")),
    ],
)
def test_an_event_of_an_unknown_type_is_no_bounce(service: str, payload: Any) -> None:
    (notice,) = notices_of(service, payload)

    assert (notice.verdict.kind, notice.unknown.lower()) == ("none", "hiccup")


def test_a_topic_wraps_the_event_and_a_mail_wraps_the_topic() -> None:
    wrapped = json.dumps({"Type": "Notification", "Message": json.dumps(ses())})
    mail = f"From: no-reply@sns.amazonaws.com\nSubject: AWS Notification Message\n\n{wrapped}\n\n--\nBye\n"

    assert [n.verdict.kind for n in notices_in(mail.encode())] == ["dead"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[" * 10_000,
        b"[1, null]",
        b'{"Message": "{"}',
        b'{"event": 1, "email": {}}',
        b'{"x": "\\ud800"}',
    ],
)
def test_broken_json_raises_nothing(raw: bytes) -> None:
    assert all(notice.verdict.kind == "none" for notice in notices_in(raw))


# --------------------------------------------------------------------------- signatures


def mailguns(payload: Any, key: str = "key", stamp: str = STAMP) -> Any:
    made = hmac.HMAC(key.encode(), hashes.SHA256())
    made.update(f"{stamp}t0k3n".encode())
    return {
        **payload,
        "signature": {"timestamp": stamp, "token": "t0k3n", "signature": made.finalize().hex()},
    }


def test_mailguns_signature() -> None:
    day_ago, ahead = (str(int((NOW + gap).timestamp())) for gap in (-timedelta(hours=25), timedelta(hours=1)))

    assert is_mailguns(mailguns({}), "key", NOW)
    assert not is_mailguns(mailguns({}), "another", NOW)
    assert not is_mailguns(mailguns({}, key=""), "", NOW)
    assert not is_mailguns(mailguns({}, stamp=day_ago), "key", NOW)
    assert not is_mailguns(mailguns({}, stamp=ahead), "key", NOW)
    assert not is_mailguns({"signature": "\ud800"}, "key", NOW)


def test_sendgrids_signature() -> None:
    mine = ec.generate_private_key(ec.SECP256R1())
    public = mine.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    key, signed = (
        base64.b64encode(public).decode(),
        mine.sign(f"{STAMP}[]".encode(), ec.ECDSA(hashes.SHA256())),
    )
    name = "x-twilio-email-event-webhook"
    headers = {f"{name}-timestamp": STAMP, f"{name}-signature": base64.b64encode(signed).decode()}

    assert is_sendgrids(headers, b"[]", key, NOW)
    assert not is_sendgrids(headers, b"[1]", key, NOW)
    assert not is_sendgrids(headers, b"[]", key, NOW + timedelta(days=2))
    assert not is_sendgrids({}, b"[]", key, NOW)
    assert not is_sendgrids(headers, b"[]", "", NOW)


Amazon: TypeAlias = tuple[rsa.RSAPrivateKey, bytes]


@pytest.fixture(scope="module")
def amazon() -> tuple[rsa.RSAPrivateKey, bytes]:
    """A key and its certificate, made here."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(days=1))
    return key, made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def sns(key: rsa.RSAPrivateKey, message: str = "{}", **more: str) -> dict[str, str]:
    """A notification of the topic as SNS signs it."""
    payload = {
        "Type": "Notification",
        "MessageId": "m1",
        "TopicArn": TOPIC,
        "Message": message,
        "Timestamp": NOW.isoformat().replace("+00:00", "Z"),
        "SignatureVersion": "2",
        "SigningCertURL": "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a1b.pem",
        **more,
    }
    names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    said = "".join(f"{name}\n{payload[name]}\n" for name in names if name in payload)
    signed = key.sign(said.encode(), padding.PKCS1v15(), hashes.SHA256())
    return {**payload, "Signature": base64.b64encode(signed).decode()}


def test_the_signature_of_a_topic(amazon: tuple[rsa.RSAPrivateKey, bytes]) -> None:
    key, pem = amazon
    good = sns(key)

    assert is_of_topic(good, TOPIC, pem, NOW)
    assert not is_of_topic({**good, "Message": "{ }"}, TOPIC, pem, NOW)
    assert not is_of_topic(good, TOPIC + "2", pem, NOW)
    assert not is_of_topic(good, "", pem, NOW)
    assert not is_of_topic(good, TOPIC, b"", NOW)
    assert not is_of_topic(good, TOPIC, pem, NOW + timedelta(days=2))


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a1b.pem",
        "https://sns.eu-central-1.amazonaws.com.evil.ngo/SimpleNotificationService-0a1b.pem",
        "https://evil.ngo/SimpleNotificationService-0a1b.pem",
        "https://sns.eu-central-1.amazonaws.com@evil.ngo/SimpleNotificationService-0a1b.pem",
        "https://sns.eu-central-1.amazonaws.com/../x.pem",
        "https://127.0.0.1/SimpleNotificationService-0a1b.pem",
    ],
)
def test_a_certificate_from_elsewhere_is_never_fetched(amazon: Amazon, url: str) -> None:
    """Whoever signs with their own key would name their own server."""
    assert certificate_url(sns(amazon[0], SigningCertURL=url), TOPIC) == ""
    assert subscribe_url({"SubscribeURL": url}) == ""


# --------------------------------------------------------------------------- calls

WEBHOOKS = f"""
[bounces.webhooks.mailgun]
[bounces.webhooks.postmark]
[bounces.webhooks.sendgrid]
[bounces.webhooks.ses]
topic = "{TOPIC}"
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    here = mail_only(tmp_path, 25, readers=2)
    with (here / "bot.toml").open("a") as file:
        file.write(WEBHOOKS)
    with (here / ".env").open("a") as file:
        file.write(
            "BOT_BOUNCES__WEBHOOKS__MAILGUN__SECRET=key\nBOT_BOUNCES__WEBHOOKS__POSTMARK__SECRET=s3cret\n"
        )
    clock = Clock()
    clock.now = NOW
    with served(here, clock) as site:
        yield site


def reads(site: Site) -> bool:
    return site.workspace.audience.find(TO) is not None


def test_a_signed_call_stops_the_mail_to_a_dead_address(site: Site) -> None:
    """Told again it counts no second time; the answer says how many events counted."""
    answer = httpx.post(f"{site.url}/bounces/mailgun", json=mailguns(mailgun()))

    assert (answer.status_code, answer.json()) == (200, {"taken": 1, "unknown": 0})
    assert not reads(site)
    assert httpx.post(f"{site.url}/bounces/mailgun", json=mailguns(mailgun())).json()["taken"] == 0
    assert [each.kind for each in report(site.workspace, now=NOW).returned] == ["dead"]


def test_a_call_without_a_good_signature_changes_nothing(site: Site) -> None:
    for service, payload in (
        ("mailgun", mailgun()),
        ("mailgun", mailguns(mailgun(), key="guessed")),
        ("postmark", postmark()),
        ("sendgrid", [sendgrid()]),  # its key is not set up
        ("ses", {"Type": "Notification", "TopicArn": TOPIC, "Message": json.dumps(ses())}),
    ):
        assert httpx.post(f"{site.url}/bounces/{service}", json=payload).status_code == 403

    assert httpx.post(f"{site.url}/bounces/brevo", json=brevo()).status_code == 404
    assert httpx.post(f"{site.url}/bounces/mailgun", content=b"{").status_code == 400
    assert reads(site)


def test_a_service_that_signs_nothing_brings_the_secret(site: Site) -> None:
    """In the address or as the password of a login."""
    url = f"{site.url}/bounces/postmark"

    assert httpx.post(url, json=postmark(), auth=("x", "guessed")).status_code == 403
    assert httpx.post(f"{url}?token=guessed", json=postmark()).status_code == 403
    assert reads(site)
    assert httpx.post(url, json=postmark("Hiccup"), auth=("x", "s3cret")).json() == {"taken": 0, "unknown": 1}
    assert httpx.post(f"{url}?token=s3cret", json=postmark()).json()["taken"] == 1
    assert not reads(site)


def test_a_thousand_events_fit_into_a_call_and_a_form_stays_small(site: Site) -> None:
    large = {**mailguns(mailgun("opened")), "more": "x" * 500_000}

    assert httpx.post(f"{site.url}/bounces/mailgun", json=large).status_code == 200
    assert httpx.post(f"{site.url}/subscribe", content=b"x" * 500_000).status_code == 413
    assert httpx.post(f"{site.url}/bounces/mailgun", content=b"x" * 1_100_000).status_code == 413


def test_a_token_of_mailgun_kept_for_other_words_is_refused(site: Site) -> None:
    """Mailgun signs a token, not the events: whoever saw one call could write any other."""
    httpx.post(f"{site.url}/bounces/mailgun", json=mailguns(mailgun("opened")))

    forged = httpx.post(f"{site.url}/bounces/mailgun", json=mailguns(mailgun()))

    assert forged.status_code == 403
    assert reads(site)


async def test_a_topic_of_amazon_is_heard_and_never_subscribed_to(
    tmp_path: Path, amazon: Amazon, caplog: pytest.LogCaptureFixture
) -> None:
    """The certificate is asked for; the address that subscribes is shown to a person."""
    here = mail_only(tmp_path, 25, readers=1)
    with (here / "bot.toml").open("a") as file:
        file.write(WEBHOOKS)
    key, pem = amazon
    fetched: list[str] = []

    async def certificate(url: str) -> bytes:
        fetched.append(url)
        return pem

    workspace, app = Workspace(here), FastAPI()
    app.include_router(routes(workspace, lambda: NOW, certificate))
    yes = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&Token=abc"
    asked = sns(key, Type="SubscriptionConfirmation", SubscribeURL=yes, Token="abc")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as http:
        first = await http.post("/bounces/ses", json=asked)
        second = await http.post("/bounces/ses", json=sns(key, json.dumps(ses())))
    gone = workspace.audience.find(TO) is None
    workspace.release()

    assert (first.json(), second.json()) == ({"taken": 0}, {"taken": 1, "unknown": 0})
    assert gone
    assert yes in caplog.text
    assert {url.rpartition("/")[2] for url in fetched} == {"SimpleNotificationService-0a1b.pem"}


# --------------------------------------------------------------------------- files


def test_a_file_of_notices_is_read_like_a_mail(tmp_path: Path) -> None:
    """Unsigned, for anybody can write a file."""
    here = mail_only(tmp_path, 25, readers=1)
    file = tmp_path / "ses.json"
    file.write_text(json.dumps(ses()))

    ran = bot("bounces", "--file", file, workspace=here)

    assert ran.code == 0
    assert "dead" in ran.out
    assert "Unsigned reports: 1" in ran.out
    assert addresses(1) == [TO]
