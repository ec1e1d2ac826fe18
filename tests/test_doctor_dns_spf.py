"""SPF (RFC 7208): grammar, mechanisms, macros, limits. Cases of our own; the public suite is run by
``benchmarks/spf_conformance.py``."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.zone import SERVFAIL, SILENT, Zone

from bot.deliverability.spf import Check, Result, Verdict, is_spf
from bot.deliverability.spf.record import SpfError, read_record

OURS, OURS_6, OTHER = "192.0.2.25", "2001:db8::25", "198.51.100.9"


async def verdict(
    records: dict[str, object],
    address: str = OURS,
    *,
    sender: str = "news@shelf.test",
    helo: str = "mx.shelf.test",
) -> Verdict:
    zone = Zone(records)  # type: ignore[arg-type]
    return await Check(names=zone, address=ip_address(address), sender=sender, helo=helo).verdict()


async def result(record: str, address: str = OURS, **more: object) -> Result:
    """Of a domain with this record, beside other names."""
    return (await verdict({"shelf.test": {"TXT": [record]}, **more}, address)).result


# --------------------------------------------------------------------------- which record


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (["v=spf1 +all"], Result.PASS),
        (["V=SPF1 +all"], Result.PASS),
        (["v=spf1"], Result.NEUTRAL),
        (["v=spf10 +all"], Result.NONE),
        (["v=spf1+all"], Result.NONE),
        ([" v=spf1 +all"], Result.NONE),
        (["some words", "v=spf1 -all", "spf2.0/pra +all"], Result.FAIL),
        (["v=spf1 +all", "v=spf1 -all"], Result.PERMERROR),
        (["words alone"], Result.NONE),
    ],
)
async def test_the_record_is_picked_out(texts: list[str], wanted: Result) -> None:
    """Exactly one that begins with v=spf1 and a space, or is only that."""
    assert (await verdict({"shelf.test": {"TXT": texts}})).result is wanted


@pytest.mark.parametrize(
    ("zone", "wanted"),
    [
        ({}, Result.NONE),
        ({"shelf.test": {"A": [OURS]}}, Result.NONE),
        ({"shelf.test": SILENT}, Result.TEMPERROR),
        ({"shelf.test": SERVFAIL}, Result.TEMPERROR),
    ],
)
async def test_no_answer_is_not_no_record(zone: dict[str, object], wanted: Result) -> None:
    """A silent server is asked again later; a name without a record has none."""
    assert (await verdict(zone)).result is wanted


@pytest.mark.parametrize("sender", ["a@test", "a@", "a@x..test", f"a@{'x' * 64}.test"])
async def test_what_is_no_domain_has_no_record(sender: str) -> None:
    """And is not asked for."""
    assert (await verdict({}, sender=sender)).result is Result.NONE


async def test_a_null_sender_is_the_greetings_postmaster() -> None:
    """As for a bounce (2.4)."""
    zone = {
        "mx.shelf.test": {"TXT": ["v=spf1 exists:%{l}.shelf.test -all"]},
        "postmaster.shelf.test": {"A": [OTHER]},
    }

    assert (await verdict(zone, sender="")).result is Result.PASS


# --------------------------------------------------------------------------- grammar


@pytest.mark.parametrize(
    "term",
    [
        *[
            "moo",
            "a:",
            "a:b",
            "a:shelf.test/33",
            "a:shelf.test//129",
            "a/024",
            "a:192.0.2.1",
            "a:%{x}.test",
            "a:%{d",
            "a:%(d).test",
        ],
        *[
            "a:%{c}",
            "a:ünal.test",
            "a:shelf.test:80",
            "mx:",
            "all:x",
            "all/8",
            "ip4",
            "ip4:192.0.2",
            "ip4:192.0.2.1/33",
        ],
        *[
            "ip4:192.0.2.1/08",
            "ip4:2001:db8::1",
            "ip6:192.0.2.1",
            "ip6:2001:db8::/129",
            "include",
            "include:",
        ],
        *[
            "include:shelf.test/24",
            "exists:",
            "exists:shelf.test/8",
            "ptr:",
            "ptr/24",
            "redirect=",
            "redirect=localhost",
        ],
        "exp=",
        "-",
        "=x",
        "redirect=a.test redirect=b.test",
        "exp=a.test exp=b.test",
    ],
)
async def test_one_wrong_term_spoils_the_record(term: str) -> None:
    """Even behind one that would match, so that a slip is seen before it matters (4.6)."""
    with pytest.raises(SpfError):
        read_record(f"v=spf1 {term} -all")

    assert await result(f"v=spf1 ip4:{OURS} {term} -all") is Result.PERMERROR


@pytest.mark.parametrize(
    "term",
    [
        *[
            "a",
            "A",
            "mx/24//64",
            "a:x-1.shelf.test.",
            "a:%{d}",
            "a:%{d2r-}.%%.test",
            "unknown=%{d}",
            "un.known=",
            "ptr",
        ],
        *[
            "exists:%{ir}.%{v}.x.test",
            "redirect=_spf.shelf.test",
            "a:foo:bar.test",
            "a:a/b.test",
            "ip6:::1/0",
        ],
    ],
)
def test_what_the_grammar_allows_is_read(term: str) -> None:
    """Unknown modifiers too: they are for later."""
    read_record(f"v=spf1  {term}  -all ")


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing else ever comes out of it."""
    try:
        read_record(f"v=spf1 {text}")
    except SpfError:
        return
    assert is_spf(f"v=spf1 {text}")


# --------------------------------------------------------------------------- mechanisms

HOSTS = {
    "mx.shelf.test": {"A": [OURS], "AAAA": [OURS_6]},
    "other.test": {"A": [OTHER], "MX": ["20 mx.shelf.test.", "10 backup.test."], "TXT": ["v=spf1 a -all"]},
    "backup.test": {"A": ["203.0.113.1"]},
    "25.2.0.192.in-addr.arpa": {"PTR": ["liar.test.", "mx.shelf.test."]},
    "liar.test": {"A": [OTHER]},
    "soft.test": {"TXT": [f"v=spf1 ~ip4:{OURS} ?all"]},
    "good.test": {"TXT": [f"v=spf1 ip4:{OURS}"]},
    "slow.test": SILENT,
    "empty.test": {"TXT": ["words"]},
}


@pytest.mark.parametrize(
    ("record", "address", "wanted"),
    [
        (f"ip4:{OURS} -all", OURS, Result.PASS),
        (f"ip4:{OURS} -all", OTHER, Result.FAIL),
        ("ip4:192.0.2.0/27 ~all", OURS, Result.PASS),
        ("ip4:192.0.2.0/28 ~all", OURS, Result.SOFTFAIL),
        ("ip4:192.0.2.0/0 -all", OURS_6, Result.FAIL),
        ("ip6:2001:db8::/32 -all", OURS_6, Result.PASS),
        (f"ip4:{OURS} -all", f"::ffff:{OURS}", Result.PASS),
        ("a:mx.shelf.test -all", OURS, Result.PASS),
        ("a:mx.shelf.test -all", OURS_6, Result.PASS),
        ("a:other.test/24 -all", "198.51.100.200", Result.PASS),
        ("a:other.test/25 -all", "198.51.100.200", Result.FAIL),
        ("mx:other.test -all", OURS, Result.PASS),
        ("mx:other.test -all", OTHER, Result.FAIL),
        ("ptr:shelf.test -all", OURS, Result.PASS),
        ("ptr:liar.test -all", OURS, Result.FAIL),
        ("ptr:elf.test -all", OURS, Result.FAIL),
        ("exists:mx.%{d} -all", OURS_6, Result.PASS),
        ("exists:nobody.%{d} -all", OURS, Result.FAIL),
        ("include:good.test -all", OURS, Result.PASS),
        ("include:soft.test -all", OURS, Result.FAIL),
        ("include:soft.test", OURS, Result.NEUTRAL),
        ("include:empty.test -all", OURS, Result.PERMERROR),
        ("include:nobody.test -all", OURS, Result.PERMERROR),
        ("include:slow.test -all", OURS, Result.TEMPERROR),
        ("a:slow.test -all", OURS, Result.TEMPERROR),
        ("redirect=other.test", OTHER, Result.PASS),
        ("redirect=other.test", OURS, Result.FAIL),
        ("redirect=empty.test", OURS, Result.PERMERROR),
        ("?all redirect=other.test", OTHER, Result.NEUTRAL),
        ("-a:mx.shelf.test +all", OURS, Result.FAIL),
    ],
)
async def test_a_mechanism_decides(record: str, address: str, wanted: Result) -> None:
    """The first that matches, with its sign."""
    assert await result(f"v=spf1 {record}", address, **HOSTS) is wanted


@pytest.mark.parametrize(
    ("macro", "name"),
    [
        ("%{i}", "192.0.2.25"), ("%{ir}", "25.2.0.192"), ("%{v}", "in-addr"),
        ("%{s}", "first-last@mail.shelf.test"),
        ("%{l}", "first-last"), ("%{lr-}", "last.first"), ("%{l1-}", "last"), ("%{o}", "mail.shelf.test"),
        ("%{d2}", "shelf.test"), ("%{dr}", "test.shelf.mail"), ("%{d1r}", "mail"), ("%{h}", "mx.shelf.test"),
        ("%{p}", "mx.shelf.test"), ("%{d9}", "mail.shelf.test"), ("a%%b", "a%b"), ("a%-b", "a%20b"),
    ],
)  # fmt: skip
async def test_a_macro_is_expanded(macro: str, name: str) -> None:
    """Letters, counts, turned round, split at other signs (7.3)."""
    zone = {
        **HOSTS,
        "mail.shelf.test": {"TXT": [f"v=spf1 exists:{macro}.x.test -all"]},
        f"{name}.x.test": {"A": [OTHER]},
    }

    assert (await verdict(zone, sender="first-last@mail.shelf.test")).result is Result.PASS


async def test_an_ipv6_address_is_32_digits() -> None:
    """%{i} has a dot after each, and %{v} says ip6."""
    digits = ".".join("20010db8000000000000000000000025")
    zone = {
        "shelf.test": {"TXT": ["v=spf1 exists:%{i}.%{v}.x.test -all"]},
        f"{digits}.ip6.x.test": {"A": [OTHER]},
    }

    assert (await verdict(zone, OURS_6)).result is Result.PASS


async def test_a_name_that_grows_too_long_loses_its_left() -> None:
    """253 characters at most (7.3)."""
    long = ".".join(["x" * 60] * 4)
    zone = Zone({"shelf.test": {"TXT": [f"v=spf1 exists:%{{l}}.{long}.test -all"]}})

    await Check(
        names=zone, address=ip_address(OURS), sender="local.parts@shelf.test", helo="mx.shelf.test"
    ).verdict()

    assert zone.asked[-1] == (f"{long}.test", "A")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["See http://%{d}/?ip=%{i}"], f"See http://shelf.test/?ip={OTHER}"),
        (["%{S}%_%{c} %{r}"], f"news%40shelf.test {OTHER} unknown"),
        (["two", "records"], ""),
        (["ünal"], ""),
        (["%{broken"], ""),
        ([], ""),
    ],
)
async def test_a_refusal_may_be_explained(words: list[str], said: str) -> None:
    """By exp=, whatever is wrong with it (6.2)."""
    zone = {"shelf.test": {"TXT": ["v=spf1 -all exp=why.shelf.test"]}, "why.shelf.test": {"TXT": words}}

    found = await verdict(zone, OTHER)

    assert (found.result, found.explanation) == (Result.FAIL, said)


# --------------------------------------------------------------------------- limits


@pytest.mark.parametrize(("count", "wanted"), [(10, Result.FAIL), (11, Result.PERMERROR)])
async def test_ten_terms_may_ask(count: int, wanted: Result) -> None:
    """In all records together; ip4 and all are free."""
    half = count // 2
    zone = {
        "shelf.test": {
            "TXT": [f"v=spf1 ip4:{OTHER} {'a:other.test ' * (count - half - 1)}include:b.test -all"]
        },
        "b.test": {"TXT": [f"v=spf1 {'mx:other.test ' * half}?all"]},
        "other.test": {"A": [OTHER], "MX": ["1 other.test."]},
    }

    found = await verdict(zone)

    assert (found.result, found.lookups) == (wanted, count)
    assert ("more than 10 terms" in found.why) is (wanted is Result.PERMERROR)


@pytest.mark.parametrize(("count", "wanted"), [(2, Result.FAIL), (3, Result.PERMERROR)])
async def test_two_names_may_lead_nowhere(count: int, wanted: Result) -> None:
    """NXDOMAIN and no such record alike (4.6.4)."""
    names = ["a:no.shelf.test", "exists:shelf.test", "mx:no2.shelf.test"][:count]

    found = await verdict({"shelf.test": {"TXT": [f"v=spf1 {' '.join(names)} -all"]}})

    assert (found.result, found.voids) == (wanted, count)


async def test_a_record_that_includes_itself_ends() -> None:
    """By the same limit."""
    assert await result("v=spf1 include:shelf.test -all") is Result.PERMERROR
    assert await result("v=spf1 redirect=shelf.test") is Result.PERMERROR


@pytest.mark.parametrize(("count", "wanted"), [(10, Result.FAIL), (11, Result.PERMERROR)])
async def test_ten_mail_servers_may_be_named(count: int, wanted: Result) -> None:
    """By one mx."""
    zone = {"shelf.test": {"TXT": ["v=spf1 mx -all"], "MX": [f"{n} h{n}.test." for n in range(count)]}}
    hosts = {f"h{n}.test": {"A": [OTHER]} for n in range(count)}

    assert (await verdict(zone | hosts)).result is wanted


async def test_only_ten_names_of_an_address_are_looked_at() -> None:
    """The others are ignored, which is no error."""
    names = [f"h{n}.shelf.test" for n in range(11)]
    zone = {
        "shelf.test": {"TXT": ["v=spf1 ptr -all"]},
        "25.2.0.192.in-addr.arpa": {"PTR": [f"{n}." for n in names]},
    }

    assert (await verdict({**zone, names[9]: {"A": [OURS]}})).result is Result.PASS
    assert (await verdict({**zone, names[10]: {"A": [OURS]}})).result is Result.FAIL
