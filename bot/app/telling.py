"""An event -> what each hook is told of it, noted in the transaction in which the event happened.

A rehearsal notes nothing: it writes what it would tell to the outbox.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from bot.config import HookTable, Settings
from bot.files import make_private_folder, write_atomically
from bot.store.hooks import Event, Hooks

FOLDER = "hooks"  # of the outbox


class Teller:
    """Knows who wants to be told what."""

    def __init__(self, settings: Settings, hooks: Hooks, outbox: Path) -> None:
        self._settings, self._hooks, self._outbox = settings, hooks, outbox

    def wanted(self, kind: str) -> Mapping[str, HookTable]:
        """The hooks that asked for this kind of event."""
        return {name: table for name, table in self._settings.hooks.items() if kind in table.events}

    def __call__(self, connection: Connection, event: Event) -> None:
        """Note it for everybody who wants it; with ``connection`` it is kept or lost."""
        for name, table in self.wanted(event.kind).items():
            body = self.body(event, addresses=table.addresses)
            if self._settings.mode == "rehearsal":
                self.rehearse(name, body)
            else:
                self._hooks.add(connection, name, event.kind, body, event.at)

    def body(self, event: Event, *, addresses: bool) -> str:
        """The JSON of an event. The same event has the same id, so whoever was told twice can know."""
        publication = self._settings.publication
        at = event.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
        moment = "" if event.once else at
        about = (
            publication.site_url,
            event.kind,
            event.newsletter,
            event.subscriber,
            moment,
            _json(event.data),
        )
        return _json(
            {
                "id": f"msg_{hashlib.sha256(chr(0).join(about).encode()).hexdigest()[:32]}",
                "type": event.kind,
                "timestamp": at,
                "publication": publication.title,
                "newsletter": event.newsletter,
                "subscriber": event.subscriber,
                **({"address": event.address} if addresses and event.address else {}),
                "data": dict(event.data),
            }
        )

    def rehearse(self, name: str, body: str) -> Path:
        """Where the hook's call is written instead of being made."""
        path = self._outbox / FOLDER / f"{name}-{id_of(body)}.json"
        make_private_folder(self._outbox)
        write_atomically(path, body.encode())
        return path


def id_of(body: str) -> str:
    """The id that stands in a body."""
    return str(json.loads(body)["id"])


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
