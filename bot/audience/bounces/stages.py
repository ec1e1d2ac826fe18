"""At which step of a conversation a mail was refused, by the words of the reporter.

What a server says at the greeting or at MAIL FROM it says of the sender, whatever its words are. At RCPT TO
it speaks of the recipient. After DATA it has seen the mail, and filters answer whatever they like.
"""

from __future__ import annotations

import re
from enum import StrEnum

from bot.audience.bounces.notation import alternatives


class Stage(StrEnum):
    """Whom an answer speaks of."""

    SENDER = "sender"  # the connection, EHLO, MAIL FROM
    RECIPIENT = "recipient"
    DATA = "data"


_BEFORE = (
    r"(?:(?:\bafter|\bat|\bto|\bour|\bfollowing|\bduring|\bsending|\bon|\bin|\bfor|\bsmtp:"
    r"|\bcommand:?|\bstage:?)\s{1,3}|\[|\bsmtp:)(?:the\s|pipelined\s|our\s|final\s|end\sof\s|sending\s){0,2}"
)
_AFTER = r"\s(?:command|response|reply|answer|stage|step|phase|error|failed|rejected)\b"
_NAMES = {
    Stage.SENDER: r"(?:mail[ _-]{0,3}from|mail(?=\scommand)|helo|ehlo|lhlo)\b",
    Stage.RECIPIENT: r"rcpt(?:[ _-]{0,3}to)?\b",
    Stage.DATA: r"(?:data|text(?=\scommand))\b",
}
_OTHERS = {
    Stage.SENDER: alternatives(r"""
refused to talk to me|after initial connection|sender was rejected|greeting failed|in greeting|\(state [1-9]\)
smtp command\s{1,3}(?:mail|ehlo|helo)
"""),
    Stage.RECIPIENT: alternatives(r"""
(?:not|n't) like recipient|\(state 1[2-4]\)
rcpt to: ?<[^<>\n]{1,300}>\s{1,4}5\d\d|smtp command\s{1,3}rcpt
"""),
    Stage.DATA: alternatives(r"""
\[body\]|end of data|after end of|after i sent the message|after transfer of mail text|\(state 1[5-9]\)
body of message generated response|smtp command\s{1,3}data
"""),
}
_STEP = re.compile(
    "(?i)"
    + "|".join(
        f"(?P<{stage}>{_OTHERS[stage]}|{_BEFORE}{name}|\\b{name}{_AFTER})" for stage, name in _NAMES.items()
    )
)
_SPOKEN = re.compile(
    r"(?i)(?P<ours>>>> ?(?P<command>mail|helo|ehlo|rcpt|data|bdat)\b)"
    r"|(?P<theirs><<< ?[45]\d\d)(?P<unasked>[ -][^\n]{0,30}need rcpt)?"
)
_COMMANDS = {
    "mail": Stage.SENDER,
    "helo": Stage.SENDER,
    "ehlo": Stage.SENDER,
    "rcpt": Stage.RECIPIENT,
    "data": Stage.DATA,
    "bdat": Stage.DATA,
}


def stage_of(words: str) -> Stage | None:
    """The step at which it was refused; None where nobody says it."""
    if spoken := _spoken(words):
        return spoken
    found = _STEP.search(words)
    return Stage(found.lastgroup) if found and found.lastgroup else None


def _spoken(words: str) -> Stage | None:
    """By a transcript (">>> RCPT To:<a@b>", "<<< 550 ..."): the command before the first refusal.

    Who pipelines shows the answer to RCPT below DATA; that no recipient was left gives it away.
    """
    last: Stage | None = None
    refused: Stage | None = None
    for line in _SPOKEN.finditer(words):
        if line["command"]:
            last = _COMMANDS[line["command"].lower()]
        elif line["unasked"]:
            return Stage.RECIPIENT
        elif refused is None:
            refused = last
    return refused
