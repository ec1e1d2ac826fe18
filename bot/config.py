"""bot.toml + ``.env`` + ``BOT_*`` environment -> Settings. Read once, here, and nowhere else.

Precedence: environment, then ``.env``, then ``bot.toml``. ``BOT_CHANNELS__MAIL__PASSWORD`` is the key
``channels.mail.password``. What a channel's own type understands is checked by that channel's ``Options``;
here it stays unread and is never printed.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from bot.errors import ConfigError
from bot.model import Newsletter, Posting, Publication, Recipient
from bot.pace import Guard, PaceRules, Quota, Ramp

FILE = "bot.toml"
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_DURATION = re.compile(r"(\d+)\s*(s|m|h|d|w)")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
REHEARSAL_KEY = "rehearsal-only-key-never-used-for-real-readers"


def _duration(value: Any) -> Any:
    """ "6h" -> six hours."""
    if not isinstance(value, str):
        return value
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is not a length of time; write '30m', '6h' or '2d'")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _zone(value: Any) -> Any:
    if isinstance(value, ZoneInfo):
        return value
    if value in available_timezones():
        return ZoneInfo(value)
    near = difflib.get_close_matches(str(value), available_timezones(), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "; names look like 'Asia/Bangkok'"
    raise ValueError(f"there is no time zone called {value!r}{hint}")


def _language(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", value):
        raise ValueError(f"{value!r} is not a language tag; write 'en', 'th' or 'pt-BR'")
    return value


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{value!r} is not a web address; it begins with 'https://'")
    return value.rstrip("/")


def _mailbox(value: str) -> str:
    """A From address: "Name <address>" or a bare address."""
    from email_validator import EmailNotValidError, validate_email

    if not value.isprintable():
        raise ValueError(f"{value!r} holds a line break or another control character")
    name, address = parseaddr(value)
    try:
        checked = validate_email(address or value, check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise ValueError(f"{value!r} is not a mail address ({error}); write 'Name <name@domain>'") from error
    return f"{name} <{checked.normalized}>" if name else checked.normalized


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Zone = Annotated[ZoneInfo, BeforeValidator(_zone)]
Language = Annotated[str, BeforeValidator(_language)]
WebAddress = Annotated[str, BeforeValidator(_web_address)]
Slots = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]
Mailbox = Annotated[str, BeforeValidator(_mailbox)]


class Table(BaseModel):
    """One table of bot.toml: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PublicationTable(Table):
    """``[publication]``"""

    title: str = Field(min_length=1)
    tagline: str = ""
    language: Language = "en"
    timezone: Zone = ZoneInfo("UTC")
    postal_address: str = ""
    site_url: WebAddress = "https://news.example.org"
    reason: str = ""

    @property
    def value(self) -> Publication:
        """The publication as the renderer knows it."""
        return Publication(
            title=self.title,
            tagline=self.tagline,
            lang=self.language,
            zone=self.timezone,
            postal_address=self.postal_address,
            site_url=self.site_url,
            reason=self.reason,
        )


class NewsletterTable(Table):
    """``[newsletters.<name>]``"""

    title: str = ""
    tagline: str = ""
    language: Language | None = None
    languages: tuple[Language, ...] = ()
    channel: str
    slots: Slots = Field(min_length=1)
    sender: Mailbox
    reply_to: Mailbox | Literal[""] = ""
    list_id: str = ""
    min_items: int = Field(default=1, ge=1)
    max_items: int = Field(default=20, ge=1)
    max_lateness: Duration = timedelta(hours=6)


class ChannelTable(BaseModel):
    """``[channels.<name>]``: what every channel has; the rest belongs to the channel's own type."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    slots: Slots = ()
    languages: tuple[Language, ...] = ()
    tags: tuple[str, ...] = ()
    spacing: Duration = timedelta(minutes=30)
    max_lateness: Duration = timedelta(hours=2)
    backfill: bool = False
    pace: PaceRules = PaceRules()

    @property
    def options(self) -> Mapping[str, Any]:
        """What only the channel's type understands; may hold secrets, so it is never printed."""
        return self.model_extra or {}

    def __repr_args__(self) -> Sequence[tuple[str | None, Any]]:
        return [(name, getattr(self, name)) for name in type(self).model_fields]


class ReaderTable(Table):
    """One sample reader of rehearsals."""

    address: Mailbox
    name: str = ""
    language: Language = "en"


class RehearsalTable(Table):
    """``[rehearsal]``: who gets the newsletter while nothing leaves this computer."""

    readers: tuple[ReaderTable, ...] = (ReaderTable(address="reader@example.org", name="A Reader"),)


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
    secret_key: SecretStr = SecretStr("")
    old_secret_keys: tuple[SecretStr, ...] = ()
    database_url: SecretStr = SecretStr("")

    @field_validator("channels", "newsletters")
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


def load_settings(workspace: Path) -> Settings:
    """The settings of a workspace. Raises ConfigError with file, key, problem and advice."""
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
    names += [(dotenv, name, name[4:].split("__")[0].lower()) for name in _dotenv_names(dotenv)]
    for place, name, key in names:
        if key not in Settings.model_fields:
            raise ConfigError(place, name, "is not a setting", _did_you_mean(key, Settings.model_fields))


def _dotenv_names(dotenv: Path) -> list[str]:
    if not dotenv.is_file():
        return []
    given = r"(?m)^[ \t]*(?:export[ \t]+)?(BOT_\w+)[ \t]*=[ \t]*(?=\S)"  # an empty value is not given
    return re.findall(given, dotenv.read_text("utf-8-sig"))


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
    if settings.mode == "live":
        _check_live(settings, file)


def _check_live(settings: Settings, file: Path) -> None:
    if len(settings.secret_key.get_secret_value()) < 32:
        raise ConfigError(
            ".env",
            "BOT_SECRET_KEY",
            "is missing or shorter than 32 characters",
            "make one with: python3 -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    if settings.newsletters and not settings.publication.postal_address.strip():
        raise ConfigError(
            file, "publication.postal_address", "is empty", "every newsletter must say where its sender lives"
        )
    host = urlsplit(settings.publication.site_url).hostname or ""
    if settings.newsletters and not settings.publication.site_url.startswith("https://"):
        raise ConfigError(file, "publication.site_url", "is not https", "one-click unsubscribing needs https")
    if settings.newsletters and re.search(r"(^|\.)(example(\.(org|com|net))?|invalid|test|localhost)$", host):
        raise ConfigError(
            file,
            "publication.site_url",
            f"{host} is a name for examples",
            "name the site that readers can open",
        )


_MISSPELT = {"extra_forbidden", "unexpected_keyword_argument"}  # the second one is a dataclass's word


def explained(
    error: ValidationError, workspace: Path, *, prefix: Sequence[str] = (), model: type[BaseModel] = Settings
) -> ConfigError:
    """The first problem of a validation in words: where it was written, which key, what would be right."""
    problems = error.errors(include_url=False, include_input=False)
    # A misspelt key is also a missing one: the spelling is what helps.
    first = min(problems, key=lambda problem: problem["type"] not in _MISSPELT)
    inner = [str(part) for part in first["loc"]]
    loc = [*prefix, *inner]
    if first["type"] in _MISSPELT:
        problem, advice = "is not a setting", _did_you_mean(inner[-1], _fields_at(model, inner[:-1]))
    elif first["type"] == "missing" and inner[0] == "channels":
        problem, advice = "is missing", f"every [{'.'.join(loc[:-1])}] in {FILE} names its type"
    elif first["type"] == "missing":
        problem, advice = "is missing", "add it"
    else:
        problem, advice = first["msg"].removeprefix("Value error, "), ""
    return ConfigError(_written_in(loc, workspace), ".".join(loc), problem, advice)


def _fields_at(model: type[BaseModel], loc: Sequence[str]) -> Iterable[str]:
    if loc[:1] == ["channels"] and loc[2:3] == ["pace"]:
        return [field.name for field in fields(_pace_table(loc[3:]))]
    tables: dict[str, type[BaseModel]] = {
        "publication": PublicationTable,
        "newsletters": NewsletterTable,
        "rehearsal": RehearsalTable,
    }
    if loc and loc[-1].isdigit():
        return ReaderTable.model_fields
    return (tables.get(loc[0], model) if loc else model).model_fields


def _pace_table(loc: Sequence[str]) -> type[Quota | Ramp | Guard]:
    inner: dict[str, type[Quota | Ramp | Guard]] = {"ramp": Ramp, "pause": Guard, "domains": Quota}
    return inner[loc[0]] if loc else PaceRules


def _did_you_mean(key: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(key, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"settings here: {', '.join(names)}"


def _written_in(loc: Sequence[str], workspace: Path) -> str:
    variable = "BOT_" + "__".join(loc).upper()
    if any(key.upper() == variable for key in os.environ):
        return f"environment variable {variable}"
    dotenv = workspace / ".env"
    return str(dotenv if variable in _dotenv_names(dotenv) else workspace / FILE)
