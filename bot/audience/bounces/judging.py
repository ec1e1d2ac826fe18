"""Words, codes and the step of the conversation together: whose trouble is it.

"User unknown" is what many servers answer to anything they do not like. It is believed with a code that
says the same (5.1.1), or where it was the answer to the recipient; not where the recipient was taken before
and the mail refused after it, which is what filters do, and not with a temporary code.
"""

from __future__ import annotations

import re

from bot.audience.bounces import codes, phrases
from bot.audience.bounces.phrases import Theme
from bot.audience.bounces.verdict import Kind

_AT_RECIPIENT = re.compile(
    r"(?i)(?:>>>|(?:reply|answer|response)\s+to|after|\bat|\bour|\[)\s*rcpt[\s_]+to\b"
    r"|(?:not|n't) like recipient|(?:following|after) (?:the )?rcpt command"
)
_AT_DATA = re.compile(
    r"(?i)>>> ?data|(?:\bafter|\bat|\bto)\s+(?:the\s+)?(?:end\s+of\s+)?data\b|\[data\]|final data|end of data"
    r"|after i sent the message|after end of"
)
# Cisco's gateways put their own guess before what the other server said.
_QUOTED = re.compile(r"(?s)^[245]\.\d\.\d{1,3} - .{0,60}?([45]\d\d[ -]'.*)")
_HABIT = re.compile(
    r"\b(?:(?:user|recipient) (?:is )?(?:unknown|not found)|(?:unknown|no such|invalid) (?:user|recipient))\b"
)
_NO_PERSON = frozenset({Theme.NOBODY, Theme.NO_HOST, Theme.NO_MAIL_HERE, Theme.MOVED})
_WEAK = frozenset({Theme.SUSPENDED, Theme.REFUSED, Theme.UNREACHED})


def judged(said: str, status: str = "", *, around: str = "", sure: bool = True) -> tuple[Kind | None, str]:
    """The kind, None where nothing was said, and the code. ``around`` is the conversation it comes from.

    ``sure`` says that a program reported it; words for people need more than "user unknown".
    """
    if quoted := _QUOTED.search(said):
        said, status = quoted[1], ""
    code = codes.code_of(status, said)
    by_code = codes.meaning(code)
    words = phrases.normal(said)
    theme = phrases.theme(words)
    if theme is None:
        return by_code, code
    if theme in _WEAK:
        return by_code if codes.is_clear(code) else _refined(theme, by_code), code
    if theme not in _NO_PERSON or codes.is_clear(code):
        return theme.kind, code
    if code.startswith("4") or (
        theme is Theme.NOBODY and not _believed(said, words, around, code, sure=sure)
    ):
        return Kind.FULL, code
    return Kind.DEAD, code


def _refined(theme: Theme, by_code: Kind | None) -> Kind:
    return theme.kind if theme is Theme.SUSPENDED else by_code or theme.kind


def _believed(said: str, words: str, around: str, code: str, *, sure: bool) -> bool:
    """Whether "user unknown" is about the user."""
    at_recipient = bool(_AT_RECIPIENT.search(said) or _AT_RECIPIENT.search(around))
    if at_recipient:
        return True
    if _AT_DATA.search(said) or _AT_DATA.search(around) or codes.meaning(code) is Kind.SENDER:
        return False
    more = phrases.theme(_HABIT.sub(" ", words)) is Theme.NOBODY  # than what everybody says
    return more and (sure or not code)
