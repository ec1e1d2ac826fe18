"""Tokens, addresses and spreadsheets."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from email_validator import EmailNotValidError, validate_email
from email_validator.rfc_constants import CASE_INSENSITIVE_MAILBOX_NAMES
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.audience import addresses
from bot.audience.addresses import plain_address, valid_address
from bot.audience.cells import address_of, guarded, language_of, unguarded
from bot.audience.exporting import to_csv, to_json
from bot.audience.lists import ReaderList
from bot.audience.spreadsheet import Place, Refused, read_rows
from bot.audience.tokens import read_unsubscribe_token, unsubscribe_token, unsubscribe_tokens
from bot.errors import AudienceError
from bot.store.audience import Signup
from bot.store.listing import Listed
from bot.store.schema import EARLIEST, LATEST

READER = "00112233445566778899aabbccddeeff"
NEW, OLD = b"new-key", b"old-key"


def test_a_token_names_its_reader_and_hides_the_rest() -> None:
    """43 characters that are safe in a URL, always the same ones."""
    token = unsubscribe_token([NEW], subscriber=READER, newsletter="weekly")

    assert len(token) == 43
    assert token == unsubscribe_token([NEW], subscriber=READER, newsletter="weekly")
    assert read_unsubscribe_token([NEW], token, newsletter="weekly") == READER


def test_a_token_survives_a_change_of_keys() -> None:
    """Links in old mails work for ever: former keys go on verifying."""
    token = unsubscribe_token([OLD], subscriber=READER, newsletter="weekly")

    assert read_unsubscribe_token([NEW, OLD], token, newsletter="weekly") == READER
    assert read_unsubscribe_token([NEW], token, newsletter="weekly") is None


@pytest.mark.parametrize("length", [1, 63, 64, 65, 200])
def test_keys_of_every_length_sign(length: int) -> None:
    """What is signed for many readers at once is what Python's own hmac verifies."""
    key = b"k" * length
    tokens = unsubscribe_tokens([key], newsletter="wöchentlich")

    assert [
        read_unsubscribe_token([key], tokens(one), newsletter="wöchentlich") for one in (READER, "0" * 32)
    ] == [
        READER,
        "0" * 32,
    ]


def test_a_token_is_for_one_newsletter() -> None:
    """Another newsletter's page does not take it."""
    token = unsubscribe_token([NEW], subscriber=READER, newsletter="weekly")

    assert read_unsubscribe_token([NEW], token, newsletter="monthly") is None


@given(st.integers(0, 42), st.sampled_from("ABCxyz019-_"))
def test_no_changed_token_is_taken(place: int, letter: str) -> None:
    """One letter more or less right is wrong."""
    token = unsubscribe_token([NEW], subscriber=READER, newsletter="weekly")
    changed = token[:place] + letter + token[place + 1 :]

    taken = read_unsubscribe_token([NEW], changed, newsletter="weekly")

    assert taken == (READER if changed == token else None)


@given(st.text(max_size=60))
def test_anything_else_is_no_token(text: str) -> None:
    """Whatever a stranger types, the answer is no, never an error."""
    assert read_unsubscribe_token([NEW], text, newsletter="weekly") is None


@pytest.mark.parametrize(
    ("typed", "kept"),
    [(" ana@Example.ORG ", "ana@example.org"), ("josé@bücher.example", "josé@bücher.example")],
)
def test_an_address_is_kept_in_one_form(typed: str, kept: str) -> None:
    """The domain in lower case, spaces gone."""
    assert valid_address(typed) == kept


@pytest.mark.parametrize(
    "typed", ["", "ana", "ana@", "a b@example.org", "ana@example.org\nBcc: x@example.org"]
)
def test_what_is_no_address_is_told(typed: str) -> None:
    """The message names what was typed."""
    with pytest.raises(AudienceError, match="is not a mail address"):
        valid_address(typed)


# Written by hand after the rules of RFC 5321 and 5322 and what people type: each has its own trap.
TRAPS = [
    *["a@b.co", "A.b+c@Example.ORG", "first.last@sub.domain.example.museum", "o'neil@example.org"],
    *["!#$%&'*+-/=?^_`{|}~@example.org", "1@2.co", "a@1.2.3.com", "INFO@example.org", "Info@Example.org"],
    *["information@example.org", "a@b", "a@b.c", "a@example.123", "a@example.c0m", "a@123.123.123.123"],
    *[".a@example.org", "a.@example.org", "a..b@example.org", "a@.example.org", "a@example..org"],
    *["a@example.org.", "a@-example.org", "a@example-.org", "a@ex--ample.org", "a@xn--bcher-kva.example"],
    *["a@XN--BCHER-KVA.example", "a@xn--.example", "a@ab--cd.example", "a@abc--d.example", "a@b_c.example"],
    *[
        "a@localhost",
        "a@x.localhost",
        "a@x.local",
        "a@x.invalid",
        "a@x.onion",
        "a@x.arpa",
        "a@x.test",
        "a@test",
    ],
    *["a@LOCAL.example", "a@x.LOCAL", "a b@example.org", "a@exam ple.org", "a@b@example.org", "@example.org"],
    *["a@", "a", "", "@", "a@[127.0.0.1]", "a@[IPv6:::1]", '"a b"@example.org', '"a"@example.org'],
    *["(comment)a@example.org", "a@example.org(comment)", "Ana <a@example.org>", "<a@example.org>"],
    *["a@example.org\n", "a@example.org\r\nBcc: b@example.org", "a\x00@example.org", "a\x7f@example.org"],
    *["a\\b@example.org", "a,b@example.org", "a;b@example.org", "a:b@example.org", "mailto:a@example.org"],
    *["ａ@example.org", "a@ｅxample.org", "a＠example.org", "a@example。org", "josé@example.org"],
    *["a@bücher.example", "a@example.орг", "a@K.example", "ſ@example.org", "ınfo@example.org", "a@ﬁ.example"],
    *[
        "a" * 64 + "@example.org",
        "a" * 65 + "@example.org",
        "a@" + "b" * 63 + ".org",
        "a@" + "b" * 64 + ".org",
    ],
    *[f"a@{'b.' * 124}org", f"a@{'b.' * 125}org", f"a@{'b.' * 126}org", "a@b." + "c" * 63, "a@b." + "c" * 64],
    *["a" * 242 + "@example.org", "a" * 243 + "@example.org"],
]


def by_the_library(text: str) -> str | None:
    """What email-validator makes of it."""
    try:
        return validate_email(text, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError:
        return None


@pytest.mark.parametrize("text", TRAPS)
def test_a_plain_address_is_what_the_library_says(text: str) -> None:
    """The quick way never takes what email-validator refuses, and never writes it differently."""
    plain = plain_address(text)

    assert plain is None or plain == by_the_library(text)


_LOCAL = "abzAZ09.!#$%&'*+-/=?^_`{|}~\"(),:;<>[\\]@ \t\n\x00\x7f\x80é"
_DOMAIN = "abxnzABZ09.-_@[]: \n\x80é。"
_LABEL = st.text("abxnAZ09-", max_size=6) | st.sampled_from(
    [
        "xn--bcher-kva",
        "local",
        "localhost",
        "LOCAL",
        "test",
        "arpa",
        "onion",
        "invalid",
        "org",
        "b" * 63,
        "b" * 64,
    ]
)


@settings(max_examples=400)
@given(
    local=st.text(_LOCAL, max_size=12)
    | st.sampled_from(["info", "Info", "NEWS", "www", "a" * 64, "a" * 200]),
    domain=st.text(_DOMAIN, max_size=14) | st.lists(_LABEL, max_size=6).map(".".join),
)
def test_no_address_is_judged_differently_from_the_library(local: str, domain: str) -> None:
    """Over anything that looks at all like an address."""
    text = f"{local}@{domain}"

    plain = plain_address(text)

    assert plain is None or plain == by_the_library(text)


_ATOM = st.text("abzAZ09!#$%&'*+-/=?^_`{|}~", min_size=1, max_size=10)
_HOST = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9]{0,8}[a-zA-Z0-9])?", fullmatch=True)


@given(
    local=st.lists(_ATOM, min_size=1, max_size=3).map(".".join), hosts=st.lists(_HOST, min_size=1, max_size=4)
)
def test_an_ordinary_address_goes_the_quick_way(local: str, hosts: list[str]) -> None:
    """Otherwise a long list would take minutes."""
    text = f"{local}@{'.'.join(hosts)}.org"

    plain = plain_address(text)

    assert plain is not None
    assert plain == by_the_library(text)


def test_the_roles_are_the_librarys() -> None:
    """A mailbox that means the same in any case is kept in lower case."""
    assert set(CASE_INSENSITIVE_MAILBOX_NAMES) == addresses._ROLES


@given(st.text())
def test_a_guarded_cell_is_no_formula_and_comes_back(text: str) -> None:
    """Also one that begins with an apostrophe by itself."""
    cell = guarded(text)

    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert unguarded(cell) == text


def rows_of(path: Path, data: bytes) -> list[Signup | Refused]:
    path.write_bytes(data)
    rows: list[Signup | Refused] = []
    for row in read_rows(path, refuse=rows.append):
        rows.append(row)  # noqa: PERF402 - a refused row before it is in the list already
    return rows


@pytest.mark.parametrize(
    "data",
    [
        "email,name\nana@example.org,Zoë\n".encode(),
        "Name;E-Mail\r\nZoë;ana@example.org\r\n".encode("utf-8-sig"),
        "Email Address\tFirst Name\nana@example.org\tZoë\n".encode("utf-16"),
        "address,name\nana@example.org,Zoë\n".encode("cp1252"),
        '"name","email"\n\n"Zoë","ana@example.org"\n'.encode(),
    ],
    ids=["plain", "Excel with semicolons and a mark", "UTF-16 with tabs", "Windows", "quotes, blank line"],
)
def test_a_spreadsheet_from_any_program(tmp_path: Path, data: bytes) -> None:
    """Encodings, delimiters, orders and titles of columns differ; the reader is the same."""
    (row,) = rows_of(tmp_path / "list.csv", data)

    assert isinstance(row, Signup)
    assert (row.address, row.name) == ("ana@example.org", "Zoë")


def test_a_bad_row_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    """With its line in the file."""
    rows = rows_of(tmp_path / "list.csv", b"email,name\nana@example.org,Ana\nnobody,Bo\nli@example.org\n")

    assert [type(row).__name__ for row in rows] == ["Signup", "Refused", "Signup"]
    assert isinstance(rows[1], Refused)
    assert rows[1].line == 3


def test_a_spreadsheet_without_addresses_is_refused(tmp_path: Path) -> None:
    """Somewhere there has to be one."""
    with pytest.raises(AudienceError, match=r"list.csv:1: no column is called 'email'"):
        rows_of(tmp_path / "list.csv", b"name,town\nAna,Porto\n")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("ana@example.org\nli@example.org\n", [("ana@example.org", "", ""), ("li@example.org", "", "")]),
        ("Ana,ana@example.org,pt-BR\n", [("ana@example.org", "Ana", "pt-BR")]),
        ("li@example.org,Li\n", [("li@example.org", "Li", "")]),
        ("Imeli,Jina\nana@example.org,Ana\n", [("ana@example.org", "", "")]),
        (
            "sep=;\r\nName;E-Mail\r\nAna, the first;ana@example.org\r\n",
            [("ana@example.org", "Ana, the first", "")],
        ),
        ("\n||\nชื่อ|อีเมล|ภาษา\nสมชาย|somchai@example.org|ไทย\n", [("somchai@example.org", "สมชาย", "th")]),
        ("البريد الإلكتروني;الاسم\nlayla@example.org;ليلى\n", [("layla@example.org", "ليلى", "")]),
        (
            "Address,E-Mail,Vorname,Nachname\nRua 1,ana@example.org,Ana,Lima\n",
            [("ana@example.org", "Ana", "")],
        ),
        ('email,name\nana@example.org,"Ana\n"\n', [("ana@example.org", "Ana", "")]),
    ],
    ids=[
        "addresses alone",
        "no titles",
        "a name like a language",
        "titles nobody knows",
        "Excel says its separator",
        "Thai with bars below blank lines",
        "Arabic",
        "a postal address too",
        "a line break at the end of a cell",
    ],
)
def test_a_table_as_people_have_it(tmp_path: Path, data: str, found: list[tuple[str, str, str]]) -> None:
    """With or without titles, in many languages, with whatever stands between the cells."""
    rows = rows_of(tmp_path / "list.csv", data.encode())

    assert [(row.address, row.name, row.lang) for row in rows if isinstance(row, Signup)] == found
    assert len(rows) == len(found)


@pytest.mark.parametrize(
    ("cell", "address", "name"),
    [
        ("mailto:ana@example.org?subject=Hello", "ana@example.org", ""),
        ("Ana Lima <ana@example.org>", "ana@example.org", "Ana Lima"),
        ('"Lima, Ana" <ana@Example.org>', "ana@example.org", "Lima, Ana"),
        ("<ana@example.org>", "ana@example.org", ""),
        ("\u200bana@\u200dexample.org\ufeff", "ana@example.org", ""),
        ("\u00a0ana@example.org\u3000", "ana@example.org", ""),
        ("ana@example.org;", "ana@example.org", ""),
        ("ana@example.org,", "ana@example.org", ""),
    ],
)
def test_an_address_is_found_in_what_people_paste(cell: str, address: str, name: str) -> None:
    """Links, names beside it, and what nobody can see."""
    assert address_of(cell) == (address, name)


@pytest.mark.parametrize(
    "cell", ["", " \u200b", "ana", "ana@example.org li@example.org", "ana@example.org/li@x.org"]
)
def test_what_holds_no_one_address_is_refused(cell: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(AudienceError):
        address_of(cell)


@pytest.mark.parametrize(
    ("cell", "tag"),
    [
        ("th", "th"),
        ("pt_BR", "pt-BR"),
        ("en_US.UTF-8", "en-US"),
        ("Deutsch", "de"),
        ("spanish", "es"),
        ("", ""),
    ],
)
def test_a_language_by_tag_or_by_name(cell: str, tag: str) -> None:
    """As programs and people write it."""
    assert language_of(cell) == tag


def test_a_language_that_nobody_knows_is_none() -> None:
    """It would keep its reader from every issue in their language."""
    assert language_of("whatever") is None


def test_a_table_in_an_encoding_that_cannot_be_told_is_asked_about(tmp_path: Path) -> None:
    """Thai in an old encoding read as western would be nonsense for ever; with its name it is read."""
    file = tmp_path / "list.csv"
    file.write_bytes("email,name\nsomchai@example.org,สมชาย\n".encode("cp874"))

    with pytest.raises(AudienceError, match=r"name it with --encoding: Thai 'cp874'"):
        list(read_rows(file, refuse=pytest.fail))
    (row,) = ReaderList(file, encoding="cp874").signups((), (), refuse=pytest.fail)

    assert row.name == "สมชาย"


@pytest.mark.parametrize(
    ("encoding", "told"),
    [("utf-8", "UTF-8"), ("cp1252", "Windows-1252"), ("utf-16-le", "UTF-16-LE"), ("utf-16", "UTF-16")],
)
def test_which_encoding_was_taken_is_told(tmp_path: Path, encoding: str, told: str) -> None:
    """In one line, with what separates the cells."""
    file = tmp_path / "list.csv"
    file.write_bytes("email;name\nana@example.org;Zoë\n".encode(encoding))

    readers = ReaderList(file)

    assert f"a table ({told}, semicolons)" in readers.told
    (row,) = readers.signups((), (), refuse=pytest.fail)
    assert row.name == "Zoë"


def test_short_and_empty_rows_and_missing_columns(tmp_path: Path) -> None:
    """A row may end early; an empty one is nothing; what is not there is empty."""
    rows = rows_of(tmp_path / "list.csv", b"name,x,email\nAna,1,ana@example.org\n\n , ,\nBo\n")

    assert rows[0] == Signup("ana@example.org", "Ana")
    assert [type(row).__name__ for row in rows[1:]] == ["Refused"]


def test_a_name_with_a_line_break_is_refused(tmp_path: Path) -> None:
    """It would end up in a header."""
    (row,) = rows_of(tmp_path / "list.csv", b'email,name\nana@example.org,"Ana\nBcc: x"\n')

    assert isinstance(row, Refused)
    assert "control character" in row.reason


def test_a_quote_that_never_ends_is_told(tmp_path: Path) -> None:
    """It swallows the rest of the file, and nobody would notice."""
    with pytest.raises(AudienceError, match=r"list.csv:\d+: field larger .* a quote that never ends\?"):
        rows_of(
            tmp_path / "list.csv", b'email,name\nana@example.org,"Ana\n' + b"bo@example.org,Bo\n" * 10_000
        )


def test_a_reading_tells_how_far_it_is(tmp_path: Path) -> None:
    """In rows and in bytes, and at the end that it is at the end."""
    file = tmp_path / "list.csv"
    file.write_text("email\n" + "".join(f"reader-{number}@example.org\n" for number in range(5_000)))
    places: list[Place] = []

    count = sum(1 for _ in read_rows(file, refuse=pytest.fail, tell=places.append))

    assert count == 5_000
    assert [place.rows for place in places] == [2_000, 4_000, 5_000]
    assert places[-1].bytes == file.stat().st_size
    assert 0 < places[0].bytes < places[1].bytes < places[2].bytes


_CELL = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=8).map(str.strip)


_LANG = st.sampled_from(["", "en", "th", "pt-BR", "zh-Hant"])


@given(st.lists(st.tuples(st.integers(0, 999), _CELL, _LANG), max_size=8))
def test_what_is_exported_can_be_read_again(people: list[tuple[int, str, str]]) -> None:
    """Names and languages come back as they were, in both forms, whatever is in them."""
    page = [(f"reader-{number}@example.org", name, lang) for number, name, lang in people]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "list.csv")
        file.write_text("".join(to_csv([page, []])), encoding="utf-8", newline="")

        read = list(read_rows(file, refuse=pytest.fail))

    assert [(who.address, who.name, who.lang) for who in read] == page
    assert [tuple(person.values()) for person in json.loads("".join(to_json([page, []])))] == page


_NEWSLETTERS = ("weekly", "monthly")
_UNTIL = st.none() | st.datetimes(
    EARLIEST.replace(tzinfo=None), LATEST.replace(tzinfo=None), timezones=st.just(UTC)
)
_CHOICE = st.tuples(st.sampled_from(["", "plain", "headlines"]), _UNTIL)
_LISTED = st.dictionaries(st.sampled_from(_NEWSLETTERS), _CHOICE, min_size=1)


@given(st.lists(st.tuples(_CELL, _LISTED), max_size=6))
def test_a_full_export_can_be_read_again(
    people: list[tuple[str, dict[str, tuple[str, datetime | None]]]],
) -> None:
    """Also which newsletters, in which form, and until when they pause."""
    page = [(f"reader-{number}@example.org", name, "") for number, (name, _) in enumerate(people)]
    chosen = {
        address: Listed(tuple(wanted), tuple((letter, *choice) for letter, choice in wanted.items()))
        for (address, _, _), (_, wanted) in zip(page, people, strict=True)
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "list.csv")
        file.write_text("".join(to_csv([page], lambda _: chosen)), encoding="utf-8", newline="")

        readers = ReaderList(file)
        read = list(readers.signups((), _NEWSLETTERS, refuse=pytest.fail))
        wishes = list(readers.wishes(_NEWSLETTERS))

    assert [(who.address, who.name, who.newsletters) for who in read] == [
        (address, name, chosen[address].newsletters) for address, name, _ in page
    ]
    assert wishes == [
        (address, *choice) for address, _, _ in page for choice in chosen[address].choices if any(choice[1:])
    ]
