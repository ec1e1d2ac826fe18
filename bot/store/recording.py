"""Turning a plan into rows: the slot, what was printed or posted, the words, one delivery for each reader."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert

from bot.model import Delivery, Firing, Issue, Message, Post, Recipient, delivery_key
from bot.store import schema, words
from bot.store.rows import add_missing, batches, planned_values


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

    def issue(
        self,
        issue: Issue,
        messages: Mapping[str, Message],
        recipients: Iterable[Recipient],
        channel: str,
        now: datetime,
    ) -> int:
        """How many deliveries are new; 0 when the slot was dealt with before."""
        fired = Firing(schedule=issue.newsletter, slot=issue.slot, outcome="issued", detail=issue.id)
        if not self.firing(fired):
            return 0
        self._print(issue, channel, now)
        digests = {variant: self._words(message) for variant, message in messages.items()}
        fallback = digests.get("") or next(iter(digests.values()))
        return self._add(
            self._delivery("issue", issue.id, channel, reader, digests.get(reader.lang, fallback), issue.slot)
            for reader in recipients
        )

    def post(self, post: Post, message: Message, channel: str, now: datetime) -> int:
        """1 for a new delivery; 0 when the slot or the item was dealt with before."""
        fired = Firing(schedule=post.channel, slot=post.slot, outcome="posted", detail=post.id)
        if not self.firing(fired):
            return 0
        row = {"mode": self.mode, "channel": post.channel, "item": post.item.id, "at": now}
        if not add_missing(self.connection, schema.posted, [row]):
            return 0
        recipient = Recipient(id=channel)
        return self._add(
            [self._delivery("post", post.id, channel, recipient, self._words(message), post.slot)]
        )

    def _print(self, issue: Issue, channel: str, now: datetime) -> None:
        of_issue = {"mode": self.mode, "newsletter": issue.newsletter, "subject": issue.id}
        row = {**of_issue, "number": issue.number, "slot": issue.slot, "recorded_at": now}
        row |= {"channel": channel, "audience": "given", "state": "done", "note": "", "total": 0}
        self.connection.execute(insert(schema.issue), row)
        add_missing(self.connection, schema.printed, [{**of_issue, "item": item.id} for item in issue.items])

    def _words(self, message: Message) -> str:
        body = words.to_text(message)
        name = words.digest(body)
        add_missing(self.connection, schema.words, [{"digest": name, "body": body}])
        return name

    def _delivery(
        self, kind: str, subject: str, channel: str, recipient: Recipient, message: str, due: datetime
    ) -> Delivery:
        key = delivery_key(
            publication=self.publication,
            mode=self.mode,
            subject=subject,
            channel=channel,
            recipient=recipient.id,
        )
        return Delivery(
            key=key,
            kind=kind,
            subject=subject,
            channel=channel,
            recipient=recipient,
            message=message,
            due=due,
        )

    def _add(self, deliveries: Iterable[Delivery]) -> int:
        rows: Iterator[dict[str, object]] = (planned_values(each, self.mode) for each in deliveries)
        return sum(add_missing(self.connection, schema.delivery, batch) for batch in batches(rows))
