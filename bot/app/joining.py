"""Use cases of people who come: asking, the mail that asks back, confirming.

Whether an address is known, suppressed or over a limit shows nowhere: every well-formed form gets the same
answer, and the mail is somebody else's errand, run when the answer is out.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from bot.app.chores import repeat_until_stopped
from bot.app.workspace import Workspace
from bot.audience.addresses import valid_address
from bot.audience.confirming import confirm_token, in_time
from bot.errors import AudienceError, DeliveryError, TemporaryFailure, UnknownOutcome
from bot.model import ListFields, Message, Newsletter, Recipient, delivery_key
from bot.rendering.text import wrap
from bot.store.joining import Asked, Confirmed, Limits, SignupRequest, Wording

MEANS = "confirmation page"
PAUSES = (10.0, 60.0)  # seconds before a mail server that said "later" is asked again
FORGET_EVERY = timedelta(hours=1)
SEND_EVERY = timedelta(minutes=5)
GRACE = timedelta(minutes=5)  # so long whoever took the form in has for the mail

_log = logging.getLogger(__name__)


class Wrong(StrEnum):
    """What a person can mend in a form."""

    ADDRESS = "address"
    NEWSLETTER = "newsletter"
    STAMP = "stamp"


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a person must mend, else the sign-up that a mail has to go out for, if one has."""

    wrong: tuple[Wrong, ...] = ()
    mail: SignupRequest | None = None


def ask(workspace: Workspace, form: Form, *, now: datetime, limits: Limits | None = None) -> Answer:
    """Take a form in. Who fell into the trap is answered like everybody, and nothing is kept."""
    address, wrong = _looked_at(workspace, form, now)
    if wrong or form.trap:
        return Answer(wrong=wrong)
    request = SignupRequest(
        id=secrets.token_hex(16),
        address=address,
        newsletters=form.newsletters,
        lang=form.lang,
        form_url=f"{workspace.settings.publication.site_url}/subscribe",
        wording=wording(workspace, form.lang),
        ip=form.ip,
        asked_at=now,
    )
    allowed = limits or Limits(per_ip_hour=workspace.settings.site.signups_per_network)
    asked = workspace.joining.ask(request, now=now, limits=allowed)
    return Answer(mail=request if asked is Asked.MAIL else None)


def _looked_at(workspace: Workspace, form: Form, now: datetime) -> tuple[str, tuple[Wrong, ...]]:
    """The address in its one form, and all that is wrong."""
    wrong: list[Wrong] = []
    address = ""
    if not form.newsletters or any(name not in workspace.settings.newsletters for name in form.newsletters):
        wrong.append(Wrong.NEWSLETTER)
    try:
        address = valid_address(form.address)
    except AudienceError:
        wrong.append(Wrong.ADDRESS)
    if not wrong and not in_time(workspace.settings.signing_keys, form.stamp, now):
        wrong.append(Wrong.STAMP)
    return address, tuple(wrong)


def wording(workspace: Workspace, lang: str) -> Wording:
    """What the form says above its button, word for word; its version is made from the words."""
    body = workspace.templates.strings(lang)["join_agree"]
    return Wording(version=hashlib.sha256(body.encode()).hexdigest()[:12], lang=lang, body=body)


# --------------------------------------------------------------------------- the mail that asks back


def confirmation(workspace: Workspace, request: SignupRequest, *, site: str, now: datetime) -> Message:
    """It says nothing of what it is about, and repeats nothing that was typed: somebody else may have."""
    newsletter = workspace.newsletter(request.newsletters[0])
    words = workspace.templates.strings(request.lang)
    token = confirm_token(workspace.settings.signing_keys, signup=request.id)
    text = workspace.templates.render("email/confirm.txt", words=words, url=f"{site}/c/{token}", wrap=wrap)
    return Message(
        kind="confirmation",
        lang=words["lang"],
        text=text,
        subject=words["join_mail_subject"],
        mailing=_no_list(newsletter),
        date=now.replace(microsecond=0),
    )


def _no_list(newsletter: Newsletter) -> ListFields:
    """The newsletter's sender, and no list: whoever gets this has not joined one."""
    return ListFields(
        sender=newsletter.sender,
        reply_to=newsletter.reply_to,
        list_id="",
        list_name="",
        archive_url="",
        help_url="",
        unsubscribe_url="",
    )


async def send_confirmation(
    workspace: Workspace,
    request: SignupRequest,
    *,
    site: str = "",
    now: datetime,
    pauses: Sequence[float] | None = None,
) -> bool:
    """Send it over the newsletter's own channel. Where it certainly did not go, the person may ask again."""
    gone = False
    try:
        address = site or workspace.settings.publication.site_url
        message = confirmation(workspace, request, site=address, now=now)
        gone = await _sent(workspace, request, message, PAUSES if pauses is None else pauses, now)
    except asyncio.CancelledError:  # stopped between two tries: whoever starts next goes on
        gone = True
        raise
    finally:
        if not gone:
            await asyncio.to_thread(workspace.joining.not_sent, request.id, now=now)
    return gone


async def send_unsent(workspace: Workspace, *, now: datetime) -> int:
    """Send what was promised and never tried, because a server died in between; how many that were."""
    waiting = await asyncio.to_thread(workspace.joining.unsent, before=now - GRACE)
    sent = 0
    for request in waiting:
        try:
            sent += await send_confirmation(workspace, request, now=now, pauses=())
        except Exception as error:  # the next one may go: this one's newsletter may be no more
            _log.warning("a confirmation was not sent: %s", type(error).__name__)
    return sent


async def send_unsent_until_stopped(
    workspace: Workspace, stop: asyncio.Event, *, clock: Callable[[], datetime]
) -> None:
    """Now and every few minutes, while pages are served."""

    async def send() -> None:
        await send_unsent(workspace, now=clock())

    await repeat_until_stopped(send, stop, every=SEND_EVERY, failed="promised confirmations were not sent")


async def _sent(
    workspace: Workspace, request: SignupRequest, message: Message, pauses: Sequence[float], now: datetime
) -> bool:
    newsletter = workspace.newsletter(request.newsletters[0])
    to = Recipient(id=request.id, address=request.address, lang=request.lang)
    key = delivery_key(
        publication=workspace.settings.publication.title,
        mode=workspace.mode,
        subject=f"confirmation/{request.id}",
        channel=newsletter.channel,
        recipient=request.id,
    )
    for pause in (*pauses, None):
        if await asyncio.to_thread(_held, workspace, newsletter):
            _log.warning("a confirmation was not sent: %s is on hold", newsletter.channel)
            return False
        if not await asyncio.to_thread(workspace.joining.take, request.id, now=now):
            return True  # somebody else sends it, or nobody waits for it any more
        try:
            await workspace.channels[newsletter.channel].send(message, to, key=key)
        except TemporaryFailure as error:
            _tell(newsletter.channel, error)
            if pause is None:
                return False
            await asyncio.to_thread(workspace.joining.give_back, request.id)
            await asyncio.sleep(pause)
        except UnknownOutcome as error:  # it may be there: a second one would be one too many
            _tell(newsletter.channel, error)
            return True
        except DeliveryError as error:
            _tell(newsletter.channel, error)
            return False
        else:
            return True
    return False


def _held(workspace: Workspace, newsletter: Newsletter) -> bool:
    return bool({"*", newsletter.channel, newsletter.name} & set(workspace.ledger.holds()))


def _tell(channel: str, error: DeliveryError) -> None:
    """A server's own words may hold the address; its code does not."""
    _log.warning("a confirmation over %s: %s %s", channel, type(error).__name__, error.code or "")


# --------------------------------------------------------------------------- confirming


def confirm(workspace: Workspace, signup: str, *, now: datetime, ip: str = "") -> Confirmed | None:
    """Add the reader; None when the sign-up is unknown or has run out."""
    return workspace.joining.confirm(signup, now=now, means=MEANS, ip=ip)


def forget(workspace: Workspace, *, now: datetime) -> int:
    """Forget who asked and did not confirm in time, and past counts; how many people that were."""
    return workspace.joining.sweep(now)


async def forget_until_stopped(
    workspace: Workspace, stop: asyncio.Event, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> None:
    """Now and every hour: what we promise to delete goes, also while no page is served."""

    async def look() -> None:
        await asyncio.to_thread(forget, workspace, now=clock())

    await repeat_until_stopped(look, stop, every=FORGET_EVERY, failed="old sign-ups were not deleted")
