"""What a server says about itself, with the documented defaults for what it leaves out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from bot.channels.base import Limits
from bot.channels.mastodon.length import LONGEST_URL, URL_LENGTH, rune_length, status_length
from bot.remote.numbers import whole_number

# A server that knows keys forgets them after an hour. Five minutes are for the way.
KEY_WINDOW = timedelta(minutes=55)

# More than this of anything is not believed: a post is a short message, and each of these takes memory here.
_MOST_CHARACTERS, _MOST_PICTURES, _LONGEST_ALT = 100_000, 32, 100_000


class Family(StrEnum):
    """Programs that speak this API and differ where it matters: how they count, whether they know keys."""

    MASTODON = "Mastodon"
    HOLLO = "Hollo"
    GOTOSOCIAL = "GoToSocial"
    OTHER = "another program"
    UNREAD = "not read yet"


_KNOWS_KEYS = {Family.MASTODON, Family.HOLLO}


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A server's kind and limits; ``assumed`` names what it did not tell."""

    family: Family = Family.UNREAD
    characters: int = 500
    url_length: int = URL_LENGTH
    media: int = 4
    alt_text: int = 1500
    assumed: tuple[str, ...] = ("characters", "url_length", "media", "alt_text", "idempotency")
    read: datetime | None = None  # when it told all this

    @property
    def knows_keys(self) -> bool:
        """Whether a second POST with the same Idempotency-Key is known to make no second status."""
        return self.family in _KNOWS_KEYS

    def limits(self, *, max_characters: int = 0) -> Limits:
        """The limits, with the operator's own ``max_characters`` in place of the server's, if given."""
        overruled = {"characters"} if max_characters else set()
        return Limits(
            characters=max_characters or self.characters,
            media=self.media,
            alt_text=self.alt_text,
            idempotency=KEY_WINDOW if self.knows_keys else timedelta(0),
            assumed=tuple(name for name in self.assumed if name not in overruled),
            read=self.read,
        )

    def length(self, text: str, content_note: str = "") -> int:
        """As this program counts; for one we do not know, the larger count."""
        if self.family is Family.GOTOSOCIAL:
            return rune_length(text, content_note)
        length = status_length(text, content_note, url_length=self.url_length)
        return max(length, rune_length(text, content_note)) if self.family is Family.OTHER else length


def read_server(instance: Mapping[str, object]) -> Server:
    """The answer of ``/api/v2/instance`` or ``/api/v1/instance``. Every key may be missing."""
    configuration = _table(instance, "configuration")
    statuses, pictures = _table(configuration, "statuses"), _table(configuration, "media_attachments")
    told = {
        # Pleroma and its kin say max_toot_chars, at the top.
        "characters": _count(statuses, "max_characters", _MOST_CHARACTERS)
        or _count(instance, "max_toot_chars", _MOST_CHARACTERS),
        "url_length": _count(statuses, "characters_reserved_per_url", LONGEST_URL),
        "media": _count(statuses, "max_media_attachments", _MOST_PICTURES),
        "alt_text": _count(pictures, "description_limit", _LONGEST_ALT),
    }
    values: dict[str, Any] = {name: value for name, value in told.items() if value}
    assumed = tuple(name for name, value in told.items() if not value)
    return Server(family=_family(instance), assumed=assumed, **values)


def _family(instance: Mapping[str, object]) -> Family:
    version = str(instance.get("version") or "").lower()
    told = f"{version} {instance.get('source_url') or ''}".lower()
    if "gotosocial" in told or (version.startswith("0.") and "compatible" not in version):
        return Family.GOTOSOCIAL if "takahe" not in told else Family.OTHER
    if "hollo" in told:
        return Family.HOLLO
    # Others write "2.7.2 (compatible; Pleroma 2.4.5)". A fork writes "4.3.0+glitch" and counts the same.
    is_plain = re.fullmatch(r"\d+\.\d+\.\d+([-+~][\w.+~-]*)?", version)
    return Family.MASTODON if is_plain else Family.OTHER


def _table(mapping: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = mapping.get(key)
    return value if isinstance(value, Mapping) else {}


def _count(mapping: Mapping[str, object], key: str, most: int) -> int:
    return whole_number(mapping.get(key), least=1, most=most) or 0
