"""The use case of asking how things stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bot.app.loop import next_moment
from bot.app.pacing import halts, told
from bot.app.publish import history
from bot.app.workspace import Workspace
from bot.errors import NotFoundError
from bot.model import Delivery, State
from bot.store.chunks import Progress
from bot.store.standing import Standing, standings

LATEST = 5  # issues whose doubts are told
MANY = 100  # issues that are followed at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """How things stand: counts per channel and state, what stands still, and the deliveries asked for."""

    mode: str
    next: datetime | None
    counts: Mapping[str, Mapping[str, int]]
    holds: Mapping[str, str]
    paused: tuple[str, ...]  # a sentence for each account that waits for a person
    resting: tuple[str, ...]  # for each that goes on by itself
    doubts: tuple[str, ...]  # for each of the latest issues with letters that were in doubt
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
        stops = _stops(workspace)
        return {
            each.subject: (each.progress, _standstill(each, stops))
            for each in _standings(workspace, limit=MANY, on_their_way=True)
            if each.progress.left
        }
    finally:
        workspace.release()


def _standings(workspace: Workspace, *, limit: int, on_their_way: bool = False) -> list[Standing]:
    mailings = workspace.mailings
    return standings(
        mailings.engine,
        mode=mailings.mode,
        publication=mailings.publication,
        limit=limit,
        on_their_way=on_their_way,
    )


def _stops(workspace: Workspace) -> dict[str, str]:
    """Why a scope stands still: a hold, or an account that pauses or rests."""
    zone = workspace.settings.publication.timezone
    found = dict(history(workspace).holds)
    for halt in halts(workspace, datetime.now(UTC)):
        if not halt.domain:
            of_account = (
                name
                for name in workspace.settings.channels
                if workspace.settings.pace_of(name).account == halt.account
            )
            found |= dict.fromkeys(of_account, told(halt, zone))
    return found


def _standstill(issue: Standing, stops: Mapping[str, str]) -> str:
    if issue.progress.state == "paused":
        return f"paused ({issue.progress.note})" if issue.progress.note else "paused"
    return next((why for scope, why in sorted(stops.items()) if scope in issue.scopes), "")


def _doubts(issues: Sequence[Standing]) -> Iterator[str]:
    """A sentence for each issue of which letters may have gone out, or gone out twice."""
    for each in issues:
        if each.unanswered:
            yield f"{each.subject}: {each.unanswered.letters} may have gone out: {each.unanswered}"
        if each.doubted:
            yield f"{each.subject}: {each.doubted.letters} may have gone out twice: {each.doubted}"


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
        counts=counts,
        holds=history(workspace).holds,
        paused=tuple(told(halt, zone) for halt in stopped if halt.why),
        resting=tuple(told(halt, zone) for halt in stopped if not halt.why),
        doubts=tuple(_doubts(_standings(workspace, limit=LATEST))),
        deliveries=tuple(workspace.ledger.deliveries(states=states, channel=channel, limit=limit)),
    )
