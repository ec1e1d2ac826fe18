"""Signing a call, after Standard Webhooks 1.0 (standardwebhooks.com): HMAC-SHA256 of id, time and body."""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64  # bytes, as the standard wants them


def key_of(secret: str) -> bytes:
    """The key of a secret, "whsec_" and base64. ValueError for anything else."""
    text = secret.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("is not 'whsec_' and base64") from error
    if not secret.startswith(_PREFIX) or not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError(f"is not 'whsec_' and base64 of {_SHORTEST} to {_LONGEST} bytes")
    return key


def headers(secret: str, *, id: str, at: datetime, body: bytes) -> dict[str, str]:  # noqa: A002
    """The three headers of one attempt: the id stays the same for all of them, the time is the attempt's."""
    seconds = (at - _EPOCH) // timedelta(seconds=1)
    mac = hmac.digest(key_of(secret), f"{id}.{seconds}.".encode() + body, "sha256")
    return {
        "webhook-id": id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }
