"""DKIM: what receivers verify, read with dkimpy; what they must refuse; and that the key stays secret."""

from __future__ import annotations

import email
import logging
import re
import subprocess
from base64 import b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import dkim
import pytest
from cryptography.hazmat.primitives import serialization as to_bytes
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.listening import free_port
from support.smtp_server import Server, smtp_server

from bot.channels.base import Channel, ChannelContext
from bot.channels.email import Options, connect
from bot.channels.email.compiled import Compiled, compile_message
from bot.channels.email.dkim import Signer
from bot.errors import Blame, PermanentFailure
from bot.model import Level, Message, Recipient
from tests.support.issues import ADDRESS, KEY, NAME, READER, TOKEN, URL, VALUES, open_issue

MUST_BE_SIGNED = {
    "from", "to", "subject", "date", "reply-to", "cc", "message-id", "mime-version", "content-type",
    "list-unsubscribe", "list-unsubscribe-post",
}  # fmt: skip

Key = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def pem(key: Key, password: bytes = b"") -> bytes:
    lock = to_bytes.BestAvailableEncryption(password) if password else to_bytes.NoEncryption()
    return key.private_bytes(to_bytes.Encoding.PEM, to_bytes.PrivateFormat.PKCS8, lock)


@cache
def private_key() -> bytes:
    """RSA-2048, made once for all tests."""
    return pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))


@cache
def signer() -> Signer:
    return Signer("example.org", "mail2026", private_key())


def newsletter(**changes: object) -> Message:
    """An issue with places in every part."""
    message = open_issue(
        f"{NAME}, six  items",
        text=f"Good morning {NAME}\n\n{'Two  spaces and = and ü. ' * 30}\n{URL}{TOKEN}\n{ADDRESS}\n",
        html=f'<p>Good morning {NAME}</p><a href="{URL}{TOKEN}">Leave</a><p>{ADDRESS}</p>\n',
    )
    return replace(message, **changes)  # type: ignore[arg-type]


@cache
def compiled() -> Compiled:
    return compile_message(newsletter(), postal_address=ADDRESS, signer=signer())


def signed(to: Recipient = READER, *, key: str = KEY, name: str = "Ana") -> bytes:
    return compiled().letter(to, key=key, values=VALUES | {"name": name}).content


def holds(content: bytes, by: Signer | None = None) -> bool:
    """Whether a receiver believes the signature; DNS is this function."""
    known = by or signer()

    def txt(name: bytes, timeout: int = 5) -> bytes:
        return known.record.encode() if name == f"{known.record_name}.".encode() else b""

    return bool(dkim.verify(content, dnsfunc=txt))


def tags(content: bytes) -> dict[str, str]:
    """The signature's own fields, without white space."""
    field = re.sub(r"\s", "", str(email.message_from_bytes(content)["DKIM-Signature"]))
    return {name: value for name, _, value in (tag.partition("=") for tag in field.split(";"))}


NAMES = st.one_of(
    st.text(
        st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp", "Cn"), blacklist_characters="\x85"),
        max_size=300,
    ),
    st.sampled_from(
        ["", "a  b", "\u200fآنا", "👩🏽\u200d🚀" * 60, "x" * 300, "=." * 50, '"q", <x>', "é \t".strip()]
    ),
)


# --------------------------------------------------------------------------- believed


@settings(max_examples=60, deadline=None)
@given(NAMES)
def test_every_readers_email_is_believed(name: str) -> None:
    """RSA-2048, by another implementation, whatever the reader is called."""
    assert holds(signed(replace(READER, name=name), name=name))


@pytest.mark.parametrize(
    "message",
    [
        newsletter(html=""),
        newsletter(html="", text=f"{URL}{TOKEN} {ADDRESS}\n\n\n\n"),
        newsletter(html="", text=f"{ADDRESS} {URL}{TOKEN}"),
        newsletter(text=f"{NAME} ข่าวประจำสัปดาห์ " * 50 + f"{URL}{TOKEN} {ADDRESS}"),
        newsletter(html="", text=f"{NAME} ข่าวประจำสัปดาห์ " * 50 + f"{URL}{TOKEN} {ADDRESS}"),
        newsletter(kind="confirm", html="", text="Nobody's name\n\n\n\n"),
        newsletter(lang="", subject="x" * 200),
        newsletter(kind="confirm", text="", html="", mailing=replace(newsletter().mailing, reply_to="")),  # type: ignore[type-var]
    ],
    ids=[
        "text alone",
        "empty lines at the end",
        "no line end",
        "base64",
        "base64 from the first byte on",
        "nothing personal and empty lines",
        "long subject",
        "empty body",
    ],
)
def test_every_shape_of_email_is_believed(message: Message) -> None:
    """One part or two, whatever its encoding and its end."""
    ready = compile_message(message, postal_address=ADDRESS, signer=signer())

    assert holds(ready.letter(READER, key=KEY, values=VALUES).content)


def test_an_email_with_an_international_address_is_believed() -> None:
    """The To field is then UTF-8 (RFC 8616)."""
    assert holds(signed(Recipient(id="r2", address="ünal@bücher.example", name="Ünal")))


def test_a_folded_head_is_still_believed() -> None:
    """Servers fold lines anew and capitalise names as they like: the head is relaxed."""
    content = signed()

    changed = content.replace(b"\r\nList-Unsubscribe: <", b"\r\nLIST-UNSUBSCRIBE:\r\n \t<")

    assert changed != content
    assert holds(changed)


def test_what_a_server_puts_on_top_does_no_harm() -> None:
    """Received and Return-Path are not signed."""
    top = b"Return-Path: <x@example.org>\r\nReceived: from a\r\n by b; Fri, 27 Nov 2026 02:00:00 +0000\r\n"

    assert holds(top + signed())


def test_a_second_try_has_the_same_signature() -> None:
    """No clock is in it, so the very same email goes out again."""
    assert signed() == signed()
    assert "t" not in tags(signed())


def test_threads_sign_at_once() -> None:
    """The same emails from eight threads as from one."""
    keys = [f"{number:032x}" for number in range(40)]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda key: signed(key=key), keys)) == [signed(key=key) for key in keys]


# --------------------------------------------------------------------------- refused


@pytest.mark.parametrize("field", [b"List-Unsubscribe", b"List-Unsubscribe-Post"])
def test_a_flipped_byte_in_a_list_field_is_noticed(field: bytes) -> None:
    """Otherwise somebody on the way could unsubscribe, or keep, whom they like (RFC 8058)."""
    content = signed()
    start = content.index(b"\r\n" + field + b": ") + len(field) + 4
    end = content.index(b"\r\n", start)

    for place in range(start, end):
        flipped = content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
        assert not holds(flipped), content[start:end]


@pytest.mark.parametrize(
    "change",
    [
        (b"Subject: ", b"Subject: x"),
        (b"\r\nTo: ", b"\r\nTo: Ben <ben@example.com>,\r\n "),
        (b"\r\nDate: Fri", b"\r\nDate: Sat"),
        (b"\r\nMessage-ID: <0", b"\r\nMessage-ID: <1"),
        (b"boundary=", b"boundary =x"),
        (b"Two  spaces", b"Two spaces"),
        (b"Good morning", b"Good evening"),
        (b"List-Archive: <https", b"List-Archive: <http"),
    ],
)
def test_a_change_is_noticed(change: tuple[bytes, bytes]) -> None:
    """In the head and in the body, which is signed to the byte."""
    content = signed()

    changed = content.replace(*change, 1)

    assert changed != content
    assert not holds(changed)


@pytest.mark.parametrize("name", sorted(MUST_BE_SIGNED))
def test_a_second_field_of_a_kind_is_noticed(name: str) -> None:
    """Readers would see one and the signature speak of the other; Cc must not be put in either."""
    content = signed()

    assert not holds(f"{name}: <x@example.com>\r\n".encode() + content)
    assert not holds(content.replace(b"\r\n\r\n", f"\r\n{name}: <x@example.com>\r\n\r\n".encode(), 1))


def test_the_signature_names_what_it_covers() -> None:
    """Every field of ours, and the important ones once more than they stand there."""
    content = signed()
    fields = [name.lower() for name in email.message_from_bytes(content)]

    named = tags(content)["h"].split(":")

    assert set(fields) - {"dkim-signature"} <= set(named)
    for name in MUST_BE_SIGNED:
        assert named.count(name) == fields.count(name) + 1, name


def test_the_signature_is_what_receivers_ask_for() -> None:
    """RSA-SHA256 over 2048 bits; on top; in short lines."""
    content = signed()

    found = tags(content)

    assert (found["v"], found["a"], found["c"]) == ("1", "rsa-sha256", "relaxed/simple")
    assert (found["d"], found["s"], len(b64decode(found["b"]))) == ("example.org", "mail2026", 256)
    assert content.startswith(b"DKIM-Signature: ")
    assert all(len(line) <= 78 for line in content.partition(b"\r\nDate:")[0].split(b"\r\n"))


def test_another_domains_key_is_not_believed() -> None:
    """The record must be the one of this key."""
    other = Signer(
        "example.org", "mail2026", pem(rsa.generate_private_key(public_exponent=65537, key_size=1024))
    )

    assert not holds(signed(), other)


# --------------------------------------------------------------------------- the key


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"",
        lambda: b"not a key",
        lambda: private_key()[:400] + b"\n-----END PRIVATE KEY-----\n",
        lambda: pem(rsa.generate_private_key(public_exponent=65537, key_size=2048), b"password"),
        lambda: pem(ed25519.Ed25519PrivateKey.generate()),
        lambda: subprocess.run(["openssl", "genrsa", "768"], check=True, capture_output=True).stdout,
    ],
    ids=["empty", "no key", "cut", "locked", "not RSA", "too short"],
)
def test_a_key_that_cannot_sign_is_our_fault(make: Callable[[], bytes]) -> None:
    """In words that tell what to do and hold nothing of the key."""
    key = make()

    with pytest.raises(PermanentFailure, match="dkim_key_file") as caught:
        Signer("example.org", "mail2026", key)

    assert caught.value.blame is Blame.SENDER
    assert caught.value.__cause__ is None
    assert not any(line in str(caught.value) for line in key.decode().split()[3:-3])


@pytest.mark.parametrize(
    ("domain", "selector"), [("exa mple.org", "s"), ("", "s"), ("example.org", "a;b"), ("example.org", "")]
)
def test_a_name_that_cannot_be_in_dns_is_refused(domain: str, selector: str) -> None:
    """It would break the header, too."""
    with pytest.raises(PermanentFailure):
        Signer(domain, selector, private_key())


def test_a_signer_shows_only_what_is_public() -> None:
    """Its domain and the name of its key."""
    assert repr(signer()) == "Signer(domain='example.org', selector='mail2026')"


def test_an_international_domain_is_written_in_ascii() -> None:
    """As in every other header."""
    assert Signer("bücher.example", "s", private_key()).record_name == "s._domainkey.xn--bcher-kva.example"


# --------------------------------------------------------------------------- within the channel


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "dkim.pem"
    path.write_bytes(private_key())
    return path


@pytest.fixture
def wrong_key_file(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.pem"
    path.write_text("nonsense")
    return path


def channel_to(server: Server, key_file: Path, **options: object) -> Channel:
    values = {"host": server.host, "port": server.port, "security": "none", "timeout": 20, "patience": 20}
    signing = {"dkim_domain": "example.org", "dkim_selector": "mail2026", "dkim_key_file": str(key_file)}
    return connect(
        Options.model_validate(values | signing | options),
        ChannelContext(name="mail", site_url="https://news.example.org", postal_address=ADDRESS),
    )


def final() -> Message:
    """Without open places."""
    plain = newsletter(subject="Six", text=f"{URL}x {ADDRESS}\n.dot\n", html=f"{URL}x {ADDRESS}")
    assert plain.mailing is not None
    return replace(plain, mailing=replace(plain.mailing, unsubscribe_url=f"{URL}x"))


async def test_what_arrives_is_believed(key_file: Path) -> None:
    """From the settings to the server."""
    async with smtp_server() as server:
        channel = channel_to(server, key_file)
        await channel.send(final(), READER, key=KEY)
        await channel.close()

        assert holds(server.taken[0].content)


async def test_nothing_goes_out_unsigned(tmp_path: Path) -> None:
    """A key that is gone stops the channel, with the file's name."""
    gone = tmp_path / "gone.pem"
    async with smtp_server() as server:
        channel = channel_to(server, gone)
        with pytest.raises(PermanentFailure, match=re.escape(str(gone))) as caught:
            await channel.send(final(), READER, key=KEY)
        await channel.close()

        assert caught.value.blame is Blame.SENDER
        assert server.taken == []


async def test_the_doctor_tells_the_record(key_file: Path, wrong_key_file: Path) -> None:
    """What to put into DNS, to be copied; a wrong file blocks."""
    async with smtp_server() as server:
        good = await channel_to(server, key_file).check()
        bad = await channel_to(server, wrong_key_file).check()

    assert good[-1].level is Level.INFO
    assert f"mail2026._domainkey.example.org must be: {signer().record}" in good[-1].message
    assert (bad[-1].level, bad[-1].rule) == (Level.BLOCK, "email.dkim")


async def test_the_key_is_never_shown(key_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not in a repr, a log or a finding."""
    caplog.set_level(logging.DEBUG)
    async with smtp_server() as server:
        channel = channel_to(server, key_file)
        await channel.send(final(), READER, key=KEY)
        shown = f"{signer()!r}{compiled()!r}{vars(channel)}{await channel.check()}{caplog.text}"
        await channel.close()

    assert not any(line in shown for line in private_key().decode().split("\n")[1:-2])


@pytest.mark.parametrize("left_out", ["dkim_domain", "dkim_selector", "dkim_key_file"])
def test_the_options_belong_together(left_out: str) -> None:
    """Half of them would send unsigned."""
    whole = {"dkim_domain": "example.org", "dkim_selector": "s", "dkim_key_file": "k.pem"}

    with pytest.raises(ValidationError, match="belong together"):
        Options.model_validate({"host": "localhost"} | whole | {left_out: ""})
    with pytest.raises(ValidationError, match="name in DNS"):
        Options.model_validate({"host": "localhost"} | whole | {"dkim_selector": "a b"})


async def test_a_dead_server_does_not_hide_a_wrong_key(wrong_key_file: Path) -> None:
    """The doctor tells both."""
    findings = await channel_to(Server(port=free_port()), wrong_key_file).check()

    assert [finding.rule for finding in findings] == ["email.unreachable", "email.dkim"]
