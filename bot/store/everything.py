"""All that a group needs to go elsewhere, table by table and row by row, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Select, select

from bot.store import schema
from bot.store.engine import reading

_PAGE = 2_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """One table of the export. Rows come as they are read."""

    name: str
    columns: tuple[str, ...]
    rows: Iterator[Sequence[Any]]


@contextmanager
def everything(engine: Engine, *, mode: str) -> Iterator[Iterator[Sheet]]:
    """The sheets one after the other, all of the same moment; use each before the next."""
    with reading(engine) as connection:
        yield (_sheet(connection, name, query) for name, query in _queries(mode).items())


def _sheet(connection: Connection, name: str, query: Select[Any]) -> Sheet:
    result = connection.execution_options(yield_per=_PAGE).execute(query)
    return Sheet(name=name, columns=tuple(result.keys()), rows=iter(result))


def _queries(mode: str) -> dict[str, Select[Any]]:
    s = schema
    person, mine, wish = s.subscriber.c, s.subscription.c, s.preference.c
    issue, words = s.issue.c, s.wording.c
    return {
        "readers": select(
            person.address.label("email"),
            person.name,
            person.lang.label("language"),
            mine.newsletter,
            mine.since,
            wish.form,
            wish.paused_until,
            person.created_at,
            person.source,
        )
        .join(s.subscription, mine.subscriber_id == person.id)
        .outerjoin(s.preference, (wish.newsletter == mine.newsletter) & (wish.subscriber_id == person.id))
        .order_by(mine.newsletter, mine.subscriber_id),
        "suppressions": select(
            s.suppression.c.address_key.label("email"),
            s.suppression.c.newsletter,
            s.suppression.c.reason,
            s.suppression.c.since,
        ).order_by(s.suppression.c.address_key, s.suppression.c.newsletter),
        "consent": select(
            s.consent.c.at,
            s.consent.c.address.label("email"),
            s.consent.c.newsletter,
            s.consent.c.event,
            s.consent.c.means,
            s.consent.c.form_url,
            s.consent.c.ip,
            words.version.label("wording_version"),
            words.lang.label("wording_language"),
            words.body.label("wording"),
        )
        .outerjoin(s.wording, words.digest == s.consent.c.wording)
        .order_by(s.consent.c.id),
        "unconfirmed": select(
            s.signup.c.address.label("email"),
            s.signup.c.newsletters,
            s.signup.c.lang.label("language"),
            s.signup.c.asked_at,
        )
        .where(s.signup.c.confirmed_at.is_(None))
        .order_by(s.signup.c.asked_at, s.signup.c.id),
        "bounces": select(
            s.bounce.c.at,
            person.address.label("email"),
            s.bounce.c.kind,
            s.bounce.c.source,
            s.bounce.c.code,
            s.bounce.c.said,
            issue.newsletter,
            issue.number,
        )
        .outerjoin(s.subscriber, person.id == s.bounce.c.subscriber_id)
        .outerjoin(s.issue, issue.id == s.bounce.c.issue)
        .order_by(s.bounce.c.at, s.bounce.c.id),
        "issues": select(issue.newsletter, issue.number, issue.slot, issue.channel, issue.state, issue.total)
        .where(issue.mode == mode)
        .order_by(issue.newsletter, issue.number),
        "printed": select(s.printed.c.newsletter, issue.number, s.printed.c.place, s.printed.c.item)
        .join(s.issue, (issue.mode == s.printed.c.mode) & (issue.subject == s.printed.c.subject))
        .where(s.printed.c.mode == mode)
        .order_by(s.printed.c.newsletter, issue.number, s.printed.c.place),
        "posted": select(s.posted.c.channel, s.posted.c.item, s.posted.c.at)
        .where(s.posted.c.mode == mode)
        .order_by(s.posted.c.at, s.posted.c.channel, s.posted.c.item),
    }
