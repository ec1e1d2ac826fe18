"""The key that signs a channel's mail: made, shown, followed by the next one.

Nothing here edits ``bot.toml``: a switch before the record is known everywhere would make every mail
unbelievable, and only a person knows when that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from bot.app.workspace import Workspace
from bot.channels.email.addresses import ascii_domain, mailbox
from bot.channels.email.channel import signer_of
from bot.channels.email.dkim import SELECTOR, Signer, new_key
from bot.channels.email.options import Options
from bot.deliverability.finding import NameFinding
from bot.deliverability.key_record import Key, examine_key
from bot.deliverability.names import Names
from bot.errors import Blame, DeliveryError, NotFoundError, UserError
from bot.files import create_for_owner

FOLDER = "state/dkim"  # in the workspace, beside the ledger: both are to be backed up
KEEP_DAYS = 7  # an old record stays as long as mails that it signed may still be on their way


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Whose key, and where it is or will be."""

    channel: str
    domain: str
    selector: str
    file: Path  # relative to the workspace where it is in it

    @property
    def record_name(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SigningKey:
    """A key that is there, as far as it is public."""

    place: Place
    record: str
    bits: int
    in_use: bool  # bot.toml names it


class KeyProblem(UserError):
    """There is a key already, or none; says what to do."""


def place_for(
    workspace: Workspace, *, channel: str | None, domain: str | None, selector: str | None, today: date
) -> Place:
    """Where the first key of a channel goes. KeyProblem when the channel has one."""
    name, options = _channel(workspace, channel)
    if options.dkim_key_file:
        raise KeyProblem(f"channel {name} has a key: {options.dkim_key_file}; the next one: bot dkim rotate")
    plain = _in_ascii(domain or _author_domain(workspace, name)).lower()
    return _place(workspace, name, plain, selector, today)


def place_for_next(workspace: Workspace, *, channel: str | None, selector: str | None, today: date) -> Place:
    """Where the key after the present one goes, of the same domain."""
    name, options = _channel(workspace, channel)
    if not options.dkim_key_file:
        raise KeyProblem(f"channel {name} has no key yet; make one: bot dkim make")
    domain = _in_ascii(options.dkim_domain).lower()
    return _place(workspace, name, domain, selector, today, taken=options.dkim_selector)


def make_key(workspace: Workspace, place: Place) -> SigningKey:
    """Writes the file, readable only for its owner; never over another one."""
    pem = new_key()
    try:
        create_for_owner(workspace.root / place.file, pem)
    except FileExistsError as error:
        raise _is_there(place) from error
    return _signing_key(place, Signer(place.domain, place.selector, pem), in_use=False)


def present_key(workspace: Workspace, *, channel: str | None, selector: str | None) -> SigningKey:
    """The one that signs, or with ``selector`` one that was made and waits."""
    name, options = _channel(workspace, channel)
    if selector is None or selector == options.dkim_selector:
        signer = _signer(options, workspace.root)
        if signer is None:
            raise KeyProblem(
                f"channel {name} signs with no key yet; make one: bot dkim make, or show one that was made: "
                "--selector NAME"
            )
        place = Place(
            channel=name,
            domain=signer.domain.lower(),
            selector=signer.selector,
            file=Path(options.dkim_key_file),
        )
        return _signing_key(place, signer, in_use=True)
    domain = _in_ascii(options.dkim_domain or _author_domain(workspace, name)).lower()
    place = _named(name, domain, selector)
    try:
        pem = (workspace.root / place.file).read_bytes()
    except FileNotFoundError as error:
        raise NotFoundError(
            f"there is no key {selector!r}: {workspace.root / place.file} is missing"
        ) from error
    return _signing_key(place, Signer(domain, selector, pem), in_use=False)


async def published(names: Names, key: SigningKey) -> list[NameFinding]:
    """Whether DNS holds the record, as receivers see it."""
    wanted = Key(name=key.place.record_name, record=key.record, bits=key.bits)
    return await examine_key(names, wanted)


def _channel(workspace: Workspace, name: str | None) -> tuple[str, Options]:
    """The channel that carries mail; the first newsletter's where none is named."""
    tables = workspace.settings.channels
    mails = [key for key, table in tables.items() if table.type == "email"]
    if name is None:
        carriers = [letter.channel for letter in workspace.settings.mailings if letter.channel in mails]
        name = next(iter([*carriers, *mails]), None)
    if name not in mails:
        known = ", ".join(mails) or "none"
        raise NotFoundError(f"there is no email channel {name or ''!r}; email channels here: {known}")
    options = workspace.options(name)
    assert isinstance(options, Options)  # noqa: S101 - its type says so
    return name, options


def _author_domain(workspace: Workspace, channel: str) -> str:
    for letter in workspace.settings.mailings:
        if letter.channel == channel:
            return mailbox(letter.sender, what="the sender", blame=Blame.SENDER).domain
    raise KeyProblem(f"no newsletter is carried by {channel}; name the domain of its From address: --domain")


def _place(
    workspace: Workspace, channel: str, domain: str, selector: str | None, today: date, taken: str = ""
) -> Place:
    if selector is not None:
        place = _named(channel, domain, selector)
        if selector == taken or (workspace.root / place.file).exists():
            raise _is_there(place)
        return place
    if waiting := _waiting(workspace, domain, taken):
        raise KeyProblem(
            f"the key {waiting} of {domain} was made and is not in use; publish it: "
            f"bot dkim show --selector {waiting} (or name another one: --selector NAME)"
        )
    month = f"mail{today:%Y%m}"
    for end in ("", *"bcdefghijklmnopqrstuvwxyz"):
        place = _named(channel, domain, month + end)
        if place.selector != taken and not (workspace.root / place.file).exists():
            return place
    raise KeyProblem(f"this month has 26 keys for {domain} already; name one yourself: --selector NAME")


def _waiting(workspace: Workspace, domain: str, taken: str) -> str:
    """The newest selector of a key that is younger than the one in use."""
    files = (workspace.root / FOLDER).glob(f"{domain}.*.pem")
    ages = {file.name[len(domain) + 1 : -len(".pem")]: file.stat().st_mtime_ns for file in files}
    newest = max(ages, key=lambda selector: ages[selector], default="")
    return "" if newest == taken else newest


def _named(channel: str, domain: str, selector: str) -> Place:
    if not SELECTOR.fullmatch(selector):
        raise KeyProblem(f"{selector!r} cannot be a name in DNS; write something like mail2026")
    return Place(
        channel=channel, domain=domain, selector=selector, file=Path(FOLDER) / f"{domain}.{selector}.pem"
    )


def _in_ascii(domain: str) -> str:
    try:
        return ascii_domain(domain, what="the domain", blame=Blame.SENDER)
    except DeliveryError as error:
        raise KeyProblem(str(error)) from error


def _signer(options: Options, root: Path) -> Signer | None:
    try:
        return signer_of(options, root)
    except DeliveryError as error:
        raise KeyProblem(str(error)) from error


def _signing_key(place: Place, signer: Signer, *, in_use: bool) -> SigningKey:
    return SigningKey(place=place, record=signer.record, bits=signer.key_size, in_use=in_use)


def _is_there(place: Place) -> KeyProblem:
    return KeyProblem(f"there is a key {place.selector!r} of {place.domain} already; it is never overwritten")
