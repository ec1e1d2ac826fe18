"""Telegram: one post to one channel or group, through a bot of our own."""

from __future__ import annotations

from bot.channels.base import Channel, ChannelContext
from bot.channels.telegram.channel import TelegramChannel
from bot.channels.telegram.options import TYPE, Options

__all__ = ["TYPE", "Options", "connect"]


def connect(options: Options, context: ChannelContext) -> Channel:
    """The channel of one ``[channels.<name>]`` table. No network and no library before the first call."""
    return TelegramChannel(options, context)
