"""Mail addresses as people type them -> one form that can be compared and sent to."""

from __future__ import annotations

import re
from functools import lru_cache

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from bot.errors import AudienceError

_LONGEST = 254  # RFC 5321 with its errata; also keeps the remembered domains short

# The addresses that nearly everybody has, narrower than email-validator: what does not match is asked there.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_is_plain_local = re.compile(rf"{_ATOM}(?:\.{_ATOM})*").fullmatch
_is_plain_domain = re.compile(
    r"(?!.*--)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
).fullmatch

# The mailboxes of RFC 2142 mean the same in any case; all other local parts stay as they are typed.
_ROLES = frozenset(
    {"info", "marketing", "sales", "support", "abuse", "noc", "security", "postmaster", "hostmaster"}
    | {"usenet", "news", "webmaster", "www", "uucp", "ftp"}
)


def valid_address(text: str) -> str:
    """The address, its domain in lower case and composed; AudienceError says what is wrong with it.

    Only the form is checked, never by asking a server: a dead address shows in its first bounce.
    """
    text = text.strip()
    return plain_address(text) or _checked_address(text)


def masked(address: str) -> str:
    """The address as an example that names nobody: "a…@example.org"."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}…@{domain}"


def plain_address(text: str) -> str | None:
    """The same for a plain ASCII address, ten times as fast; None where email-validator has to say."""
    if len(text) > _LONGEST:
        return None
    local, _, domain = text.partition("@")
    known = _plain_domain(domain)
    if known is None or not _is_plain_local(local):
        return None
    small = local.lower()
    return f"{small if small in _ROLES else local}@{known}"


@lru_cache(maxsize=4096)
def _plain_domain(text: str) -> str | None:
    """Most readers share a few domains: each is looked at once."""
    if not _is_plain_domain(text):
        return None
    domain = text.lower()
    special = any(domain == name or domain.endswith(f".{name}") for name in SPECIAL_USE_DOMAIN_NAMES)
    return None if special else domain


def _checked_address(text: str) -> str:
    try:
        checked = validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise AudienceError(f"{text!r} is not a mail address: {error}") from error
    return checked.normalized
