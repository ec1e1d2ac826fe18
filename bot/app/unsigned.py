"""Reports that carry no token of ours: anybody can write one, so a person looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from bot.app.workspace import Workspace
from bot.audience.bounces.deciding import most_unsigned
from bot.store import returns
from bot.store.returns import Unsigned

LOOKED_BACK = timedelta(days=30)
_A_DAY = timedelta(days=1)
LOOK = "look at them with 'bot bounces --unsigned'"


def unsigned_reports(workspace: Workspace, now: datetime) -> list[Unsigned]:
    """Those of the last 30 days, about readers who are still here."""
    return returns.unsigned(workspace.engine, now - LOOKED_BACK)


def too_many_unsigned(workspace: Workspace, now: datetime) -> str:
    """A sentence when readers were kept because such reports were about too many at once; else empty."""
    waiting = {each.address for each in unsigned_reports(workspace, now) if each.waits}
    if not waiting:
        return ""
    most = most_unsigned(workspace.bounces.readers())
    who = f"{len(waiting)} reader{'s' * (len(waiting) != 1)}"
    return (
        f"unsigned reports say that {who} cannot be reached, more than the {most} a day that such reports may"
        f" remove: nobody was removed; {LOOK}, then 'bot subscribers remove' those who are gone, and set"
        " [bounces] address, so that reports are signed"
    )


def told_of_unsigned(workspace: Workspace, now: datetime) -> tuple[str, ...]:
    """How many there are, and whether readers were kept because of too many; nothing where there are none."""
    count = len(unsigned_reports(workspace, now))
    if not count:
        return ()
    return (too_many_unsigned(workspace, now) or f"unsigned reports of 30 days: {count}; {LOOK}",)


def remove_by_unsigned(workspace: Workspace, doubtful: dict[str, str], now: datetime) -> dict[str, str]:
    """Stop writing to these readers, for these reasons, unless they are too many for a day: then to nobody.

    Who was stopped. The others wait for a person, or for another report on another day.
    """
    removed = returns.readers_led(workspace.engine, "removal", now - _A_DAY)
    if len(removed | doubtful.keys()) > most_unsigned(workspace.bounces.readers() + len(removed)):
        for reader in doubtful:
            workspace.bounces.led_to(_of(workspace, reader), "waiting", now)
        return {}
    stopped = {}
    for reader, reason in doubtful.items():
        workspace.bounces.led_to(_of(workspace, reader), "removal", now)  # first: a crash counts it, too
        if workspace.bounces.suppress(reader, reason=f"bounce: {reason}", now=now):
            stopped[reader] = reason
    return stopped


def _of(workspace: Workspace, reader: str) -> Sequence[str]:
    return [bounce.digest for bounce in workspace.bounces.history(reader) if not bounce.signed]
