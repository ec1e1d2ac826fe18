"""What ``[channels.<name>]`` with ``type = "mastodon"`` may hold."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from bot.channels import base

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Options(base.Options):
    """One account on one server."""

    api_base_url: str = Field(description="the server: https://mastodon.example")
    access_token: SecretStr = Field(default=SecretStr(""), description="of an application of the account")
    visibility: Literal["public", "unlisted", "private", "direct"] = Field(
        default="unlisted", description="who sees the posts"
    )
    language: str = Field(default="", description="ISO 639; empty: the item's own")
    sensitive_media: bool = Field(default=False, description="hide every picture behind a click")
    media_api: Literal["auto", "v1", "v2"] = Field(default="auto", description="how pictures are uploaded")
    max_characters: int = Field(default=0, ge=0, description="0: what the server says")
    timeout: float = Field(default=30.0, gt=0, description="seconds to wait for an answer")

    @property
    def hosts(self) -> tuple[str, ...]:
        return (urlsplit(self.api_base_url).hostname or "",)

    @field_validator("api_base_url")
    @classmethod
    def _is_an_origin(cls, value: str) -> str:
        """A token must not travel in clear text, nor to a place that was not meant."""
        parts = urlsplit(value.rstrip("/"))
        secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
        if not secure or not parts.hostname:
            raise ValueError("must be the server's address with https, such as https://mastodon.example")
        if parts.path or parts.query or parts.fragment or parts.username:
            raise ValueError("must be the server's address alone, without a path or a user")
        return f"{parts.scheme}://{parts.netloc}"
