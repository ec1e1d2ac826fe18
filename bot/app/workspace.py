"""A workspace, opened: the settings and everything that is built from them, once, on first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from email.utils import parseaddr
from functools import cached_property
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import ValidationError
from sqlalchemy import Engine

import bot
from bot.app.branding import logo_file
from bot.app.telling import Teller
from bot.audience.verp import ReturnPaths
from bot.channels.base import Channel, ChannelContext, MassChannel, Options
from bot.channels.outbox import MassOutbox, Outbox
from bot.channels.registry import ChannelType, channel_names, channel_type
from bot.config import FILE, ChannelTable, Settings, explained, load_settings
from bot.errors import ConfigError, NotFoundError
from bot.files import make_private_folder
from bot.model import Item, Newsletter, Publication
from bot.reader import Queue, read_queue
from bot.rendering.templates import Templates
from bot.schedule import parse_slots
from bot.shipped import shipped
from bot.store.audience import AudienceStore
from bot.store.bouncing import Bounces
from bot.store.engine import open_store
from bot.store.hooks import Hooks
from bot.store.joining import Joining
from bot.store.leaving import Leaving
from bot.store.ledger import Ledger
from bot.store.mailing import Mailings
from bot.store.pace import Pace
from bot.store.suppression import Hasher

STOP_FILE = "STOP"
LEDGER = "ledger.sqlite3"


class Workspace:
    """One folder: bot.toml, queue/, templates/, state/, outbox/. ``readonly`` changes nothing there.

    With ``mode`` it is opened as it would be in that mode.
    """

    def __init__(
        self, root: Path, *, readonly: bool = False, mode: Literal["rehearsal", "live"] | None = None
    ) -> None:
        self.root = root
        self.readonly = readonly
        self.settings: Settings = load_settings(root, mode=mode)
        self._check_slots()
        # A mistake there is told before anything is done.
        _ = self.return_paths, self.publication

    # ------------------------------------------------------------------ places

    @property
    def queue_folder(self) -> Path:
        return self.root / "queue"

    @property
    def state_folder(self) -> Path:
        return self.root / "state"

    @property
    def flights_folder(self) -> Path:
        """Where the flight recorders are: what was on the wire when a process died."""
        return self.state_folder / "flights"

    @property
    def outbox_folder(self) -> Path:
        return self.root / "outbox"

    @property
    def mode(self) -> str:
        return self.settings.mode

    # ------------------------------------------------------------------ what is built

    @cached_property
    def publication(self) -> Publication:
        """The publication as the renderer knows it, with its logo."""
        table = self.settings.publication
        return replace(table.value, logo=logo_file(self.root, table))

    @cached_property
    def engine(self) -> Engine:
        """The store; in a read-only workspace nothing on disk changes."""
        url = self.settings.database_url.get_secret_value()
        if not url:
            if not self.readonly:
                make_private_folder(self.state_folder)
            url = f"sqlite:///{(self.state_folder / LEDGER).absolute()}"
        return open_store(url, readonly=self.readonly)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.engine, mode=self.mode, publication=self._publication_id)

    @cached_property
    def mailings(self) -> Mailings:
        """The issues on their way to many readers; a rehearsal's readers are the samples of bot.toml."""
        return Mailings(
            self.engine,
            mode=self.mode,
            publication=self._publication_id,
            samples=self.settings.rehearsal_readers if self.mode == "rehearsal" else (),
        )

    @cached_property
    def pace(self) -> Pace:
        """What each account has used; a warm-up counts its days in the publication's zone."""
        return Pace(self.engine, zone=self.settings.publication.timezone)

    @cached_property
    def audience(self) -> AudienceStore:
        return AudienceStore(self.engine, self.hasher)

    @cached_property
    def hasher(self) -> Hasher:
        """Recognises the erased, under every key that still verifies."""
        return Hasher(self.settings.signing_keys)

    @cached_property
    def joining(self) -> Joining:
        return Joining(self.engine, self.hasher, tuple(self.settings.newsletters), tell=self.teller)

    @cached_property
    def leaving(self) -> Leaving:
        return Leaving(self.engine, self.hasher, tell=self.teller)

    @cached_property
    def bounces(self) -> Bounces:
        return Bounces(self.engine, tell=self.teller)

    @cached_property
    def return_paths(self) -> ReturnPaths | None:
        """Signs who a bounce is about into its address; None where ``[bounces]`` names none."""
        address = parseaddr(self.settings.bounces.address)[1]
        if not address:
            return None
        try:
            return ReturnPaths(address, self.settings.signing_keys)
        except ValueError as error:
            raise ConfigError(self.root / FILE, "bounces.address", str(error)) from error

    @property
    def _unsubscribe_path(self) -> Callable[[str], str] | None:
        """Offered only where somebody reads what comes back."""
        table = self.settings.bounces
        reads = table.maildir or table.imap_host
        return self.return_paths.of_unsubscribing if self.return_paths and reads else None

    @cached_property
    def hooks(self) -> Hooks:
        return Hooks(self.engine)

    @cached_property
    def teller(self) -> Teller:
        """Notes for the hooks what happens."""
        return Teller(self.settings, self.hooks, self.outbox_folder)

    @cached_property
    def templates(self) -> Templates:
        """The workspace's own templates win over the shipped ones."""
        return Templates([self.root / "templates", shipped("templates")])

    @cached_property
    def channels(self) -> Mapping[str, Channel]:
        """Every configured channel; in rehearsal each stands behind an outbox. No network yet."""
        return {name: self.connect(name) for name in self.settings.channels}

    @property
    def _publication_id(self) -> str:
        return urlsplit(self.settings.publication.site_url).hostname or self.settings.publication.title

    # ------------------------------------------------------------------ reading

    def read_queue(self) -> Queue:
        """All items, parsed again only where a file changed."""
        return read_queue(
            self.queue_folder, cache=self.state_folder / "queue.cache", cache_readonly=self.readonly
        )

    def item(self, name: str) -> Item:
        """One item by its id, or by the path of its file. NotFoundError names what is near."""
        from difflib import get_close_matches

        queue = self.read_queue()
        wanted = Path(name).stem if name.endswith(".md") else name
        for item in queue.items:
            if item.id == wanted:
                return item
        for error in queue.errors:
            if error.path.stem == wanted:
                raise error
        near = get_close_matches(wanted, [item.id for item in queue.items], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "; 'bot list' shows all"
        raise NotFoundError(f"there is no item {wanted!r} in {self.queue_folder}{hint}")

    def newsletter(self, name: str | None = None) -> Newsletter:
        """One newsletter by name; the first one where no name is given."""
        mailings = self.settings.mailings
        for mailing in mailings:
            if name in (None, mailing.name):
                return mailing
        if not mailings:
            raise NotFoundError(f"{self.root / FILE} has no newsletter; add a table [newsletters.NAME] first")
        known = ", ".join(m.name for m in mailings)
        raise NotFoundError(
            f"there is no newsletter {name!r} in {self.root / FILE}; newsletters here: {known}"
        )

    def schedules(self) -> tuple[str, ...]:
        """The names that have slots: newsletters and posting channels."""
        return (*self.settings.newsletters, *(posting.channel for posting in self.settings.postings))

    async def close(self) -> None:
        """Give back connections."""
        for channel in self.__dict__.get("channels", {}).values():
            await channel.close()

    def release(self) -> None:
        """Let go of the database, if it was opened: left to chance, SQLite tidies its files up later."""
        if engine := self.__dict__.get("engine"):
            engine.dispose()

    # ------------------------------------------------------------------ building a channel

    def connect(self, name: str) -> Channel:
        """A channel as the mode wants it; the caller closes it. ConfigError says what is missing."""
        return self.connect_live(name) if self.mode == "live" else self.connect_outbox(name)

    def connect_outbox(self, name: str) -> Channel:
        """The channel's stand-in: what it is told to send becomes a file in ``outbox/``."""
        channel = self._connected(name)
        if isinstance(channel, MassChannel):
            return MassOutbox(channel, self.outbox_folder)
        return Outbox(channel, self.outbox_folder)

    def connect_live(self, name: str) -> Channel:
        """The channel itself, in rehearsal too: what it is told to send is sent. The caller closes it."""
        for secret in self.options(name).missing():
            raise ConfigError(
                self.root / ".env",
                secret_name(name, secret),
                "is empty",
                f"channel {name} cannot send without it",
            )
        return self._connected(name)

    def _connected(self, name: str) -> Channel:
        newsletters = self.settings.newsletters.values()
        context = ChannelContext(
            name=name,
            user_agent=f"Broadside/{bot.__version__} (+{self.settings.publication.site_url})",
            site_url=self.settings.publication.site_url,
            postal_address=self.settings.publication.postal_address,
            senders=tuple(dict.fromkeys(n.sender for n in newsletters if n.channel == name)),
            return_path=self.return_paths.of_anybody if self.return_paths else None,
            unsubscribe_path=self._unsubscribe_path,
            folder=self.root,
            told=self.state_folder / f"told-{name}.json",
            published=lambda: self.ledger.published(name),
        )
        return self._kind(name, self.settings.channels[name]).connect(self.options(name), context)

    def options(self, name: str) -> Options:
        """A channel's own options, checked by its type. ConfigError says what is wrong."""
        table = self.settings.channels[name]
        try:
            return self._kind(name, table).options.model_validate(table.options)
        except ValidationError as error:
            kind = self._kind(name, table)
            raise explained(error, self.root, prefix=("channels", name), model=kind.options) from error

    def _kind(self, name: str, table: ChannelTable) -> ChannelType:
        kind = channel_type(table.type)
        if kind is None:
            known = ", ".join(channel_names())
            raise ConfigError(
                self.root / FILE, f"channels.{name}.type", f"there is no {table.type!r}", f"types: {known}"
            )
        return kind

    # ------------------------------------------------------------------ checks at opening

    def _check_slots(self) -> None:
        for name, newsletter in self.settings.newsletters.items():
            self._check_slot_texts(f"newsletters.{name}.slots", newsletter.slots)
        for name, channel in self.settings.channels.items():
            self._check_slot_texts(f"channels.{name}.slots", channel.slots)

    def _check_slot_texts(self, key: str, texts: Sequence[str]) -> None:
        try:
            parse_slots(texts)
        except ValueError as error:
            raise ConfigError(self.root / FILE, key, str(error)) from error


def secret_name(channel: str, option: str) -> str:
    """What a channel's secret is called in ``.env``."""
    return f"BOT_CHANNELS__{channel}__{option}".upper()
