"""The record of what each person agreed to, and of when they left. It grows and is never changed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, insert

from bot.store.schema import consent


def note_proof(
    connection: Connection,
    event: str,
    newsletters: Iterable[str],
    *,
    address: str,
    address_key: str,
    means: str,
    at: datetime,
    wording: str | None = None,
    form_url: str = "",
    ip: str = "",
) -> None:
    """One line for each newsletter, within the caller's transaction; "" stands for all of them.

    ``event`` and ``means`` are words of the schema. ``wording`` is the digest of what a form said, and ``ip``
    was truncated before it comes here: only who signed up has them.
    """
    of_all = {
        "at": at,
        "address": address,
        "address_key": address_key,
        "event": event,
        "means": means,
        "wording": wording,
        "form_url": form_url,
        "ip": ip,
    }
    connection.execute(insert(consent), [{**of_all, "newsletter": name} for name in newsletters])
