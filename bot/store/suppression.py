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
_MANY = 2_000


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

    def knocks(self, scope: str, text: str) -> tuple[str, ...]:
        """Under which names something is counted; the first is today's."""
        return tuple(
            f"{scope}:{hmac.digest(key, f'knock/1/{scope}/{text}'.encode(), 'sha256').hex()}"
            for key in self._keys
        )


def _named(key: bytes, address_key: str) -> str:
    return ERASED + hmac.digest(key, b"erased/1\x00" + address_key.encode(), "sha256").hex()


def suppress(connection: Connection, name: str, *, newsletter: str = ALL, reason: str, now: datetime) -> bool:
    """Note it; False when it was noted before."""
    row = {"address_key": name, "newsletter": newsletter, "reason": reason, "since": now}
    return add_missing(connection, suppression, [row]) == 1


def lift(
    connection: Connection,
    names: Sequence[str],
    newsletters: Collection[str],
    *,
    besides: Collection[str] = (),
) -> None:
    """The person, who stands there under ``names``, confirmed again: for these newsletters it is past.

    Who had left all of them, or was erased, stays away from those ``besides``.
    """
    mine = suppression.c.address_key.in_(names)
    of_all = select(suppression.c.reason, suppression.c.since).where(mine, suppression.c.newsletter == ALL)
    whole = connection.execute(of_all.limit(1)).first()
    connection.execute(delete(suppression).where(mine, suppression.c.newsletter.in_((ALL, *newsletters))))
    if whole is not None:
        for name in sorted(set(besides) - set(newsletters)):
            suppress(connection, names[0], newsletter=name, reason=whole.reason, now=whole.since)


class Barrier:
    """Looks many up within one transaction. It asks only for what there is: nobody erased, nothing hashed."""

    def __init__(self, connection: Connection, hasher: Hasher | None = None) -> None:
        self._connection = connection
        self._is_open = connection.execute(select(suppression.c.reason).limit(1)).first() is None
        self._hasher = None if self._is_open or not somebody_was_erased(connection) else hasher

    def barred(self, keys: Sequence[str]) -> Mapping[str, frozenset[str]]:
        """Of these address keys, who must not get which newsletters; ``ALL`` stands for every one."""
        if self._is_open or not keys:
            return {}
        of = {key: key for key in keys}
        if self._hasher is not None:
            of = {name: key for key in keys for name in self._hasher.names(key)}
        found: dict[str, set[str]] = {}
        for some in batches(of, _MANY):
            for name, newsletter in self._rows(some):
                found.setdefault(of[name], set()).add(newsletter)
        return {key: frozenset(newsletters) for key, newsletters in found.items()}

    def _rows(self, names: Sequence[str]) -> Sequence[tuple[str, str]]:
        """As the driver gives them: for a million readers SQLAlchemy's way takes three times as long."""
        mark = "?" if self._connection.dialect.paramstyle == "qmark" else "%s"
        marks = ", ".join([mark] * len(names))
        sql = f"SELECT address_key, newsletter FROM suppression WHERE address_key IN ({marks})"  # noqa: S608
        result = self._connection.exec_driver_sql(sql, tuple(names))
        rows: Sequence[tuple[str, str]] = result.cursor.fetchall() if result.cursor else ()
        result.close()
        return rows


def somebody_was_erased(connection: Connection) -> bool:
    """Whether hashes have to be looked at. No address begins like one: it would need a colon."""
    # Not a range of texts: in some of PostgreSQL's collations a colon has no place.
    query = select(suppression.c.reason).where(suppression.c.address_key.startswith(ERASED))
    return connection.execute(query.limit(1)).first() is not None


def is_erased(connection: Connection, hasher: Hasher, address_key: str) -> bool:
    """Whether this person was erased, and did not come back since."""
    query = select(suppression.c.reason).where(suppression.c.address_key.in_(hasher.names(address_key)[1:]))
    return connection.execute(query.limit(1)).first() is not None
