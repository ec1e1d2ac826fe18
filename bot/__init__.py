"""Broadside: from a folder of curated items to a newsletter, Mastodon and Telegram."""

__version__ = "0.1.0"
