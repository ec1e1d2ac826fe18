"""A message as text and back: the form in which final words are kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from bot.model import ListFields, Media, Message


def to_text(message: Message) -> str:
    """Canonical JSON: equal messages give equal text, so a digest of it names them."""
    return json.dumps(
        asdict(message), default=_plain, ensure_ascii=False, sort_keys=True, separators=(",", ":")
    )


def digest(text: str) -> str:
    """The name of stored words."""
    return hashlib.sha256(text.encode()).hexdigest()


def from_text(text: str) -> Message:
    """The message again; equal to the one that was stored."""
    fields = json.loads(text)
    fields["media"] = tuple(Media(**{**media, "path": Path(media["path"])}) for media in fields["media"])
    fields["mailing"] = ListFields(**fields["mailing"]) if fields["mailing"] else None
    fields["date"] = datetime.fromisoformat(fields["date"]) if fields["date"] else None
    fields["shortened"] = tuple(fields["shortened"])
    return Message(**fields)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot store a {type(value).__name__} within a message")
