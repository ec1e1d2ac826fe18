"""The rows of large issues, within the caller's transaction: claim by range, settle many, count again.

These statements run for every group of a million letters, so they go to the database as text. Both
databases take the same, but for settling many at once: one statement with arrays where there are arrays.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from bot.model import Recipient, State
from bot.store.chunks import NO_READER, Chunk, Claimed, Settled
from bot.store.schema import moment

_PLAIN = str.__str__  # of a State: drivers look long at a subclass of str, and State.value is slow
Change = Counter[State]  # by how much each counter of the chunk changes

_SET = "state = {}, attempts = {}, doubts = {}, due = {}, code = {}, said = {}, at = {}"
_MINE = "letter.issue = {} AND letter.fence = {} AND letter.number = {} AND letter.state = 'claimed'"
# One statement for a whole group: SQLite's driver lets go of Python's lock for each, and takes it back.
# The issue stands in each row, so that SQLite goes from the rows to the letters and not the other way.
_SETTLE_JSON = (
    "UPDATE letter SET "  # noqa: S608 - no value in it
    + _SET.format(*(f"json_extract(v.value, '$[{place}]')" for place in range(1, 7)), "?")
    + " FROM json_each(?) AS v WHERE "
    + _MINE.format("json_extract(v.value, '$[7]')", "?", "json_extract(v.value, '$[0]')")
)
_SETTLE_ARRAYS = (
    "UPDATE letter SET "  # noqa: S608 - no value in it
    + _SET.format("v.state", "v.attempts", "v.doubts", "v.due", "v.code", "v.said", "%s")
    + " FROM unnest(%s::int[], %s::text[], %s::int[], %s::int[], %s::bigint[], %s::int[], %s::text[])"
    " AS v (number, state, attempts, doubts, due, code, said) WHERE " + _MINE.format("%s", "%s", "v.number")
)
_OPEN = "(letter.state = 'planned' OR (letter.state = 'deferred' AND letter.due <= :now))"
_RANGE = "letter.issue = :issue AND letter.number BETWEEN :first AND :last"
_READERS = """
SELECT letter.number, letter.reader, subscriber.address, subscriber.name, subscriber.lang, letter.variant,
  letter.attempts, letter.doubts, letter.state,
  subscription.subscriber_id IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM suppression WHERE suppression.address_key = subscriber.address_key
      AND suppression.newsletter IN ('', :newsletter)) AS reads
FROM letter
LEFT JOIN subscriber ON subscriber.id = letter.reader
LEFT JOIN subscription
  ON subscription.newsletter = :newsletter AND subscription.subscriber_id = letter.reader
"""
_NEXT = text(f"{_READERS} WHERE {_RANGE} AND {_OPEN} ORDER BY letter.number LIMIT :want")
_HELD = text(
    f"{_READERS} WHERE {_RANGE} AND letter.state = 'claimed' AND letter.fence = :fence ORDER BY letter.number"
)
_CLAIM = text(
    "UPDATE letter SET state = 'claimed', attempts = attempts + 1, fence = :fence, at = :now"  # noqa: S608
    f" WHERE {_RANGE} AND {_OPEN}"
)
_CANCEL = text(
    "UPDATE letter SET state = 'cancelled', at = :now, said = issue.note FROM issue"  # noqa: S608
    f" WHERE {_RANGE} AND letter.state IN ('planned', 'deferred')"
    " AND issue.id = letter.issue AND issue.state = 'cancelled'"
)
_ADD = text(
    "UPDATE chunk SET "  # noqa: S608 - no value in it
    + ", ".join(f"{state.value} = {state.value} + :{state.value}" for state in State)
    + " WHERE issue = :issue AND number = :chunk"
)
_COUNT = text(
    f"UPDATE chunk SET ({', '.join(state.value for state in State)}, due) = (SELECT "  # noqa: S608
    + ", ".join(f"count(*) FILTER (WHERE letter.state = '{state.value}')" for state in State)
    + """,
    CASE WHEN count(*) FILTER (WHERE letter.state IN ('planned', 'claimed')) > 0
      THEN CASE WHEN chunk.due <= :now THEN chunk.due ELSE :now END
      ELSE min(letter.due) FILTER (WHERE letter.state = 'deferred') END
  FROM letter WHERE letter.issue = chunk.issue AND letter.number BETWEEN chunk.first AND chunk.last)
WHERE chunk.issue = :issue AND chunk.number = :chunk"""
)
_DONE = text(
    "UPDATE issue SET state = CASE WHEN EXISTS (SELECT 1 FROM chunk WHERE chunk.issue = issue.id"
    " AND chunk.due IS NOT NULL) THEN 'open' ELSE 'done' END"
    " WHERE id = :issue AND state IN ('open', 'done')"
)
_LOCK_ISSUE = text("UPDATE issue SET note = note WHERE id = :issue")


def claim_next(
    connection: Connection, chunk: Chunk, samples: Mapping[str, Recipient], *, want: int, now: datetime
) -> tuple[list[Claimed], Change]:
    """The next letters of the chunk; those whose reader has left are cancelled on the way."""
    claimed: list[Claimed] = []
    change: Change = Counter()
    while len(claimed) < want:
        group = _span(chunk) | {"now": moment(now), "fence": chunk.fence, "want": want - len(claimed)}
        rows = connection.execute(_NEXT, group).all()
        if not rows:
            break
        connection.execute(_CLAIM, group | {"first": rows[0].number, "last": rows[-1].number})
        deferred = [row.state for row in rows].count("deferred")
        change.update(
            {State.CLAIMED: len(rows), State.DEFERRED: -deferred, State.PLANNED: deferred - len(rows)}
        )
        found = [_reader(chunk, samples, row, attempt=1) for row in rows]
        gone = [_gone(row) for row, reader in zip(rows, found, strict=True) if reader is None]
        change.update(settle(connection, chunk, gone, now) or {})
        claimed += [reader for reader in found if reader is not None]
    return claimed, change


def claimed_before(
    connection: Connection, chunk: Chunk, samples: Mapping[str, Recipient], *, but: Collection[int]
) -> list[Claimed]:
    """What is claimed under this fence beside ``but``: the answer to that claim was lost on its way."""
    rows = connection.execute(_HELD, _span(chunk) | {"fence": chunk.fence})
    found = [_reader(chunk, samples, row, attempt=0) for row in rows if row.number not in but]
    return [reader for reader in found if reader is not None]


def settle(connection: Connection, chunk: Chunk, outcomes: Sequence[Settled], now: datetime) -> Change | None:
    """Write the outcomes of letters claimed under this fence; None when some were written before."""
    if not outcomes:
        return Counter()
    if connection.dialect.name == "postgresql":
        written = connection.exec_driver_sql(_SETTLE_ARRAYS, _arrays(chunk, outcomes, now))
    else:
        written = connection.exec_driver_sql(_SETTLE_JSON, _document(chunk, outcomes, now))
    if written.rowcount != len(outcomes):
        return None
    # Not Counter(states): an enum's hash is computed in Python, once for each letter.
    states = [outcome.state for outcome in outcomes]
    change: Change = Counter({state: states.count(state) for state in State})
    change.subtract({State.CLAIMED: len(outcomes)})
    return change


def count(connection: Connection, chunk: Chunk, change: Change) -> None:
    """Keep the chunk's counters true."""
    deltas = {state.value: change.get(state, 0) for state in State}
    connection.execute(_ADD, {"issue": chunk.mailing.id, "chunk": chunk.number, **deltas})


def count_again(connection: Connection, issue: int, chunk: int, now: datetime) -> None:
    """Set the chunk's counters, and when it is due, from its letters; the issue's state follows."""
    connection.execute(_COUNT, {"issue": issue, "chunk": chunk, "now": moment(now)})
    # Two workers may end the last two chunks at once: the second must see what the first did.
    connection.execute(_LOCK_ISSUE, {"issue": issue})
    connection.execute(_DONE, {"issue": issue})


def cancel_rest(connection: Connection, issue: int, first: int, last: int, now: datetime) -> None:
    """Of a cancelled issue: what was not begun does not go out."""
    connection.execute(_CANCEL, {"issue": issue, "first": first, "last": last, "now": moment(now)})


# --------------------------------------------------------------------------- rows


def _span(chunk: Chunk) -> dict[str, object]:
    mailing = chunk.mailing
    return {
        "issue": mailing.id,
        "first": chunk.first,
        "last": chunk.last,
        "newsletter": mailing.newsletter,
    }


def _reader(
    chunk: Chunk, samples: Mapping[str, Recipient], row: Sequence[Any], *, attempt: int
) -> Claimed | None:
    """Whom the letter goes to; None for somebody who reads it no more."""
    number, reader, address, name, lang, variant, attempts, doubts, _state, reads = row
    if chunk.mailing.audience == "given":
        sample = samples.get(reader)
        reads = sample is not None
        address, name, lang = (sample.address, sample.name, sample.lang) if sample else ("", "", "")
    if not reads:
        return None
    return Claimed(number, reader, address, name, lang, variant, attempts + attempt, doubts)


def _gone(row: Sequence[Any]) -> Settled:
    number, _, _, _, _, _, attempts, doubts, _, _ = row
    return Settled(number, State.CANCELLED, attempts, doubts, said=NO_READER)


def _document(chunk: Chunk, outcomes: Sequence[Settled], now: datetime) -> tuple[object, ...]:
    issue = chunk.mailing.id
    rows = [
        (number, _PLAIN(state), attempts, doubts, due and moment(due), code, said, issue)
        for number, state, attempts, doubts, due, code, said in outcomes
    ]
    return (moment(now), json.dumps(rows), chunk.fence)


def _arrays(chunk: Chunk, outcomes: Sequence[Settled], now: datetime) -> tuple[object, ...]:
    numbers, states, attempts, doubts, dues, codes, said = (
        list(column) for column in zip(*outcomes, strict=True)
    )
    return (
        moment(now),
        numbers,
        [_PLAIN(state) for state in states],
        attempts,
        doubts,
        [due and moment(due) for due in dues],
        codes,
        said,
        chunk.mailing.id,
        chunk.fence,
    )
