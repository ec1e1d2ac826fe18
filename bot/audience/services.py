"""Lists as other systems give them out: whose it is, and what words mean there and nowhere else.

The titles were read in the systems' own sources or in files that people published: Ghost's members
exporter, listmonk's ``cmd/subscribers.go``, Mailchimp's audience export, Substack's ``email_list``. Words
that mean the same everywhere are in ``states``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.audience.cells import spoken
from bot.audience.headings import Heading
from bot.audience.states import Fate


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A system whose lists are known."""

    name: str
    title: str
    signs: tuple[frozenset[str], ...]  # any of these sets of titles gives it away
    names: str = ""  # a pattern for the names of its tables; others in its zip are something else
    ignores: frozenset[str] = frozenset()  # titles that say nothing of who reads
    words: Mapping[str, Fate] = field(default_factory=dict)  # what its own words mean


def _titles(*names: str) -> frozenset[str]:
    return frozenset(names)


def _words(**words: str) -> dict[str, Fate]:
    return {spoken(word): Fate[fate] for fate, some in words.items() for word in some.split("|")}


SERVICES = (
    Service(
        name="mailchimp",
        title="Mailchimp",
        signs=(
            _titles("leid", "euid"),
            _titles("member rating", "optin time"),
            _titles("email address", "optin time", "confirm time"),
        ),
        names=r"(un|non)?subscribed_.*|cleaned_.*",
        ignores=_titles("optin time", "confirm time", "unsub campaign title", "unsub reason other"),
    ),
    Service(
        name="listmonk",
        title="listmonk",
        signs=(_titles("uuid", "email", "attributes", "status"),),
    ),
    Service(
        name="substack",
        title="Substack",
        signs=(
            _titles("email", "active subscription", "email disabled"),
            _titles("email", "type", "stripe plan"),
        ),
        names=r"email_list.*",
        ignores=_titles("active subscription", "cancel date", "type"),  # of what is paid for
    ),
    Service(
        name="ghost",
        title="Ghost",
        signs=(
            _titles("email", "subscribed to emails", "complimentary plan"),
            _titles("email", "subscribed to emails", "stripe customer id"),
            _titles("email", "subscribed to emails", "labels"),
        ),
    ),
    Service(
        name="buttondown",
        title="Buttondown",
        signs=(
            _titles("subscriber type"),
            _titles("type", "tags", "creation date"),
            _titles("type", "tags", "metadata"),
        ),
        words=_words(
            READS="regular|premium|gifted|trialed|trialled|free",
            UNAGREED="unactivated|upcoming",
            DEAD="undeliverable",
            BLOCKED="blocked|complained|spammy|malicious",
            LEFT="removed|unsubscribed",
        ),
    ),
    Service(
        name="kit",
        title="Kit",
        signs=(
            _titles("first name", "state", "created at"),
            _titles("email address", "state", "created at"),
            _titles("email", "state", "tags"),
        ),
        words=_words(UNAGREED="inactive", LEFT="cancelled|canceled"),
    ),
    Service(
        name="beehiiv",
        title="Beehiiv",
        signs=tuple(
            _titles("email", "status", other)
            for other in (
                *("utm source", "acquisition source", "referral code", "subscription tier", "tier"),
                *("subscription premium tiers", "subscribe date", "subscribed at", "created at", "created"),
            )
        ),
        words=_words(LEFT="inactive", UNAGREED="validating|pending|needs attention", DEAD="invalid"),
    ),
    Service(
        name="phplist",
        title="phpList",
        signs=(_titles("blacklisted", "confirmed"), _titles("uniqid"), _titles("email", "bouncecount")),
        ignores=_titles("bouncecount", "bounce count", "optedin", "htmlemail"),
    ),
    Service(
        name="google-groups",
        title="Google Groups",
        signs=(
            _titles("email status", "posting permissions"),
            _titles("group status", "email status"),
            _titles("email address", "nickname", "join year"),
        ),
        words=_words(
            READS="member|owner|manager|email|each email|all email|every email|daily email|digest"
            "|daily digest"
            "|abridged|abridged email|daily summary|normal|ok|regular|individual emails",
            LEFT="no email|none|no e-mail|nomail|web only|not receiving email|no longer a member",
            UNAGREED="invited|pending|pending member|requested",
            BLOCKED="banned",
            DEAD="bouncing|bounced|invalid",
        ),
    ),
    Service(
        name="kobo",
        title="KoboToolbox",
        signs=(_titles("submission time", "uuid"), _titles("submission time", "validation status")),
        ignores=_titles("validation status"),
        words=_words(READS="submitted via web|submitted_via_web"),
    ),
    Service(
        name="hubspot",
        title="HubSpot",
        signs=(_titles("unsubscribed from all email"), _titles("record id", "lifecycle stage")),
        ignores=_titles("marketing emails bounced", "lead status"),
    ),
    Service(
        name="klaviyo",
        title="Klaviyo",
        signs=(_titles("klaviyo id"), _titles("email marketing consent", "email suppressions")),
        ignores=_titles("email marketing consent timestamp", "email suppressions timestamp"),
    ),
)

_TABLES = {"": None, "un": Fate.LEFT, "non": Fate.UNAGREED, "cleaned": Fate.DEAD}
_table_name = re.compile(r"(un|non|)subscribed_|(cleaned)_", re.IGNORECASE).match


def service_named(name: str) -> Service | None:
    """The service of that name."""
    return next((service for service in SERVICES if service.name == name), None)


def recognised(heading: Heading) -> Service | None:
    """Whose list that is, by its titles; None for any other table."""
    return next((s for s in SERVICES if any(signs <= heading.names for signs in s.signs)), None)


def belongs(service: Service, name: str) -> bool:
    """Whether a table of that name, in the zip of that service, is a list of readers."""
    return (
        not service.names or re.fullmatch(service.names, name.rpartition(".")[0], re.IGNORECASE) is not None
    )


def fate_of_table(service: Service | None, name: str) -> Fate | None:
    """What the name of a table says of everybody in it: Mailchimp has one table for each fate."""
    found = _table_name(name) if service and service.name == "mailchimp" else None
    return _TABLES[(found[2] or found[1]).lower()] if found else None


def language_in(attributes: str) -> str:
    """The language that listmonk's attributes name, if they do."""
    try:
        found = json.loads(attributes)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    known = {str(key).casefold(): value for key, value in found.items()}
    values = (known.get(key) for key in ("lang", "language", "locale"))
    return next((value for value in values if isinstance(value, str)), "")
