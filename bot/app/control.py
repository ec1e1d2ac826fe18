"""Use cases of people who stop, go on, and answer what the bot cannot know."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import get_close_matches

from bot.app.words import post_words
from bot.app.workspace import Workspace
from bot.errors import NotFoundError
from bot.model import MAX_ATTEMPTS, Delivery, Message, Post, Receipt, State
from bot.store.chunks import Mailing

EVERYTHING = "*"
_REFUSED_WORDS = {None, 400, 413, 422}  # None: by our own check, before the call
ALL = 1_000_000  # failed deliveries; an account that is refused so often has paused long before


def scope_of(workspace: Workspace, what: str) -> str:
    """``*`` for everything, or the name of a channel, newsletter or item; NotFoundError for anything else."""
    if what in ("everything", EVERYTHING):
        return EVERYTHING
    if what in workspace.settings.channels or what in workspace.settings.newsletters:
        return what
    names = (*workspace.settings.channels, *workspace.settings.newsletters)
    try:
        return workspace.item(what).id
    except NotFoundError:
        if near := get_close_matches(what, names, n=1):
            raise NotFoundError(f"there is no channel {what!r}; did you mean {near[0]!r}?") from None
        raise


def hold(workspace: Workspace, what: str, *, by: str, because: str = "", dry_run: bool = False) -> str:
    """Hold it from now on; a running send sees it before its next message."""
    scope = scope_of(workspace, what)
    reason = f"held by {by}" + (f": {because}" if because else "")
    if not dry_run:
        workspace.ledger.hold(scope, reason, datetime.now(UTC))
    return scope


def resume(workspace: Workspace, what: str, *, dry_run: bool = False) -> tuple[str, bool]:
    """The scope, and whether it was held. An account that stopped goes on by its own name or a channel's.

    Its deferred posts are due at once: they were put off by the answer that made it rest.
    """
    holds = workspace.ledger.holds()
    scope = what if what in holds or what in workspace.settings.paces else scope_of(workspace, what)
    account = _account(workspace, scope)
    stopped = account in {halt.account for halt in workspace.pace.halts()}
    brought = 0
    if not dry_run:
        workspace.ledger.release(scope)
        if stopped:
            workspace.pace.resume(account)
        brought = workspace.ledger.bring_forward(_channels(workspace, account), datetime.now(UTC))
    return scope, scope in holds or stopped or bool(brought)


def _account(workspace: Workspace, scope: str) -> str:
    """The account that this channel goes by; else the scope is an account's name, or nothing's."""
    return workspace.settings.pace_of(scope).account if scope in workspace.settings.channels else scope


def _channels(workspace: Workspace, account: str) -> list[str]:
    """Those that go by this account."""
    settings = workspace.settings
    return [name for name in settings.channels if settings.pace_of(name).account == account]


def cancel(
    workspace: Workspace, name: str, *, by: str, because: str = "", now: datetime, dry_run: bool = False
) -> tuple[Mailing, int]:
    """Cancel an issue that is on its way: what has not begun never goes out; the issue, and how many that is.

    It is named as ``bot status`` names it, by its newsletter, or by its number in the ledger ("i12").
    """
    found = workspace.mailings.unfinished()
    named = [m for m in found if name in (m.subject, m.newsletter, f"i{m.id}")]
    if len(named) != 1:
        known = ", ".join(f"{m.subject} (i{m.id})" for m in named or found) or "none"
        raise NotFoundError(f"there is no one issue {name!r} on its way; issues on their way: {known}")
    (mailing,) = named
    left = workspace.mailings.progress(mailing.id).left
    if not dry_run:
        reason = f"cancelled by {by}" + (f": {because}" if because else "")
        workspace.mailings.cancel(mailing.id, reason, now)
    return mailing, left


def retry(
    workspace: Workspace, names: Sequence[str], *, now: datetime, dry_run: bool = False
) -> list[Delivery]:
    """Put failed deliveries back in line: the named ones, or all that failed.

    A post that was refused for its words is composed anew, from the item and templates as they are now.
    """
    if names:
        found = [workspace.ledger.get(name) for name in names]
    else:
        found = workspace.ledger.deliveries(states=[State.FAILED], limit=ALL)
    wrong = [d for d in found if d.state is not State.FAILED]
    if wrong:
        raise NotFoundError(
            f"{wrong[0].short} is {wrong[0].state}, not failed; 'bot settle' answers for unknown ones"
        )
    if not dry_run:
        for delivery in found:
            if (message := _composed_anew(workspace, delivery)) is not None:
                workspace.ledger.reword(delivery.again(now), message, was=State.FAILED)
            else:
                workspace.ledger.revise(delivery.again(now), was=State.FAILED)
    return found


def _composed_anew(workspace: Workspace, delivery: Delivery) -> Message | None:
    """The post's words of today; None where the stored ones were not refused, or its item is gone."""
    was_refused = delivery.attempts < MAX_ATTEMPTS and delivery.code in _REFUSED_WORDS
    if delivery.kind != "post" or not was_refused or delivery.channel not in workspace.channels:
        return None
    item = next((item for item in workspace.read_queue().items if item.id == delivery.subject), None)
    if item is None:
        return None
    stored = workspace.ledger.message(delivery.message)
    slot = stored.date or delivery.due
    return post_words(workspace, Post(channel=delivery.channel, slot=slot, item=item)).message


def settle(workspace: Workspace, name: str, *, answer: str, now: datetime, dry_run: bool = False) -> Delivery:
    """A person's answer on an unknown delivery: it was "sent", send it "again", or "drop" it."""
    delivery = workspace.ledger.get(name)
    if delivery.state is not State.UNKNOWN:
        raise NotFoundError(f"{delivery.short} is {delivery.state}, not unknown; nothing to settle")
    settled = {
        "sent": delivery.sent(Receipt(note="a person saw it"), now),
        "again": delivery.again(now),
        "drop": delivery.cancelled("a person decided", now),
    }[answer]
    if not dry_run:
        workspace.ledger.revise(settled, was=State.UNKNOWN)
    return settled
