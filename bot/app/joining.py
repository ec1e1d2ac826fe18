"""Use cases of people who come: asking, confirming, being forgotten.

Whether an address is known or suppressed shows nowhere: what is asked is only written down here, in the same
way for every address. Another process looks at it a random moment later (``app.confirmations``).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from bot.app.chores import repeat_until_stopped
from bot.app.workspace import Workspace
from bot.audience.addresses import valid_address
from bot.audience.confirming import SLOWEST, read_form_stamp
from bot.errors import AudienceError
from bot.store.joining import Confirmed, Limits, Recorded, SignupRequest, Wording

MEANS = "confirmation page"
FORGET_EVERY = timedelta(hours=1)
SOONEST, LATEST = 1.0, 6.0  # seconds until a form is looked at: drawn anew for each
FORM_PATH = "/subscribe"

_log = logging.getLogger(__name__)


class Wrong(StrEnum):
    """What a person can mend in a form."""

    ADDRESS = "address"
    NEWSLETTER = "newsletter"
    STAMP = "stamp"
    USED = "used"


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """A sign-up form as it came in; nothing of it can be trusted."""

    address: str
    newsletters: tuple[str, ...]
    lang: str
    stamp: str
    trap: str = ""  # a field that people do not see
    ip: str = ""  # truncated

    def __repr__(self) -> str:
        return "Form(...)"


class Full(StrEnum):
    """Why no form is taken for now, for whatever address."""

    NETWORK = "network"
    SITE = "site"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a person must mend, or why they must wait; neither: the form was taken."""

    wrong: tuple[Wrong, ...] = ()
    full: Full | None = None


_ANSWERS = {
    Recorded.YES: Answer(),
    Recorded.USED: Answer(wrong=(Wrong.USED,)),
    Recorded.NETWORK: Answer(full=Full.NETWORK),
    Recorded.SITE: Answer(full=Full.SITE),
    Recorded.SITE_FIRST: Answer(full=Full.SITE),
}


def ask(
    workspace: Workspace, form: Form, *, now: datetime, site: str = "", limits: Limits | None = None
) -> Answer:
    """Take a form in; ``site`` is where it was opened, if not under the site's own name.

    Who fell into the trap is answered like everybody, and nothing is kept.
    """
    address, stamp, wrong = _looked_at(workspace, form, now)
    if wrong or form.trap:
        return Answer(wrong=wrong)
    request = SignupRequest(
        id=secrets.token_hex(16),
        address=address,
        newsletters=form.newsletters,
        lang=form.lang,
        form_url=(site or workspace.settings.publication.site_url) + FORM_PATH,
        wording=wording(workspace, form.lang),
        ip=form.ip,
        asked_at=now,
    )
    allowed = limits or Limits(per_ip_hour=workspace.settings.site.signups_per_network)
    due = now + timedelta(seconds=secrets.SystemRandom().uniform(SOONEST, LATEST))
    done = workspace.joining.record(request, stamp=stamp, until=now + SLOWEST, due=due, limits=allowed)
    if done is Recorded.SITE_FIRST:
        _log.warning(
            "sign-ups: %s forms came within this hour, and no more are taken until it ends; 'bot status' says"
            " how many were refused",
            f"{allowed.total_hour:,}",
        )
    return _ANSWERS[done]


def _looked_at(workspace: Workspace, form: Form, now: datetime) -> tuple[str, str, tuple[Wrong, ...]]:
    """The address in its one form, the name of the form, and all that is wrong."""
    wrong: list[Wrong] = []
    address = ""
    if not form.newsletters or any(name not in workspace.settings.newsletters for name in form.newsletters):
        wrong.append(Wrong.NEWSLETTER)
    try:
        address = valid_address(form.address)
    except AudienceError:
        wrong.append(Wrong.ADDRESS)
    stamp = read_form_stamp(workspace.settings.signing_keys, form.stamp, now)
    if not wrong and stamp is None:
        wrong.append(Wrong.STAMP)
    return address, stamp or "", tuple(wrong)


def refused_forms(workspace: Workspace, now: datetime) -> list[str]:
    """A sentence for each hour of the last day in which no more forms were taken."""
    zone = workspace.settings.publication.timezone
    return [
        f"sign-ups: the limit of the hour was reached after {each.since.astimezone(zone):%Y-%m-%d %H:%M}, and"
        f" {each.forms:,} form{'s were' if each.forms != 1 else ' was'} refused"
        for each in workspace.joining.refused(since=now - timedelta(days=1))
    ]


def wording(workspace: Workspace, lang: str) -> Wording:
    """What the form says above its button, word for word; its version is made from the words."""
    body = workspace.templates.strings(lang)["join_agree"]
    return Wording(version=hashlib.sha256(body.encode()).hexdigest()[:12], lang=lang, body=body)


# --------------------------------------------------------------------------- confirming


def confirm(workspace: Workspace, signup: str, *, now: datetime, ip: str = "") -> Confirmed | None:
    """Add the reader; None when the sign-up is unknown or has run out."""
    return workspace.joining.confirm(signup, now=now, means=MEANS, ip=ip)


def forget(workspace: Workspace, *, now: datetime) -> int:
    """Forget who asked and did not confirm in time, and past counts; how many people that were."""
    return workspace.joining.sweep(now)


async def forget_once(workspace: Workspace, stopping: Callable[[], bool]) -> str:
    """The same for cron, told in a line."""
    count = await asyncio.to_thread(forget, workspace, now=datetime.now(UTC))
    return f"deleted {count:,} sign-up{'s' * (count != 1)} that nobody confirmed in time" if count else ""


async def forget_until_stopped(
    workspace: Workspace, stop: asyncio.Event, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> None:
    """Now and every hour: what we promise to delete goes, also while no page is served."""

    async def look() -> None:
        await asyncio.to_thread(forget, workspace, now=clock())

    await repeat_until_stopped(look, stop, every=FORGET_EVERY, failed="old sign-ups were not deleted")
