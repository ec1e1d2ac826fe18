"""An issue whose personal pieces are still open, for whatever composes, signs and sends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from bot.model import ListFields, Message, Recipient, placeholder

KEY = "0123456789abcdef" * 4
ADDRESS = "Broadside, 1 Harbour Road, Bangkok 10100"
URL = "https://news.example.org/u/weekly/"
NAME, TOKEN = placeholder("name"), placeholder("unsubscribe_token")
READER = Recipient(id="r1", address="ana@example.com", name="Ana")
VALUES = {"name": "Ana", "unsubscribe_token": "AbC-_" * 9}
FIELDS = ListFields(
    sender="The Broadside <news@example.org>",
    reply_to="desk@example.org",
    list_id="weekly.example.org",
    list_name="The Broadside",
    archive_url="https://news.example.org/issues/weekly/12",
    help_url="https://news.example.org/help",
    unsubscribe_url=URL + TOKEN,
)


def open_issue(subject: str, *, text: str, html: str, **changes: object) -> Message:
    """With these words; the link and the postal address stand in it only where they stand in them."""
    date = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)
    message = Message(
        kind="issue", lang="en", subject=subject, text=text, html=html, date=date, mailing=FIELDS
    )
    return replace(message, **changes)  # type: ignore[arg-type]
