"""What DMARC says of our mail: whether there is a policy, and whether what passes stands for the author."""

from __future__ import annotations

import asyncio

from bot.deliverability.dmarc import Record, Walk, aligned, exists, flaws, mended, walk
from bot.deliverability.finding import NameFinding, doubtful, good, wrong
from bot.deliverability.names import Names
from bot.deliverability.subject import Subject

FIRST = "v=DMARC1; p=none"


async def examine_dmarc(names: Names, subject: Subject, author: str) -> list[NameFinding]:
    """One From domain."""
    others = [walk(names, domain) for domain in (subject.bounces, subject.signature or author)]
    own, bounces, signature = await asyncio.gather(walk(names, author), *others)
    found = [*_unclear(own), *await _policy(names, own)]
    strict = own.applied
    by_spf = aligned(own, bounces, strict=bool(strict and strict.is_strict("aspf")))
    by_dkim = aligned(own, signature, strict=bool(strict and strict.is_strict("adkim")))
    if unanswered := (own.unanswered or bounces.unanswered or signature.unanswered):
        words = f"what stands for {author} cannot be told now: {unanswered[0]}"
        return [*found, doubtful("alignment", author, words)]
    return [*found, _alignment(subject, author, by_spf=by_spf, by_dkim=by_dkim and bool(subject.signature))]


def _unclear(own: Walk) -> list[NameFinding]:
    found = [wrong("dmarc", f"_dmarc.{own.start}", f"{words}; ask again later") for words in own.unanswered]
    for domain in own.several:
        words = "several DMARC records, so none of them counts; leave one"
        found.append(wrong("dmarc", f"_dmarc.{domain}", words))
    return found


async def _policy(names: Names, own: Walk) -> list[NameFinding]:
    record = own.applied
    if record is None and own.unanswered:
        return []
    if record is None:
        words = f"{own.start} has no DMARC policy; Gmail, Yahoo and Outlook refuse bulk mail without one"
        return [wrong("dmarc", f"_dmarc.{own.start}", words, publish=FIRST)]
    name = f"_dmarc.{record.domain}"
    policy = record.policy_for(own.start, exists=await exists(names, own.start))
    if not policy:
        words = "the DMARC record has no valid policy (p=), so it counts for nothing"
        return [wrong("dmarc", name, words, publish=mended(record))]
    asked = "the policy of" if record.domain == own.start else f"{own.start} falls under the policy of"
    return [good("dmarc", name, f"{asked} {record.domain}: {policy}"), *_doubts(name, record)]


def _doubts(name: str, record: Record) -> list[NameFinding]:
    found = []
    if problems := flaws(record):
        found.append(doubtful("dmarc.tags", name, "; ".join(problems), publish=mended(record)))
    if record.tags.get("t", "").lower() == "y":
        found.append(doubtful("dmarc.testing", name, "t=y: the policy is being tested and not applied"))
    return found


def _alignment(subject: Subject, author: str, *, by_spf: bool, by_dkim: bool) -> NameFinding:
    """DMARC passes when SPF or DKIM does for a domain that stands for the author's."""
    if by_spf and by_dkim:
        return good(
            "alignment", author, f"SPF ({subject.bounces}) and DKIM ({subject.signature}) stand for {author}"
        )
    if by_dkim:
        words = f"DKIM stands for {author}, SPF does not: bounces go to {subject.bounces}"
        return doubtful("alignment", author, f"{words}; a bounce address below {author} would be better")
    if not subject.signature:
        words = (
            f"whether the mail server signs for {author} cannot be seen from here; 'bot dkim make' signs here"
        )
        if by_spf:
            return doubtful("alignment", author, f"SPF stands for {author}; {words}")
        return wrong(
            "alignment", author, f"SPF does not stand for {author} (bounces go to {subject.bounces}); {words}"
        )
    if by_spf:
        words = f"SPF stands for {author}, DKIM does not: it signs for {subject.signature}"
        return doubtful("alignment", author, f"{words}; make a key for {author}: bot dkim make")
    words = f"neither SPF ({subject.bounces}) nor DKIM ({subject.signature}) stands for {author}: DMARC fails"
    return wrong("alignment", author, f"{words}; make a key for {author}: bot dkim make")
