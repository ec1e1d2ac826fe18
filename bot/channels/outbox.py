"""Rehearsal: the same words to the same places, as files in ``outbox/`` instead of over the wire.

It stands in for every real channel while ``mode = "rehearsal"``: limits and counting are the real channel's,
and what it writes is that channel's own exact request.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

from bot.channels.base import Channel, Compiled, Limits, MassChannel, Parcel, Reader, Request
from bot.errors import DeliveryError
from bot.files import make_private_folder, write_atomically
from bot.model import Delivery, Finding, Message, Receipt, Recipient

_NOTHING: Mapping[str, str] = {}


class Outbox:
    """One channel's stand-in. Files are named by the delivery's key: a repeat overwrites itself."""

    type: ClassVar[str] = "outbox"

    def __init__(self, channel: Channel, folder: Path) -> None:
        self.name, self._channel, self._folder = channel.name, channel, folder

    @property
    def limits(self) -> Limits:
        return self._channel.limits

    def length(self, text: str) -> int:
        return self._channel.length(text)

    def request(self, message: Message, to: Recipient, *, key: str) -> Request:
        return self._channel.request(message, to, key=key)

    async def refresh(self) -> None:
        """A rehearsal asks no server: what it told last stands, else the documented defaults."""

    async def send(self, message: Message, to: Recipient, *, key: str) -> Receipt:
        """Write the exact request; the receipt's id is the file's path below the outbox."""
        request = self.request(message, to, key=key)
        path = self._folder / self.name / f"{_file_name(message, to, key)}{request.suffix}"
        await asyncio.to_thread(_write, self._folder, path, request.body)
        return Receipt(remote_id=path.relative_to(self._folder).as_posix(), note=request.summary)

    async def settle(self, delivery: Delivery, message: Message) -> Receipt | None:
        """Whatever was half written is written again under the same name."""
        return None

    async def check(self) -> list[Finding]:
        """Nothing to ask: a rehearsal needs no account."""
        return []

    async def close(self) -> None:
        await self._channel.close()


class MassOutbox(Outbox):
    """The stand-in of a channel that takes one message to many: its own bytes, a file for each reader."""

    connections = 1
    resends = True

    def __init__(self, channel: MassChannel, folder: Path) -> None:
        super().__init__(cast(Channel, channel), folder)
        self._mass = channel

    def compiled(self, message: Message) -> Filed:
        """As the real channel compiles it."""
        return Filed(compiled=self._mass.compiled(message), message=message)

    def lines(
        self,
        *,
        pull: Callable[[], FiledParcel | None],
        done: Callable[[FiledParcel, str | DeliveryError], None],
        began: Callable[[FiledParcel], bool | None],
        trouble: Callable[[str, DeliveryError], None],
    ) -> FileLines:
        """One line, which ends in the folder."""
        return FileLines(self._folder, self.name, pull=pull, done=done, began=began)


@dataclass(frozen=True, kw_only=True, slots=True)
class FiledParcel:
    """A parcel and the name of its file."""

    name: str
    parcel: Parcel

    @property
    def content(self) -> bytes:
        return self.parcel.content

    @property
    def tag(self) -> Any:
        return self.parcel.tag


@dataclass(frozen=True, kw_only=True, slots=True)
class Filed:
    """A compiled message whose parcels know their files."""

    compiled: Compiled
    message: Message

    def letter(
        self, to: Reader, *, key: str, values: Mapping[str, str] = _NOTHING, tag: object = None
    ) -> FiledParcel:
        parcel = self.compiled.letter(to, key=key, values=values, tag=tag)
        return FiledParcel(name=_file_name(self.message, to, key), parcel=parcel)


class FileLines:
    """Writes what it pulls, one after the other, until it is stopped."""

    down = has_another = False

    def stands_in(self, _name: str) -> str:
        return ""

    def __init__(
        self,
        folder: Path,
        channel: str,
        *,
        pull: Callable[[], FiledParcel | None],
        done: Callable[[FiledParcel, str | DeliveryError], None],
        began: Callable[[FiledParcel], bool | None],
    ) -> None:
        self._folder, self._channel = folder, channel
        self._pull, self._done, self._began = pull, done, began
        self._news = asyncio.Event()
        self._stopping = False

    async def run(self) -> None:
        while not self._stopping:
            parcel = self._pull()
            if parcel is None:
                await self._news.wait()
                self._news.clear()
            else:
                await self._write(parcel)

    def unsent(self) -> Sequence[FiledParcel]:
        return ()

    def wake(self) -> None:
        self._news.set()

    def stop(self) -> None:
        self._stopping = True
        self._news.set()

    async def _write(self, parcel: FiledParcel) -> None:
        if self._began(parcel) is False:
            return
        path = self._folder / self._channel / f"{parcel.name}.eml"
        await asyncio.to_thread(_write, self._folder, path, parcel.content)
        self._done(parcel, path.relative_to(self._folder).as_posix())


def _write(folder: Path, path: Path, content: bytes) -> None:
    """Mails of a rehearsal hold addresses and links that unsubscribe: nobody else may enter the outbox."""
    make_private_folder(folder)
    write_atomically(path, content)


def _file_name(message: Message, to: Reader, key: str) -> str:
    """Time first, so that the folder reads in order; then whom it is for; then the key."""
    when = f"{message.date:%Y-%m-%d-%H%M}" if message.date else "undated"
    whom = re.sub(r"[^\w.@+-]", "_", to.address)[:60]
    return "-".join(part for part in (when, whom, key[:8]) if part)
