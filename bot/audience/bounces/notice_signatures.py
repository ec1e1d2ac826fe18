"""Whether a notice comes from the service that it names. Pure, but for the certificate that SNS signs with.

Mailgun: HMAC over time and token. SendGrid: ECDSA over time and body. SNS: a certificate of Amazon, and the
topic that is set up here. Postmark and Brevo sign nothing: a secret stands in the address or the login.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

OLDEST = timedelta(days=1)  # services try again for hours; what is older may be a call that somebody kept
_AHEAD = timedelta(minutes=5)  # clocks
_SNS = r"https://sns\.[a-z0-9-]{3,30}\.amazonaws\.com(?:\.cn)?"
_CERTIFICATE_URL = re.compile(_SNS + r"/SimpleNotificationService-[A-Za-z0-9]{1,80}\.pem")
_SUBSCRIBE_URL = re.compile(_SNS + r"/\?[A-Za-z0-9=&%:._~-]{1,2000}")
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_SUBSCRIPTION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


def is_secret(given: str, secret: str) -> bool:
    """The same secret, compared in constant time."""
    return bool(secret) and hmac.compare_digest(given.encode(), secret.encode())


def is_mailguns(payload: Any, key: str, now: datetime) -> bool:
    """By the webhook signing key of the account."""
    signature = payload.get("signature") if isinstance(payload, dict) else None
    if not isinstance(signature, dict) or not key:
        return False
    stamp, token, given = (str(signature.get(name, "")) for name in ("timestamp", "token", "signature"))
    made = hmac.digest(key.encode(), (stamp + token).encode("utf-8", "replace"), "sha256").hex()
    return hmac.compare_digest(made.encode(), given.encode("utf-8", "replace")) and _is_recent(stamp, now)


def is_sendgrids(headers: Mapping[str, str], body: bytes, public_key: str, now: datetime) -> bool:
    """By the public key that SendGrid shows for a signed event webhook."""
    stamp = headers.get("x-twilio-email-event-webhook-timestamp", "")
    given = headers.get("x-twilio-email-event-webhook-signature", "")
    try:
        key = serialization.load_der_public_key(base64.b64decode(public_key))
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        key.verify(base64.b64decode(given), stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, UnsupportedAlgorithm, binascii.Error, ValueError):
        return False
    return _is_recent(stamp, now)


def certificate_url(payload: Any, topic: str) -> str:
    """Where the certificate lies that signed a message of this topic; "" for an address not Amazon's."""
    if not isinstance(payload, dict) or not topic or payload.get("TopicArn") != topic:
        return ""
    url = str(payload.get("SigningCertURL", ""))
    return url if _CERTIFICATE_URL.fullmatch(url) else ""


def is_of_topic(payload: Any, topic: str, certificate: bytes, now: datetime) -> bool:
    """A message of this SNS topic, signed with this certificate (PEM) from ``certificate_url``."""
    if not certificate_url(payload, topic) or not _is_recent_iso(str(payload.get("Timestamp", "")), now):
        return False
    names = _NOTIFICATION if payload.get("Type") == "Notification" else _SUBSCRIPTION
    version = {"1": hashes.SHA1(), "2": hashes.SHA256()}.get(str(payload.get("SignatureVersion")))  # noqa: S303
    try:
        key = x509.load_pem_x509_certificate(certificate).public_key()
        signed = "".join(f"{name}\n{payload[name]}\n" for name in names if name in payload).encode()
        if version is None or not isinstance(key, rsa.RSAPublicKey):
            return False
        key.verify(base64.b64decode(str(payload.get("Signature"))), signed, padding.PKCS1v15(), version)
    except (InvalidSignature, UnsupportedAlgorithm, binascii.Error, ValueError):
        return False
    return True


def subscribe_url(payload: Any) -> str:
    """Where the organiser confirms the topic; "" for an address that is not Amazon's. Never opened here."""
    url = str(payload.get("SubscribeURL", ""))
    return url if _SUBSCRIBE_URL.fullmatch(url) else ""


def _is_recent(stamp: str, now: datetime) -> bool:
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 11):
        return False
    age = now.timestamp() - int(stamp)
    return -_AHEAD.total_seconds() <= age <= OLDEST.total_seconds()


def _is_recent_iso(stamp: str, now: datetime) -> bool:
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        return False
    return at.tzinfo is not None and -_AHEAD <= now - at <= OLDEST
