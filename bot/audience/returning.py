"""The token that takes back a departure: good for whoever pressed the button, for a minute.

It has the form of an unsubscribe token, for a "newsletter" with a colon in its name. No newsletter has one:
so neither opens what the other is for.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.audience.tokens import read_unsubscribe_token, unsubscribe_token


def return_token(keys: Sequence[bytes], *, departure: str, newsletter: str) -> str:
    """The token for one departure; ``departure`` is 32 hex digits, drawn for it."""
    return unsubscribe_token(keys, subscriber=departure, newsletter=_purpose(newsletter))


def read_return_token(keys: Sequence[bytes], token: str, *, newsletter: str) -> str | None:
    """The name of the departure, or None for anything that we did not sign."""
    return read_unsubscribe_token(keys, token, newsletter=_purpose(newsletter))


def _purpose(newsletter: str) -> str:
    return f"return:{newsletter}"
