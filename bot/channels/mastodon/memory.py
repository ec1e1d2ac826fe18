"""What a server told about itself last, in a small file: a preview or a rehearsal asks no server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.channels.mastodon.server import Family, Server
from bot.files import write_atomically


def remembered(file: Path | None, origin: str) -> Server:
    """What this server told last; the documented defaults where nothing is known of it."""
    try:
        told = json.loads(file.read_bytes()) if file else {}
        if told["origin"] != origin:
            return Server()
        return _server(told["server"])
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return Server()  # written by another version, or by hand: it is asked again anyway


def remember(file: Path | None, origin: str, server: Server) -> None:
    """Keep it, with the time it was read. Raises OSError."""
    if file:
        told = {"origin": origin, "server": asdict(server)}
        write_atomically(file, json.dumps(told, default=str, indent=2).encode())


def _server(told: Mapping[str, Any]) -> Server:
    return Server(
        family=Family(told["family"]),
        characters=_limit(told["characters"]),
        url_length=_limit(told["url_length"]),
        media=_limit(told["media"]),
        alt_text=_limit(told["alt_text"]),
        assumed=tuple(str(name) for name in told["assumed"]),
        read=datetime.fromisoformat(told["read"]),
    )


def _limit(told: object) -> int:
    if not isinstance(told, int) or told < 1:
        raise ValueError("a limit is no number")
    return told
