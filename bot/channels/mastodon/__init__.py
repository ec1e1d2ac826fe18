"""Mastodon, and servers that speak its API."""

from __future__ import annotations

from bot.channels.base import Channel, ChannelContext
from bot.channels.mastodon.channel import MastodonChannel
from bot.channels.mastodon.options import Options

TYPE = "mastodon"

__all__ = ["TYPE", "Options", "connect"]


def connect(options: Options, context: ChannelContext) -> Channel:
    """A channel for one account. No network yet."""
    return MastodonChannel(options, context)
