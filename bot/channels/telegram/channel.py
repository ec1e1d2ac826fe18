"""Telegram as a channel: one post, one attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bot.channels.base import CUT, ChannelContext, Limits, Request, url_on
from bot.channels.telegram.call import LIMITS, call_for
from bot.channels.telegram.html import holds_all, text_length
from bot.channels.telegram.options import TYPE, Options, Timeouts
from bot.errors import Blame, DeliveryError, PermanentFailure, UnknownOutcome
from bot.model import Delivery, Finding, Level, Message, Receipt, Recipient

if TYPE_CHECKING:
    from telegram import ChatFullInfo, ChatMember

    from bot.channels.telegram.wire import Wire


class TelegramChannel:
    """One bot in one chat. The library is loaded at the first call: counting and rehearsing need none."""

    type: ClassVar[str] = TYPE

    def __init__(
        self, options: Options, context: ChannelContext, *, timeouts: Timeouts | None = None
    ) -> None:
        self.name = context.name
        self._options, self._timeouts = options, timeouts or Timeouts()
        self._opened: Wire | None = None
        # A number is ready for use; a name is asked for once.
        self._chat_id = None if options.chat.startswith("@") else int(options.chat)

    def __repr__(self) -> str:
        return f"TelegramChannel({self.name!r}, chat={self._options.chat!r})"

    @property
    def limits(self) -> Limits:
        """Telegram's published limits; no server can be asked for them."""
        return LIMITS

    def length(self, text: str) -> int:
        """UTF-16 units of what readers see of this HTML. Raises HtmlError."""
        return text_length(text)

    def request(self, message: Message, to: Recipient, *, key: str) -> Request:
        """Method and parameters, with the chat as bot.toml names it; PermanentFailure as in ``send``."""
        call = call_for(message, self._options)
        return Request(
            suffix=".json",
            body=call.json(),
            summary=f"{call.method} to {self._options.chat}, {call.length} of {call.limit} characters",
            media=(call.photo,) if call.photo else (),
        )

    async def refresh(self) -> None:
        """Nothing to read: the limits are the same everywhere."""

    async def send(self, message: Message, to: Recipient, *, key: str) -> Receipt:
        """One attempt. The Bot API knows no key, so only the ledger keeps a post from going out twice."""
        call = call_for(message, self._options)
        wire = self._wire()
        sent = await wire.send(call, await self._resolved(wire))
        came = sent.text or sent.caption or ""
        note = CUT if came and not holds_all(came, message.text) else ""
        return Receipt(remote_id=str(sent.message_id), url=url_on("https://t.me", sent.link or ""), note=note)

    async def settle(self, delivery: Delivery, message: Message) -> Receipt | None:
        """Always UnknownOutcome: a bot cannot read what stands in a channel."""
        raise UnknownOutcome(
            f"a bot cannot see whether it went out; look into {self._options.chat}, then use 'bot settle'"
        )

    async def check(self) -> list[Finding]:
        """Is the token right, is the chat there, may the bot post? Sends nothing."""
        if not self._options.token.get_secret_value():
            return [self._finding(Level.BLOCK, "telegram.token.missing", _NO_TOKEN)]
        rule = "telegram.token"
        try:
            wire = self._wire()
            me = await wire.open()
            rule = "telegram.chat"
            chat = await wire.chat(self._options.chat)
            member = await wire.membership(chat.id)
        except DeliveryError as error:
            return [self._finding(Level.BLOCK, rule, error.problem)]
        if problem := missing_right(chat, member):
            return [self._finding(Level.BLOCK, "telegram.rights", f"{problem} (@{me.username})")]
        where = f"{chat.effective_name or self._options.chat} ({chat.id})"
        return [self._finding(Level.INFO, "telegram.ready", f"@{me.username} may post to {where}")]

    async def close(self) -> None:
        """Give back connections; the next call opens them again."""
        wire, self._opened = self._opened, None
        if wire:
            await wire.close()

    def _wire(self) -> Wire:
        if self._opened is None:
            if not self._options.token.get_secret_value():
                raise PermanentFailure(_NO_TOKEN, blame=Blame.SENDER)
            # Late: python-telegram-bot takes a fifth of a second to import.
            from bot.channels.telegram.wire import Wire

            self._opened = Wire(self._options, self._timeouts)
        return self._opened

    async def _resolved(self, wire: Wire) -> int:
        """The chat's number: Telegram counts a name and a number as two chats when it limits the pace."""
        if self._chat_id is None:
            self._chat_id = (await wire.chat(self._options.chat)).id
        return self._chat_id

    def _finding(self, level: Level, rule: str, message: str) -> Finding:
        return Finding(level=level, rule=rule, message=f"{self.name}: {message}")


_NO_TOKEN = "there is no bot token; put the one from @BotFather into .env"  # noqa: S105


def missing_right(chat: ChatFullInfo, member: ChatMember) -> str:
    """What keeps this member from posting to this chat, and what to do; empty when nothing does."""
    if member.status in ("left", "kicked"):
        return "the bot is not in the chat; add it, in a channel as an administrator"
    if chat.type == "channel":
        may_post = member.status == "creator" or getattr(member, "can_post_messages", False)
        return "" if may_post else "the bot may not post; give it the right 'Post messages'"
    if member.status == "restricted":
        may_post = bool(getattr(member, "can_send_messages", False))
    else:
        everyone = chat.permissions is None or bool(chat.permissions.can_send_messages)
        may_post = member.status != "member" or everyone
    return "" if may_post else "the bot may not write in this group; make it an administrator"
