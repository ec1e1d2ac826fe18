"""All of it for one channel, in the order in which a person mends it."""

from __future__ import annotations

import asyncio
from datetime import datetime

from bot.deliverability.encryption import examine_encryption
from bot.deliverability.finding import NameFinding, doubtful
from bot.deliverability.hosts import examine_bounces, examine_reverse, outlet_of
from bot.deliverability.key_record import examine_key
from bot.deliverability.names import Names
from bot.deliverability.policy import examine_dmarc
from bot.deliverability.senders import examine_spf
from bot.deliverability.subject import Subject


async def examine_subject(names: Names, subject: Subject, now: datetime) -> list[NameFinding]:
    """Asks DNS and greets the mail servers; sends nothing."""
    outlet, unclear = await outlet_of(names, subject)
    groups = await asyncio.gather(
        *(examine_encryption(names, relay, now) for relay in subject.relays),
        examine_spf(names, subject.bounces, outlet),
        _signing(names, subject),
        *(examine_dmarc(names, subject, author) for author in subject.authors),
        examine_reverse(names, outlet),
        examine_bounces(names, subject),
    )
    return [*unclear, *(finding for group in groups for finding in group)]


async def _signing(names: Names, subject: Subject) -> list[NameFinding]:
    if subject.key is not None:
        return await examine_key(names, subject.key)
    words = (
        f"{subject.channel} has no key: whether its mail server signs cannot be seen from here; "
        "'bot dkim make' makes one"
    )
    return [doubtful("dkim", subject.authors[0] if subject.authors else subject.bounces, words)]
