"""What the numbers say: enhanced status codes (RFC 3463 and its registry) and reply codes (RFC 5321).

Numbers are often put there by habit, so words that are clear win over them (``phrases``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.audience.bounces.verdict import Kind

_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")
_REPLY = re.compile(r"(?<![\d.:/-])([45][0-7]\d)(?=[ \-:,;]|$)")
_VAGUE = frozenset({"0.0"})

_MEANINGS = {
    # addressing: the address, its domain
    "1.1": Kind.DEAD,
    "1.2": Kind.DEAD,
    "1.3": Kind.DEAD,
    "1.6": Kind.DEAD,
    "1.10": Kind.DEAD,  # the domain says that it takes no mail (RFC 7505)
    "1.7": Kind.SENDER,
    "1.8": Kind.SENDER,
    "1.9": Kind.SENDER,
    # the mailbox
    "2.1": Kind.FULL,
    "2.2": Kind.FULL,
    "2.3": Kind.SENDER,
    "2.4": Kind.FULL,
    # the mail system
    "3.1": Kind.FULL,
    "3.2": Kind.FULL,
    "3.4": Kind.SENDER,
    # the way there
    "4.1": Kind.FULL,
    "4.2": Kind.FULL,
    "4.3": Kind.FULL,
    "4.4": Kind.FULL,
    "4.5": Kind.FULL,
    "4.6": Kind.FULL,
    "4.7": Kind.FULL,
    # the conversation, the content
    "5.3": Kind.SENDER,
    "6.1": Kind.SENDER,
    "6.2": Kind.SENDER,
    "6.3": Kind.SENDER,
}
_SUBJECTS = {"3": Kind.FULL, "4": Kind.FULL, "5": Kind.FULL, "6": Kind.SENDER, "7": Kind.SENDER}
_REPLIES = {"552": Kind.FULL, "452": Kind.FULL, "556": Kind.DEAD, "521": Kind.DEAD, "525": Kind.FULL}


def enhanced_codes(text: str) -> Iterator[str]:
    """Every "5.1.1" of the text, the vague "5.0.0" too."""
    return (match[0] for match in _ENHANCED.finditer(text))


def reply_codes(text: str) -> Iterator[str]:
    """Every "550" of the text that stands where a reply code stands."""
    return (match[1] for match in _REPLY.finditer(text))


def is_vague(code: str) -> bool:
    """Whether an enhanced code says nothing but "it failed"."""
    return not code or code[2:] in _VAGUE


def code_of(status: str, said: str) -> str:
    """The most telling code: the remote's own words before the reporter's status, enhanced before plain."""
    found = [*enhanced_codes(said), *enhanced_codes(status)]
    telling = [code for code in found if not is_vague(code)]
    return next(iter([*telling, *reply_codes(said), *found]), "")


def meaning(code: str) -> Kind | None:
    """What a code says by itself; None where it says too little. A temporary one never means dead."""
    if "." not in code:
        return _REPLIES.get(code)
    subject_detail = code[2:]
    kind = _MEANINGS.get(subject_detail) or _SUBJECTS.get(subject_detail.split(".")[0])
    return Kind.FULL if kind is Kind.DEAD and code.startswith("4") else kind


def is_of_sender(code: str) -> bool:
    """Whether it speaks of the sender's address (5.1.7 to 5.1.9), so that no word beside it can say more."""
    return code[2:] in ("1.7", "1.8", "1.9")


def is_unsure_of_host(code: str) -> bool:
    """Whether the way there was at fault: an unknown host beside it may be our own resolver's trouble."""
    return code[2:] in ("4.1", "4.2", "4.3", "4.5", "4.7")


def is_clear(code: str) -> bool:
    """Whether one such code is enough to call an address dead."""
    return code.startswith("5.") and _MEANINGS.get(code[2:]) is Kind.DEAD
