"""The public key in DNS (RFC 6376, 3.6.1): is it the one we sign with, and may it be used?"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from dataclasses import dataclass

from bot.deliverability.finding import NameFinding, doubtful, good, wrong
from bot.deliverability.names import Names, Trouble
from bot.deliverability.tags import TagError, read_tags

SHORT = 2048  # bits


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """What we sign with, as far as it is public."""

    name: str  # of the record: selector._domainkey.domain
    record: str  # what must stand there
    bits: int = SHORT


async def examine_key(names: Names, key: Key) -> list[NameFinding]:
    """Whether receivers find this very key. One finding at least."""
    answer = await names.ask(key.name, "TXT")
    if answer.is_unknown:
        return [wrong("dkim", key.name, f"{key.name} {answer.trouble}; ask again later")]
    if answer.trouble:
        what = "is not published" if answer.trouble is Trouble.NO_NAME else "is there, but has no TXT record"
        return [wrong("dkim", key.name, f"the DKIM key {what}: no signature is believed", publish=key.record)]
    if len(answer.values) > 1:
        words = f"{len(answer.values)} TXT records; receivers may take the wrong one: leave only this one"
        return [wrong("dkim", key.name, words, publish=key.record)]
    if problem := _problem(answer.values[0], key.record):
        return [wrong("dkim", key.name, problem, publish=key.record)]
    return [
        good("dkim", key.name, f"the DKIM key is the one we sign with, RSA of {key.bits} bits"),
        *_doubts(answer.values[0], key),
    ]


def _problem(published: str, ours: str) -> str:
    """Why signatures made with our key are not believed; empty when they are."""
    try:
        tags = read_tags(published)
    except TagError as error:
        return f"the record cannot be read: {error}"
    if tags.get("v", "DKIM1") != "DKIM1" or ("v" in tags and next(iter(tags)) != "v"):
        return "the record does not begin with v=DKIM1"
    if "p" not in tags:
        return "the record holds no key (p=)"
    if not _squeezed(tags["p"]):
        return "the key was withdrawn: p= is empty"
    if tags.get("k", "rsa").lower() != "rsa":
        return f"the record is for k={tags['k']}; ours is an RSA key"
    if "h" in tags and "sha256" not in _words(tags["h"]):
        return f"h={tags['h']} excludes SHA-256, with which we sign"
    if not {"*", "email"} & _words(tags.get("s", "*")):
        return f"s={tags['s']} excludes mail"
    if _bytes(tags["p"]) != _bytes(read_tags(ours)["p"]):
        return "another key is published; ours is in dkim_key_file"
    return ""


def _doubts(published: str, key: Key) -> list[NameFinding]:
    found = []
    if "y" in _words(read_tags(published).get("t", "")):
        words = "t=y says that you are testing: receivers treat the mail as unsigned; leave it out"
        found.append(doubtful("dkim.testing", key.name, words, publish=key.record))
    if key.bits < SHORT:
        words = f"the key has {key.bits} bits; receivers ask for {SHORT}: bot dkim rotate"
        found.append(doubtful("dkim.short", key.name, words))
    return found


def _words(text: str) -> set[str]:
    return {word.strip().lower() for word in text.split(":")}


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _bytes(text: str) -> bytes:
    """Compared as bytes: base64 may be folded."""
    try:
        return b64decode(_squeezed(text), validate=True)
    except (NotBase64, ValueError):
        return text.encode("latin-1", "replace")
