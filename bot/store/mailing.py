"""A large issue, worked off in chunks by as many workers as there are.

A worker leases a chunk and exchanges groups with it: what became of the last group against the next one,
in one transaction that is on disk before it returns. The fence of a chunk grows with every owner, and
whoever comes with an old one is told so (``Lost``) and has changed nothing.

What is promised when it stops at the worst moment:

- The program is killed: a letter that was not begun is sent once. One that was begun and whose answer did
  not come may go out twice; the ledger counts it as a doubt. ``flight.py`` tells which is which.
- The power fails: with ``synchronous=FULL`` (PostgreSQL: ``synchronous_commit=on``), which ``engine.py``
  sets, each group is on disk before its first letter can be on the wire. All letters of the groups at
  hand are in doubt then, as many as workers times the size of their groups, and no others. With
  ``synchronous=NORMAL`` the last groups could be undone with the power: their letters would go out a
  second time and nobody would know. It is not offered.
- Another machine takes over an expired lease: as when the power fails, for that one chunk.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, func, or_, select, text, update

from bot.errors import Lost, NotFoundError
from bot.model import Issue, Message, Recipient, State
from bot.store import letters
from bot.store.chunks import Chunk, Claimed, Mailing, Progress, Settled
from bot.store.engine import reading, writing
from bot.store.flight import wrecks
from bot.store.letterbook import Letterbook, read_mailing
from bot.store.recording import Recorder
from bot.store.salvage import Recovery, free, take_over
from bot.store.schema import chunk as _chunk
from bot.store.schema import hold, moment
from bot.store.schema import issue as _issue

SWEEP = 10  # chunks that are cancelled in one transaction: others get their turn in between
_RENEW = text(
    "UPDATE chunk SET lease_until = :until"
    " WHERE issue = :issue AND number = :chunk AND fence = :fence AND owner = :owner"
    " RETURNING (SELECT state FROM issue WHERE id = :issue) AS state,"
    " (SELECT count(*) FROM hold) AS holds"
)


class Mailings:
    """The large issues of one mode. ``samples`` are the readers of issues that were given theirs."""

    def __init__(
        self, engine: Engine, *, mode: str, publication: str, samples: Iterable[Recipient] = ()
    ) -> None:
        self.engine, self.mode, self.publication = engine, mode, publication
        self._samples = {reader.id: reader for reader in samples}
        self._known: dict[int, Mailing] = {}

    def record_issue(
        self,
        issue: Issue,
        messages: Mapping[str, Message],
        channel: str,
        now: datetime,
        recipients: Iterable[Recipient] | None = None,
    ) -> int:
        """Plan the issue for its subscribers of this moment, all or nothing; how many letters it has.

        ``messages`` maps a variant's name to its words, "" to those of everybody else. With ``recipients`` it
        goes to those, and to nobody else. Recording a slot a second time changes nothing and gives 0.
        """
        with writing(self.engine) as connection:
            recorder = Recorder(connection=connection, mode=self.mode, publication=self.publication)
            return recorder.mailing(issue, messages, channel, now, recipients)

    # ----------------------------------------------------------------------- working

    def open_issues(self, now: datetime) -> list[Mailing]:
        """The issues that have something to do now, and that nobody holds; the oldest first."""
        with reading(self.engine) as connection:
            return self._open(connection, now)

    def unfinished(self) -> list[Mailing]:
        """The issues on their way, also those that somebody paused or holds; the oldest first."""
        with reading(self.engine) as connection:
            query = select(_issue.c.id).where(self._state("open", "paused")).order_by(_issue.c.id)
            return [self._mailing(connection, number) for number in connection.scalars(query).all()]

    def next_due(self, now: datetime) -> datetime | None:
        """When an open issue has something to do, ``now`` if that has passed; None when all is done."""
        with reading(self.engine) as connection:
            first = Letterbook(connection, mode=self.mode, publication=self.publication).next_due()
        return None if first is None else max(first, now)

    def lease(
        self,
        owner: str,
        now: datetime,
        *,
        seconds: float,
        issue: int | None = None,
        channel: str | None = None,
        resend: bool = True,
    ) -> Chunk | None:
        """The next chunk with something to do, for nobody else until the lease ends; None: there is none.

        What an owner before left claimed is in doubt then (``Chunk.doubtful``) and, with ``resend``, in
        line again. Call ``recover`` first: it knows more about processes that died on this machine.
        """
        with writing(self.engine) as connection:
            mailings = {
                m.id: m
                for m in self._open(connection, now)
                if issue in (None, m.id) and channel in (None, m.channel)
            }
            row = self._free(connection, list(mailings), now) if mailings else None
            if row is None:
                return None
            mailing = mailings[row.issue]
            left = take_over(connection, mailing, row, now, resend=resend)
            lease = {"owner": owner, "fence": row.fence + 1, "lease_until": now + timedelta(seconds=seconds)}
            connection.execute(update(_chunk).where(_at(row.issue, row.number)).values(lease))
            return Chunk(
                mailing=mailing,
                number=row.number,
                first=row.first,
                last=row.last,
                owner=owner,
                fence=row.fence + 1,
                seconds=seconds,
                doubtful=tuple(outcome for _, outcome in left.doubtful),
            )

    def exchange(
        self,
        chunk: Chunk,
        settled: Sequence[Settled],
        *,
        want: int,
        now: datetime,
        holding: Collection[int] | None = None,
    ) -> list[Claimed]:
        """Write what became of a group and claim the next, on disk before this returns; the lease goes on.

        Empty when the chunk has nothing more to do now, or when its issue is paused, cancelled or held:
        settle what is still in flight with ``release`` then. Raises Lost when somebody else has the chunk.
        After a StoreError nobody knows whether the exchange was made: make it again with ``holding``, the
        numbers still in hand; what was claimed and never arrived is handed out then.
        """
        with writing(self.engine) as connection:
            goes_on = self._renew(connection, chunk, now)
            change = letters.settle(connection, chunk, settled, now)
            claimed: list[Claimed] = []
            if holding is not None:
                claimed = letters.claimed_before(connection, chunk, self._samples, but=holding)
            if goes_on and want > len(claimed):
                want -= len(claimed)
                more, taken = letters.claim_next(connection, chunk, self._samples, want=want, now=now)
                claimed += more
                if change is not None:
                    change.update(taken)
            if change is None:
                letters.count_again(connection, chunk.mailing.id, chunk.number, now)
            else:
                letters.count(connection, chunk, change)
            return claimed

    def left(self, chunk: Chunk) -> list[Settled]:
        """Of the letters claimed in this chunk, those whose reader has left since: as they are settled."""
        with reading(self.engine) as connection:
            return letters.gone(connection, chunk, self._samples)

    def release(self, chunk: Chunk, settled: Sequence[Settled], *, now: datetime) -> None:
        """Give the chunk back, with what became of its last letters. Raises Lost like ``exchange``.

        Whatever was claimed and not begun belongs into ``settled`` as ``put_back``; a letter left out is in
        doubt for the next owner. The issue is done when its last chunk is.
        """
        with writing(self.engine) as connection:
            self._renew(connection, chunk, now)
            letters.settle(connection, chunk, settled, now)
            letters.cancel_rest(connection, chunk.mailing.id, chunk.first, chunk.last, now)
            given_back = update(_chunk).where(_at(chunk.mailing.id, chunk.number))
            connection.execute(given_back.values(owner=None, lease_until=None))
            letters.count_again(connection, chunk.mailing.id, chunk.number, now)

    # ----------------------------------------------------------------------- people's brakes

    def pause(self, issue: int, reason: str = "") -> bool:
        """No further letter after those in flight, until ``resume``; False when it was not open."""
        return self._turn(issue, ("open",), "paused", reason)

    def resume(self, issue: int) -> bool:
        """Let it go on; False when it was not paused."""
        return self._turn(issue, ("paused",), "open", "")

    def cancel(self, issue: int, reason: str, now: datetime) -> bool:
        """What has not begun never goes out; False when it was over already.

        Workers see it at their next exchange. The letters are marked after that, some chunks at a time, so
        that nobody waits; where that was broken off, ``recover`` ends it.
        """
        if not self._turn(issue, ("open", "paused"), "cancelled", reason):
            return False
        self._sweep(issue, now)
        return True

    def progress(self, issue: int) -> Progress:
        """How far the issue has come: quick however many its readers are."""
        counts = (func.coalesce(func.sum(_chunk.c[state.value]), 0).label(state.value) for state in State)
        with reading(self.engine) as connection:
            head = connection.execute(
                select(_issue.c.state, _issue.c.note, _issue.c.total).where(
                    _issue.c.id == issue, _issue.c.mode == self.mode
                )
            ).one_or_none()
            if head is None:
                raise NotFoundError(f"the ledger has no issue {issue}; bot status names those it has")
            row = connection.execute(select(*counts).where(_chunk.c.issue == issue)).one()
        found = {state: int(row._mapping[state.value]) for state in State}
        return Progress(state=head.state, note=head.note, total=head.total, counts=found)

    # ----------------------------------------------------------------------- after a crash

    def recover(self, folder: Path, now: datetime, *, resend: bool = True) -> Recovery:
        """Put right what died processes of this machine left, from their flight recorders in ``folder``.

        Not begun: in line again. Answered: that is its outcome. Begun without an answer: in doubt. Chunks of
        a process that lives, here or elsewhere, are left alone. Also ends cancellations that broke off.
        """
        found = Recovery()
        for wreck in wrecks(folder):
            with wreck, writing(self.engine) as connection:
                # In the order in which a cancellation takes them: two that lock the same would wait for ever.
                of_owner = select(_chunk).where(_chunk.c.owner == wreck.owner)
                of_owner = of_owner.order_by(_chunk.c.issue, _chunk.c.number).with_for_update()
                for row in connection.execute(of_owner).all():
                    mailing = self._mailing(connection, row.issue)
                    found += take_over(connection, mailing, row, now, resend=resend, wreck=wreck)
                    free(connection, row)
        self._sweep_all(now)
        return found

    # ----------------------------------------------------------------------- within a transaction

    def _open(self, connection: Connection, now: datetime) -> list[Mailing]:
        due = select(_chunk.c.issue).where(_chunk.c.issue == _issue.c.id, _chunk.c.due <= now).exists()
        query = select(_issue.c.id).where(self._state("open"), due).order_by(_issue.c.id)
        found = [self._mailing(connection, number) for number in connection.scalars(query).all()]
        held = self._held(connection) if found else frozenset()
        return [mailing for mailing in found if not mailing.scopes & held]

    def _free(self, connection: Connection, issues: Sequence[int], now: datetime) -> Row[Any] | None:
        """A chunk that is due and nobody's; on PostgreSQL whoever leases at this moment is passed by."""
        query = select(_chunk).where(
            _chunk.c.issue.in_(issues),
            _chunk.c.due <= now,
            or_(_chunk.c.lease_until.is_(None), _chunk.c.lease_until <= now),
        )
        query = query.order_by(_chunk.c.issue, _chunk.c.number).limit(1).with_for_update(skip_locked=True)
        return connection.execute(query).one_or_none()

    def _renew(self, connection: Connection, chunk: Chunk, now: datetime) -> bool:
        """Whether more may be claimed. It also locks the chunk: everything else comes after it."""
        row = connection.execute(
            _RENEW,
            {
                "issue": chunk.mailing.id,
                "chunk": chunk.number,
                "fence": chunk.fence,
                "owner": chunk.owner,
                "until": moment(now + timedelta(seconds=chunk.seconds)),
            },
        ).one_or_none()
        if row is None:
            raise Lost(f"{chunk}: another worker has it now; drop what is in hand of it and lease anew")
        return row.state == "open" and not (row.holds and chunk.mailing.scopes & self._held(connection))

    def _mailing(self, connection: Connection, number: int) -> Mailing:
        if number not in self._known:
            self._known[number] = read_mailing(connection, number, self.publication)
        return self._known[number]

    def _held(self, connection: Connection) -> frozenset[str]:
        return frozenset(connection.scalars(select(hold.c.scope)))

    def _state(self, *states: str) -> ColumnElement[bool]:
        return (_issue.c.mode == self.mode) & _issue.c.state.in_(states)

    def _turn(self, number: int, states: Sequence[str], into: str, note: str) -> bool:
        change = update(_issue).where(_issue.c.id == number, self._state(*states))
        with writing(self.engine) as connection:
            turned = connection.execute(change.values(state=into, note=note)).rowcount == 1
            if into == "open":  # its last letters may have had their answers meanwhile
                letters.end_issue(connection, number)
            return turned

    def _sweep_all(self, now: datetime) -> None:
        undone = select(_chunk.c.issue).where(_chunk.c.issue == _issue.c.id, _chunk.c.due.is_not(None))
        query = select(_issue.c.id).where(self._state("cancelled"), undone.exists())
        with reading(self.engine) as connection:
            found = list(connection.scalars(query))
        for number in found:
            self._sweep(number, now, abandoned=True)

    def _sweep(self, number: int, now: datetime, *, abandoned: bool = False) -> None:
        """Cancel what is left of a cancelled issue, some chunks at a time.

        With ``abandoned`` also what a worker had claimed whose lease is over, for nobody leases that chunk
        again: with a doubt, because it may have gone out.
        """
        after: int | None = 0
        while after is not None:
            with writing(self.engine) as connection:
                after = self._sweep_some(connection, number, after, now, abandoned=abandoned)

    def _sweep_some(
        self, connection: Connection, number: int, after: int, now: datetime, *, abandoned: bool
    ) -> int | None:
        query = select(_chunk).where(
            _chunk.c.issue == number, _chunk.c.number > after, _chunk.c.due.is_not(None)
        )
        rows = connection.execute(query.order_by(_chunk.c.number).limit(SWEEP).with_for_update()).all()
        for row in rows:
            if abandoned and (row.lease_until is None or row.lease_until <= now):
                take_over(connection, self._mailing(connection, number), row, now, resend=True)
                free(connection, row)
            letters.cancel_rest(connection, number, row.first, row.last, now)
            letters.count_again(connection, number, row.number, now)
        return rows[-1].number if rows else None


def _at(issue: int, number: int) -> ColumnElement[bool]:
    return (_chunk.c.issue == issue) & (_chunk.c.number == number)
