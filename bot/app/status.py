"""The use case of asking how things stand."""

from __future__ import annotations

from collections.abc import Mapping
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """How things stand: counts per channel and state, what stands still, and the deliveries asked for."""

    mode: str
    next: datetime | None
    counts: Mapping[str, Mapping[str, int]]
    holds: Mapping[str, str]
    paused: tuple[str, ...]  # a sentence for each account that waits for a person
    resting: tuple[str, ...]  # for each that goes on by itself
    deliveries: tuple[Delivery, ...]

    @property
    def has_unknown(self) -> bool:
        return any(counts.get(State.UNKNOWN) for counts in self.counts.values())

    @property
    def needs_a_person(self) -> bool:
        return self.has_unknown or bool(self.paused)


def on_their_way(root: Path) -> dict[str, Progress]:
    """How far each issue of the workspace has come that still has something to send.

    Opened anew each time: a database that nobody wrote to when it was opened read-only is not read again.
    """
    workspace = Workspace(root, readonly=True)
    mailings = workspace.mailings
    try:
        found = {mailing.subject: mailings.progress(mailing.id) for mailing in mailings.unfinished()}
    finally:
        workspace.release()
    return {subject: progress for subject, progress in found.items() if progress.left}


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
        deliveries=tuple(workspace.ledger.deliveries(states=states, channel=channel, limit=limit)),
    )
