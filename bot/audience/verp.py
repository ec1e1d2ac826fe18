"""The return path of one reader's mail: ``bounce+<token>@news.example.org`` says who it was, signed.

Format of the token (final): base32 in lower case without padding of ``subscriber id (16 bytes) +
HMAC-SHA256 (first 10 bytes)``, 42 characters, read in any case, since mail servers may change it. Old keys
go on verifying after a rotation (``BOT_OLD_SECRET_KEYS``).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Sequence

from bot.audience.tokens import mail_token

LENGTH = 42
LONGEST_LOCAL_PART = 64  # octets, RFC 5321
LOOKED_AT = 256 * 1024  # bytes of a mail in which a token is looked for
MOST = 50  # tokens of one mail that are tried
_PURPOSE = b"bounce/1\x00"
_ID, _MAC = 16, 10
_LINK_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
_READER = re.compile(r"[0-9a-f]{32}")
_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"
_TRIPLES = [a + b + c for a in _DIGITS for b in _DIGITS for c in _DIGITS]  # 15 bits at once
_SHIFTS = tuple(range(195, -1, -15))


class ReturnPaths:
    """The return paths below one address, say ``bounce@news.example.org``. ValueError for a bad address."""

    def __init__(self, address: str, keys: Sequence[bytes]) -> None:
        name, _, domain = address.rpartition("@")
        if not name or not domain or "+" in name or not address.isascii():
            raise ValueError("the bounce address is written like bounce@news.example.org, without a '+'")
        if len(name) + 1 + LENGTH > LONGEST_LOCAL_PART:
            longest = LONGEST_LOCAL_PART - LENGTH - 1
            raise ValueError(f"before the @ of the bounce address stand at most {longest} characters")
        self.plain = address
        self._before, self._after, self._keys = f"{name}+", f"@{domain}", tuple(keys)
        pattern = rf"{re.escape(name)}(?:\+|=2b|%2b)([a-z2-7]{{{LENGTH}}})(?:@|=40|=)"
        self._pattern = re.compile(pattern.encode(), re.IGNORECASE)
        before, after = re.escape(self._before), re.escape(self._after)
        leaving = rf"(?<![\w.+-]){before}u([a-z2-7]{{{LENGTH}}}){after}(?![\w.-])"
        self._unsubscribing = re.compile(leaving.encode(), re.IGNORECASE)

    def of(self, subscriber: str) -> str:
        """Where this reader's bounces go. ``subscriber`` is 32 hex digits. Some 2 microseconds."""
        raw = bytes.fromhex(subscriber)
        if len(raw) != _ID:
            raise ValueError("a subscriber id has 32 hex digits")
        mac = hmac.digest(self._keys[0], _PURPOSE + raw, "sha256")[:_MAC]
        bits = int.from_bytes(raw + mac, "big") << 2
        return self._before + "".join([_TRIPLES[bits >> s & 32767] for s in _SHIFTS]) + self._after

    def of_anybody(self, name: str) -> str:
        """The same, and the plain address for a stand-in that has no id of a reader's form."""
        return self.of(name) if _READER.fullmatch(name) else self.plain

    def of_unsubscribing(self, token: str) -> str:
        """Where a mail ends a subscription, by the token of its link; "" for what is no such token.

        ``bounce+u<mail token>@``; also "" where the name is so long that no room is left for it.
        """
        fits = len(self._before) + 1 + LENGTH <= LONGEST_LOCAL_PART
        if not fits or not _LINK_TOKEN.fullmatch(token):
            return ""
        return f"{self._before}u{mail_token(token)}{self._after}"

    def unsubscribing_in(self, recipients: bytes) -> list[str]:
        """The tokens of such addresses in the header fields that say whom a mail is for."""
        found = self._unsubscribing.findall(recipients, 0, LOOKED_AT)
        return list(dict.fromkeys(token.decode().lower() for token in found))[:MOST]

    def reader_in(self, mail: bytes) -> str | None:
        """Whose return path stands in the mail, or None; a token that we did not sign counts for nothing.

        It may stand anywhere: a bounce is addressed to it, a complaint returns it in the original's headers.
        """
        found = self._pattern.findall(mail, 0, LOOKED_AT)
        tokens: Iterable[bytes] = dict.fromkeys(token.lower() for token in found)
        return next((reader for token in list(tokens)[:MOST] if (reader := self._read(token))), None)

    def _read(self, token: bytes) -> str | None:
        try:
            data = base64.b32decode(token.upper() + b"======")
        except binascii.Error:
            return None
        raw, mac = data[:_ID], data[_ID:]
        macs = [hmac.digest(key, _PURPOSE + raw, "sha256")[:_MAC] for key in self._keys]
        fits = [hmac.compare_digest(mac, each) for each in macs]
        return raw.hex() if any(fits) else None
