"""Email over SMTP: ``compiled`` composes, ``pipeline`` talks, ``replies`` understands."""

from bot.channels.email.channel import TYPE, connect
from bot.channels.email.options import Options

__all__ = ["TYPE", "Options", "connect"]
