"""What the doctor finds of a domain: each kind of fault, and the record to publish against it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from support.listening import free_port
from support.smtp_server import DROP, self_made_certificate, smtp_server
from support.smtp_server import SILENT as NO_WORD
from support.zone import SERVFAIL, SILENT, Zone

from bot.deliverability import dmarc
from bot.deliverability.encryption import examine_encryption
from bot.deliverability.finding import NameFinding
from bot.deliverability.hosts import examine_bounces, examine_reverse, outlet_of
from bot.deliverability.key_record import Key, examine_key
from bot.deliverability.policy import examine_dmarc
from bot.deliverability.senders import examine_spf
from bot.deliverability.subject import Outlet, Relay, Subject
from bot.deliverability.tags import txt_strings, zone_line
from bot.model import Level

OURS, OURS_6 = ip_address("192.0.2.25"), ip_address("2001:db8::25")
NOW = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)
KEY = Key(name="mail2026._domainkey.shelf.test", record="v=DKIM1; k=rsa; p=QUJDREVG")
RELAY = Relay(host="smtp.relay.test", port=587, security="starttls", hello="news.shelf.test")
LOCAL = Relay(host="localhost", port=25, security="none", hello="mx.shelf.test")


def subject(**changes: object) -> Subject:
    values: dict[str, object] = {
        "channel": "mail",
        "authors": ("shelf.test",),
        "bounces": "bounce.shelf.test",
        "relays": (RELAY,),
        "signature": "shelf.test",
        "key": KEY,
    }
    return Subject(**(values | changes))  # type: ignore[arg-type]


def outlet(*, sure: bool = True) -> Outlet:
    return Outlet(addresses=(OURS,), sure=sure, host="mx.shelf.test")


def only(findings: list[NameFinding]) -> NameFinding:
    assert len(findings) == 1, findings
    return findings[0]


# --------------------------------------------------------------------------- SPF


async def spf(record: str | list[str], *, sure: bool = True, **more: object) -> list[NameFinding]:
    texts = [record] if isinstance(record, str) else record
    zone = Zone({"shelf.test": {"TXT": texts}, **more})  # type: ignore[arg-type]
    return await examine_spf(zone, "shelf.test", outlet(sure=sure))


async def test_a_record_that_lets_us_send_is_good() -> None:
    """And the doctor says whom it lets."""
    found = only(await spf("v=spf1 ip4:192.0.2.0/24 ~all"))

    assert (found.level, found.rule, found.publish) == (Level.INFO, "dns.spf", "")
    assert "192.0.2.25" in found.message


async def test_a_missing_record_is_written_out() -> None:
    """With our address, or with the relay's name where only that is known."""
    known = only(await examine_spf(Zone({}), "shelf.test", outlet()))
    guessed = only(await examine_spf(Zone({}), "shelf.test", outlet(sure=False)))

    assert (known.level, known.name, known.kind) == (Level.BLOCK, "shelf.test", "TXT")
    assert known.publish == "v=spf1 ip4:192.0.2.25 ~all"
    assert guessed.publish == "v=spf1 a:mx.shelf.test ~all"


async def test_two_records_become_one() -> None:
    """Each term once, the mildest end."""
    found = only(await spf(["v=spf1 mx include:a.test -all", "v=spf1 include:a.test ip4:192.0.2.1 ~all"]))

    assert found.level is Level.BLOCK
    assert found.publish == "v=spf1 mx include:a.test ip4:192.0.2.1 ~all"


async def test_an_address_that_is_not_let_is_put_in_front() -> None:
    """Where the address is sure it is a fault; an address guessed from a provider's name is only a doubt."""
    sure = only(await spf("v=spf1 include:a.test -all", **{"a.test": {"TXT": ["v=spf1 -all"]}}))
    guessed = only(await spf("v=spf1 -all", sure=False))

    assert (sure.level, sure.publish) == (Level.BLOCK, "v=spf1 ip4:192.0.2.25 include:a.test -all")
    assert "192.0.2.25" in sure.message
    assert guessed.level is Level.WARN
    assert "--address" in guessed.message


@pytest.mark.parametrize(
    ("record", "level", "word", "publish"),
    [
        ("v=spf1 ip4:192.0.2.25 +all", Level.BLOCK, "everybody", "v=spf1 ip4:192.0.2.25 ~all"),
        ("v=spf1 ip4:192.0.2.25 ?all", Level.WARN, "~all", "v=spf1 ip4:192.0.2.25 ~all"),
        ("v=spf1 ip4:192.0.2.25", Level.WARN, "~all", "v=spf1 ip4:192.0.2.25 ~all"),
        ("v=spf1 ip4:192.0.2.25 moo -all", Level.BLOCK, "'moo'", ""),
        ("v=spf1 include:nobody.test -all", Level.BLOCK, "include:nobody.test", ""),
        ("v=spf1 ip4:192.0.2.25 ptr -all", Level.WARN, "ptr", ""),
    ],
)
async def test_a_weak_or_wrong_record_is_told(record: str, level: Level, word: str, publish: str) -> None:
    """With the term, and with the mended record where that can be known."""
    (found, *_) = await spf(record)

    assert (found.level, found.publish) == (level, publish)
    assert word in found.message


@pytest.mark.parametrize(
    ("count", "level"), [(8, Level.INFO), (9, Level.WARN), (10, Level.WARN), (14, Level.BLOCK)]
)
async def test_the_cost_of_a_record_is_counted(count: int, level: Level) -> None:
    """Also far over the limit: a person wants to know by how much; and before our own term hides the rest."""
    (found, *_) = await spf(
        f"v=spf1 ip4:192.0.2.25 {'a:other.test ' * count}~all", **{"other.test": {"A": ["198.51.100.1"]}}
    )

    assert found.level is level
    assert (f"{count} terms" in found.message) is (count > 8)


async def test_names_that_lead_nowhere_are_counted() -> None:
    """More than two make the record count for nothing, for receivers who get that far."""
    (found, *_) = await spf("v=spf1 ip4:192.0.2.25 a:x.test a:y.test a:z.test ~all")

    assert (found.level, found.rule) == (Level.BLOCK, "dns.spf.voids")


@pytest.mark.parametrize("silence", [SILENT, SERVFAIL])
async def test_a_server_that_fails_is_no_missing_record(silence: str) -> None:
    """Nothing is to be published for that."""
    found = only(await examine_spf(Zone({"shelf.test": silence}), "shelf.test", outlet()))

    assert (found.level, found.publish) == (Level.BLOCK, "")
    assert "ask again later" in found.message


# --------------------------------------------------------------------------- DKIM


async def key(*records: str) -> list[NameFinding]:
    return await examine_key(Zone({KEY.name: {"TXT": list(records)}}), KEY)


@pytest.mark.parametrize(
    "record",
    [
        KEY.record,
        "p=QUJDREVG",
        "v=DKIM1;p=QUJD REVG;",
        "v=DKIM1; h=sha1:sha256; k=rsa; s=email:x; n=a note; t=s; p=QUJDREVG",
    ],
)
async def test_our_key_is_recognised(record: str) -> None:
    """However it is written: folded, short, with notes."""
    assert only(await key(record)).level is Level.INFO


@pytest.mark.parametrize(
    ("record", "word"),
    [
        ("v=DKIM1; k=rsa; p=QUJDREVH", "another key"),
        ("v=DKIM1; p=", "withdrawn"),
        ("v=DKIM1; k=rsa", "holds no key"),
        ("v=DKIM2; p=QUJDREVG", "v=DKIM1"),
        ("k=rsa; v=DKIM1; p=QUJDREVG", "v=DKIM1"),
        ("v=DKIM1; k=ed25519; p=QUJDREVG", "RSA"),
        ("v=DKIM1; h=sha1; p=QUJDREVG", "SHA-256"),
        ("v=DKIM1; s=chat; p=QUJDREVG", "excludes mail"),
        ("v=DKIM1; p=QUJDREVG; p=QUJDREVG", "twice"),
        ("some words", "cannot be read"),
    ],
)
async def test_a_record_that_no_receiver_takes_is_told(record: str, word: str) -> None:
    """With the right one to publish."""
    found = only(await key(record))

    assert (found.level, found.name, found.publish) == (Level.BLOCK, KEY.name, KEY.record)
    assert word in found.message


async def test_a_missing_key_and_a_second_one_are_told() -> None:
    """No name, no such record, two records."""
    missing = only(await examine_key(Zone({}), KEY))
    other_kind = only(await examine_key(Zone({KEY.name: {"A": ["192.0.2.1"]}}), KEY))
    twice = only(await key(KEY.record, "v=DKIM1; p="))

    assert "not published" in missing.message
    assert "no TXT record" in other_kind.message
    assert "2 TXT records" in twice.message
    assert {f.publish for f in (missing, other_kind, twice)} == {KEY.record}


async def test_a_testing_or_short_key_is_doubted() -> None:
    """Both are believed by nobody who is strict."""
    short = Key(name=KEY.name, record=KEY.record, bits=1024)

    found = await examine_key(Zone({KEY.name: {"TXT": [f"v=DKIM1; t=y; {KEY.record[9:]}"]}}), short)

    assert [f.rule for f in found] == ["dns.dkim", "dns.dkim.testing", "dns.dkim.short"]


def test_a_long_record_is_cut_for_a_zone_file() -> None:
    """At 255 bytes; together the strings are the record."""
    record = f"v=DKIM1; p={'A' * 392}"

    assert [len(piece) for piece in txt_strings(record)] == [255, 148]
    assert zone_line("s._domainkey.x.test", "TXT", record) == (
        f's._domainkey.x.test. IN TXT "{record[:255]}" "{record[255:]}"'
    )


# --------------------------------------------------------------------------- DMARC


def test_the_walk_asks_eight_names_at_most() -> None:
    """A deep name jumps to seven labels (RFC 9989, 4.10)."""
    assert dmarc.places("a.shelf.test") == ["a.shelf.test", "shelf.test", "test"]
    assert dmarc.places("test") == ["test"]
    assert dmarc.places("a.b.c.d.e.f.g.h") == [
        "a.b.c.d.e.f.g.h",
        *["b.c.d.e.f.g.h", "c.d.e.f.g.h", "d.e.f.g.h"],
        "e.f.g.h",
        "f.g.h",
        "g.h",
        "h",
    ]
    deep = dmarc.places(".".join("abcdefghijkl"))
    assert (deep[1], len(deep)) == ("f.g.h.i.j.k.l", 8)


@pytest.mark.parametrize(
    ("records", "organization", "applied"),
    [
        ({}, "a.b.shelf.test", None),
        ({"shelf.test": "p=none"}, "shelf.test", "shelf.test"),
        ({"shelf.test": "p=none", "test": "p=reject"}, "test", "test"),
        ({"shelf.test": "p=none", "test": "p=reject; psd=y"}, "shelf.test", "shelf.test"),
        ({"test": "p=reject; psd=y"}, "shelf.test", "test"),
        ({"b.shelf.test": "p=none; psd=n", "shelf.test": "p=reject"}, "b.shelf.test", "b.shelf.test"),
        ({"a.b.shelf.test": "p=quarantine", "shelf.test": "p=reject"}, "shelf.test", "a.b.shelf.test"),
        ({"a.b.shelf.test": "p=none; psd=y", "shelf.test": "p=none"}, "a.b.shelf.test", "a.b.shelf.test"),
        ({"b.shelf.test": "p=none; psd=y"}, "a.b.shelf.test", "b.shelf.test"),
    ],
)
async def test_policy_and_organization_are_found(
    records: dict[str, str], organization: str, applied: str | None
) -> None:
    """psd=n is the organization; below psd=y it is one label longer; else the highest record."""
    zone = Zone({f"_dmarc.{name}": {"TXT": [f"v=DMARC1; {text}"]} for name, text in records.items()})

    walk = await dmarc.walk(zone, "a.b.shelf.test")

    assert walk.organization == organization
    assert (walk.applied.domain if walk.applied else None) == applied


@pytest.mark.parametrize(
    ("text", "own", "below", "unborn"),
    [
        ("p=reject", "reject", "reject", "reject"),
        ("p=reject; sp=none", "reject", "none", "none"),
        ("p=none; sp=quarantine; np=reject", "none", "quarantine", "reject"),
        ("p=none; np=reject", "none", "none", "reject"),
        ("rua=mailto:a@shelf.test", "none", "none", "none"),
        ("p=maybe; rua=mailto:a@shelf.test", "none", "none", "none"),
        ("p=maybe", "", "", ""),
    ],
)
async def test_a_subdomain_has_its_own_policy(text: str, own: str, below: str, unborn: str) -> None:
    """sp for those that exist, np for those that do not."""
    zone = Zone({"_dmarc.shelf.test": {"TXT": [f"v=DMARC1; {text}"]}})
    record = (await dmarc.walk(zone, "shelf.test")).applied

    assert record is not None
    assert record.policy_for("shelf.test") == own
    assert record.policy_for("a.shelf.test") == below
    assert record.policy_for("a.shelf.test", exists=False) == unborn


@pytest.mark.parametrize(
    "text",
    ["v=dmarc1; p=none", "p=none; v=DMARC1", "v=DMARC1x; p=none", "v=spf1 -all", "words"],
)
async def test_what_does_not_begin_right_is_no_record(text: str) -> None:
    """To the letter."""
    assert (await dmarc.walk(Zone({"_dmarc.shelf.test": {"TXT": [text]}}), "shelf.test")).records == ()


async def dmarc_of(text: str | list[str] | None, **changes: object) -> list[NameFinding]:
    zone: dict[str, object] = {"shelf.test": {"A": ["192.0.2.1"]}}
    if text is not None:
        zone["_dmarc.shelf.test"] = {"TXT": [text] if isinstance(text, str) else text}
    return await examine_dmarc(Zone(zone), subject(**changes), "shelf.test")  # type: ignore[arg-type]


async def test_a_policy_and_two_domains_that_stand_for_ours_are_good() -> None:
    """A bounce domain below the author's is as good as the same one."""
    found = await dmarc_of("v=DMARC1; p=none; rua=mailto:dmarc@shelf.test")

    assert [(f.level, f.rule) for f in found] == [(Level.INFO, "dns.dmarc"), (Level.INFO, "dns.alignment")]


async def test_a_missing_policy_is_written_out() -> None:
    """Bulk mail is refused without."""
    (found, *_) = await dmarc_of(None, bounces="shelf.test")

    assert (found.level, found.name, found.publish) == (Level.BLOCK, "_dmarc.shelf.test", "v=DMARC1; p=none")


async def test_removed_and_broken_tags_are_doubted() -> None:
    """The record without them is the one to publish."""
    found = (await dmarc_of("v=DMARC1; p=reject; pct=50; rf=afrf; ri=3600; adkim=x; zz=1; sp=none; oops"))[1]

    assert (found.level, found.rule) == (Level.WARN, "dns.dmarc.tags")
    for tag in ("pct=", "rf=", "ri=", "adkim=x", "zz=", "'oops'"):
        assert tag in found.message
    assert found.publish == "v=DMARC1; p=reject; sp=none"


async def test_a_record_without_a_policy_counts_for_nothing() -> None:
    (found, *_) = await dmarc_of("v=DMARC1; p=nothing; sp=reject")

    assert (found.level, found.publish) == (Level.BLOCK, "v=DMARC1; p=none; sp=reject")


async def test_two_policies_count_for_nothing() -> None:
    """Both are told, and that there is none then."""
    found = await dmarc_of(["v=DMARC1; p=none", "v=DMARC1; p=reject"])

    assert [(f.level, f.name) for f in found[:2]] == [(Level.BLOCK, "_dmarc.shelf.test")] * 2
    assert "several" in found[0].message


async def test_a_policy_under_test_is_doubted() -> None:
    assert "dns.dmarc.testing" in [f.rule for f in await dmarc_of("v=DMARC1; p=reject; t=y")]


@pytest.mark.parametrize(
    ("text", "bounces", "signature", "level"),
    [
        ("p=none", "shelf.test", "shelf.test", Level.INFO),
        ("p=none; aspf=s", "bounce.shelf.test", "shelf.test", Level.WARN),
        ("p=none; adkim=s", "shelf.test", "mail.shelf.test", Level.WARN),
        ("p=none; adkim=s; aspf=s", "b.shelf.test", "m.shelf.test", Level.BLOCK),
        ("p=none", "relay.test", "shelf.test", Level.WARN),
        ("p=none", "shelf.test", "relay.test", Level.WARN),
        ("p=none", "relay.test", "relay.test", Level.BLOCK),
        ("p=none", "shelf.test", "", Level.WARN),
        ("p=none", "relay.test", "", Level.BLOCK),
    ],
)
async def test_a_domain_that_does_not_stand_for_the_author_is_told(
    text: str, bounces: str, signature: str, level: Level
) -> None:
    """Relaxed and strict, for SPF and for DKIM; a server that signs or not cannot be seen from here."""
    found = await dmarc_of(f"v=DMARC1; {text}", bounces=bounces, signature=signature)

    assert (found[-1].rule, found[-1].level) == ("dns.alignment", level)


async def test_without_an_answer_nothing_is_claimed() -> None:
    """A silent server is neither a missing policy nor one that fits."""
    zone = Zone({"_dmarc.shelf.test": SILENT, "_dmarc.test": {"TXT": ["v=DMARC1; p=reject"]}})
    found = await examine_dmarc(zone, subject(), "shelf.test")

    assert [f.level for f in found] == [Level.BLOCK, Level.WARN]
    assert not any(f.publish for f in found)


# --------------------------------------------------------------------------- hosts

REVERSE = "25.2.0.192.in-addr.arpa"


@pytest.mark.parametrize(
    ("zone", "level", "name", "publish"),
    [
        (
            {REVERSE: {"PTR": ["mx.shelf.test."]}, "mx.shelf.test": {"A": ["192.0.2.25"]}},
            Level.INFO,
            REVERSE,
            "",
        ),
        ({}, Level.BLOCK, REVERSE, "mx.shelf.test."),
        ({REVERSE: {"PTR": ["x.test."]}}, Level.BLOCK, "x.test", "192.0.2.25"),
        (
            {REVERSE: {"PTR": ["x.test."]}, "x.test": {"A": ["192.0.2.9"]}},
            Level.BLOCK,
            "x.test",
            "192.0.2.25",
        ),
        ({REVERSE: SILENT}, Level.WARN, REVERSE, ""),
    ],
)
async def test_an_address_has_a_name_that_leads_back(
    zone: dict[str, object], level: Level, name: str, publish: str
) -> None:
    """Both ways; what is missing is written out."""
    found = only(await examine_reverse(Zone(zone), outlet()))  # type: ignore[arg-type]

    assert (found.level, found.name, found.publish) == (level, name, publish)


async def test_a_name_of_an_ipv6_address_leads_back() -> None:
    """32 digits, AAAA."""
    zone = Zone(
        {OURS_6.reverse_pointer: {"PTR": ["mx.shelf.test."]}, "mx.shelf.test": {"AAAA": ["2001:DB8::25"]}}
    )
    six = Outlet(addresses=(OURS_6,), sure=True, host="mx.shelf.test")

    assert only(await examine_reverse(zone, six)).level is Level.INFO


async def test_our_addresses_are_named_or_looked_up() -> None:
    """A person's word; else ours where we are the mail server; else the relay's, which is a guess."""
    zone = Zone({"mx.shelf.test": {"A": ["192.0.2.25"]}, "smtp.relay.test": {"A": ["198.51.100.7"]}})

    named, _ = await outlet_of(zone, subject(addresses=(OURS_6,)))
    ours, _ = await outlet_of(zone, subject(relays=(LOCAL,)))
    guessed, _ = await outlet_of(zone, subject())
    nobody, unclear = await outlet_of(Zone({}), subject())

    assert (named.addresses, named.sure) == ((OURS_6,), True)
    assert (ours.addresses, ours.sure, ours.host) == ((OURS,), True, "mx.shelf.test")
    assert (guessed.addresses, guessed.sure) == ((ip_address("198.51.100.7"),), False)
    assert nobody.addresses == ()
    assert "--address" in only(unclear).message


@pytest.mark.parametrize(
    ("zone", "level", "publish"),
    [
        (
            {"bounce.shelf.test": {"MX": ["10 mx.shelf.test."]}, "mx.shelf.test": {"A": ["192.0.2.25"]}},
            Level.INFO,
            "",
        ),
        ({"bounce.shelf.test": {"MX": ["10 mx.shelf.test."]}}, Level.BLOCK, ""),
        ({"bounce.shelf.test": {"MX": ["0 ."]}}, Level.BLOCK, "10 smtp.relay.test."),
        ({"bounce.shelf.test": {"MX": ["10 192.0.2.25."]}}, Level.BLOCK, "10 smtp.relay.test."),
        ({"bounce.shelf.test": {"A": ["192.0.2.1"]}}, Level.WARN, "10 smtp.relay.test."),
        ({}, Level.BLOCK, "10 smtp.relay.test."),
        ({"shelf.test": {"MX": ["5 in.shelf.test."]}}, Level.BLOCK, "10 in.shelf.test."),
        ({"bounce.shelf.test": SERVFAIL}, Level.BLOCK, ""),
    ],
)
async def test_bounces_can_arrive(zone: dict[str, object], level: Level, publish: str) -> None:
    """Somebody takes them, by a name that exists; else whoever takes the author's mail is proposed."""
    found = only(await examine_bounces(Zone(zone), subject()))  # type: ignore[arg-type]

    assert (found.level, found.publish) == (level, publish)


# --------------------------------------------------------------------------- encryption


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good for thirty days, for one name."""
    return self_made_certificate(tmp_path_factory.mktemp("tls"), names="DNS:smtp.relay.test")


def relay(port: int, certificate: Path | str = "", **changes: object) -> Relay:
    values: dict[str, object] = {
        "host": "smtp.relay.test",
        "port": port,
        "security": "starttls",
        "hello": "news.shelf.test",
        "ca_file": str(certificate),
    }
    return Relay(**(values | changes))  # type: ignore[arg-type]


AT_LOOPBACK = Zone({"smtp.relay.test": {"A": ["127.0.0.1"]}})


@pytest.mark.parametrize("from_the_start", [False, True])
async def test_a_certificate_is_told_with_its_end(certificate: Path, from_the_start: bool) -> None:
    """Over STARTTLS and over TLS; nobody logs in and nothing is sent."""
    security = "tls" if from_the_start else "starttls"
    async with smtp_server(
        certificate=certificate, tls_from_the_start=from_the_start, users={"a": "b"}
    ) as server:
        at = relay(server.port, certificate, security=security)
        found = only(await examine_encryption(AT_LOOPBACK, at, datetime.now(UTC)))

    assert (found.level, found.rule) == (Level.INFO, "dns.tls")
    assert "29 more days" in found.message
    assert (server.taken, server.logins) == ([], [])


async def test_a_certificate_near_its_end_is_doubted(certificate: Path) -> None:
    """Two weeks before."""
    async with smtp_server(certificate=certificate) as server:
        soon = datetime.now(UTC) + timedelta(days=17)
        found = only(await examine_encryption(AT_LOOPBACK, relay(server.port, certificate), soon))

    assert (found.level, "renew" in found.message) == (Level.WARN, True)


async def test_a_certificate_of_nobody_we_know_or_of_another_name_is_refused(certificate: Path) -> None:
    """In OpenSSL's words."""
    async with smtp_server(certificate=certificate) as server:
        unknown = only(await examine_encryption(AT_LOOPBACK, relay(server.port), NOW))
        zone = Zone({"mx.other.test": {"A": ["127.0.0.1"]}})
        other = relay(server.port, certificate, host="mx.other.test")
        misnamed = only(await examine_encryption(zone, other, NOW))

    assert (unknown.level, misnamed.level) == (Level.BLOCK, Level.BLOCK)
    assert "self-signed" in unknown.message
    assert "mx.other.test" in misnamed.message


async def test_a_server_without_starttls_is_told() -> None:
    """With what to try."""
    async with smtp_server() as server:
        found = only(await examine_encryption(AT_LOOPBACK, relay(server.port), NOW))

    assert (found.level, "no STARTTLS" in found.message) == (Level.BLOCK, True)


@pytest.mark.parametrize(
    ("step", "answer"), [("GREETING", DROP), ("EHLO", "550 go away"), ("GREETING", NO_WORD)]
)
async def test_a_server_that_will_not_talk_is_told(certificate: Path, step: str, answer: str) -> None:
    """It hung up, refused, or said nothing."""
    async with smtp_server(certificate=certificate) as server:
        server.fail(step, answer)
        found = only(await examine_encryption(AT_LOOPBACK, relay(server.port), NOW, patience=0.3))

    assert (found.level, "cannot be reached" in found.message) == (Level.BLOCK, True)


async def test_a_server_that_is_not_there_is_told() -> None:
    """By port, and by name."""
    gone = only(await examine_encryption(AT_LOOPBACK, relay(free_port()), NOW))
    unknown = only(await examine_encryption(Zone({}), relay(25), NOW))

    assert "cannot be reached" in gone.message
    assert "does not exist" in unknown.message


async def test_clear_text_is_fine_only_here() -> None:
    """On this machine."""
    here = only(await examine_encryption(Zone({}), LOCAL, NOW))
    there = only(await examine_encryption(Zone({}), relay(25, security="none"), NOW))

    assert (here.level, there.level) == (Level.INFO, Level.WARN)
