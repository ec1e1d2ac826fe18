"""Sending what the ledger says is due: posts one by one, an issue to many readers over lines kept busy."""

from bot.sender.books import LEASE
from bot.sender.doubts import Doubts
from bot.sender.mailing import MailingSender
from bot.sender.posts import Sender
from bot.sender.report import Report, without_addresses
from bot.sender.turnstile import Turnstile
from bot.sender.wicket import Shut, Wicket

__all__ = [
    "LEASE",
    "Doubts",
    "MailingSender",
    "Report",
    "Sender",
    "Shut",
    "Turnstile",
    "Wicket",
    "without_addresses",
]
