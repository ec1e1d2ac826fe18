"""DMARC after RFC 9989: the policy is found by walking up the tree, at most eight questions.

No list of public suffixes is needed. ``np``, ``psd`` and ``t`` are new; ``pct``, ``rf`` and ``ri`` are gone.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.deliverability.names import Answer, Names, Trouble
from bot.deliverability.tags import read_loosely

MOST_QUESTIONS = 8
POLICIES = ("none", "quarantine", "reject")
GONE = ("pct", "rf", "ri")  # removed by RFC 9989
KNOWN = frozenset({"v", "p", "sp", "np", "adkim", "aspf", "rua", "ruf", "fo", "psd", "t", *GONE})

_ALLOWED = {
    "p": POLICIES, "sp": POLICIES, "np": POLICIES, "adkim": ("r", "s"), "aspf": ("r", "s"),
    "psd": ("u", "y", "n"), "t": ("n", "y"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One valid record with the domain it was found at."""

    domain: str
    text: str
    tags: dict[str, str]
    unread: tuple[str, ...] = ()  # pieces that are no tags, in words

    def policy_for(self, author: str, *, exists: bool = True) -> str:
        """``p`` of the domain itself; for those below it ``sp``, or ``np`` where the name does not exist."""
        own = self._policy("p") or ("none" if self.tags.get("rua") else "")
        if author == self.domain:
            return own
        below = self._policy("sp") or own
        return below if exists else self._policy("np") or below

    def _policy(self, tag: str) -> str:
        value = self.tags.get(tag, "").lower()
        return value if value in POLICIES else ""

    @property
    def psd(self) -> str:
        return self.tags.get("psd", "u").lower()

    def is_strict(self, tag: str) -> bool:
        """``adkim`` or ``aspf``."""
        return self.tags.get(tag, "r").lower() == "s"


@dataclass(frozen=True, kw_only=True, slots=True)
class Walk:
    """What one walk found, from the bottom up."""

    start: str
    records: tuple[Record, ...] = ()
    several: tuple[str, ...] = ()  # domains with more than one record: all of them count for nothing
    unanswered: tuple[str, ...] = ()  # in words
    questions: int = 0

    @property
    def organization(self) -> str:
        """The organizational domain (4.10.2)."""
        for record in self.records:
            if record.psd == "n":
                return record.domain
            if record.psd == "y":  # found where the walk began, it stands for itself
                return _one_below(record.domain, self.start)
        return self.records[-1].domain if self.records else self.start

    @property
    def applied(self) -> Record | None:
        """The author's own record, else the organization's, else the one of the public suffix (4.10.1)."""
        by_domain = {record.domain: record for record in self.records}
        suffix = next((record for record in self.records if record.psd == "y"), None)
        return by_domain.get(self.start) or by_domain.get(self.organization) or suffix


async def walk(names: Names, domain: str) -> Walk:
    """Ask at the domain and above it until a record says ``psd=y`` or ``psd=n``, or nothing is left."""
    domain = domain.lower().removesuffix(".")
    records: list[Record] = []
    several: list[str] = []
    unanswered: list[str] = []
    asked = 0
    for place in places(domain):
        answer = await names.ask(f"_dmarc.{place}", "TXT")
        asked += 1
        if answer.is_unknown:
            unanswered.append(f"_dmarc.{place} {answer.trouble}")
            break  # whatever stands above may not be what counts
        found = _records(place, answer)
        if len(found) > 1:
            several.append(place)
        if len(found) == 1:
            records += found
            if found[0].psd in ("y", "n"):
                break
    return Walk(
        start=domain,
        records=tuple(records),
        several=tuple(several),
        unanswered=tuple(unanswered),
        questions=asked,
    )


def places(domain: str) -> list[str]:
    """The domain, then upwards; of a deep one the middle is left out (RFC 9989, 4.10)."""
    labels = domain.split(".")
    above = labels[-(MOST_QUESTIONS - 1) :] if len(labels) >= MOST_QUESTIONS else labels[1:]
    return [domain, *(".".join(above[start:]) for start in range(len(above)))]


async def exists(names: Names, domain: str) -> bool:
    """False only where DNS says that there is nothing of that name."""
    answer: Answer = await names.ask(domain, "A")
    return answer.trouble is not Trouble.NO_NAME


def aligned(author: Walk, other: Walk, *, strict: bool) -> bool:
    """Whether the domain of a signature or of a return path stands for the author's (4.4)."""
    return author.start == other.start if strict else author.organization == other.organization


def mended(record: Record) -> str:
    """The record without what receivers ignore, and with a policy."""
    bad = {"v", "p", *GONE, *(tag for tag in record.tags if tag not in KNOWN)}
    bad |= {
        tag for tag, allowed in _ALLOWED.items() if record.tags.get(tag, allowed[0]).lower() not in allowed
    }
    policy = record.tags.get("p", "").lower()
    kept = [f"{tag}={value}" for tag, value in record.tags.items() if tag not in bad]
    return "; ".join(["v=DMARC1", f"p={policy if policy in POLICIES else 'none'}", *kept])


def flaws(record: Record) -> list[str]:
    """What receivers will ignore, in words."""
    found = list(record.unread)
    found += [f"{tag}= was removed by RFC 9989; leave it out" for tag in GONE if tag in record.tags]
    found += [f"{tag}= is no tag of DMARC" for tag in record.tags if tag not in KNOWN]
    found += [
        f"{tag}={record.tags[tag]} is none of {', '.join(allowed)}"
        for tag, allowed in _ALLOWED.items()
        if record.tags.get(tag, allowed[0]).lower() not in allowed
    ]
    reports = [uri.strip() for uri in record.tags.get("rua", "").split(",") if uri.strip()]
    found += [f"rua={uri} is no mailto: address" for uri in reports if not _is_mailto(uri)]
    return found


def _is_mailto(uri: str) -> bool:
    return uri.lower().startswith("mailto:") and "@" in uri


def _records(place: str, answer: Answer) -> list[Record]:
    """Those that begin with ``v=DMARC1``; what else in them cannot be read is ignored (4.7)."""
    found = []
    for text in answer.values:
        tags, unread = read_loosely(text)
        if next(iter(tags.items()), None) == ("v", "DMARC1"):
            found.append(Record(domain=place, text=text, tags=tags, unread=tuple(unread)))
    return found


def _one_below(domain: str, start: str) -> str:
    """The name one label longer than ``domain`` on the way to ``start``."""
    count = domain.count(".") + 2
    return ".".join(start.split(".")[-count:])
