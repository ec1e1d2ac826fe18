"""Lists as other systems give them out: whose it is, and who of it reads, left, or never agreed.

The titles were read in the systems' own sources or in files that people published: Ghost's members
exporter, listmonk's ``cmd/subscribers.go``, Mailchimp's audience export, Substack's ``email_list``. Whoever
left there is suppressed here, so that no later list brings them back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bot.audience.cells import unguarded
from bot.audience.headings import Columns, Heading

EVERYWHERE = ("",)  # of every newsletter: the address is dead, or its owner was blocked


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A system whose lists are known."""

    name: str
    title: str
    signs: tuple[frozenset[str], ...]  # any of these sets of titles gives it away
    names: str = ""  # a pattern for the names of its tables; others in its zip are something else


@dataclass(frozen=True, kw_only=True, slots=True)
class Away:
    """Somebody of a list who does not read."""

    why: str  # "left", "dead", "blocked"; "" for somebody who only is not taken
    note: str = ""  # for whoever is not taken

    @property
    def everywhere(self) -> bool:
        """Whether no newsletter of ours may go there either."""
        return self.why in ("dead", "blocked")


def _titles(*names: str) -> frozenset[str]:
    return frozenset(names)


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
    ),
    Service(
        name="listmonk",
        title="listmonk",
        signs=(_titles("uuid", "email", "attributes", "status"),),
    ),
    Service(
        name="substack",
        title="Substack",
        signs=(_titles("email", "active subscription", "email disabled"),),
        names=r"email_list.*",
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
)

_NO = frozenset(("", "0", "no", "n", "false", "none", "null", "nan", "nein", "non", "não", "nao", "ไม่", "لا"))
_STATUS = {
    **dict.fromkeys(
        ("unsubscribed", "unsubscribe", "opted out", "optout", "opt out", "left", "removed", "archived"),
        "left",
    ),
    **dict.fromkeys(("complained", "complaint", "spam", "abuse", "marked as spam"), "left"),
    **dict.fromkeys(("cleaned", "bounced", "hard bounced", "bounce", "undeliverable", "invalid"), "dead"),
    **dict.fromkeys(("blocklisted", "blacklisted", "blocked", "suppressed", "banned"), "blocked"),
}
_NOT_TAKEN = {
    **dict.fromkeys(("nonsubscribed", "non subscribed", "transactional"), "never agreed to a newsletter"),
    **dict.fromkeys(("pending", "unconfirmed", "unactivated"), "never confirmed"),
    **dict.fromkeys(("disabled", "inactive", "deleted"), "is disabled"),
}
_FILES = {"un": Away(why="left"), "non": Away(why="", note="never agreed to a newsletter")}
_file_name = re.compile(r"(un|non)?subscribed_|(cleaned)_", re.IGNORECASE).match


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


def fate_of_table(service: Service | None, name: str) -> Away | None:
    """What the name of a table says of everybody in it: Mailchimp has one table for each fate."""
    found = _file_name(name) if service and service.name == "mailchimp" else None
    if found is None:
        return None
    return Away(why="dead") if found[2] else _FILES.get((found[1] or "").lower())


def fate_of_row(cells: Sequence[str], columns: Columns) -> Away | None:
    """What a row says of its person; None when it is a reader like any other."""

    def cell(place: int) -> str:
        return unguarded(cells[place].strip()).casefold() if place < len(cells) else ""

    status = re.sub(r"[\W_]+", " ", cell(columns.status)).strip()
    if status in _STATUS:
        return Away(why=_STATUS[status])
    if any(cell(place) not in _NO for place in columns.dead):
        return Away(why="dead")
    if any(cell(place) not in _NO for place in columns.left):
        return Away(why="left")
    if any(cell(place) and cell(place) in _NO for place in columns.stays):
        return Away(why="left")
    if any(cell(place) and cell(place) in _NO for place in columns.agreed):
        return Away(why="", note="never agreed to a newsletter")
    return Away(why="", note=_NOT_TAKEN[status]) if status in _NOT_TAKEN else None


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
