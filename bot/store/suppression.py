"""Who must not be written to: for one newsletter or for all, by address or, once erased, by a keyed hash.

An erased person's address is nowhere. What stays is ``erased:`` and an HMAC-SHA256 of the address under the
signing key: enough to know the address again when a list brings it back, and useless without the key.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, select

from bot.store.rows import add_missing, batches
from bot.store.schema import suppression

ALL = ""  # instead of a newsletter's name
ERASED = "erased:"
_MANY = 500


class Hasher:
    """Names the erased. The first key names; all of them recognise, so that keys may change."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(keys)

    def name(self, address_key: str) -> str:
        """How this person is remembered from now on."""
        return _named(self._keys[0], address_key)

    def names(self, address_key: str) -> tuple[str, ...]:
        """All the ways in which this person may stand in the table: in clear, and under each key."""
        return (address_key, *(_named(key, address_key) for key in self._keys))


def _named(key: bytes, address_key: str) -> str:
    return ERASED + hmac.digest(key, b"erased/1\x00" + address_key.encode(), "sha256").hex()


def suppress(connection: Connection, name: str, *, newsletter: str = ALL, reason: str, now: datetime) -> bool:
    """Note it; False when it was noted before."""
    row = {"address_key": name, "newsletter": newsletter, "reason": reason, "since": now}
    return add_missing(connection, suppression, [row]) == 1


def lift(connection: Connection, names: Collection[str], newsletters: Collection[str]) -> None:
    """The person confirmed again: for these newsletters, and for all of them together, it is past."""
    connection.execute(
        delete(suppression).where(
            suppression.c.address_key.in_(names), suppression.c.newsletter.in_((ALL, *newsletters))
        )
    )


def barred(
    connection: Connection, keys: Collection[str], hasher: Hasher | None = None
) -> Mapping[str, frozenset[str]]:
    """Of these address keys, who must not get which newsletters; ``ALL`` stands for every one.

    Without a hasher, or while nobody was ever erased, only the keys in clear are looked up.
    """
    of = {key: key for key in keys}
    if hasher is not None and _somebody_was_erased(connection):
        of = {name: key for key in keys for name in hasher.names(key)}
    found: dict[str, set[str]] = {}
    for some in batches(of, _MANY):
        query = select(suppression.c.address_key, suppression.c.newsletter)
        for name, newsletter in connection.execute(query.where(suppression.c.address_key.in_(some))):
            found.setdefault(of[name], set()).add(newsletter)
    return {key: frozenset(newsletters) for key, newsletters in found.items()}


def _somebody_was_erased(connection: Connection) -> bool:
    name = suppression.c.address_key
    between = (name >= ERASED) & (name < ERASED[:-1] + chr(ord(ERASED[-1]) + 1))
    return connection.execute(select(name).where(between).limit(1)).first() is not None
