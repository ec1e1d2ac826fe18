"""Mails in the bounce mailbox: what they say, and what follows from it."""

from bot.audience.bounces.understanding import understand
from bot.audience.bounces.verdict import Kind, Source, Verdict, mildest

__all__ = ["Kind", "Source", "Verdict", "mildest", "understand"]
