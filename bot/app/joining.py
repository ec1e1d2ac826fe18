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
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from enum import Enum, StrEnum

from bot.app.chores import repeat_until_stopped
from bot.app.pacing import rest_if_asked, wicket_for
from bot.app.workspace import Workspace
from bot.audience.addresses import valid_address
from bot.audience.confirming import confirm_token, in_time
from bot.errors import AudienceError, DeliveryError, StoreError, TemporaryFailure, UnknownOutcome
from bot.model import ListFields, Message, Newsletter, Recipient, delivery_key
from bot.rendering.text import wrap
from bot.sender import Wicket
from bot.sender.turnstile import TOO_LONG
from bot.store.joining import Asked, Confirmed, Limits, SignupRequest, Wording

MEANS = "confirmation page"
PAUSES = (10.0, 60.0)  # seconds before a mail server that said "later" is asked again
FORGET_EVERY = timedelta(hours=1)
PATIENCE = 60.0  # seconds that a mail waits for its account's pace, before it waits in the store
SEND_EVERY = timedelta(minutes=1)
GRACE = timedelta(minutes=2)  # so long whoever took the form in has for the mail

_log = logging.getLogger(__name__)


class Wrong(StrEnum):
    """What a person can mend in a form."""

    ADDRESS = "address"
    NEWSLETTER = "newsletter"
    STAMP = "stamp"


class Errand(Enum):
    """What became of the mail that asks back."""

    DONE = "sent, or nobody waits for it any more"
    WAITS = "kept in the store until the account's pace has room"
    FAILED = "certainly not sent"


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
    text = workspace.templates.render(
        "email/confirm.txt", words=words, url=f"{site}/c/{token}", title=newsletter.title, wrap=wrap
    )
    return Message(
        kind="confirmation",
        lang=words["lang"],
        text=text,
        subject=words["join_mail_subject"],
        mailing=_no_list(newsletter),
        date=now.replace(microsecond=0),
    )


def _no_list(newsletter: Newsletter) -> ListFields:
    """The newsletter's address under its title, and no list: whoever gets this has not joined one."""
    return ListFields(
        sender=f"{newsletter.title} <{parseaddr(newsletter.sender)[1]}>",
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
    patience: float = PATIENCE,
) -> Errand:
    """Send it over the newsletter's own channel. Where it certainly did not go, the person may ask again."""
    done = Errand.FAILED
    try:
        address = site or workspace.settings.publication.site_url
        message = confirmation(workspace, request, site=address, now=now)
        channel = workspace.newsletter(request.newsletters[0]).channel
        gate = wicket_for(workspace, channel, request.address, patience=patience)
        done = await _sent(workspace, request, message, gate, PAUSES if pauses is None else pauses, now)
    except (asyncio.CancelledError, StoreError):  # stopped between two tries: whoever looks next goes on
        done = Errand.WAITS
        raise
    finally:
        if done is Errand.FAILED:
            await asyncio.to_thread(workspace.joining.not_sent, request.id, now=now)
    return done


async def send_unsent(workspace: Workspace, *, now: datetime) -> int:
    """Send what was promised and not tried; how many that were.

    A server died in between, or the account's pace had no room. An account that has none now is not asked
    again for each of them.
    """
    sent, shut = 0, set[str]()
    seen: set[str] | None = None
    while seen != shut:  # behind those that cannot go may be others
        seen = set(shut)
        waiting = await asyncio.to_thread(workspace.joining.unsent, before=now - GRACE, besides=seen)
        sent += await _send_all(workspace, waiting, shut, now)
    return sent


async def _send_all(
    workspace: Workspace, waiting: Sequence[SignupRequest], shut: set[str], now: datetime
) -> int:
    """How many went; ``shut`` are the newsletters whose account has no room, and grows."""
    sent = 0
    for request in waiting:
        newsletter = request.newsletters[0]
        if newsletter in shut:
            continue
        try:
            done = await send_confirmation(workspace, request, now=now, pauses=(), patience=TOO_LONG)
        except Exception as error:  # the next one may go: this one's newsletter may be no more
            _log.warning("a confirmation was not sent: %s", type(error).__name__)
            continue
        sent += done is Errand.DONE
        if done is Errand.WAITS:
            shut.add(newsletter)
    return sent


async def send_unsent_until_stopped(
    workspace: Workspace, stop: asyncio.Event, *, clock: Callable[[], datetime]
) -> None:
    """Now and every few minutes, while pages are served."""

    async def send() -> None:
        await send_unsent(workspace, now=clock())

    await repeat_until_stopped(send, stop, every=SEND_EVERY, failed="promised confirmations were not sent")


async def _sent(
    workspace: Workspace,
    request: SignupRequest,
    message: Message,
    gate: Wicket | None,
    pauses: Sequence[float],
    now: datetime,
) -> Errand:
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
        if gate and not await gate.room(1, call=asyncio.to_thread):
            return _waits(newsletter.channel, gate)
        held = await asyncio.to_thread(_held, workspace, newsletter)
        if not await _taken(workspace, request, now):  # also before it is given up: its link may be out
            return Errand.DONE  # somebody else sends it, or nobody waits for it any more
        if held:
            _log.warning("a confirmation was not sent: %s is on hold", newsletter.channel)
            return Errand.FAILED
        if gate and not await _has_its_turn(workspace, request, gate):
            return _waits(newsletter.channel, gate)
        try:
            await workspace.channels[newsletter.channel].send(message, to, key=key)
        except TemporaryFailure as error:
            _tell(newsletter.channel, error)
            await rest_if_asked(gate, error)
            if pause is None:
                return Errand.FAILED
            await asyncio.to_thread(workspace.joining.give_back, request.id)
            await asyncio.sleep(pause)
        except UnknownOutcome as error:  # it may be there: a second one would be one too many
            _tell(newsletter.channel, error)
            return Errand.DONE
        except DeliveryError as error:
            _tell(newsletter.channel, error)
            return Errand.FAILED
        else:
            return Errand.DONE
    return Errand.FAILED


async def _taken(workspace: Workspace, request: SignupRequest, now: datetime) -> bool:
    """Whether it is ours to send. Told to stop meanwhile, it is as if nobody had taken it."""
    taking = asyncio.create_task(asyncio.to_thread(workspace.joining.take, request.id, now=now))
    try:
        return await asyncio.shield(taking)
    except asyncio.CancelledError:
        with suppress(StoreError):
            if await taking:
                await asyncio.to_thread(workspace.joining.give_back, request.id)
        raise


async def _has_its_turn(workspace: Workspace, request: SignupRequest, gate: Wicket) -> bool:
    """Whether the mail may leave now; else it is as if nobody had taken it, also when the server stops."""
    ready = False
    try:
        ready = await gate.turn(call=asyncio.to_thread)
    finally:
        if not ready:
            await asyncio.to_thread(workspace.joining.give_back, request.id)
    return ready


def _waits(channel: str, gate: Wicket) -> Errand:
    _log.info("a confirmation waits for the pace of %s: %s", channel, gate.shut)
    return Errand.WAITS


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
