"""The mail that asks back, sent by another process than the one that took the form.

Who serves the pages only records what was asked. A random moment later it is decided here whether there is a
mail to send, and then it goes: neither the decision nor the work can be seen in the time of an answer. Any
number of processes may do this: each mail is claimed in the store before it goes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from enum import Enum

from bot.app.chores import repeat_until_stopped
from bot.app.joining import FORM_PATH
from bot.app.pacing import rest_if_asked, wicket_for
from bot.app.workspace import Workspace
from bot.audience.confirming import confirm_token
from bot.errors import DeliveryError, StoreError, TemporaryFailure, UnknownOutcome, fault_of
from bot.model import ListFields, Message, Newsletter, Recipient, delivery_key
from bot.rendering.text import wrap
from bot.sender import Wicket
from bot.sender.turnstile import TOO_LONG
from bot.store.joining import Asked, Limits, SignupRequest

PAUSES = (10.0, 60.0)  # seconds before a mail server that said "later" is asked again
PATIENCE = 60.0  # seconds that a mail waits for its account's pace, before it waits in the store
LOOK_EVERY = timedelta(seconds=1)
AGAIN = timedelta(minutes=1)  # until a newsletter whose account had no room is looked at again
HEAD_START = timedelta(seconds=15)  # of the process that 'bot serve' starts before 'bot run' and 'bot worker'
AT_ONCE = 20  # mails of one process; more wait in the store
FAREWELL = 15.0  # seconds for what is on the wire when the process is told to stop

_log = logging.getLogger(__name__)


class Errand(Enum):
    """What became of the mail that asks back."""

    DONE = "sent, or nobody waits for it any more"
    QUIET = "there was none to send"
    WAITS = "kept in the store until the account's pace has room"
    FAILED = "certainly not sent"


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
    title = newsletter.title.replace("\\", "").replace('"', "'")
    return ListFields(
        sender=f'"{title}" <{parseaddr(newsletter.sender)[1]}>',
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
    now: datetime,
    pauses: Sequence[float] | None = None,
    patience: float = PATIENCE,
) -> Errand:
    """Send it over the newsletter's own channel. Where it certainly did not go, the person may ask again."""
    done = Errand.FAILED
    try:
        # Written before it is decided whether there is one to send: the work is the same for every address.
        message = confirmation(workspace, request, site=_site_of(workspace, request), now=now)
        asked = await asyncio.to_thread(workspace.joining.decide, request.id, now=now, limits=Limits())
        if asked is not Asked.MAIL:
            done = Errand.QUIET
            return done
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


def _site_of(workspace: Workspace, request: SignupRequest) -> str:
    """Where the link leads: to the site, or in a rehearsal to where the form was opened."""
    if workspace.mode == "rehearsal":
        return request.form_url.removesuffix(FORM_PATH)
    return workspace.settings.publication.site_url


class ConfirmationMailer:
    """Sends what is due, each mail in a task of its own, so that a slow one holds up no other.

    ``after`` leaves what was due only lately to others.
    """

    def __init__(
        self, workspace: Workspace, *, clock: Callable[[], datetime], after: timedelta = timedelta()
    ) -> None:
        self._workspace, self._clock, self._after = workspace, clock, after
        self._on_their_way: dict[str, asyncio.Task[None]] = {}
        self._shut: dict[str, datetime] = {}  # newsletters that have to wait, and until when
        self.sent = 0

    async def begin_due(self) -> int:
        """Begin what is due and has room here; how many that were."""
        now = self._clock()
        self._shut = {name: until for name, until in self._shut.items() if until > now}
        waiting = await asyncio.to_thread(
            self._workspace.joining.unsent, before=now - self._after, besides=self._shut
        )
        new = [request for request in waiting if request.id not in self._on_their_way]
        for request in new[: AT_ONCE - len(self._on_their_way)]:
            self._on_their_way[request.id] = asyncio.create_task(self._send(request, now))
        return len(new)

    async def finish(self, *, within: float | None = None) -> None:
        """Wait for those that are on their way; what takes longer is left to whoever looks next."""
        if self._on_their_way:
            _, slow = await asyncio.wait(self._on_their_way.values(), timeout=within)
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)

    async def _send(self, request: SignupRequest, now: datetime) -> None:
        newsletter = request.newsletters[0]
        if newsletter in self._shut:
            del self._on_their_way[request.id]
            return
        done = Errand.WAITS
        try:
            done = await send_confirmation(self._workspace, request, now=now, patience=TOO_LONG)
        except Exception as error:  # its words may name the address
            _log.warning("a confirmation was not sent: %s", fault_of(error))
        finally:
            del self._on_their_way[request.id]
        self.sent += done is Errand.DONE
        if done is Errand.WAITS:
            self._shut[newsletter] = now + AGAIN


async def send_due(
    workspace: Workspace, *, clock: Callable[[], datetime], stopping: Callable[[], bool] = lambda: False
) -> int:
    """Send what is due until nothing is; how many mails that were."""
    mailer = ConfirmationMailer(workspace, clock=clock)
    while not stopping() and await mailer.begin_due():
        await mailer.finish()
    return mailer.sent


async def send_due_once(workspace: Workspace, stopping: Callable[[], bool]) -> str:
    """The same for cron, told in a line."""
    sent = await send_due(workspace, clock=lambda: datetime.now(UTC), stopping=stopping)
    return f"sent {sent:,} confirmation mail{'s' * (sent != 1)}" if sent else ""


async def send_due_until_stopped(
    workspace: Workspace,
    stop: asyncio.Event,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    after: timedelta = timedelta(),
) -> None:
    """Send what is due, every second; told to stop, what is on the wire is finished first."""
    mailer = ConfirmationMailer(workspace, clock=clock, after=after)
    try:
        await repeat_until_stopped(
            mailer.begin_due, stop, every=LOOK_EVERY, failed="confirmations were not sent"
        )
    finally:
        await mailer.finish(within=FAREWELL)


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
            # Others leave it alone meanwhile, unless this process dies.
            due = now + timedelta(seconds=pause) + AGAIN
            await asyncio.to_thread(workspace.joining.give_back, request.id, due=due)
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
