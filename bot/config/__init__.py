"""What a person decided, read once: bot.toml, ``.env`` and the environment."""

from bot.config.explaining import FILE, explained
from bot.config.loading import is_for_examples, load_settings
from bot.config.settings import Settings
from bot.config.tables import EVENTS, BouncesTable, ChannelTable, HookTable, SiteTable

__all__ = [
    "EVENTS",
    "FILE",
    "BouncesTable",
    "ChannelTable",
    "HookTable",
    "Settings",
    "SiteTable",
    "explained",
    "is_for_examples",
    "load_settings",
]
