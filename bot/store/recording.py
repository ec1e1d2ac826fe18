"""Turning a plan into rows: the slot, what was printed or posted, the words, one delivery for each reader."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    case,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)

from bot.model import Delivery, Firing, Form, Issue, Message, Post, Recipient, State, Variant, delivery_key
from bot.store import schema, words
from bot.store.rows import add_missing, batches, planned_values

CHUNK = 2000  # letters that one worker has at a time
MANY = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorder:
    """Writes within the caller's transaction, for one publication in one mode."""

    connection: Connection
    mode: str
    publication: str

    def firing(self, fired: Firing) -> bool:
        """Whether this slot was still free; now it is taken."""
        row = {
            "mode": self.mode,
            "schedule": fired.schedule,
            "slot": fired.slot,
            "outcome": fired.outcome,
            "detail": fired.detail,
        }
        return add_missing(self.connection, schema.firing, [row]) == 1

    def mailing(
        self,
        issue: Issue,
        messages: Mapping[str, Message],
        channel: str,
        now: datetime,
        recipients: Iterable[Recipient] | None = None,
    ) -> int:
        """How many letters the issue has; 0 when the slot was dealt with before.

        Without ``recipients`` the subscribers of this moment: who joins later is not among them.
        """
        fired = Firing(schedule=issue.newsletter, slot=issue.slot, outcome="issued", detail=issue.id)
        if not self.firing(fired):
            return 0
        audience = "subscribers" if recipients is None else "given"
        number = self._print(issue, channel, now, audience)
        variants = self._variants(number, messages)
        if recipients is None:
            total = self._subscribers(number, issue.newsletter, variants, issue.slot)
        else:
            total = self._given(number, recipients, variants)
        self._chunks(number, total, issue.slot)
        return total

    def post(self, post: Post, message: Message, channel: str, now: datetime) -> int:
        """1 for a new delivery; 0 when the slot or the item was dealt with before."""
        fired = Firing(schedule=post.channel, slot=post.slot, outcome="posted", detail=post.id)
        if not self.firing(fired):
            return 0
        row = {"mode": self.mode, "channel": post.channel, "item": post.item.id, "at": now}
        if not add_missing(self.connection, schema.posted, [row]):
            return 0
        row = planned_values(self._delivery(post, self.words(message), channel), self.mode)
        return add_missing(self.connection, schema.delivery, [row])

    def _print(self, issue: Issue, channel: str, now: datetime, audience: str) -> int:
        of_issue = {"mode": self.mode, "newsletter": issue.newsletter, "subject": issue.id}
        row = {**of_issue, "number": issue.number, "slot": issue.slot, "recorded_at": now}
        row |= {"channel": channel, "audience": audience, "state": "open", "note": "", "total": 0}
        added = self.connection.execute(insert(schema.issue).returning(schema.issue.c.id), row)
        items = [{**of_issue, "item": item.id, "place": n} for n, item in enumerate(issue.items, start=1)]
        add_missing(self.connection, schema.printed, items)
        return int(added.scalar_one())

    def _variants(self, number: int, messages: Mapping[str, Message]) -> dict[str, int]:
        """The place of each variant's words, by its name; those for everybody else come first."""
        fallback = "" if "" in messages else next(iter(messages))
        langs = [fallback, *(lang for lang in messages if lang != fallback)]
        rows = [
            {"issue": number, "number": place, "lang": lang, "message": self.words(messages[lang])}
            for place, lang in enumerate(langs)
        ]
        self.connection.execute(insert(schema.variant), rows)
        return {lang: place for place, lang in enumerate(langs) if lang}

    def _subscribers(self, number: int, newsletter: str, variants: Mapping[str, int], slot: datetime) -> int:
        reader, letters, wish = schema.subscriber.c, schema.letter, schema.preference.c
        of = schema.subscription.c.subscriber_id
        wishes = self._have_wishes(newsletter)
        suppressed = exists().where(
            schema.suppression.c.address_key == reader.address_key,
            schema.suppression.c.newsletter.in_(("", newsletter)),
        )
        form = func.coalesce(wish.form, "") if wishes else literal("")
        words = _which(variants, reader.lang, form, reader.name != "")
        place = func.row_number().over(order_by=of)
        query = (
            select(
                literal(number),
                place,
                of,
                words,
                literal(State.PLANNED.value),
                literal(0),
                literal(0),
                literal(0),
            )
            .join(schema.subscriber, reader.id == of)
            .where(schema.subscription.c.newsletter == newsletter, ~suppressed)
        )
        if wishes:
            mine = (wish.newsletter == newsletter) & (wish.subscriber_id == of)
            awake = or_(wish.paused_until.is_(None), wish.paused_until <= slot)
            query = query.outerjoin(schema.preference, mine).where(awake)
        columns = ("issue", "number", "reader", "variant", "state", "attempts", "doubts", "fence")
        add = insert(letters).from_select(columns, query).execution_options(preserve_rowcount=True)
        total: int = self.connection.execute(add).rowcount
        if total >= MANY and self.connection.dialect.name == "postgresql":
            # Else its first plans take the tables for empty, and read all of them for every group.
            # An import that holds the readers' tables holds up no issue.
            tables = "letter, subscriber, subscription, suppression"
            self.connection.execute(text(f"ANALYZE (SKIP_LOCKED) {tables}"))
        return total

    def _have_wishes(self, newsletter: str) -> bool:
        """Whether anybody wants this newsletter otherwise; else a million readers need no look for it."""
        query = select(schema.preference.c.form).where(schema.preference.c.newsletter == newsletter).limit(1)
        return self.connection.execute(query).first() is not None

    def _given(self, number: int, recipients: Iterable[Recipient], variants: Mapping[str, int]) -> int:
        rows = (
            {
                "issue": number,
                "number": place,
                "reader": reader.id,
                "variant": _whose(variants, reader),
                "state": State.PLANNED.value,
                "attempts": 0,
                "doubts": 0,
                "fence": 0,
            }
            for place, reader in enumerate(recipients, start=1)
        )
        return sum(add_missing(self.connection, schema.letter, batch) for batch in batches(rows))

    def _chunks(self, number: int, total: int, due: datetime) -> None:
        rows: Iterator[dict[str, object]] = (
            {
                "issue": number,
                "number": place,
                "first": first,
                "last": min(first + CHUNK - 1, total),
                "due": due,
                "fence": 0,
                **{state.value: 0 for state in State},
                "planned": min(CHUNK, total - first + 1),
            }
            for place, first in enumerate(range(1, total + 1, CHUNK), start=1)
        )
        for batch in batches(rows):
            self.connection.execute(insert(schema.chunk), batch)
        of = update(schema.issue).where(schema.issue.c.id == number)
        self.connection.execute(of.values(total=total, state="open" if total else "done"))

    def words(self, message: Message) -> str:
        """The digest of these words, which are stored from now on."""
        body = words.to_text(message)
        name = words.digest(body)
        add_missing(self.connection, schema.words, [{"digest": name, "body": body}])
        return name

    def _delivery(self, post: Post, message: str, channel: str) -> Delivery:
        key = delivery_key(
            publication=self.publication,
            mode=self.mode,
            subject=post.id,
            channel=channel,
            recipient=channel,
        )
        return Delivery(
            key=key,
            kind="post",
            subject=post.id,
            channel=channel,
            recipient=Recipient(id=channel),
            message=message,
            due=post.slot,
        )


def _which(
    variants: Mapping[str, int],
    lang: ColumnElement[str],
    form: ColumnElement[str],
    has_name: ColumnElement[bool],
) -> ColumnElement[int]:
    """The place of a reader's words: of their form, and best of their language and with their name."""
    places = []
    for variant, place in _best_first(variants):
        theirs = form == variant.form.value
        if variant.lang:
            theirs &= lang == variant.lang
        places.append((theirs & has_name if variant.named else theirs, place))
    return case(*places, else_=0) if places else literal(0)


def _whose(variants: Mapping[str, int], reader: Recipient) -> int:
    """The same for a reader who was given to us and never said how they want it."""
    for variant, place in _best_first(variants):
        known = variant.lang in ("", reader.lang) and (reader.name or not variant.named)
        if known and variant.form is Form.FULL:
            return place
    return 0


def _best_first(variants: Mapping[str, int]) -> list[tuple[Variant, int]]:
    found = [(Variant.read(name), place) for name, place in variants.items()]
    return sorted(found, key=lambda each: (not each[0].lang, not each[0].named))
