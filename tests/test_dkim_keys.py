"""Keys of DKIM: made once, shown to nobody, renewed without a gap."""

from __future__ import annotations

import os
import re
import tomllib
from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bot.channels.email.dkim import Signer
from bot.files import create_for_owner
from tests.support.commands import Ran, bot, fingerprint

FILE = "state/dkim/news.example.org.one.pem"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    folder = tmp_path / "news"
    bot("init", "--sample", folder)
    return folder


def follow(here: Path, ran: Ran) -> None:
    """Do with bot.toml what was said."""
    lines = re.findall(r'(?m)^   (dkim_\w+ = ".*")$', ran.out)
    assert len(lines) == 3
    text = re.sub(r"(?m)^(dkim_|username).*\n", "", (here / "bot.toml").read_text())
    text = text.replace("[channels.mail]\n", "[channels.mail]\n" + "\n".join(lines) + "\n")
    (here / "bot.toml").write_text(text)


def make(here: Path, selector: str = "one") -> Ran:
    ran = bot("dkim", "make", "--selector", selector, workspace=here)
    assert ran.code == 0, ran.err
    return ran


def test_a_key_is_made_for_its_owner_alone(here: Path) -> None:
    """RSA of 2048 bits, whatever the umask."""
    before = os.umask(0)
    try:
        make(here)
    finally:
        os.umask(before)

    file = here / FILE
    key = load_pem_private_key(file.read_bytes(), password=None)
    assert isinstance(key, RSAPrivateKey)
    assert key.key_size == 2048
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.stat().st_nlink == 1
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_record_is_told_on_one_line_and_in_strings(here: Path) -> None:
    """Both are the record of that key, and a zone file's strings are short enough."""
    ran = make(here)

    record = Signer("news.example.org", "one", (here / FILE).read_bytes()).record
    (zone,) = re.findall(r"(?m)^one\._domainkey\.news\.example\.org\. IN TXT (.*)$", ran.out)
    pieces = re.findall(r'"([^"]*)"', zone)
    assert f"\n{record}\n" in ran.out
    assert "\none._domainkey.news.example.org\n" in ran.out
    assert "".join(pieces) == record
    assert [len(piece) <= 255 for piece in pieces] == [True, True]


def test_the_private_half_is_never_shown(here: Path) -> None:
    """By no command."""
    ran = make(here)
    follow(here, ran)
    said = ran.out + "".join(
        bot(*args, workspace=here).out
        for args in (("dkim", "show"), ("dkim", "show", "--json"), ("dkim", "rotate"), ("doctor",))
    )

    assert not any(line in said for line in (here / FILE).read_text().splitlines()[1:-1])


def test_what_was_said_to_bot_toml_signs(here: Path) -> None:
    """The doctor is content with the three lines."""
    follow(here, make(here))

    shown = bot("dkim", "show", workspace=here)
    table = tomllib.loads((here / "bot.toml").read_text())["channels"]["mail"]
    assert (table["dkim_domain"], table["dkim_selector"], table["dkim_key_file"]) == (
        "news.example.org", "one", FILE,
    )  # fmt: skip
    assert shown.code == 0
    assert "one._domainkey.news.example.org" in shown.out


def test_a_key_is_never_overwritten(here: Path) -> None:
    """Not by a second call, not by the same name, not in the middle of another one's work."""
    make(here)
    before = fingerprint(here)

    again = bot("dkim", "make", "--selector", "one", workspace=here)
    unnamed = bot("dkim", "make", workspace=here)

    assert (again.code, unnamed.code) == (3, 3)
    assert "never overwritten" in again.err
    assert "bot dkim show --selector one" in unnamed.err
    assert fingerprint(here) == before
    with pytest.raises(FileExistsError):
        create_for_owner(here / FILE, b"another")
    assert fingerprint(here) == before


def test_a_channel_with_a_key_is_told_how_to_renew(here: Path) -> None:
    """`make` is for the first one."""
    follow(here, make(here))

    ran = bot("dkim", "make", "--selector", "two", workspace=here)

    assert (ran.code, "bot dkim rotate" in ran.err) == (3, True)


@pytest.mark.parametrize("command", ["make", "rotate"])
def test_a_dry_run_makes_nothing(here: Path, command: str) -> None:
    """It says what would be where."""
    if command == "rotate":
        follow(here, make(here))
    before = fingerprint(here)

    ran = bot("dkim", command, "--selector", "two", "--dry-run", workspace=here)

    assert ran.code == 0
    assert "Would make state/dkim/news.example.org.two.pem for two._domainkey.news.example.org" in ran.out
    assert fingerprint(here) == before


def test_the_next_key_waits_until_a_person_switches(here: Path) -> None:
    """`rotate` edits nothing: the old key signs, and both can be shown."""
    follow(here, make(here))
    settings = (here / "bot.toml").read_bytes()

    ran = bot("dkim", "rotate", "--selector", "two", workspace=here)

    assert ran.code == 0
    assert (here / "bot.toml").read_bytes() == settings
    assert "one._domainkey" in bot("dkim", "show", workspace=here).out
    assert "two._domainkey" in bot("dkim", "show", "--selector", "two", workspace=here).out
    order = [
        ran.out.index(word) for word in ("1. Publish", "2. Wait", "3. Then switch", "4. Leave one._domainkey")
    ]
    assert order == sorted(order)
    assert "bot dkim show --channel mail --selector two --check" in ran.out

    follow(here, ran)

    assert "two._domainkey" in bot("dkim", "show", workspace=here).out


def test_a_second_next_key_is_not_made_by_accident(here: Path) -> None:
    """The one that waits is named; after the switch the way is free again."""
    follow(here, make(here))
    waiting = bot("dkim", "rotate", "--selector", "two", workspace=here)

    again = bot("dkim", "rotate", workspace=here)
    follow(here, waiting)
    later = bot("dkim", "rotate", workspace=here)

    assert (again.code, "--selector two" in again.err) == (3, True)
    assert later.code == 0, later.err


def test_a_name_of_its_own_is_made_of_the_month(here: Path) -> None:
    """With a letter when there is one of the month already."""
    from bot.app.dkim import make_key, place_for, place_for_next
    from bot.app.workspace import Workspace

    day = date(2026, 11, 27)
    workspace = Workspace(here, readonly=True)
    place = place_for(workspace, channel=None, domain=None, selector=None, today=day)
    make_key(workspace, place)
    lines = f'dkim_domain = "{place.domain}"\ndkim_selector = "{place.selector}"\n'
    lines += f'dkim_key_file = "{place.file}"\n'
    text = (here / "bot.toml").read_text().replace('username = "weekly@news.example.org"\n', lines)
    (here / "bot.toml").write_text(text)

    following = place_for_next(Workspace(here, readonly=True), channel=None, selector=None, today=day)

    assert (place.selector, following.selector) == ("mail202611", "mail202611b")


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (("make", "--channel", "mastodon"), "email channels here: mail"),
        (("make", "--channel", "nobody"), "email channels here: mail"),
        (("make", "--selector", "a b"), "name in DNS"),
        (("make", "--selector", "../x"), "name in DNS"),
        (("make", "--domain", "../../x"), "domain that cannot exist"),
        (("show",), "bot dkim make"),
        (("rotate",), "bot dkim make"),
        (("show", "--selector", "gone"), "there is no key 'gone'"),
    ],
)
def test_a_mistake_is_told_in_one_line(here: Path, args: tuple[str, ...], word: str) -> None:
    """With what to do, and nothing is written."""
    before = fingerprint(here)

    ran = bot("dkim", *args, workspace=here)

    assert ran.code == 3
    assert word in ran.err
    assert len(ran.err.splitlines()) == 1
    assert fingerprint(here) == before


def test_an_international_domain_is_written_in_ascii(here: Path) -> None:
    """As DNS has it."""
    ran = bot("dkim", "make", "--domain", "Bücher.example", "--selector", "one", workspace=here)

    assert "\none._domainkey.xn--bcher-kva.example\n" in ran.out
