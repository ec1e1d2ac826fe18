"""Filling in the personal pieces of a message, the last step before it is sent."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import replace

from bot.model import PLACEHOLDER, Message


def personalised(message: Message, values: Mapping[str, str]) -> Message:
    """The message for one reader. KeyError where a value is missing: nothing is left behind."""

    def filled(text: str, write: Callable[[str], str] = str) -> str:
        return PLACEHOLDER.sub(lambda match: write(values[match[1]]), text)

    mailing = message.mailing
    return replace(
        message,
        text=filled(message.text),
        html=filled(message.html, html.escape),
        subject=filled(message.subject),
        mailing=mailing and replace(mailing, unsubscribe_url=filled(mailing.unsubscribe_url)),
    )
