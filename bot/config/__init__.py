"""What a person decided, read once: bot.toml, ``.env`` and the environment."""

from bot.config.explaining import FILE, explained
from bot.config.loading import is_for_examples, is_loopback, load_settings, problems_before_live
from bot.config.mode import mode_override, write_mode
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
    "is_loopback",
    "load_settings",
    "mode_override",
    "problems_before_live",
    "write_mode",
]
