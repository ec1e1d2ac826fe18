"""One mail to one address, outside the ledger: really sent, in rehearsal too, or written as a file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit

from bot.app.before_live import missing_of
from bot.app.pacing import live_wicket_for, rest_if_asked
from bot.app.preview import next_issue
from bot.app.words import issue_words, personal
from bot.app.workspace import Workspace
from bot.audience.addresses import valid_address
from bot.audience.tokens import TEST_READER
from bot.config import FILE, is_for_examples
from bot.errors import ConfigError, DeliveryError, NotFoundError, TemporaryFailure
from bot.model import Issue, Message, Receipt, Recipient, delivery_key
from bot.remote.limits import Limits
from bot.remote.with_httpx import event_hooks

PATIENCE = 5.0  # seconds: somebody sits before it
_LARGEST_PAGE = 1_000_000  # bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A test in its final words. Its links lead to pages that say what they would do in the real mail."""

    channel: str
    message: Message
    to: Recipient
    key: str

    @property
    def link(self) -> str:
        """The one that unsubscribes in the real mail."""
        return self.message.mailing.unsubscribe_url if self.message.mailing else ""


def compose_test(
    workspace: Workspace, address: str, names: Sequence[str], *, newsletter: str | None, now: datetime
) -> Draft:
    """The next issue, or one of the named items, drafts too, marked as a test and dated ``now``."""
    address = valid_address(address)
    issue = _issue(workspace, names, newsletter, now)
    out = issue_words(workspace, issue)
    message = replace(out.message, kind="test", subject=f"[Test] {out.message.subject}", date=now)
    to = Recipient(id=TEST_READER, address=address)
    key = delivery_key(
        publication=workspace.settings.publication.title,
        mode="test",
        subject=f"{issue.id}/{now.isoformat()}",
        channel=out.channel,
        recipient=address,
    )
    return Draft(
        channel=out.channel, message=personal(workspace, message, to, issue.newsletter), to=to, key=key
    )


def _issue(workspace: Workspace, names: Sequence[str], newsletter: str | None, now: datetime) -> Issue:
    mailings = [workspace.newsletter(newsletter)] if newsletter else workspace.settings.mailings
    if not mailings:
        workspace.newsletter()  # says that there is none, and what to do
    named = [workspace.item(name) for name in names]
    for mailing in mailings:
        issue = next_issue(workspace, mailing, named, now)
        if issue.items:
            return issue
    raise NotFoundError(
        "there is nothing to test: no approved item waits; 'bot approve NAME' one, or name items, "
        "drafts too: bot send-test --to ADDRESS NAME"
    )


def require_account(workspace: Workspace, channel: str) -> None:
    """ConfigError with everything that is not filled in yet."""
    missing = missing_of(workspace, channel)
    if missing:
        problem = "; ".join(finding.message for finding in missing)
        raise ConfigError(
            workspace.root / FILE,
            f"channels.{channel}",
            f"is not set up: {problem}",
            "or write the test as a file: --rehearse",
        )


async def write_test(workspace: Workspace, test: Draft) -> Receipt:
    """As a file in ``outbox/``."""
    channel = workspace.connect_outbox(test.channel)
    try:
        return await channel.send(test.message, test.to, key=test.key)
    finally:
        await channel.close()


async def send_test(workspace: Workspace, test: Draft) -> Receipt:
    """Over the wire, whatever the mode. At the account's pace: it counts like every other mail.

    Raises ConfigError where the account is not set up, and DeliveryError.
    """
    require_account(workspace, test.channel)
    gate = live_wicket_for(workspace, test.channel, test.to.address, patience=PATIENCE)
    if not await gate.turn(call=asyncio.to_thread):
        raise TemporaryFailure(
            f"the test was not sent, because the pace of {test.channel} has no room: {gate.shut}"
        )
    channel = workspace.connect_live(test.channel)
    try:
        return await channel.send(test.message, test.to, key=test.key)
    except DeliveryError as error:
        await rest_if_asked(gate, error)
        raise
    finally:
        await channel.close()


async def link_problem(link: str) -> str:
    """Why the links of a test do not work where it is read; empty when they do. A GET changes nothing."""
    import httpx

    parts = urlsplit(link)
    site = f"{parts.scheme}://{parts.netloc}"
    if is_for_examples(parts.hostname or "") and parts.hostname != "localhost":
        return f"its links lead to {site}, a name for examples: write your own site_url into bot.toml"
    start = "start 'bot serve' behind that address before you go live"
    limits = Limits(seconds=PATIENCE, size=_LARGEST_PAGE)
    try:
        async with (
            asyncio.timeout(PATIENCE),
            httpx.AsyncClient(timeout=PATIENCE, event_hooks=event_hooks(limits)) as http,
        ):
            answer = await http.get(link)
    except (TimeoutError, OSError, httpx.HTTPError):
        return f"its links lead to {site}, where nobody answers: {start}"
    if answer.status_code != httpx.codes.OK:
        return f"its links lead to {site}, which answers {answer.status_code} to them: {start}"
    return ""
