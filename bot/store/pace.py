"""What each account has used, in the store: a restart forgets nothing, and many processes share one pace.

One row is locked for about a millisecond: read it with the database's clock, decide (``bot.pace``), write it.
A power cut may forget what PostgreSQL was told in its last half second: by the time anything runs again those
slots are long past, and at most that many are missing from the counts of hour and day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, tzinfo
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, Row, bindparam, func, or_, select, update

from bot.errors import DeliveryError
from bot.pace import AHEAD, Account, Grant, Noted, Outcome, PaceRules, judged, outcome_of, reserve, resumed
from bot.pace.account import Tally
from bot.store.engine import reading, writing
from bot.store.rows import add_missing, batches
from bot.store.schema import pace


@dataclass(frozen=True, kw_only=True, slots=True)
class Halt:
    """An account, or one domain of it, that sends nothing now: paused for a person, or at rest."""

    account: str
    domain: str  # "" for all of it
    why: str  # with what to do; "" when it only rests
    since: datetime | None  # of a pause
    until: datetime | None  # of a rest


class Pace:
    """The pace of every account. ``zone`` is the publication's: a warm-up counts its days there."""

    def __init__(self, engine: Engine, *, zone: tzinfo = UTC) -> None:
        self.engine, self.zone = engine, zone
        self._noted: dict[tuple[str, str], Noted] = {}
        self._lock = Lock()

    # ----------------------------------------------------------------------- slots

    def reserve(
        self,
        account: str,
        rules: PaceRules,
        want: int | Mapping[str, int] = 1,
        *,
        ahead: float = AHEAD,
        kept: float = 0.0,
        now: datetime | None = None,
        connection: Connection | None = None,
    ) -> Grant:
        """Up to so many slots, or so many for each recipient domain; never more than every limit allows.

        ``ahead=FRONT`` looks further ahead than others do, and so finds a slot before them; ``kept=KEPT``
        leaves some of each hour and day to those.
        With ``connection`` it happens in the caller's transaction; then let it be the last thing there,
        because the row stays locked until that ends. ``now`` stands in for the database's clock.
        """
        wants = _wants(rules, want)
        limited = sorted(domain for domain in wants if rules.quota_for(domain))
        with self._writing(connection) as work:
            rows, clock = _locked(work, account, ["", *limited], synced=connection is not None)
            before = {domain: rows[domain] for domain in limited}
            done = reserve(rows[""], before, rules, wants, now or clock, self.zone, ahead=ahead, kept=kept)
            changed = {"": done.account, **done.domains} if done.grant.count else {}
            _write(work, account, {d: row for d, row in changed.items() if row != rows[d]})
        return done.grant

    # ----------------------------------------------------------------------- answers

    def note(
        self,
        account: str,
        answer: str | DeliveryError | Outcome | None,
        *,
        domain: str = "",
        count: int = 1,
    ) -> None:
        """Remember, in memory, what an answer, or several like it, says. Any thread; about a microsecond.

        With ``domain`` it is about that domain alone, and matters where that has limits of its own.
        """
        outcome = answer if isinstance(answer, Outcome) else outcome_of(answer)
        if outcome is None:
            return
        with self._lock:
            noted = self._noted.setdefault((account, domain), Noted())
            noted.add(outcome, getattr(answer, "retry_after", None), count)

    def flush(
        self,
        rules: Mapping[str, PaceRules],
        *,
        only: str | None = None,
        now: datetime | None = None,
        connection: Connection | None = None,
    ) -> tuple[str, ...]:
        """Write what was noted, every second or so; a sentence for each account that pauses because of it.

        Who knows the rules of one account alone says ``only`` that.
        """
        with self._lock:
            noted = {key: said for key, said in self._noted.items() if only in (None, key[0])}
            self._noted = {key: said for key, said in self._noted.items() if key not in noted}
        if not noted:
            return ()
        try:
            with self._writing(connection) as work:
                accounts = sorted({account for account, _ in noted})
                return tuple(
                    said
                    for account in accounts
                    for said in self._judge(work, account, noted, rules.get(account, PaceRules()), now)
                )
        except BaseException:
            self._take_back(noted)
            raise

    def _judge(
        self,
        work: Connection,
        account: str,
        noted: Mapping[tuple[str, str], Noted],
        rules: PaceRules,
        now: datetime | None,
    ) -> list[str]:
        mine = {domain: said for (name, domain), said in noted.items() if name == account}
        rows, clock = _locked(work, account, sorted(mine))
        after = {
            domain: judged(rows[domain], said, rules, now or clock, account=account, domain=domain)
            for domain, said in mine.items()
        }
        _write(work, account, after)
        return [row.paused for domain, row in after.items() if row.paused and not rows[domain].paused]

    def _take_back(self, noted: Mapping[tuple[str, str], Noted]) -> None:
        with self._lock:
            for key, said in noted.items():
                self._noted.setdefault(key, Noted()).merge(said)

    # ----------------------------------------------------------------------- people

    def pause(self, account: str, reason: str) -> None:
        """No further slot until ``resume``; those given out (at most a second's) may still be used."""
        with writing(self.engine) as work:
            rows, clock = _locked(work, account, [""])
            _write(work, account, {"": replace(rows[""], paused=reason, paused_at=clock)})

    def resume(self, account: str) -> bool:
        """Go on: no pause, no rest, a fresh sample. True when it, or one of its domains, had stopped."""
        with writing(self.engine) as work:
            stopped = or_(pace.c.paused != "", pace.c.rest_until.is_not(None))
            query = select(pace).where(pace.c.account == account, stopped).order_by(pace.c.domain)
            rows = {row.domain: resumed(_account(row)) for row in work.execute(query.with_for_update())}
            _write(work, account, rows)
        return bool(rows)

    def halts(self, now: datetime | None = None) -> list[Halt]:
        """What is paused, or rests; with ``now``, no rest that is over by then."""
        paused = pace.c.paused != ""
        rests = pace.c.rest_until.is_not(None) if now is None else pace.c.rest_until > now
        query = select(pace).where(or_(paused, rests)).order_by(pace.c.account, pace.c.domain)
        with reading(self.engine) as connection:
            return [
                Halt(
                    account=row.account,
                    domain=row.domain,
                    why=row.paused,
                    since=row.paused_at if row.paused else None,
                    until=None if row.paused else row.rest_until,
                )
                for row in connection.execute(query)
            ]

    def accounts(self) -> Mapping[str, Account]:
        """Each account's own row, for people to look at."""
        query = select(pace).where(pace.c.domain == "").order_by(pace.c.account)
        with reading(self.engine) as connection:
            return {row.account: _account(row) for row in connection.execute(query)}

    @contextmanager
    def _writing(self, connection: Connection | None) -> Iterator[Connection]:
        if connection is not None:
            yield connection
            return
        with writing(self.engine) as work:
            yield work


def _wants(rules: PaceRules, want: int | Mapping[str, int]) -> Mapping[str, int]:
    """How many for each domain that has limits; all the others together stand under "any"."""
    if isinstance(want, int):
        return {"": want}
    wants: dict[str, int] = {}
    for domain, count in want.items():
        name = domain if rules.quota_for(domain) else ""
        wants[name] = wants.get(name, 0) + count
    return wants


# --------------------------------------------------------------------------- rows

_CHANGING = tuple(Account.__dataclass_fields__)
_DATES, _TALLIES = ("first_day", "used_day"), ("hour", "day")

# Read while the row is locked. The second one tells PostgreSQL not to wait for the disk at the end, in
# the same round trip; never in somebody else's transaction, which may hold a claim that must be on disk.
_CLOCK = func.clock_timestamp().label("clock")
_UNSYNCED = func.set_config("synchronous_commit", "off", True).label("unsynced")


def _locked(
    connection: Connection, account: str, domains: Sequence[str], *, synced: bool = True
) -> tuple[dict[str, Account], datetime]:
    """The rows, ours until the transaction ends, and the database's clock; missing ones are made."""
    rows, clock = _select(connection, account, domains, synced=synced)
    missing = [_values(account, domain, Account()) for domain in domains if domain not in rows]
    if missing:
        add_missing(connection, pace, missing)
        rows, clock = _select(connection, account, domains, synced=synced)
    return rows, clock


def _select(
    connection: Connection, account: str, domains: Sequence[str], *, synced: bool
) -> tuple[dict[str, Account], datetime]:
    # In the same order everywhere, the account's own row first: two workers cannot lock each other out.
    query = select(pace).where(pace.c.account == account).order_by(pace.c.domain).with_for_update()
    server = connection.dialect.name == "postgresql"
    if server:
        query = query.add_columns(_CLOCK, *(() if synced else (_UNSYNCED,)))
    found = [
        row for batch in batches(domains) for row in connection.execute(query.where(pace.c.domain.in_(batch)))
    ]
    # SQLite has no other clock than this machine's; read only now, when nobody else can be before us.
    clock = found[0].clock.astimezone(UTC) if server and found else datetime.now(UTC)
    return {row.domain: _account(row) for row in found}, clock


def _write(connection: Connection, account: str, rows: Mapping[str, Account]) -> None:
    if rows:
        query = update(pace).where(pace.c.account == bindparam("of"), pace.c.domain == bindparam("at"))
        connection.execute(
            query, [{"of": account, "at": domain, **_changing(row)} for domain, row in rows.items()]
        )


def _values(account: str, domain: str, row: Account) -> dict[str, Any]:
    return {"account": account, "domain": domain, **_changing(row)}


def _changing(row: Account) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in _CHANGING}
    for name in _DATES:
        values[name] = values[name].isoformat() if values[name] else ""
    for name in _TALLIES:
        values[name] = " ".join(f"{bucket}:{count}" for bucket, count in values[name])
    return values


def _account(row: Row[Any]) -> Account:
    values = {name: getattr(row, name) for name in _CHANGING}
    for name in _DATES:
        values[name] = date.fromisoformat(values[name]) if values[name] else None
    for name in _TALLIES:
        values[name] = _tally(values[name])
    return Account(**values)


def _tally(text: str) -> Tally:
    pairs = (pair.split(":") for pair in text.split())
    return tuple((int(bucket), int(count)) for bucket, count in pairs)
