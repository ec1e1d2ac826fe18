"""The link in a confirmation mail, and the stamp in a form: signed, so that nothing is kept before their use.

A confirmation token has the form of an unsubscribe token (43 characters: an id of 16 bytes and 16 bytes of
HMAC-SHA256, base64url) with a purpose of its own, so that neither opens what the other is for. When it runs
out is the store's matter: the id is that of a sign-up.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

_CONFIRM, _FORM = b"confirm/1", b"form/2"
_ID, _MAC, _TIME, _NONCE = 16, 16, 8, 8

QUICKEST = timedelta(seconds=2)  # no person fills a form in faster
SLOWEST = timedelta(days=1)


def confirm_token(keys: Sequence[bytes], *, signup: str) -> str:
    """The token for one sign-up; ``signup`` is 32 hex digits."""
    raw = bytes.fromhex(signup)
    if len(raw) != _ID:
        raise ValueError("the id of a sign-up has 32 hex digits")
    return _signed(keys[0], _CONFIRM, raw)


def read_confirm_token(keys: Sequence[bytes], token: str) -> str | None:
    """The sign-up's id, or None for anything that we did not sign."""
    raw = _read(keys, _CONFIRM, token, _ID)
    return raw.hex() if raw else None


def form_stamp(keys: Sequence[bytes], now: datetime) -> str:
    """Says in the form itself when it was opened; no two forms have the same."""
    opened = int(now.timestamp() * 1000).to_bytes(_TIME, "big")
    return _signed(keys[0], _FORM, opened + secrets.token_bytes(_NONCE))


def read_form_stamp(keys: Sequence[bytes], stamp: str, now: datetime) -> str | None:
    """The name of the form, under which it is good once.

    None when it was not open for as long as people need, for too long, or is none of ours.
    """
    raw = _read(keys, _FORM, stamp, _TIME + _NONCE)
    if raw is None:
        return None
    opened = datetime.fromtimestamp(int.from_bytes(raw[:_TIME], "big") / 1000, UTC)
    return raw.hex() if QUICKEST <= now - opened <= SLOWEST else None


def _signed(key: bytes, purpose: bytes, raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw + _mac(key, purpose, raw)).rstrip(b"=").decode()


def _read(keys: Sequence[bytes], purpose: bytes, token: str, size: int) -> bytes | None:
    """What was signed; None for anything else. Constant time in the signature; one spelling only."""
    if len(token) != -(-(size + _MAC) * 4 // 3) or not token.isascii():
        return None
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    raw, mac = data[:size], data[size:]
    fits = [hmac.compare_digest(mac, _mac(key, purpose, raw)) for key in keys]
    canonical = base64.urlsafe_b64encode(data).rstrip(b"=").decode() == token
    return raw if any(fits) and canonical else None


def _mac(key: bytes, purpose: bytes, raw: bytes) -> bytes:
    return hmac.digest(key, purpose + b"\x00" + raw, "sha256")[:_MAC]
