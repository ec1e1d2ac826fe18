"""Which types of channel there are: the modules of this folder that name a ``TYPE``."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import cast

import bot.channels
from bot.channels.base import Channel, ChannelContext, Options

_NOT_CHANNELS = {"base", "outbox", "registry"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelType:
    """One type of channel, as its module describes it."""

    name: str
    options: type[Options]
    module: ModuleType

    def connect(self, options: Options, context: ChannelContext) -> Channel:
        """A channel for one table of bot.toml. No network yet."""
        return cast(Channel, self.module.connect(options, context))


def channel_names() -> tuple[str, ...]:
    """The types that can stand after ``type =``, without importing any of them."""
    found = pkgutil.iter_modules(bot.channels.__path__)
    return tuple(sorted(m.name for m in found if m.name not in _NOT_CHANNELS and not m.name.startswith("_")))


@cache
def channel_type(name: str) -> ChannelType | None:
    """The type of that name; its module, and the service's library, are imported now."""
    if name not in channel_names():
        return None
    module = importlib.import_module(f"bot.channels.{name}")
    return ChannelType(name=module.TYPE, options=module.Options, module=module)
