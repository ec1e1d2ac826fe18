"""Email over SMTP: ``compiled`` composes, ``pipeline`` talks, ``replies`` understands."""

from bot.channels.email.channel import TYPE, Options, connect

__all__ = ["TYPE", "Options", "connect"]
