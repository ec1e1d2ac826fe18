"""The use case of asking how things stand."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from bot.app.joining import refused_forms
from bot.app.loop import next_moment
from bot.app.pacing import halts, told
from bot.app.publish import holds, run_at_work
from bot.app.unsigned import told_of_unsigned
from bot.app.workspace import Workspace
from bot.errors import NotFoundError
from bot.model import Delivery, State
from bot.sender import LEASE
from bot.store.chunks import Progress
from bot.store.standing import Standing, standings

LATEST = 5  # issues whose doubts are told
MANY = 100  # issues that are followed at once
OF_LATE = timedelta(days=7)  # posts whose receipts are told
_NOBODY = "no run is at work here; the next one settles them"


class Why(NamedTuple):
    """Why something stands still; empty: it does not."""

    said: str
    briefly: str  # without what is told of its account anyway: "mail: paused"; a person's words are whole


@dataclass(frozen=True, kw_only=True, slots=True)
class Underway:
    """An issue that still has something to send."""

    id: str  # "i12"
    subject: str
    channel: str
    done: int
    total: int
    standstill: str  # why it stands still; empty: it does not
    briefly: str  # the same without what is told of its account anyway


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """How things stand: counts per channel and state, what stands still, and the deliveries asked for."""

    mode: str
    next: datetime | None
    issues: tuple[Underway, ...]
    counts: Mapping[str, Mapping[str, int]]
    holds: Mapping[str, str]
    paused: tuple[str, ...]  # a sentence for each account that waits for a person
    resting: tuple[str, ...]  # for each that goes on by itself
    abandoned: tuple[str, ...]  # for each channel of posts that nobody is at any more
    unsigned: tuple[str, ...]  # a sentence when unsigned reports are about too many readers
    changed: tuple[str, ...]  # a sentence for each post of late that a service published otherwise than sent
    doubts: tuple[str, ...]  # for each of the latest issues with letters that were in doubt
    signups: tuple[str, ...]  # for each hour of the last day in which no more forms were taken
    deliveries: tuple[Delivery, ...]

    @property
    def has_unknown(self) -> bool:
        return any(counts.get(State.UNKNOWN) for counts in self.counts.values())

    @property
    def needs_a_person(self) -> bool:
        return self.has_unknown or bool(self.paused)


def on_their_way(root: Path) -> dict[str, tuple[Progress, str]]:
    """How far each issue of the workspace has come that still has something to send, and why it stands still.

    Opened anew each time: a database that nobody wrote to when it was opened read-only is not read again.
    """
    workspace = Workspace(root, readonly=True)
    try:
        return {each.subject: (each.progress, why.said) for each, why in _unfinished(workspace)}
    finally:
        workspace.release()


def over(root: Path, subjects: Collection[str]) -> dict[str, tuple[Progress, str]]:
    """How far each of these issues came in the end, and how it ended."""
    workspace = Workspace(root, readonly=True)
    try:
        return {
            each.subject: (each.progress, _end(each.progress))
            for each in _standings(workspace, limit=MANY)
            if each.subject in subjects
        }
    finally:
        workspace.release()


def _end(progress: Progress) -> str:
    counts = ", ".join(f"{count:,} {state}" for state, count in progress.counts.items() if count)
    return f"{progress.note or 'cancelled' if progress.state == 'cancelled' else 'over'} ({counts})"


def _unfinished(workspace: Workspace) -> list[tuple[Standing, Why]]:
    stops, rests = _stops(workspace), not run_at_work(workspace)
    return [
        (each, _standstill(each, stops) or _whole(_abandoned(workspace, each) if rests else ""))
        for each in _standings(workspace, limit=MANY, on_their_way=True)
        if each.progress.left
    ]


def underway(workspace: Workspace) -> tuple[Underway, ...]:
    """The issues that still have something to send."""
    return tuple(
        Underway(
            id=f"i{each.id}",
            subject=each.subject,
            channel=each.channel,
            done=each.progress.total - each.progress.left,
            total=each.progress.total,
            standstill=why.said,
            briefly=why.briefly,
        )
        for each, why in _unfinished(workspace)
    )


def _standings(workspace: Workspace, *, limit: int, on_their_way: bool = False) -> list[Standing]:
    mailings = workspace.mailings
    return standings(
        mailings.engine,
        mode=mailings.mode,
        publication=mailings.publication,
        limit=limit,
        on_their_way=on_their_way,
    )


def _stops(workspace: Workspace) -> dict[str, Why]:
    """Why a scope stands still: a hold, or an account that pauses or rests."""
    zone = workspace.settings.publication.timezone
    found = {scope: _whole(said) for scope, said in holds(workspace).items()}
    for halt in halts(workspace, datetime.now(UTC)):
        if not halt.domain:
            of_account = (
                name
                for name in workspace.settings.channels
                if workspace.settings.pace_of(name).account == halt.account
            )
            said = told(halt, zone)
            found |= dict.fromkeys(of_account, Why(said, said.partition(", because ")[0]))
    return found


def _standstill(issue: Standing, stops: Mapping[str, Why]) -> Why | None:
    if issue.progress.state == "paused":
        return _whole(f"paused ({issue.progress.note})" if issue.progress.note else "paused")
    return next((why for scope, why in sorted(stops.items()) if scope in issue.scopes), None)


def _whole(said: str) -> Why:
    return Why(said, said)


def _abandoned(workspace: Workspace, issue: Standing) -> str:
    """Who was sending died, and nobody is at it now; empty where somebody is, or may be.

    The lock is looked at before and after the counts: a run may have begun or ended in between.
    """
    claimed = issue.progress.counts.get(State.CLAIMED, 0)
    if not claimed or run_at_work(workspace):
        return ""
    left = _lease(workspace, issue)
    if issue.leased_until is None or not left:
        return f"{claimed:,} claimed, and {_NOBODY}"
    if left > LEASE / 2:  # renewed lately: a worker lives, or died just now
        return ""
    end = issue.leased_until.astimezone(workspace.settings.publication.timezone)
    return (
        f"{claimed:,} claimed, no run is at work, and the worker that has them was silent for"
        f" {LEASE - left:.0f} seconds; at {end:%H:%M:%S} its lease ends, and the next run or worker takes"
        " them over"
    )


def _lease(workspace: Workspace, issue: Standing) -> float:
    """For how many seconds a worker has what is claimed; without PostgreSQL there are none, only the run."""
    if issue.leased_until is None or workspace.engine.dialect.name != "postgresql":
        return 0.0
    return max((issue.leased_until - datetime.now(UTC)).total_seconds(), 0.0)


def _posts_left(workspace: Workspace, counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """A sentence for each channel of posts whose run died in the middle of a call."""
    carriers = {newsletter.channel for newsletter in workspace.settings.mailings}
    found = [(name, states[State.CLAIMED]) for name, states in counts.items() if states.get(State.CLAIMED)]
    for name, count in found:
        if name not in carriers and not run_at_work(workspace):
            yield f"{name}: {count:,} claimed, and {_NOBODY}"


def _doubts(workspace: Workspace, issues: Sequence[Standing]) -> Iterator[str]:
    """A sentence for each issue of which letters may have gone out, or gone out twice."""
    for each in issues:
        if each.unanswered:
            yield f"{each.subject}: {each.unanswered.letters} may have gone out: {each.unanswered}"
        if each.doubted:
            yield f"{each.subject}: {each.doubted.letters} may have gone out twice: {each.doubted}"


def reader_addresses(workspace: Workspace, deliveries: Iterable[Delivery]) -> dict[str, str]:
    """The addresses behind deliveries of an issue, by their readers' ids; a person asked for them."""
    ids = {each.recipient.id for each in deliveries if each.kind == "issue"}
    samples = {r.id: r.address for r in workspace.settings.rehearsal_readers if r.id in ids}
    return {**samples, **workspace.audience.addresses(ids)}


def _changed(workspace: Workspace, now: datetime) -> Iterator[str]:
    """A rehearsal's receipts tell what would be sent, which is no news."""
    if workspace.mode == "rehearsal":
        return
    for post in workspace.ledger.noted(now - OF_LATE, LATEST):
        assert post.receipt is not None  # noqa: S101 -- the query asks for its note
        where = f" ({post.receipt.url})" if post.receipt.url else ""
        yield f"{post.channel}: {post.subject} went out, but {post.receipt.note}{where}"


def status(workspace: Workspace, *, state: str | None, channel: str | None, limit: int) -> Status:
    """Without a state: the deliveries that failed or are unknown, which a person must look at."""
    if channel and channel not in workspace.settings.channels:
        known = ", ".join(workspace.settings.channels)
        raise NotFoundError(f"there is no channel {channel!r}; channels here: {known}")
    counts: dict[str, dict[str, int]] = {}
    for (name, found), count in workspace.ledger.counts().items():
        counts.setdefault(name, {})[found] = count
    states = [State(state)] if state else [State.FAILED, State.UNKNOWN]
    now, zone = datetime.now(UTC), workspace.settings.publication.timezone
    stopped = halts(workspace, now)
    return Status(
        mode=workspace.mode,
        next=next_moment(workspace, now),
        issues=underway(workspace),
        counts=counts,
        holds=holds(workspace),
        paused=tuple(told(halt, zone) for halt in stopped if halt.why),
        resting=tuple(told(halt, zone) for halt in stopped if not halt.why),
        abandoned=tuple(_posts_left(workspace, counts)),
        unsigned=told_of_unsigned(workspace, now),
        changed=tuple(_changed(workspace, now)),
        doubts=tuple(_doubts(workspace, _standings(workspace, limit=LATEST))),
        signups=tuple(refused_forms(workspace, now)),
        deliveries=tuple(workspace.ledger.deliveries(states=states, channel=channel, limit=limit)),
    )
