"""Addresses without what only counts clicks, and when two of them lead to the same page."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote, unquote, urlsplit, urlunsplit

# Parameters that tell a site who sent the reader, and nothing about the page.
_TRACKERS = re.compile(r"utm_\w+|fbclid|gclid", re.IGNORECASE | re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def untracked(url: str) -> str:
    """The address without tracking parameters; unchanged, to the letter, when it has none."""
    parts = urlsplit(url)
    fields = parts.query.split("&")
    kept = [field for field in fields if not _is_tracker(field)]
    return url if len(kept) == len(fields) else urlunsplit(parts._replace(query="&".join(kept)))


def _is_tracker(field: str) -> bool:
    return bool(_TRACKERS.fullmatch(unquote(field.partition("=")[0])))


def same_page(url: str) -> str:
    """A form that two addresses share when they lead to the same page.

    Scheme, "www.", upper case in the host, a default port, double and trailing slashes, the fragment,
    tracking parameters and the order of the others make no difference. Only to be compared, not visited.
    """
    parts = urlsplit(untracked(url))
    host = unicodedata.normalize("NFC", parts.hostname or "").rstrip(".").removeprefix("www.")
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    path = re.sub(r"/{2,}", "/", _even(parts.path)).rstrip("/")
    query = "&".join(sorted(_even(field) for field in parts.query.split("&") if field))
    return f"{host}{port}{path}" + (f"?{query}" if query else "")


def _even(text: str) -> str:
    """The same escapes everywhere: "%7E" and "~" are one, "%2F" and "/" are not."""
    pieces = re.split(r"(%2[Ff]|%3[Ff]|%26|%3[Dd])", text)
    return "".join(
        piece.upper()
        if number % 2
        else quote(unicodedata.normalize("NFC", unquote(piece)), safe="/=+,;:@!$'()*~")
        for number, piece in enumerate(pieces)
    )
