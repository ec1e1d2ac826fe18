"""`bot doctor --dns` and `bot dkim show --check` against a real DNS server of the test's own."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.dns_server import SERVFAIL, SILENT, DnsServer, dns_server
from support.smtp_server import self_made_certificate, smtp_server

from bot.deliverability.names import Dns, Trouble, addresses_of
from bot.errors import ConfigError
from tests.support.commands import Ran, bot, fingerprint

LONG = "v=DKIM1; k=rsa; p=" + "A" * 2_000


@pytest.fixture
def dns() -> Iterator[DnsServer]:
    """One name of every kind."""
    zone = {
        "shelf.test": {
            "A": ["192.0.2.1"],
            "AAAA": ["2001:db8::1"],
            "MX": ["20 late.shelf.test.", "5 first.shelf.test."],
            "TXT": ["x" * 300, "short"],
        },
        "long.shelf.test": {"TXT": [LONG]},
        "null.test": {"MX": ["0 ."]},
        "1.2.0.192.in-addr.arpa": {"PTR": ["mx.shelf.test."]},
        "slow.test": SILENT,
        "broken.test": SERVFAIL,
    }
    with dns_server(zone) as server:
        yield server


# --------------------------------------------------------------------------- asking


async def test_records_are_read(dns: DnsServer) -> None:
    """Strings are put together, mail servers in their order, names without the last dot."""
    names = Dns(dns.place)

    assert set((await names.ask("shelf.test", "TXT")).values) == {"x" * 300, "short"}
    assert (await names.ask("SHELF.test.", "MX")).values == ("first.shelf.test", "late.shelf.test")
    assert (await names.ask("null.test", "MX")).values == ("",)
    assert (await names.ask("1.2.0.192.in-addr.arpa", "PTR")).values == ("mx.shelf.test",)
    assert [str(a) for a in (await addresses_of(names, "shelf.test"))[0]] == ["192.0.2.1", "2001:db8::1"]


@pytest.mark.parametrize(
    ("name", "kind", "trouble"),
    [
        ("nobody.test", "TXT", Trouble.NO_NAME),
        ("long.shelf.test", "MX", Trouble.NO_RECORD),
        ("test", "TXT", Trouble.NO_RECORD),
        ("slow.test", "TXT", Trouble.TIMEOUT),
        ("broken.test", "TXT", Trouble.FAILED),
        (f"{'x' * 64}.test", "TXT", Trouble.NO_NAME),
        ("a..test", "TXT", Trouble.NO_NAME),
    ],
)
async def test_the_ways_of_no_answer_are_told_apart(
    dns: DnsServer, name: str, kind: str, trouble: Trouble
) -> None:
    """No such name, no such record, no word, a failing server."""
    patience = 0.3 if trouble is Trouble.TIMEOUT else 20
    assert (await Dns(dns.place, patience=patience).ask(name, kind)).trouble is trouble


async def test_a_long_answer_comes_over_tcp(dns: DnsServer) -> None:
    """Asked over UDP first, whose answer is cut."""
    assert (await Dns(dns.place).ask("long.shelf.test", "TXT")).values == (LONG,)
    assert [way for _, _, way in dns.asked] == ["udp", "tcp"]


async def test_a_question_is_asked_once(dns: DnsServer) -> None:
    """Also when many want to know at the same time."""
    names = Dns(dns.place)

    await asyncio.gather(*(names.ask("shelf.test", "A") for _ in range(20)))

    assert len(dns.asked) == 1


async def test_a_dead_server_is_given_up(dns: DnsServer) -> None:
    """After two questions without a word, the others do not wait."""
    dns.zone.update({f"s{number}.test": SILENT for number in range(60)})
    names = Dns(dns.place, patience=0.2)

    for number in range(60):
        assert (await names.ask(f"s{number}.test", "A")).trouble is Trouble.TIMEOUT

    assert {name for name, _, _ in dns.asked} == {"s0.test", "s1.test"}


@pytest.mark.parametrize("place", ["nonsense", "127.0.0.1:99999", "127.0.0.1:", "[::1", "127.0.0.1:x"])
def test_a_resolver_that_is_no_address_is_refused(place: str) -> None:
    """With how to write it."""
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:5353"):
        Dns(place)


@pytest.mark.parametrize("place", ["::1", "[::1]:5353", "[::1]", "127.0.0.1"])
def test_both_kinds_of_addresses_are_taken(place: str) -> None:
    """With a port or without."""
    Dns(place)


# --------------------------------------------------------------------------- the whole command


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A fresh workspace, in rehearsal, that signs, with a mail server under a name of its own."""
    folder = tmp_path / "news"
    assert bot("init", "--sample", folder).code == 0
    assert bot("dkim", "make", "--selector", "mail2026", workspace=folder).code == 0
    settings = (folder / "bot.toml").read_text()
    signing = (
        'dkim_domain = "news.example.org"\ndkim_selector = "mail2026"\n'
        'dkim_key_file = "state/dkim/news.example.org.mail2026.pem"\nca_file = "certificate.pem"\n'
    )
    settings = settings.replace('username = "weekly@news.example.org"\n', signing)
    (folder / "bot.toml").write_text(settings)
    return folder


def record_of(here: Path) -> tuple[str, str]:
    shown = json.loads(bot("dkim", "show", "--json", workspace=here).out)
    return shown["name"], shown["record"]


def good_zone(here: Path) -> dict[str, dict[str, list[str]]]:
    name, record = record_of(here)
    return {
        "smtp.example.org": {"A": ["127.0.0.1"]},
        "news.example.org": {
            "A": ["192.0.2.1"],
            "TXT": ["v=spf1 ip4:192.0.2.25 -all"],
            "MX": ["10 mx.example.org."],
        },
        "mx.example.org": {"A": ["192.0.2.25"]},
        "25.2.0.192.in-addr.arpa": {"PTR": ["mx.example.org."]},
        "_dmarc.example.org": {"TXT": ["v=DMARC1; p=quarantine"]},
        name: {"TXT": [record]},
    }


async def doctor(here: Path, zone: dict[str, dict[str, list[str]]], *more: str) -> tuple[Ran, DnsServer]:
    certificate = self_made_certificate(here, names="DNS:smtp.example.org")
    (here / "certificate.pem").write_bytes(certificate.read_bytes())
    async with smtp_server(certificate=certificate) as mail:
        settings = (here / "bot.toml").read_text()
        (here / "bot.toml").write_text(re.sub(r"port = \d+", f"port = {mail.port}", settings))
        with dns_server(zone) as dns:
            args = ("doctor", "--dns", "--resolver", dns.place, "--address", "192.0.2.25", *more)
            ran = await asyncio.to_thread(bot, *args, workspace=here)
        assert mail.taken == []
    return ran, dns


async def test_a_good_domain_is_praised(here: Path) -> None:
    """Nothing to publish, nothing wrong, exit code 0."""
    ran, dns = await doctor(here, good_zone(here))

    assert ran.code == 0, ran.out
    assert "✗" not in ran.out
    assert "To publish" not in ran.out
    for what in ("tls", "spf", "dkim", "dmarc", "alignment", "ptr", "mx"):
        assert f"✓   {what} " in ran.out
    assert ("_dmarc.org", "TXT", "udp") in dns.asked  # the walk goes on to the top


async def test_an_empty_domain_is_told_every_record_word_for_word(here: Path) -> None:
    """Each on a line of its own, to be copied whole; exit code 1."""
    name, record = record_of(here)

    ran, _ = await doctor(here, {"smtp.example.org": {"A": ["127.0.0.1"]}})

    assert ran.code == 1
    for place, kind, value in (
        ("news.example.org", "TXT", "v=spf1 ip4:192.0.2.25 ~all"),
        (name, "TXT", record),
        ("_dmarc.news.example.org", "TXT", "v=DMARC1; p=none"),
        ("25.2.0.192.in-addr.arpa", "PTR", "news.example.org."),
        ("news.example.org", "MX", "10 smtp.example.org."),
    ):
        assert f"\n{place}  {kind}\n{value}\n" in ran.out


async def test_what_was_told_cures(here: Path) -> None:
    """A zone made of the records that the doctor told is found good; only the host's address is added."""
    first, _ = await doctor(here, {"smtp.example.org": {"A": ["127.0.0.1"]}}, "--json")
    zone: dict[str, dict[str, list[str]]] = {"smtp.example.org": {"A": ["127.0.0.1"]}}
    for finding in json.loads(first.out):
        if finding.get("publish"):
            zone.setdefault(finding["name"], {}).setdefault(finding["kind"], []).append(finding["publish"])
    zone["news.example.org"]["A"] = ["192.0.2.25"]

    again, _ = await doctor(here, zone, "--json")

    assert [f for f in json.loads(again.out) if f["rule"].startswith("dns.") and f["level"] != "info"] == []
    assert again.code == 0


async def test_json_has_name_kind_and_value(here: Path) -> None:
    """For programs."""
    ran, _ = await doctor(here, {"smtp.example.org": {"A": ["127.0.0.1"]}}, "--json")

    (dmarc,) = [f for f in json.loads(ran.out) if f["rule"] == "dns.dmarc"]
    assert (dmarc["level"], dmarc["name"], dmarc["kind"], dmarc["publish"]) == (
        "block", "_dmarc.news.example.org", "TXT", "v=DMARC1; p=none",
    )  # fmt: skip


async def test_a_domain_for_bounces_is_looked_at_instead(here: Path) -> None:
    """SPF and MX are those of the return path."""
    with (here / "bot.toml").open("a") as file:
        file.write('\n[bounces]\naddress = "bounce@back.example.org"\n')

    ran, dns = await doctor(here, good_zone(here), "--json")

    wrong = {
        f["name"] for f in json.loads(ran.out) if f["rule"] in ("dns.spf", "dns.mx") and f["level"] == "block"
    }
    assert wrong == {"back.example.org"}
    assert ("news.example.org", "TXT", "udp") not in dns.asked


async def test_looking_changes_nothing(here: Path) -> None:
    """Not a file."""
    await doctor(here, good_zone(here))
    before = fingerprint(here)

    with dns_server({}) as dns:
        await asyncio.to_thread(bot, "doctor", "--dns", "--resolver", dns.place, workspace=here)

    assert fingerprint(here) == before


def test_without_the_option_nobody_is_asked(here: Path) -> None:
    """And the options that go with it are refused."""
    with dns_server({}) as dns:
        assert bot("doctor", workspace=here).code == 0
        assert bot("doctor", "--resolver", dns.place, workspace=here).code == 2
        assert bot("doctor", "--offline", "--dns", "--resolver", dns.place, workspace=here).code == 2

    assert dns.asked == []


def test_an_address_that_is_none_is_refused(here: Path) -> None:
    """In one line."""
    with dns_server({}) as dns:
        ran = bot("doctor", "--dns", "--resolver", dns.place, "--address", "mx.x", workspace=here)

    assert (ran.code, "192.0.2.25" in ran.err) == (3, True)


# --------------------------------------------------------------------------- one record


def test_a_published_key_is_recognised(here: Path) -> None:
    """`bot dkim show --check` asks for the one name."""
    name, record = record_of(here)

    with dns_server({name: {"TXT": [record]}}) as dns:
        right = bot("dkim", "show", "--check", "--resolver", dns.place, workspace=here)
        dns.zone[name] = {"TXT": [record[:-9] + "AAAAAIDAQAB"[-9:]]}
        other = bot("dkim", "show", "--check", "--resolver", dns.place, workspace=here)
        dns.zone.clear()
        missing = bot("dkim", "show", "--check", "--resolver", dns.place, workspace=here)

    assert (right.code, other.code, missing.code) == (0, 1, 1)
    assert "another key" in other.out
    assert f"{name}  TXT\n{record}\n" in missing.out
    assert {asked for asked, _, _ in dns.asked} == {name}
