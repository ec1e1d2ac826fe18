"""Bounces written for people only: is it one, where does the copy of our mail begin, who is meant."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from bot.audience.bounces.judging import judged
from bot.audience.bounces.notation import alternatives
from bot.audience.bounces.opened import Opened
from bot.audience.bounces.verdict import Kind

HEARD = 12_000  # characters of a report; what matters stands at its beginning


def _any(lines: str, *, before: str = "") -> re.Pattern[str]:
    return re.compile(f"(?im){before}(?:{alternatives(lines)})")


_DAEMON = _any(r"""
mailer-?daemon|mail delivery|post[-_. ]?master|system administrator|mail ?administrator|
  delivery (?:status|failure)
mail system|mail deliver|<>|^bounces?[@+-]|internet mail|no-?reply@bounce
""")
_SUBJECT = _any(r"""
undeliver|returned|delivery (?:status notification|fail|report|error|problem|has failed)|user unknown|
  bounced?
fail(?:ure|ed) (?:notice|delivery|notification)|non[- ]?deliver|could not (?:be )?deliver|delivery delayed
(?:mail|message|e-?mail) (?:delivery )?(?:fail|error|could not|not deliver|undeliver|system error|
  delayed|status)
delayed mail|warning: (?:message|could not)
unzustellbar|nicht zustellbar|non remis|non distribu|no se (?:ha podido|pudo) entregar|
  n[ãa]o (?:foi )?entreg
mancata consegna|не ?доставлен|配信|配達|送信でき|エラー通知|退信|投递失败|반송|전송 실패
""")
_OPENING = _any(r"""
following (?:address|recipient|e-?mail).{0,90}(?:fail|error|problem|reject|undeliver|not)
(?:could|was|can) ?not (?:be )?(?:deliver|reach)|wasn't able to deliver|unable to deliver|undeliverable
delivery (?:to the following|has failed|failed|error)|did not reach the following|permanent (?:fatal )?error
transcript of session|returned to (?:sender|you)|mail delivery (?:sub)?system|reason: \d\d\d
error (?:has )?occurred while (?:attempting|trying) to deliver|there was an error delivering
message that you sent|error message below|trouble delivering your
konnte nicht zugestellt|n'a pas pu être|no pudo ser entregad|не (?:может быть доставлено|удалось доставить)
配信できません|配送できません|送信できません|届けできません|无法投递|未能送达|전달할 수 없
""")
_ANSWER = re.compile(r"(?m)(?:^|[\s:'(])[45]\d\d[ -]+(?:[45]\.\d{1,3}\.\d{1,3}\b|\S)")
_FORWARDED = re.compile(
    r"(?im)^[> ]*from:.{0,60}(?:mailer-?daemon|postmaster@|mail delivery sub)[^\n]*\n"
    r"[> ]{0,8}[a-z][a-z-]{1,30}:"  # a header among others, not a server's word
)
_COPY = _any(
    r"""
--[ -]*+(?:this is a copy|below this line|original message|unsent message|message (?:header|follows|
  text|body))
--[ -]*+(?:returned message|a copy|copy of|the (?:header|body|original)|enclosed|your (?:message|
  mail)|start of)
--[ -]*+(?:undelivered|header|included|full|begin)
(?:original|unsent|returned|bounced) (?:message|mail|
  e-?mail)(?: headers?)?(?: text)?(?: is)? ?(?:follows?|below|:|---)
your (?:message|mail|e-?mail)(?: headers?)?(?: text)?(?: is)? ?(?:follows?|below|---)
message headers? follows?|below is (?:a copy|the|your)|included is a copy|here is (?:a copy|the|your)
the (?:header|body|text|first) of (?:the|your) (?:original )?(?:message|mail)
(?:a |the )?copy of (?:the|your) (?:original )?(?:message|mail)|original headers?:|headers? (?:of the|
  follow)
return-path: ?<|received: ?(?:from|by|\(|id)|dkim-signature: |arc-seal: |mime-version: |message-id: ?<
""",
    before=r"^[ ]*",
)
# Who says so has not given up, whatever else the warning explains ("eventually ... will give up").
_STILL_TRIES = _any(r"""
warning message only|do not need to re-?send|will (?:continue|keep)(?: on)? (?:to (?:try|attempt)|trying|
  attempting)
(?:has|have) (?:not yet|still not) been (?:delivered|sent)|not yet been delivered
delivery attempts will continue|no action is required|will be (?:retried|re-?attempted|tried again)
is still (?:trying|being tried)
eventually.{0,60}give up|further attempts will
""")
_DELAY = _any(r"""
will (?:try|retry)|further attempts|temporary (?:failure|problem|non-fatal)|(?:is|has been|was) delayed
still (?:trying|being)|transient non-fatal
""")
_GAVE_UP = _any(r"""
(?:have|has|i've|'ve|am|is|been|are) (?:now )?(?:given up|giving up)|not going to try|fatal errors?
permanent (?:error|failure|fatal|delivery)|no further attempts|will not be (?:retried|tried|attempted)
""")
_FINAL = _any(r"""
permanent|given? up|giving up|failed|not going to try|undeliver|fatal errors|returned|expired
could not be delivered to
""")
_OUR_WORDS = re.compile(r"(?im)^[> \t]{0,12}(?:subject:.*|from:[^\n@]{0,100}@[^\s@]{1,255}$)")
_DELAYED = re.compile(
    r"(?i)\bdelay(?:ed)?\b|^warning:? |(?:temporary|still) .{0,40}(?:not|un)deliver|not yet delivered"
)
_MAILBOX = re.compile(r"[^\s<>(),;:\"'\[\]=|@]{1,128}@[^\s<>(),;:\"'\[\]|@]{1,255}")
_NOT_A_READER = re.compile(
    r"(?i)^(?:mailer-?daemon|post-?master|abuse|hostmaster|support|help ?desk|no-?reply)@"
)
_OF_SENDER = re.compile(
    r"(?i)mail from|^\W*from\b|sender|sent by|returned to|please (?:contact|forward|e-?mail)|contact "
)
_FIELDS = re.compile(
    r"(?i)^[ >]*(?:reporting-mta|arrival-date|received-from-mta|last-attempt-date|remote-mta|x-\S+):"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What was told of one address; of everybody where it names none."""

    address: str | None
    kind: Kind | None
    code: str
    words: str


def is_bounce(mail: Opened) -> bool:
    """Whether a mail system wrote it about a mail of ours, as far as anyone can tell."""
    if mail.blocks or "x-failed-recipients" in mail.head or mail.kind.endswith("delivery-status"):
        return True
    own = report_of(mail.text)
    opening = bool(_OPENING.search(own, 0, 3_000))
    subject = bool(_SUBJECT.search(mail.head.get("subject", "")))
    daemon = any(_DAEMON.search(mail.head.get(name, "")) for name in ("from", "sender", "return-path"))
    if daemon or _FORWARDED.search(mail.text):
        return subject or opening or mail.returned or bool(_ANSWER.search(own))
    return subject and opening


def is_delay(mail: Opened) -> bool:
    """Whether the reporter still tries."""
    own = report_of(mail.text)
    if _STILL_TRIES.search(own):
        return not _GAVE_UP.search(own)
    delayed = _DELAY.search(own) or _DELAYED.search(mail.head.get("subject", ""))
    return bool(delayed) and not _FINAL.search(own)


def report_of(text: str) -> str:
    """The report without the mail that it returns: our own words must not be taken for a server's."""
    if forwarded := _FORWARDED.search(text):
        rest = re.sub(r"(?m)^[ ]?>[ ]?", "", text[forwarded.start() :])
        text = rest.partition("\n\n")[2] or rest
    found = _COPY.search(text)
    return _OUR_WORDS.sub("", text[: found.start() if found else HEARD][:HEARD])


def told(text: str, ours: Collection[str] = ()) -> Iterator[Told]:
    """What is told of each address; where nothing tells more, one for the whole. ``ours``: see ``judged``."""
    own = report_of(text)
    pieces = list(_by_address(own, ours))
    several = len(pieces) > 1  # then what is told of the one says nothing about the others
    found = [_judged(address, words, "" if several else own, ours) for address, words in pieces]
    if several and any(each.kind for each in found):
        yield from (each for each in found if each.kind)
    elif own.strip():
        yield _better(found[0] if found else None, own, ours)


def _better(found: Told | None, own: str, ours: Collection[str]) -> Told:
    """What is told of the one address; all the words where those beside it do not call it dead."""
    if found and found.kind is Kind.DEAD:
        return found
    whole = _judged(found.address if found else None, own, own, ours)
    return whole if found is None or whole.kind else found


def _judged(address: str | None, words: str, around: str, ours: Collection[str]) -> Told:
    kind, code = judged(words, around=around, sure=False, ours=others(ours, address))
    return Told(address=address, kind=kind, code=code, words=words)


def others(ours: Collection[str], address: str | None) -> Collection[str]:
    """Our addresses and domains without those of the reader, who may be one of us."""
    return frozenset(ours) - {address, (address or "").rpartition("@")[2]}


def _by_address(text: str, ours: Collection[str]) -> Iterator[tuple[str, str]]:
    """The lines from one address to the next one, those of the same address together."""
    pieces: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.split("\n"):
        if _FIELDS.search(line):
            continue
        if address := _meant(line, ours):
            current = pieces.setdefault(address, [])
        current.append(line)
    return ((address, "\n".join(lines)) for address, lines in pieces.items())


def _meant(line: str, ours: Collection[str]) -> str | None:
    """The address that a line speaks of, where it does not speak of the sender."""
    if "@" not in line or _OF_SENDER.search(line):
        return None
    found = [match[0].strip(".<>").lower() for match in _MAILBOX.finditer(line)]
    return next((each for each in found if each not in ours and not _NOT_A_READER.search(each)), None)
