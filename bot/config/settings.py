"""Everything a person decided, as one value."""

from __future__ import annotations

import hashlib
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bot.config.tables import (
    NAME,
    BouncesTable,
    ChannelTable,
    HookTable,
    NewsletterTable,
    PublicationTable,
    RehearsalTable,
    SiteTable,
)
from bot.model import Newsletter, Posting, Recipient
from bot.pace import PaceRules

REHEARSAL_KEY = "rehearsal-only-key-never-used-for-real-readers"


class Settings(BaseSettings):
    """Everything a person decided, checked."""

    model_config = SettingsConfigDict(
        env_prefix="BOT_", env_nested_delimiter="__", env_ignore_empty=True, extra="ignore", frozen=True
    )

    mode: Literal["rehearsal", "live"] = "rehearsal"
    publication: PublicationTable
    newsletters: dict[str, NewsletterTable] = {}
    channels: dict[str, ChannelTable] = {}
    rehearsal: RehearsalTable = RehearsalTable()
    site: SiteTable = SiteTable()
    bounces: BouncesTable = BouncesTable()
    hooks: dict[str, HookTable] = {}
    secret_key: SecretStr = SecretStr("")
    old_secret_keys: tuple[SecretStr, ...] = ()
    database_url: SecretStr = SecretStr("")

    @field_validator("channels", "newsletters", "hooks")
    @classmethod
    def _plain_names(cls, tables: dict[str, Any]) -> dict[str, Any]:
        for name in tables:
            if not NAME.fullmatch(name):
                raise ValueError(f"the name {name!r} may hold only a-z, 0-9 and _, and begins with a letter")
        return tables

    @property
    def mailings(self) -> tuple[Newsletter, ...]:
        """The newsletters as the planner and the renderer know them."""
        return tuple(self._mailing(name, table) for name, table in self.newsletters.items())

    def _mailing(self, name: str, table: NewsletterTable) -> Newsletter:
        return Newsletter(
            name=name,
            title=table.title or self.publication.title,
            tagline=table.tagline or self.publication.tagline,
            lang=table.language or self.publication.language,
            langs=table.languages,
            channel=table.channel,
            slots=table.slots,
            sender=table.sender,
            reply_to=table.reply_to,
            list_id=table.list_id or f"{name}.{urlsplit(self.publication.site_url).hostname}",
            min_items=table.min_items,
            max_items=table.max_items,
            max_lateness=table.max_lateness,
            greets=table.greeting,
        )

    @property
    def postings(self) -> tuple[Posting, ...]:
        """The channels that take one item at a time: those with slots of their own."""
        return tuple(
            Posting(
                channel=name,
                kind=table.type,
                slots=table.slots,
                langs=table.languages,
                tags=table.tags,
                spacing=table.spacing,
                max_lateness=table.max_lateness,
                backfill=table.backfill,
            )
            for name, table in self.channels.items()
            if table.slots
        )

    @property
    def paces(self) -> dict[str, PaceRules]:
        """The rules of each account, by its name: those of the channel that writes some."""
        found: dict[str, PaceRules] = {}
        for name, table in self.channels.items():
            rules = table.pace.named(name)
            if rules.account not in found or not rules.is_silent:
                found[rules.account] = rules
        return found

    def pace_of(self, channel: str) -> PaceRules:
        """The rules of the account that this channel goes by, with its name."""
        return self.paces[self.channels[channel].pace.named(channel).account]

    @property
    def rehearsal_readers(self) -> tuple[Recipient, ...]:
        """Stable stand-ins for readers, with ids of the same form as real ones."""
        return tuple(
            Recipient(
                id=hashlib.sha256(f"rehearsal/{reader.address}".encode()).hexdigest()[:32],
                address=reader.address,
                name=reader.name,
                lang=reader.language,
            )
            for reader in self.rehearsal.readers
        )

    @property
    def signing_keys(self) -> tuple[bytes, ...]:
        """The key that signs tokens first, then the ones that still verify."""
        current = self.secret_key.get_secret_value() or REHEARSAL_KEY
        return (current.encode(), *(key.get_secret_value().encode() for key in self.old_secret_keys))
