"""Mail addresses and URLs as they stand in an email: ASCII where ASCII is possible, refused where unsafe.

A domain is always written as A-labels (IDNA 2008). A local part outside ASCII stays as it is and makes the
whole email need SMTPUTF8 (RFC 6531). Nothing that could begin a new header line gets through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit, urlunsplit

import idna

from bot.errors import Blame, PermanentFailure

# C0, DEL, C1, the two Unicode line ends, lone surrogates, and the noncharacters that mark a placeholder.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_LOCAL = re.compile(r"""[^\s<>()\[\]\\,;:@"]+""")
_ASCII_DOMAIN = r"(?=.{1,253}\Z)[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*"
_DOMAIN = re.compile(_ASCII_DOMAIN)
_PLAIN_ADDRESS = re.compile(rf"[A-Za-z0-9._+-]{{1,64}}@{_ASCII_DOMAIN}")  # most are: one look is enough
_PLAIN_URL = re.compile(r"[!#-;=?-~]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mailbox:
    """A display name, which may be empty, and an address whose domain is ASCII."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


def safe(text: str, *, what: str, blame: Blame) -> str:
    """The text, trimmed; refused when a character in it could break out of its header line."""
    if not text.isprintable() and (found := UNSAFE.search(text)):
        raise PermanentFailure(
            f"{what} holds the character U+{ord(found[0]):04X}, which a header must not hold; remove it",
            blame=blame,
        )
    return text.strip()


def ascii_domain(domain: str, *, what: str, blame: Blame) -> str:
    """The domain as A-labels: ``bücher.example`` becomes ``xn--bcher-kva.example``."""
    try:
        ascii_form = domain if domain.isascii() else idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise PermanentFailure(f"{what} has a domain that cannot exist; correct it", blame=blame) from error
    if not _DOMAIN.fullmatch(ascii_form):
        raise PermanentFailure(f"{what} has a domain that cannot exist; correct it", blame=blame)
    return ascii_form


def mail_address(text: str, *, what: str, blame: Blame) -> str:
    """An address with its domain in ASCII; the local part keeps its letters and their case."""
    if _PLAIN_ADDRESS.fullmatch(text):
        return text
    local, at, domain = safe(text, what=what, blame=blame).rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or len(local.encode()) > 64:
        raise PermanentFailure(f"{what} is not a mail address; correct it", blame=blame)
    return f"{local}@{ascii_domain(domain, what=what, blame=blame)}"


def mailbox(text: str, *, what: str, blame: Blame) -> Mailbox:
    """``Name <address>``, ``"Name" <address>`` or a bare address."""
    text = safe(text, what=what, blame=blame)
    if not text.endswith(">"):
        return Mailbox(name="", address=mail_address(text, what=what, blame=blame))
    name, _, address = text[:-1].rpartition("<")
    return Mailbox(name=_unquoted(name.strip()), address=mail_address(address, what=what, blame=blame))


def ascii_url(url: str, *, what: str, schemes: tuple[str, ...]) -> str:
    """The URL in printable ASCII, untouched when it is so already; other schemes are refused."""
    url = safe(url, what=what, blame=Blame.MESSAGE)
    if url.partition(":")[0].lower() not in schemes:
        raise PermanentFailure(f"{what} must begin with {' or '.join(schemes)}:, correct site_url")
    return url if _PLAIN_URL.fullmatch(url) else _encoded_url(url, what)


def _encoded_url(url: str, what: str) -> str:
    parts = urlsplit(url)
    host = ascii_domain(parts.hostname or "", what=what, blame=Blame.MESSAGE)
    port = f":{parts.port}" if parts.port else ""
    path, query, fragment = (quote(piece, safe="/%:@!$&'()*+,;=~?") for piece in parts[2:])
    return urlunsplit((parts.scheme, host + port, path, query, fragment))


def _unquoted(name: str) -> str:
    if len(name) >= 2 and name[0] == name[-1] == '"':
        return re.sub(r"\\(.)", r"\1", name[1:-1])
    return name
