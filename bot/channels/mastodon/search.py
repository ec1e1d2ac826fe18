"""Whether a status with these words stands among the account's own.

That it does not is believed only where the list is seen to show what we post: some servers never list posts
of a certain visibility, and give the same page again whatever is asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from mastodon import Mastodon, MastodonAPIError

from bot.channels.mastodon.compare import is_cut, is_whole, plain_text, same_words
from bot.errors import UnknownOutcome
from bot.model import Message

PAGE = 40  # the most that a server gives at once
PAGES = 5
# The same words within a day are the same post: an earlier try, or a server's clock that is off.
LOOK_BACK = timedelta(days=1)
CLOCK_SKEW = timedelta(minutes=10)


def own_status(
    api: Mastodon, message: Message, since: datetime, *, known: Collection[str], visibility: str
) -> Mapping[str, Any] | None:
    """The status with the message's words and content note, or None if surely none was made since.

    ``known`` are ids of our posts. UnknownOutcome unless one of them stands in the list, as visible as ours.
    """
    account = str(api.account_verify_credentials()["id"])
    is_proof = False
    for status in _statuses(api, account, since):
        is_ours = str(status["id"]) in known
        is_proof |= is_ours and status.get("visibility") == visibility
        if _made(status) < since - LOOK_BACK or is_ours:
            continue
        if _is_same(api, status, message) or _is_ours_since(status, message, since):
            return status
    if not is_proof:
        raise UnknownOutcome(_no_proof(visibility, known))
    return None


def _no_proof(visibility: str, known: Collection[str]) -> str:
    if not known:
        return (
            "it is not among the account's posts, but none of ours was ever seen there; look at the account"
        )
    return (
        f"the server's list shows none of our {visibility} posts, so it proves nothing; look at the account"
    )


def _statuses(api: Mastodon, account: str, since: datetime) -> Iterator[Mapping[str, Any]]:
    """Newest first, back to a day before ``since`` and to the end of that page.

    Raises UnknownOutcome where it ends too early.
    """
    before: str | None = None
    seen: set[str] = set()
    for _ in range(PAGES):
        page = list(api.account_statuses(account, exclude_reblogs=True, limit=PAGE, max_id=before))
        if not page:
            return
        new = [status for status in page if str(status["id"]) not in seen]
        yield from new
        if min(_made(status) for status in page) < since - LOOK_BACK:
            return
        if not new:  # it gives the same page again and again: what is older stays unseen
            problem = "the server gives the same posts on every page; what is older cannot be seen"
            break
        seen |= {str(status["id"]) for status in new}
        before = str(page[-1]["id"])
    else:
        problem = f"more than {PAGE * PAGES} statuses since then"
    if min(_made(status) for status in page) > since - CLOCK_SKEW:
        raise UnknownOutcome(f"{problem}; look at the account")


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


def _is_ours_since(status: Mapping[str, Any], message: Message, since: datetime) -> bool:
    """Whether it is ours with its end cut off, something added or its note lost: made since, in our words."""
    content, note = str(status.get("content") or ""), str(status.get("spoiler_text") or "")
    is_new = _made(status) > since - CLOCK_SKEW
    return (
        is_new
        and note.strip() in ("", message.content_note.strip())
        and (is_cut(content, message.text) or is_whole(content, message.text))
    )


def _begins_alike(status: Mapping[str, Any], message: Message) -> bool:
    words = plain_text(str(status.get("content") or "")).split()[:1]
    return words == message.text.split()[:1] or "@" in message.text


def _source(api: Mastodon, status: Mapping[str, Any]) -> str:
    try:
        return str(api.status_source(status["id"])["text"])
    except (MastodonAPIError, KeyError):
        return ""  # not every server has it; the HTML has already said no
