"""What ``[channels.<name>]`` may hold when its type is "telegram"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, SecretStr, field_validator

from bot.channels import base

TYPE = "telegram"

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Options(base.Options):
    """One chat. The token belongs into ``.env``; a rehearsal needs none."""

    model_config = ConfigDict(hide_input_in_errors=True)

    chat: str = Field(description="@name of a public channel or group, or a number -100...")
    token: SecretStr = Field(default=SecretStr(""), description="from @BotFather")
    topic: int | None = Field(default=None, ge=2, description="message_thread_id of a topic in a group")
    silent: bool = Field(default=False, description="no sound on the readers' phones")
    # Previews fetch pictures that nobody here has looked at, so there are none unless asked for.
    link_preview: Literal["off", "link", "large"] = Field(
        default="off", description="whether Telegram shows a card of the linked page"
    )
    protect_content: bool = Field(default=False, description="readers cannot forward or save")
    base_url: str = Field(default="https://api.telegram.org", description="of a Bot API server of your own")

    @field_validator("chat", mode="before")
    @classmethod
    def _chat(cls, value: object) -> str:
        chat = str(value).strip()
        if not re.fullmatch(r"@[A-Za-z]\w{3,31}|-?[1-9]\d{0,17}", chat, re.ASCII):
            raise ValueError("is not a chat; write '@name' for a public one, or its number '-100...'")
        return chat

    @field_validator("token")
    @classmethod
    def _token(cls, value: SecretStr) -> SecretStr:
        """The form only. The message must not repeat the token."""
        if not re.fullmatch(r"|\d+:[A-Za-z0-9_-]{20,}", value.get_secret_value()):
            raise ValueError(
                "is not a bot token; copy the whole line '123456:ABC...' that @BotFather gave you"
            )
        return value

    @field_validator("base_url")
    @classmethod
    def _base_url(cls, value: str) -> str:
        parts = urlsplit(value)
        plain = parts.scheme == "http" and parts.hostname in _LOOPBACK
        if not parts.hostname or not (parts.scheme == "https" or plain):
            raise ValueError("must begin with 'https://': the token travels in every address")
        if parts.query or parts.fragment or "@" in parts.netloc or "{" in value:
            raise ValueError("must be a plain address such as 'https://api.telegram.org'")
        return value.rstrip("/")


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """Seconds. A short wait for the answer would turn slow deliveries into unknown ones."""

    connect: float = 10
    read: float = 30
    write: float = 30
    media_write: float = 120
    pool: float = 5

    def whole(self, *, with_picture: bool) -> float:
        """Of an exchange, whoever dawdles: each of the others counts from byte to byte."""
        return self.pool + self.connect + (self.media_write if with_picture else self.write) + self.read
