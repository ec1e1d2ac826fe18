"""Words, codes and the step of the conversation together: whose trouble is it.

What is said at the greeting or at MAIL FROM is about the sender, whatever its words. "User unknown" is what
many servers answer to anything they do not like. It is believed with a code that says the same (5.1.1), or
where it was the answer to the recipient; where the mail was refused after the recipient had been taken, which
is what filters do, only if it names somebody; never with a temporary code.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from bot.audience.bounces import codes, phrases
from bot.audience.bounces.phrases import Theme
from bot.audience.bounces.stages import Stage, stage_of
from bot.audience.bounces.verdict import Kind

# Cisco's gateways put their own guess before what the other server said.
_QUOTED = re.compile(r"(?s)^[245]\.\d\.\d{1,3} - .{0,60}?([45]\d\d[ -]'.*)")
_HABIT = re.compile(
    r"\b(?:(?:user|recipient) (?:is )?unknown|recipient (?:is )?not found"
    r"|(?:unknown|no such|invalid) (?:user|recipient))\b"
)
# The filters of these two Japanese carriers answer so to whatever their customers do not wish to see.
_FILTERS_SAY_SO = re.compile(r"(?i)\bmfsmax\b|\bdocomo\b|\bezweb\b|\bkddi\b")
_ITSELF = re.compile(r"\b(?:unknown|no such|invalid) (?:user|recipient)[: ]{1,3}@")
_NO_ANSWER = re.compile(r"\btime[d -]{0,2}out\b|\bnot? (?:answer|respon)")
_NAMED = re.compile(r"<address>|@")
_PAUSE = re.compile(r"\n[ \t]*\n|\n--|\n[ \t]*[_=*-]{5}")
_SENTENCE = 150  # characters
_ANSWER = 300  # characters; so long is what belongs to a code
_NO_PERSON = frozenset({Theme.NOBODY, Theme.NO_HOST, Theme.NO_MAIL_HERE, Theme.MOVED})
_WEAK = frozenset({Theme.DORMANT, Theme.REFUSED, Theme.UNREACHED})
_TROUBLE = frozenset({Theme.PASSING, Theme.FULL, Theme.UNREACHED, None})


def judged(
    said: str, status: str = "", *, around: str = "", sure: bool = True, ours: Collection[str] = ()
) -> tuple[Kind | None, str]:
    """The kind, None where nothing was said, and the code. ``around`` is the conversation it comes from.

    ``sure`` says that a program reported it; words for people need more than "user unknown". ``ours`` are our
    addresses and domains: what is said of them is not said of a reader.
    """
    if quoted := _QUOTED.search(said):
        said, status = quoted[1], ""
    code = codes.code_of(status, said)
    stage = stage_of(said) or stage_of(around)
    words = phrases.normal(said)
    theme = phrases.theme(words)
    if codes.is_of_sender(code) or (stage is Stage.SENDER and not _may_pass(theme, code)):
        return Kind.SENDER, code
    kind = _kind(said, words, theme, code)
    if kind is Kind.DEAD and _speaks_of_us(said, ours):
        return Kind.SENDER, code
    if kind is Kind.DEAD and theme is Theme.NOBODY and not codes.is_clear(code):
        believed = _believed(said, words, around, code, stage, sure=sure)
        return Kind.DEAD if believed else Kind.FULL, code
    return kind, code


def _may_pass(theme: Theme | None, code: str) -> bool:
    """Whether a server that did not want to hear us at all may do so tomorrow."""
    return theme in _TROUBLE and (code.startswith("4") or theme is Theme.UNREACHED)


def _kind(said: str, words: str, theme: Theme | None, code: str) -> Kind | None:
    by_code = codes.meaning(code)
    if codes.is_clear(code) and _confirms(said, words, theme, code):
        return Kind.DEAD
    if theme is None:
        return by_code
    if theme in _WEAK:
        return theme.kind if theme is Theme.DORMANT else by_code or theme.kind
    if theme not in _NO_PERSON:
        return theme.kind
    if code.startswith("4") or (theme is Theme.NO_HOST and _is_perhaps_our_resolver(words, code)):
        return Kind.FULL
    return Kind.DEAD


def _is_perhaps_our_resolver(words: str, code: str) -> bool:
    return codes.is_unsure_of_host(code) or bool(_NO_ANSWER.search(words))


def _confirms(said: str, words: str, theme: Theme | None, code: str) -> bool:
    """Whether the words say what a clear code says, or nothing against it."""
    if theme is None or theme in _NO_PERSON or theme in _WEAK:
        return True
    if theme is Theme.SUSPENDED:
        return phrases.says(words, Theme.NOBODY)
    return phrases.theme(phrases.normal(_answer(said, code))) in _NO_PERSON


def _answer(said: str, code: str) -> str:
    """What belongs to the code: not what a gateway writes below it."""
    start = max(said.find(code), 0)
    return _PAUSE.split(said[start : start + _ANSWER])[0]


def _speaks_of_us(said: str, ours: Collection[str]) -> bool:
    return phrases.says(phrases.normal(phrases.speaking_of_us(said, ours)), Theme.SENDER)


def _believed(said: str, words: str, around: str, code: str, stage: Stage | None, *, sure: bool) -> bool:
    """Whether "user unknown" is about the user."""
    if stage is Stage.RECIPIENT:
        return True
    if codes.meaning(code) is Kind.SENDER:
        return False
    named = _NAMED.search(_answer(said, code)[:_SENTENCE]) is not None
    if stage is Stage.DATA:
        return named and not _FILTERS_SAY_SO.search(f"{said} {around}")
    more = phrases.theme(_HABIT.sub(" ", words)) is Theme.NOBODY  # than what everybody says
    if code and not sure:
        return False
    itself = not code and _ITSELF.search(words) is not None  # the reporter knows its own users
    says_so = named and code[2:4] != "2."  # this class of codes says that the mailbox exists
    return more or itself or (sure and says_so)
