"""Whether a status with these words stands among the account's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from mastodon import Mastodon, MastodonAPIError

from bot.channels.mastodon.compare import plain_text, same_words
from bot.errors import UnknownOutcome
from bot.model import Message

PAGE = 40  # the most that a server gives at once
PAGES = 5
# The same words within a day are the same post: an earlier try, or a server's clock that is off.
LOOK_BACK = timedelta(days=1)
CLOCK_SKEW = timedelta(minutes=10)


def own_status(api: Mastodon, message: Message, since: datetime) -> Mapping[str, Any] | None:
    """The status with the message's words and content note, or None if surely none was made since."""
    account = str(api.account_verify_credentials()["id"])
    for status in _statuses(api, account, since):
        if _is_same(api, status, message):
            return status
    return None


def _statuses(api: Mastodon, account: str, since: datetime) -> Iterator[Mapping[str, Any]]:
    """Newest first, back to a day before ``since``. Raises UnknownOutcome where it ends too early."""
    before: str | None = None
    for _ in range(PAGES):
        page = list(api.account_statuses(account, exclude_reblogs=True, limit=PAGE, max_id=before))
        for status in page:
            if _made(status) < since - LOOK_BACK:
                return
            yield status
        if not page:
            return
        if str(page[-1]["id"]) == before:
            break  # it gives the same page again and again: what is older stays unseen
        before = str(page[-1]["id"])
    if _made(page[-1]) > since - CLOCK_SKEW:
        raise UnknownOutcome(f"more than {PAGE * PAGES} statuses since then; look at the account")


def _made(status: Mapping[str, Any]) -> datetime:
    made = cast(datetime, status["created_at"])
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def _is_same(api: Mastodon, status: Mapping[str, Any], message: Message) -> bool:
    if not same_words(str(status.get("spoiler_text") or ""), message.content_note):
        return False
    if same_words(plain_text(str(status.get("content") or "")), message.text):
        return True
    # The HTML shortens mentions and hides parts of links; the source is what was sent.
    return _begins_alike(status, message) and same_words(_source(api, status), message.text)


def _begins_alike(status: Mapping[str, Any], message: Message) -> bool:
    words = plain_text(str(status.get("content") or "")).split()[:1]
    return words == message.text.split()[:1] or "@" in message.text


def _source(api: Mastodon, status: Mapping[str, Any]) -> str:
    try:
        return str(api.status_source(status["id"])["text"])
    except (MastodonAPIError, KeyError):
        return ""  # not every server has it; the HTML has already said no
