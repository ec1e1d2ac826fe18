"""DKIM (RFC 6376): who stands for this email, and that nobody changed it on its way.

RSA-SHA256 with relaxed/simple. The head is relaxed, because servers fold header lines anew. The body is
simple, because ours is 7-bit, in short lines, without a space at the end of any: there is nothing in it that
a server would tidy, so the very bytes can be hashed. Without a clock (no ``t=``) the same email always has
the same signature. Receivers' care for Ed25519 is uneven, so RSA it is.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from bot.channels.email.addresses import ascii_domain
from bot.errors import Blame, PermanentFailure

if TYPE_CHECKING:  # it takes a while to load, and most commands sign nothing
    from _hashlib import HASH

    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256

KEY_SIZE = 2048  # bits of a key that we make
SHORTEST_KEY = 1024  # bits; RFC 8301 allows no shorter one and asks for 2048
SELECTOR = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*")

_LAST_LINE = re.compile(rb"[^\r\n]\r\n")  # the end of a body that is canonical as it is

# Named once more than they stand in the head: a second Subject, or a Cc put in later, breaks the signature.
_NO_MORE_OF = (
    "from", "to", "cc", "subject", "date", "reply-to", "message-id", "mime-version", "content-type",
    "content-transfer-encoding", "list-unsubscribe", "list-unsubscribe-post",
)  # fmt: skip


class Signer:
    """A domain's key. Thread-safe; signing releases the interpreter lock. Never shows the key."""

    __slots__ = ("_key", "_way", "domain", "selector")

    def __init__(self, domain: str, selector: str, private_key_pem: bytes) -> None:
        self.domain = ascii_domain(domain, what="dkim_domain", blame=Blame.SENDER)
        if not SELECTOR.fullmatch(selector):
            raise PermanentFailure("dkim_selector is not a name in DNS; correct it", blame=Blame.SENDER)
        self.selector = selector
        self._key = _rsa_key(private_key_pem)
        self._way = _rsa_sha256()

    def __repr__(self) -> str:
        return f"Signer(domain={self.domain!r}, selector={self.selector!r})"

    @property
    def record_name(self) -> str:
        """Where receivers look for the public key."""
        return f"{self.selector}._domainkey.{self.domain}"

    @property
    def record(self) -> str:
        """What must stand there as a TXT record."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return f"v=DKIM1; k=rsa; p={b64encode(public).decode()}"

    @property
    def key_size(self) -> int:
        """Bits."""
        return self._key.key_size

    def signature(self, data: bytes) -> bytes:
        """RSA-SHA256 (PKCS #1 1.5) of ``data``: the same bytes for the same data."""
        return self._key.sign(data, *self._way)

    def prepared(self, fixed: Iterable[str], personal: Sequence[str], *, body_start: bytes = b"") -> Signing:
        """For emails that share their ``fixed`` header lines; those with ``personal`` names differ.

        All their bodies begin with ``body_start``, which is hashed here once for all of them.
        """
        lines = list(fixed)
        signed = [*(line.partition(":")[0].lower() for line in lines), *map(str.lower, personal)]
        names = _folded([*signed, *_NO_MORE_OF])
        start = (
            "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple;\r\n"
            f" d={self.domain}; s={self.selector};\r\n h={names};\r\n bh="
        )
        return Signing(
            signer=self,
            start=start.encode(),
            hashed_start=_relaxed(start).removesuffix(b"\r\n"),
            hashed_head=b"".join(map(_relaxed, lines)),
            hashed_body=sha256(body_start),
            hashed_bytes=len(body_start),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Signing:
    """What all signatures of one message share."""

    signer: Signer
    start: bytes  # the header up to the body's hash
    hashed_start: bytes
    hashed_head: bytes
    hashed_body: HASH  # of so many first bytes, which stand before everything personal
    hashed_bytes: int

    def field(self, personal: Iterable[str], body: Sequence[bytes]) -> bytes:
        """The whole DKIM-Signature line. ``personal`` are header lines in the order of their names.

        The first of the body's pieces is its start, if that was hashed before.
        """
        digest = b64encode(self._body_hash(body))
        head = b"".join((self.hashed_head, *map(_relaxed, personal)))
        data = b"%s%s%s; b=" % (head, self.hashed_start, digest)
        signature = b64encode(self.signer.signature(data))
        return b"%s%s;\r\n b=%s\r\n" % (self.start, digest, _in_lines(signature))

    def _body_hash(self, pieces: Sequence[bytes]) -> bytes:
        if not _LAST_LINE.fullmatch(pieces[-1][-3:]):
            return sha256(_one_last_line_end(b"".join(pieces))).digest()
        hashed = self.hashed_body.copy()
        for piece in pieces[bool(self.hashed_bytes) :]:
            hashed.update(piece)
        return hashed.digest()


def _relaxed(line: str) -> bytes:
    """Canonical (3.4.2): the name in small letters, one space for each run of white space."""
    name, _, value = line.partition(":")
    return name.lower().encode() + b":" + b" ".join(value.encode().split()) + b"\r\n"


def _one_last_line_end(body: bytes) -> bytes:
    """Canonical (3.4.3): empty lines at the end do not count."""
    if body.endswith(b"\r\n") and not body.endswith(b"\r\n\r\n"):
        return body
    return body.rstrip(b"\r\n") + b"\r\n"


def _folded(names: Iterable[str]) -> str:
    lines = [""]
    for name in names:
        if len(lines[-1]) + len(name) > 70:
            lines.append("")
        lines[-1] += f"{name}:"
    return "\r\n  ".join(lines).removesuffix(":")


def _in_lines(data: bytes) -> bytes:
    return b"\r\n  ".join(data[start : start + 72] for start in range(0, len(data), 72))


# --------------------------------------------------------------------------- the key


def new_key() -> bytes:
    """A fresh RSA-2048 key in PEM (PKCS #8), without a password: the bot signs while nobody looks on."""
    from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = generate_private_key(public_exponent=65537, key_size=KEY_SIZE)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _rsa_key(pem: bytes) -> RSAPrivateKey:
    """Raises PermanentFailure in words that never hold a byte of the key, without a cause that could."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except Exception:
        problem = "dkim_key_file is not a private key in PEM without a password; make one with: bot dkim make"
        raise PermanentFailure(problem, blame=Blame.SENDER) from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < SHORTEST_KEY:
        problem = "dkim_key_file must hold an RSA key of 2048 bits"
        raise PermanentFailure(f"{problem}; make one with: bot dkim make", blame=Blame.SENDER)
    return key


def _rsa_sha256() -> tuple[PKCS1v15, SHA256]:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    return PKCS1v15(), SHA256()
