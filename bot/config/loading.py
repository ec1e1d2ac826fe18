"""bot.toml + ``.env`` + ``BOT_*`` environment -> Settings. Read once, here, and nowhere else.

Precedence: environment, then ``.env``, then ``bot.toml``. ``BOT_CHANNELS__MAIL__PASSWORD`` is the key
``channels.mail.password``. What a channel's own type understands is checked by that channel's ``Options``;
here it stays unread and is never printed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsError,
)

from bot.config.explaining import FILE, did_you_mean, dotenv_names, explained
from bot.config.settings import Settings
from bot.errors import ConfigError
from bot.hooks.signing import key_of
from bot.pace import PaceRules

_MAKE_ONE = (
    "make one with: python3 -c 'import base64, secrets; "
    'print("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())\''
)


def load_settings(workspace: Path, *, mode: Literal["rehearsal", "live"] | None = None) -> Settings:
    """The settings of a workspace, as they are or would be in ``mode``.

    Raises ConfigError with file, key, problem and advice.
    """
    file = workspace / FILE
    if not file.is_file():
        raise ConfigError(
            file, "", "not found", "make a workspace with 'bot init DIR', or name one with --workspace"
        )
    written = _read_toml(file)
    _check_names(file, written)
    try:
        settings = _settings_of(written, file.with_name(".env"))()
    except ValidationError as error:
        raise explained(error, workspace) from error
    except SettingsError as error:
        advice = 'lists are written as JSON: ["one", "two"]'
        raise ConfigError(file.with_name(".env"), "", f"cannot be read: {error}", advice) from error
    if mode:
        settings = settings.model_copy(update={"mode": mode})
    _check_together(settings, file)
    return settings


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(file, "", f"is not UTF-8 at byte {error.start}", "save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        advice = "text stands in quotes, tables in [brackets]"
        raise ConfigError(file, "", f"is not valid TOML: {error}", advice) from error


def _settings_of(written: dict[str, Any], dotenv: Path) -> type[Settings]:
    class Here(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (
                env_settings,
                DotEnvSettingsSource(settings_cls, env_file=dotenv, env_file_encoding="utf-8-sig"),
                InitSettingsSource(settings_cls, init_kwargs=written),
            )

    Here.__name__ = Here.__qualname__ = "Settings"
    return Here


def _check_names(file: Path, written: Mapping[str, Any]) -> None:
    """Names at the top that nothing reads: a misspelt key would otherwise be silently without effect."""
    dotenv = file.with_name(".env")
    names = [(file, key, key) for key in written]
    names += [(dotenv, name, name[4:].split("__")[0].lower()) for name in dotenv_names(dotenv)]
    for place, name, key in names:
        if key not in Settings.model_fields:
            raise ConfigError(place, name, "is not a setting", did_you_mean(key, Settings.model_fields))


def _check_together(settings: Settings, file: Path) -> None:
    """What no single key can tell."""
    if both := set(settings.channels) & set(settings.newsletters):
        raise ConfigError(
            file, f"newsletters.{min(both)}", "a channel has the same name", "rename one of them"
        )
    for name, table in settings.newsletters.items():
        channel = settings.channels.get(table.channel)
        if channel is None:
            known = ", ".join(sorted(settings.channels)) or "none"
            raise ConfigError(
                file,
                f"newsletters.{name}.channel",
                f"there is no [channels.{table.channel}]",
                f"channels here: {known}",
            )
        if table.min_items > table.max_items:
            raise ConfigError(file, f"newsletters.{name}.min_items", "is greater than max_items", "lower it")
    _check_paces(settings, file)
    _check_hooks(settings, file)
    if settings.mode == "live":
        for problem in _problems_of_live(settings, file):
            raise problem


def _check_paces(settings: Settings, file: Path) -> None:
    """One account has one set of limits, and a name that 'bot resume' cannot take for something else."""
    if both := set(settings.paces) & set(settings.newsletters):
        raise ConfigError(
            file, f"newsletters.{min(both)}", "an account of the pace has the same name", "rename one of them"
        )
    written: dict[str, tuple[str, PaceRules]] = {}
    for name, table in settings.channels.items():
        rules = table.pace.named(name)
        first, limits = written.setdefault(rules.account, (name, rules))
        if rules.is_silent or rules == limits:
            continue
        if limits.is_silent:
            written[rules.account] = (name, rules)
            continue
        raise ConfigError(
            file,
            f"channels.{name}.pace",
            f"has other limits than [channels.{first}.pace], and both go by the account {rules.account!r}",
            "write them in one of the two, and only the account in the other",
        )


def _check_hooks(settings: Settings, file: Path) -> None:
    """Every call is signed, and travels where nobody else can read it."""
    for name, table in settings.hooks.items():
        secret = f"BOT_HOOKS__{name.upper()}__SECRET"
        if text := table.secret.get_secret_value():
            try:
                key_of(text)
            except ValueError as error:
                raise ConfigError(".env", secret, str(error), _MAKE_ONE) from error
        elif settings.mode == "live":
            raise ConfigError(".env", secret, "is empty: no call could be signed", _MAKE_ONE)
        url = urlsplit(table.url)
        if settings.mode == "live" and url.scheme != "https" and not is_loopback(url.hostname or ""):
            raise ConfigError(
                file, f"hooks.{name}.url", "is not https", "only a program on this computer may have http"
            )


def is_loopback(host: str) -> bool:
    """Whether what is said to this host never leaves the computer."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_for_examples(host: str) -> bool:
    """Whether nobody can own this name (RFC 2606)."""
    return bool(re.search(r"(^|\.)(example(\.(org|com|net))?|invalid|test|localhost)$", host.lower()))


def problems_before_live(settings: Settings, workspace: Path) -> list[ConfigError]:
    """Every setting that live mode would refuse, whatever the mode is now."""
    file = workspace / FILE
    problems = list(_problems_of_live(settings, file))
    try:
        _check_hooks(settings.model_copy(update={"mode": "live"}), file)
    except ConfigError as error:
        problems.append(error)
    return problems


def _problems_of_live(settings: Settings, file: Path) -> Iterator[ConfigError]:
    if len(settings.secret_key.get_secret_value()) < 32:
        yield ConfigError(
            ".env",
            "BOT_SECRET_KEY",
            "is missing or shorter than 32 characters",
            "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    if not settings.newsletters:
        return
    if not settings.publication.postal_address.strip():
        yield ConfigError(
            file, "publication.postal_address", "is empty", "every newsletter must say where its sender lives"
        )
    host = urlsplit(settings.publication.site_url).hostname or ""
    if not settings.publication.site_url.startswith("https://"):
        yield ConfigError(file, "publication.site_url", "is not https", "one-click unsubscribing needs https")
    if is_for_examples(host):
        yield ConfigError(
            file,
            "publication.site_url",
            f"{host} is a name for examples",
            "name the site that readers can open",
        )
