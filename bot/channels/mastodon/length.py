"""How long a status is, as its server counts.

A Mastodon server counts grapheme clusters of content note and text together; before that it takes every
linked URL as 23 and every ``@user@domain`` as ``@user``. What is a link differs a little between releases
and between server and web page, so a text is read in three ways and the longest counts: a post that is a
few characters shorter than it could be is sent, one that is a character too long is refused.

    server   the released server: a scheme is needed, path and query take any script
    web      the released web page: path and query take Latin and Cyrillic only, the rest counts in full
    next     announced: bare ``example.com`` is a link too, a mention needs a real domain
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import regex

URL_LENGTH = 23
LONGEST_URL = 4096  # a longer one is not linked and counts in full
LONGEST_DOMAIN = 253
LONGEST_LABEL = 63

_SCHEME = r"(?:https?|dat|dweb|ipfs|ipns|ssb|gopher|gemini)://"
_SPACE = r"\t-\r \x85\xa0\u1680\u180e\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_DIRECTION = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_BROKEN = r"\ufffe\ufeff\uffff"
_PUNCTUATION = r"""!"\#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~"""

# A link begins anywhere but right after a letter, a digit or one of these marks.
_BEFORE = rf"(?<![A-Za-z0-9@＠$#＃{_BROKEN}])"
_LETTER = rf"[^{_PUNCTUATION}{_SPACE}{_DIRECTION}{_BROKEN}\x00-\x1f\x7f]"
_SUBDOMAIN = rf"{_LETTER}(?:(?:{_LETTER}|[_-])*{_LETTER})?\."
_NAME = rf"{_LETTER}(?:(?:{_LETTER}|-)*{_LETTER})?\."
_TLD = r"(?:\L<tlds>|xn--[0-9a-z]+)(?![0-9a-zA-Z@+-])"
_DOMAIN = rf"(?P<domain>(?:{_SUBDOMAIN})*{_NAME}{_TLD})"
_PORT = r"(?::[0-9]+)?"

_LATIN = (
    r"\xc0-\xd6\xd8-\xf6\xf8-\u024f\u0253\u0254\u0256\u0257\u0259\u025b\u0263\u0268\u026f\u0272\u0289\u028b"
    r"\u02bb\u0300-\u036f\u1e00-\u1eff"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tail:
    """What a path and a query may hold, and what they may end with: insides of character classes."""

    path: str
    path_end: str
    query: str
    query_end: str

    def pattern(self) -> str:
        """Path and query. Round brackets belong to a path only in pairs, two deep at most."""
        inside = rf"(?:{self.path})"
        pair = rf"\((?:{inside}+|{inside}*\({inside}+\){inside}*)\)"
        path = rf"(?:/(?:(?:{inside}|{pair})*(?:{self.path_end}|{pair}))?)?"
        return rf"{path}(?:\?{self.query}*{self.query_end})?"


_SERVER_TAIL = _Tail(
    path=rf"[^{_SPACE}<>()?]",
    path_end=rf"""[^{_SPACE}()?!*"'「」<>;:=,.$%\[\]~&|@]""",
    query=r"[a-zA-Z0-9!?*'();:&=+$/%#\[\]\-_.,~|@\^\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\uffef\U00010000-\U0010fffd]",
    query_end=r"[a-zA-Z0-9_&=#/\-\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\uffef\U00010000-\U0010fffd]",
)
_WEB_TAIL = _Tail(
    path=rf"[a-zA-Z\u0400-\u04ff0-9!*';:=+,.$/%#\[\]\-\u2013_~@|&{_LATIN}]",
    path_end=rf"[+\-a-zA-Z\u0400-\u04ff0-9=_#/{_LATIN}]",
    query=r"[a-zA-Z0-9!?*'();:&=+$/%#\[\]\-_.,~|@]",
    query_end=r"[a-zA-Z0-9_&=#/\-]",
)

_SERVER_MENTION = (
    r"(?<![=/\w])@(?P<user>[a-z0-9_]+(?:[a-z0-9_.-]*[a-z0-9_])?)@(?P<host>[^\W_](?:[\w.-]*[^\W_])?)"
)
_WEB_MENTION = r"(?<![/\w])@(?P<user>[a-z0-9_]+)@(?P<host>[a-z0-9.\-]+[a-z0-9])"


@cache
def top_level_domains() -> frozenset[str]:
    """The endings that make a host name a link."""
    lines = Path(__file__).with_name("tlds.txt").read_text("utf-8").splitlines()
    return frozenset(name for line in lines if not line.startswith("#") for name in line.split())


@cache
def _compiled(pattern: str) -> regex.Pattern[str]:
    # An unused named list would be an error.
    if r"\L<tlds>" not in pattern:
        return regex.compile(pattern, regex.IGNORECASE)
    return regex.compile(pattern, regex.IGNORECASE, tlds=sorted(top_level_domains()))


def _server_links() -> regex.Pattern[str]:
    return _compiled(rf"{_BEFORE}{_SCHEME}{_DOMAIN}{_PORT}{_SERVER_TAIL.pattern()}")


def _web_links() -> regex.Pattern[str]:
    return _compiled(rf"{_BEFORE}{_SCHEME}{_DOMAIN}{_PORT}{_WEB_TAIL.pattern()}")


def _next_links() -> regex.Pattern[str]:
    """With a scheme as on the server; without one in Latin letters, and not after ``-_./`` either."""
    latin = rf"(?<![-_./a-z0-9{_LATIN}])(?P<domain>(?:[a-z0-9_{_LATIN}-]+\.)+{_TLD})"
    return _compiled(rf"{_BEFORE}(?:{_SCHEME}{_DOMAIN}|{latin}){_PORT}{_SERVER_TAIL.pattern()}")


def graphemes(text: str) -> int:
    """Characters as a reader sees them: extended grapheme clusters."""
    return len(regex.findall(r"\X", text))


def links(text: str) -> list[str]:
    """The URLs that a released server links and takes as 23."""
    return [m.group() for m in _server_links().finditer(text) if _is_linked(m)]


def status_length(text: str, content_note: str = "", *, url_length: int = URL_LENGTH) -> int:
    """How much of ``max_characters`` this status takes: the largest of the three readings."""
    link = "x" * url_length
    readings = (
        _countable(text, link, links=_server_links(), mention=_SERVER_MENTION, is_host=_is_short_host),
        _countable(text, link, links=_web_links(), mention=_WEB_MENTION, is_host=_is_short_host),
        _countable(text, link, links=_next_links(), mention=_SERVER_MENTION, is_host=_is_public_host),
    )
    return max(graphemes(content_note + reading) for reading in readings)


def rune_length(text: str, content_note: str = "") -> int:
    """GoToSocial's count: code points, every URL and mention in full."""
    return len(text) + len(content_note)


def _countable(
    text: str, link: str, *, links: regex.Pattern[str], mention: str, is_host: Callable[[str], bool]
) -> str:
    def shorten_link(found: regex.Match[str]) -> str:
        return link if _is_linked(found) else str(found.group())

    def shorten_mention(found: regex.Match[str]) -> str:
        return f"@{found['user']}" if is_host(found["host"]) else str(found.group())

    # Links go first: a mention inside a URL is part of the URL.
    return str(_compiled(mention).sub(shorten_mention, links.sub(shorten_link, text)))


def _is_linked(found: regex.Match[str]) -> bool:
    return len(found.group()) <= LONGEST_URL and _is_short_host(found["domain"])


def _is_short_host(host: str) -> bool:
    """Whether the DNS could hold it: 253 characters, 63 in a label, written in ASCII."""
    labels = [_ascii_length(label) for label in host.split(".")]
    return max(labels) <= LONGEST_LABEL and sum(labels) + len(labels) - 1 <= LONGEST_DOMAIN


def _is_public_host(host: str) -> bool:
    return "." in host and _is_short_host(host) and host.rsplit(".", 1)[1].lower() in top_level_domains()


def _ascii_length(label: str) -> int:
    return len(label) if label.isascii() else len("xn--" + label.encode("punycode").decode("ascii"))
