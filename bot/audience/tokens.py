"""The token in an unsubscribe link: who and which newsletter, signed, without an expiry.

Format (final): base64url without padding of ``subscriber id (16 bytes) + HMAC-SHA256 (first 16 bytes)``,
43 characters. The signature covers a purpose, the newsletter's name and the id, so a token for one
newsletter opens nothing else. Old keys go on verifying after a rotation (``BOT_OLD_SECRET_KEYS``).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence

_PURPOSE = b"unsubscribe/1"
_ID, _MAC = 16, 16


def unsubscribe_token(keys: Sequence[bytes], *, subscriber: str, newsletter: str) -> str:
    """The token for one reader of one newsletter; ``subscriber`` is 32 hex digits. 43 characters."""
    raw = bytes.fromhex(subscriber)
    if len(raw) != _ID:
        raise ValueError("a subscriber id has 32 hex digits")
    return base64.urlsafe_b64encode(raw + _mac(keys[0], raw, newsletter)).rstrip(b"=").decode()


def read_unsubscribe_token(keys: Sequence[bytes], token: str, *, newsletter: str) -> str | None:
    """The subscriber's id, or None for anything that we did not sign. Constant time in the signature."""
    if len(token) != 43 or not token.isascii():
        return None
    try:
        data = base64.b64decode(token + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    raw, mac = data[:_ID], data[_ID:]
    fits = [hmac.compare_digest(mac, _mac(key, raw, newsletter)) for key in keys]
    canonical = base64.urlsafe_b64encode(data).rstrip(b"=").decode() == token
    return raw.hex() if any(fits) and canonical else None


def _mac(key: bytes, raw: bytes, newsletter: str) -> bytes:
    signed = b"\x00".join((_PURPOSE, newsletter.encode(), raw))
    return hmac.digest(key, signed, "sha256")[:_MAC]
