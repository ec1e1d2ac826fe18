"""The rows of large issues, within the caller's transaction: claim by range, settle many, count again.

These statements run for every group of a million letters, so they go to the database as text. Both
databases take the same, but for settling many at once: one statement with arrays where there are arrays.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, TextClause, text

from bot.model import Recipient, State
from bot.store.chunks import NO_READER, Chunk, Claimed, Settled
from bot.store.schema import moment

_PLAIN = str.__str__  # of a State: drivers look long at a subclass of str, and State.value is slow
_STATE, _READS = 8, 9  # where these stand in a row of _READERS; before them are the fields of Claimed
Change = Counter[State]  # by how much each counter of the chunk changes

_SET = "state = {}, attempts = {}, doubts = {}, due = {}, code = {}, said = {}, at = {}"
_MINE = "letter.issue = {} AND letter.fence = {} AND letter.number = {} AND letter.state = 'claimed'"
# One statement for a whole group: SQLite's driver lets go of Python's lock for each, and takes it back.
# Something of the document is in the issue, so that SQLite goes from there to the letters and not back.
_SENT_JSON = (
    "UPDATE letter SET state = 'sent', due = NULL, code = NULL, said = v.value, at = ?"  # noqa: S608
    " FROM json_each(?) AS v WHERE " + _MINE.format("? + 0 * v.key", "?", "CAST(v.key AS INTEGER)")
)
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
  letter.attempts + :attempt AS attempts, letter.doubts, letter.state,
  subscription.subscriber_id IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM suppression WHERE suppression.address_key = subscriber.address_key
      AND suppression.newsletter IN ('', :newsletter)) AS reads
FROM letter
LEFT JOIN subscriber ON subscriber.id = letter.reader
LEFT JOIN subscription
  ON subscription.newsletter = :newsletter AND subscription.subscriber_id = letter.reader
"""
_NEXT = f"{_READERS} WHERE {_RANGE} AND {_OPEN} ORDER BY letter.number LIMIT :want"
_HELD = (
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
        group = _span(chunk) | {"now": moment(now), "want": want - len(claimed)}
        rows = _rows(connection, _NEXT, group | {"attempt": 1})
        if not rows:
            break
        numbers = [row[0] for row in rows]
        taken = group | {"fence": chunk.fence, "first": min(numbers), "last": max(numbers)}
        connection.execute(_CLAIM, taken)
        deferred = [row[_STATE] for row in rows].count("deferred")
        change.update(
            {State.CLAIMED: len(rows), State.DEFERRED: -deferred, State.PLANNED: deferred - len(rows)}
        )
        found, gone = _readers(chunk, samples, rows)
        if gone:
            change.update(settle(connection, chunk, gone, now) or {})
        claimed += found
    return claimed, change


def claimed_before(
    connection: Connection, chunk: Chunk, samples: Mapping[str, Recipient], *, but: Collection[int]
) -> list[Claimed]:
    """What is claimed under this fence beside ``but``: the answer to that claim was lost on its way."""
    rows = _rows(connection, _HELD, _span(chunk) | {"fence": chunk.fence, "attempt": 0})
    found, _ = _readers(chunk, samples, (row for row in rows if row[0] not in but))
    return found


def gone(connection: Connection, chunk: Chunk, samples: Mapping[str, Recipient]) -> list[Settled]:
    """What becomes of letters claimed under this fence whose reader has left since then."""
    rows = _rows(connection, _HELD, _span(chunk) | {"fence": chunk.fence, "attempt": 0})
    return _readers(chunk, samples, rows)[1]


def settle(connection: Connection, chunk: Chunk, outcomes: Sequence[Settled], now: datetime) -> Change | None:
    """Write the outcomes of letters claimed under this fence; None when some were written before."""
    if not outcomes:
        return Counter()
    if _written(connection, chunk, outcomes, now) != len(outcomes):
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
    end_issue(connection, issue)


def end_issue(connection: Connection, issue: int) -> None:
    """It is done when its last chunk is, and open again when one has something to do."""
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


def _rows(connection: Connection, query: str, values: Mapping[str, object]) -> Sequence[Sequence[Any]]:
    """What the query finds. From SQLite in one piece, for the reason that ``_SENT_JSON`` has."""
    if connection.dialect.name == "postgresql":
        return connection.execute(_text(query), values).all()
    whole = connection.execute(_text(query, in_one=True), values).scalar_one()
    rows: list[list[Any]] = json.loads(whole)
    return rows


@cache
def _text(query: str, *, in_one: bool = False) -> TextClause:
    columns = "number, reader, address, name, lang, variant, attempts, doubts, state, reads"
    return text(f"SELECT json_group_array(json_array({columns})) FROM ({query})" if in_one else query)  # noqa: S608


def _readers(
    chunk: Chunk, samples: Mapping[str, Recipient], rows: Iterable[Sequence[Any]]
) -> tuple[list[Claimed], list[Settled]]:
    """Whom the letters go to; and those whose reader reads them no more."""
    if chunk.mailing.audience == "given":
        rows = [_of_sample(row, samples.get(row[1])) for row in rows]
    # Not Claimed(*row): tuple's own way is three times as quick, and this is done for every letter.
    found = [tuple.__new__(Claimed, row[:_STATE]) for row in rows if row[_READS]]
    return found, [_gone(row) for row in rows if not row[_READS]]


def _of_sample(row: Sequence[Any], sample: Recipient | None) -> Sequence[Any]:
    who = (sample.address, sample.name, sample.lang) if sample else ("", "", "")
    return (*row[:2], *who, *row[5:_READS], sample is not None)


def _gone(row: Sequence[Any]) -> Settled:
    number, _, _, _, _, _, attempts, doubts, _, _ = row
    return Settled(number, State.CANCELLED, attempts - 1, doubts, said=NO_READER)


def _written(connection: Connection, chunk: Chunk, outcomes: Sequence[Settled], now: datetime) -> int:
    """Write them; how many letters were still ours."""
    if connection.dialect.name == "postgresql":
        return connection.exec_driver_sql(_SETTLE_ARRAYS, _arrays(chunk, outcomes, now)).rowcount
    written, others = 0, [outcome for outcome in outcomes if outcome.state is not State.SENT]
    if others:
        written = connection.exec_driver_sql(_SETTLE_JSON, _document(chunk, others, now)).rowcount
    if len(others) < len(outcomes):
        # Of one that was sent only the answer is new.
        said = {number: said for number, state, _, _, _, _, said in outcomes if state is State.SENT}
        values = (moment(now), json.dumps(said), chunk.mailing.id, chunk.fence)
        written += connection.exec_driver_sql(_SENT_JSON, values).rowcount
    return written


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
