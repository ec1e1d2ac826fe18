"""The tables of bot.toml, and the kinds of values that stand in them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from email.utils import parseaddr
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from bot.model import Publication, hex_color
from bot.pace import PaceRules

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_DURATION = re.compile(r"(\d+)\s*(s|m|h|d|w)")
LOGO_KINDS = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


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


def _site_address(value: str) -> str:
    """A web address that paths can be put behind."""
    if any(sign in value for sign in "?#@"):
        raise ValueError(
            f"{value!r} holds '?', '#' or '@'; write only 'https://' and the name, like 'https://news.example.org'"
        )
    return _web_address(value)


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


def _color(value: Any) -> Any:
    return hex_color(value) if isinstance(value, str) and value else value


def _logo_file(value: Any) -> Any:
    """A path within the workspace, whose ending says what it is."""
    if not isinstance(value, str) or not value:
        return value
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or "\\" in value:
        raise ValueError(f"{value!r} leads out of the workspace; put the file beside bot.toml")
    if path.suffix.lower() not in LOGO_KINDS:
        raise ValueError(f"{value!r} is no picture; use {', '.join(LOGO_KINDS)}")
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Zone = Annotated[ZoneInfo, BeforeValidator(_zone)]
Language = Annotated[str, BeforeValidator(_language)]
WebAddress = Annotated[str, BeforeValidator(_web_address)]
SiteAddress = Annotated[str, BeforeValidator(_site_address)]
Slots = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]
Mailbox = Annotated[str, BeforeValidator(_mailbox)]
Color = Annotated[str, BeforeValidator(_color)]
LogoFile = Annotated[str, BeforeValidator(_logo_file)]


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
    site_url: SiteAddress = "https://news.example.org"
    reason: str = ""
    color: Color = ""  # "#0b5": of links and buttons, made darker or lighter where it must be read
    logo: LogoFile = ""  # a picture file in the workspace

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
            color=self.color,
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
    greeting: bool = False


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
    language: Language | Literal[""] = ""


class RehearsalTable(Table):
    """``[rehearsal]``: who gets the newsletter while nothing leaves this computer."""

    readers: tuple[ReaderTable, ...] = (ReaderTable(address="reader@example.org", name="A Reader"),)


class SiteTable(Table):
    """``[site]``: the public pages (``bot serve``, ``bot build``)."""

    quick_exit: WebAddress = "https://www.bbc.com/weather"  # where "Leave this site quickly" leads
    quick_exits: dict[Language, WebAddress] = {}  # by language of the page
    trusted_proxies: int = Field(default=0, ge=0, le=9)  # proxies before us whose X-Forwarded-For counts
    signups_per_network: int = Field(default=60, ge=1, le=100_000)  # forms in an hour from one /24 or /48
    privacy_url: WebAddress | Literal[""] = ""  # a page of your own about what you keep
    signup: bool = False  # whether pages of "bot build" lead to /subscribe, where "bot serve" answers


SERVICES = Literal["ses", "mailgun", "postmark", "brevo", "sendgrid"]


class WebhookTable(Table):
    """``[bounces.webhooks.<service>]``: a mail service that tells "bot serve" what came back."""

    secret: SecretStr = SecretStr("")  # Mailgun: signing key; SendGrid: public key; Postmark, Brevo: yours
    topic: str = ""  # Amazon SES: the ARN of the SNS topic


class BouncesTable(Table):
    """``[bounces]``: where mail that could not be delivered comes back, and how we read it."""

    address: Mailbox | Literal[""] = ""  # "bounce@news.example.org": readers' tokens are put in after a +
    imap_host: str = ""
    imap_port: int = Field(default=993, ge=1, le=65535)
    imap_security: Literal["tls", "starttls", "none"] = "tls"
    username: str = ""
    password: SecretStr = SecretStr("")
    folder: str = "INBOX"
    done_folder: str = "Bounces"  # understood mail is moved there
    maildir: str = ""  # read instead of IMAP; a path, relative to the workspace
    webhooks: dict[SERVICES, WebhookTable] = {}


EVENTS = ("subscribed", "confirmed", "left", "bounced", "complained", "issue.sent", "signups.limited")


class HookTable(Table):
    """``[hooks.<name>]``: a web address of yours that is told what happens."""

    url: WebAddress
    events: tuple[
        Literal["subscribed", "confirmed", "left", "bounced", "complained", "issue.sent", "signups.limited"],
        ...,
    ] = (
        "subscribed",
        "confirmed",
        "left",
        "bounced",
        "complained",
        "issue.sent",
        "signups.limited",
    )
    secret: SecretStr = SecretStr("")  # signs every call
    addresses: bool = False  # whether calls name the reader's address
