"""Readers with all that they chose: for an export that another workspace can take in, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, Engine

from bot.store.engine import reading
from bot.store.importing import address_key, rows_in
from bot.store.rows import BATCH, add_missing, batches
from bot.store.schema import from_moment, preference

Choice = tuple[str, str, datetime | None]  # newsletter, form, end of a pause


class Wish(NamedTuple):
    """One person's wish for one newsletter."""

    address: str
    newsletter: str
    form: str
    paused_until: datetime | None


class Listed(NamedTuple):
    """What stands beside a reader's address, name and language."""

    newsletters: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()


def pairs_in(connection: Connection, query: str, values: Sequence[str]) -> dict[str, str]:
    """``rows_in`` for two columns."""
    return {row[0]: row[1] for row in rows_in(connection, query, values)}


def chosen(engine: Engine, addresses: Sequence[str]) -> Mapping[str, Listed]:
    """What these readers get and how, by address."""
    found: dict[str, Listed] = {}
    for some in batches(addresses):
        with reading(engine) as connection:
            found |= _chosen(connection, some)
    return found


def _chosen(connection: Connection, addresses: Sequence[str]) -> Iterator[tuple[str, Listed]]:
    keys = {address_key(address): address for address in addresses}
    people = pairs_in(connection, "SELECT id, address_key FROM subscriber WHERE address_key", list(keys))
    letters: dict[str, list[str]] = {of: [] for of in people}
    for of, letter in rows_in(
        connection, "SELECT subscriber_id, newsletter FROM subscription WHERE subscriber_id", list(people)
    ):
        letters[of].append(letter)
    choices: dict[str, list[Choice]] = {of: [] for of in people}
    columns = "subscriber_id, newsletter, form, paused_until"
    for row in rows_in(connection, f"SELECT {columns} FROM preference WHERE subscriber_id", list(people)):  # noqa: S608
        of, letter, form, until = row
        choices[of].append((letter, form, from_moment(int(until)) if until is not None else None))
    for of, key in people.items():
        yield keys[key], Listed(tuple(sorted(letters[of])), tuple(sorted(choices[of], key=lambda c: c[0])))


def add_wishes(connection: Connection, wishes: Iterable[Wish]) -> None:
    """Keep the wishes of those who read; what somebody chose here already wins."""
    for batch in batches(wishes, BATCH):
        keys = [address_key(wish.address) for wish in batch]
        ids = pairs_in(connection, "SELECT address_key, id FROM subscriber WHERE address_key", keys)
        rows = [
            {
                "newsletter": wish.newsletter,
                "subscriber_id": ids[key],
                "form": wish.form,
                "paused_until": wish.paused_until,
            }
            for key, wish in zip(keys, batch, strict=True)
            if key in ids
        ]
        add_missing(connection, preference, rows)
