"""Issues that went out, and readers who have been there for a while, without a server and a wait."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import update

from bot.app.workspace import Workspace
from bot.model import State
from bot.store import schema
from bot.store.engine import writing
from tests.support.ledgers import WORDS, issue


def mailed(workspace: Workspace, number: int, at: datetime) -> None:
    """This issue of the weekly newsletter was taken by the mail server at that time, for all its readers."""
    total = workspace.mailings.record_issue(issue(number, items=(f"i{number}",)), {"": WORDS}, "mail", at)
    with writing(workspace.engine) as connection:
        found = schema.issue.c.number == number
        mine = connection.execute(schema.issue.select().where(found)).one().id
        letters = update(schema.letter).where(schema.letter.c.issue == mine)
        connection.execute(letters.values(state=State.SENT.value, at=at))
        chunks = update(schema.chunk).where(schema.chunk.c.issue == mine)
        connection.execute(chunks.values(sent=total, planned=0, due=None))
        done = update(schema.issue).where(schema.issue.c.id == mine)
        connection.execute(done.values(state="done"))


def subscribed_at(workspace: Workspace, at: datetime, readers: Collection[str] | None = None) -> None:
    """These readers, or all, have been subscribers since then."""
    change = update(schema.subscription).values(since=at)
    if readers is not None:
        change = change.where(schema.subscription.c.subscriber_id.in_(readers))
    with writing(workspace.engine) as connection:
        connection.execute(change)
