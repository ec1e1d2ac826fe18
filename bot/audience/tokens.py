"""The token in an unsubscribe link: who and which newsletter, signed, without an expiry.

Format (final): base64url without padding of ``subscriber id (16 bytes) + HMAC-SHA256 (first 16 bytes)``,
43 characters. The signature covers a purpose, the newsletter's name and the id, so a token for one
newsletter opens nothing else. Old keys go on verifying after a rotation (``BOT_OLD_SECRET_KEYS``).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

TEST_READER = "0" * 32  # whom the links of a test mail name: no subscriber has this id
_PURPOSE = b"unsubscribe/1"
_ID, _MAC = 16, 16
MAIL_MAC = 10  # as in a return path: what stands before an @ has 64 characters at most
_BLOCK = 64  # bytes that SHA-256 takes at a time


def unsubscribe_token(keys: Sequence[bytes], *, subscriber: str, newsletter: str) -> str:
    """The token for one reader of one newsletter; ``subscriber`` is 32 hex digits. 43 characters."""
    return unsubscribe_tokens(keys, newsletter=newsletter)(subscriber)


def unsubscribe_tokens(keys: Sequence[bytes], *, newsletter: str) -> Callable[[str], str]:
    """``unsubscribe_token`` for many readers: what their signatures share is computed once.

    That is RFC 2104 in its own words. Python's ``hmac`` lets go of the interpreter's lock for each signature,
    and in a busy program getting it back takes ten times as long as the signature.
    """
    key = keys[0] if len(keys[0]) <= _BLOCK else sha256(keys[0]).digest()
    padded = key.ljust(_BLOCK, b"\0")
    inside = sha256(bytes(byte ^ 0x36 for byte in padded) + _signed(b"", newsletter))
    outside = sha256(bytes(byte ^ 0x5C for byte in padded))

    def token(subscriber: str) -> str:
        raw = bytes.fromhex(subscriber)
        if len(raw) != _ID:
            raise ValueError("a subscriber id has 32 hex digits")
        inner, outer = inside.copy(), outside.copy()
        inner.update(raw)
        outer.update(inner.digest())
        return base64.urlsafe_b64encode(raw + outer.digest()[:_MAC]).rstrip(b"=").decode()

    return token


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


def mail_token(token: str) -> str:
    """The same token for the address of a mail, which mail servers may write in another case.

    Base32 in lower case of the id and the first 10 bytes of the signature: 42 characters.
    """
    data = base64.urlsafe_b64decode(token + "=")
    return base64.b32encode(data[: _ID + MAIL_MAC]).decode().rstrip("=").lower()


def read_mail_token(
    keys: Sequence[bytes], token: str, *, newsletters: Iterable[str]
) -> tuple[str, str] | None:
    """The reader's id and which of these newsletters, or None for anything that we did not sign."""
    try:
        data = base64.b32decode(token.upper() + "======")
    except (binascii.Error, ValueError):
        return None
    raw, mac = data[:_ID], data[_ID:]
    if len(mac) != MAIL_MAC:
        return None
    for newsletter in newsletters:
        fits = [hmac.compare_digest(mac, _mac(key, raw, newsletter)[:MAIL_MAC]) for key in keys]
        if any(fits):
            return raw.hex(), newsletter
    return None


def _mac(key: bytes, raw: bytes, newsletter: str) -> bytes:
    return hmac.digest(key, _signed(raw, newsletter), "sha256")[:_MAC]


def _signed(raw: bytes, newsletter: str) -> bytes:
    return b"\x00".join((_PURPOSE, newsletter.encode(), raw))
