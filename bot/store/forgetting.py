"""Taking a rehearsal back, as if it had never been: its slots are free again, its letters are gone."""

from __future__ import annotations

from sqlalchemy import Engine, delete, func, select, union

from bot.store import schema
from bot.store.engine import reading, writing

_OF_MODE = ("seen", "firing", "printed", "posted", "delivery", "issue", "tick")


def forget_rehearsal(engine: Engine) -> int:
    """Delete every row of the mode "rehearsal", and words that nothing else says; how many slots are free."""
    issue, words = schema.issue, schema.words
    of_mode = select(issue.c.id).where(issue.c.mode == "rehearsal")
    slots = rehearsed_slots(engine)
    with writing(engine) as connection:
        for table in (schema.letter, schema.chunk, schema.variant):
            connection.execute(delete(table).where(table.c.issue.in_(of_mode)))
        for name in _OF_MODE:
            table = schema.metadata.tables[name]
            connection.execute(delete(table).where(table.c.mode == "rehearsal"))
        said = union(select(schema.delivery.c.message), select(schema.variant.c.message))
        connection.execute(delete(words).where(words.c.digest.not_in(said)))
    return slots


def rehearsed_slots(engine: Engine) -> int:
    """How many slots rehearsals have dealt with."""
    query = select(func.count()).select_from(schema.firing).where(schema.firing.c.mode == "rehearsal")
    with reading(engine) as connection:
        return connection.scalar(query) or 0
