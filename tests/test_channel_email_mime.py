"""The bytes of an email: what RFCs and mailbox providers ask, checked on what goes to the wire."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email.header import decode_header, make_header
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.channels.email.compiled import compile_message
from bot.channels.email.mime import Letter
from bot.errors import Blame, PermanentFailure
from bot.model import Media, Message, Recipient, placeholder
from tests.support.issues import ADDRESS, FIELDS, KEY, READER, URL, open_issue

TOKEN = "AbC-_" * 80  # 400 characters
SLOT = datetime(2026, 11, 27, 9, 0, tzinfo=timezone(timedelta(hours=7)))


def issue(*, token: str = "short-token", **changes: object) -> Message:
    """An issue as rendering hands it over, personalised."""
    url = URL + token
    message = open_issue(
        "The Broadside: 6 items",
        text=f"Good morning\n\nUnsubscribe: {url}\n{ADDRESS}\n",
        html=f'<p>Good morning</p><a href="{url}">Leave</a><p>Broadside<br>1 Harbour Road, Bangkok 10100</p>',
        date=SLOT,
        mailing=replace(FIELDS, unsubscribe_url=url),
    )
    return replace(message, **changes)  # type: ignore[arg-type]


def with_fields(message: Message, **changes: str) -> Message:
    assert message.mailing is not None
    return replace(message, mailing=replace(message.mailing, **changes))


def raw(message: Message | None = None, to: Recipient = READER, *, key: str = KEY, mailto: str = "") -> bytes:
    ready = compile_message(message or issue(), postal_address=ADDRESS, unsubscribe_mailto=mailto)
    return ready.letter(to, key=key).content


def letter(to: Recipient) -> Letter:
    return compile_message(issue(), postal_address=ADDRESS).letter(to, key=KEY)


def head(content: bytes) -> bytes:
    return content.partition(b"\r\n\r\n")[0]


def lines(content: bytes, name: str) -> list[bytes]:
    """The header's own bytes, with its continuation lines."""
    return re.findall(rb"(?im)^%s: ([^\r]*(?:\r\n[ \t][^\r]*)*)" % name.encode(), head(content))


def parsed(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def refusal(message: Message | None = None, to: Recipient = READER) -> PermanentFailure:
    with pytest.raises(PermanentFailure) as caught:
        raw(message, to)
    return caught.value


def words(part: EmailMessage) -> str:
    return str(part.get_content()).replace("\r\n", "\n")


# --------------------------------------------------------------------------- H1 to H3: one-click unsubscribe


@pytest.mark.parametrize("token", ["short-token", TOKEN])
def test_the_unsubscribe_link_is_one_raw_https_uri(token: str) -> None:
    """No encoded word, no space inside the brackets, one line, whatever the token's length (H1)."""
    content = raw(issue(token=token))

    assert lines(content, "List-Unsubscribe") == [f"<{URL}{token}>".encode()]
    assert lines(content, "List-Unsubscribe-Post") == [b"List-Unsubscribe=One-Click"]


@pytest.mark.parametrize("token", ["short-token", TOKEN])
def test_a_mailto_may_stand_beside_it(token: str) -> None:
    """The only place where the line may end is between the two."""
    (value,) = lines(raw(issue(token=token), mailto="leave@example.org"), "List-Unsubscribe")

    assert re.split(rb",\r\n |, ", value) == [
        f"<{URL}{token}>".encode(),
        b"<mailto:leave@example.org?subject=unsubscribe>",
    ]


@pytest.mark.parametrize("name", ["List-Archive", "Archived-At", "List-Help"])
def test_long_list_urls_stay_raw(name: str) -> None:
    """Every list header has the same trap, so every one is tried with a long URL."""
    url = "https://news.example.org/" + "a" * 400
    content = raw(with_fields(issue(), archive_url=url, help_url=url))

    assert lines(content, name) == [f"<{url}>".encode()]


def test_an_address_is_not_in_the_links() -> None:
    """Nobody who sees a URL learns who got it (H3)."""
    content = raw()

    assert b"ana@example.com" not in content.replace(lines(content, "To")[0], b"")


def test_a_link_without_https_is_refused() -> None:
    """RFC 8058 wants https; a wrong site_url is told, not sent."""
    bad = "http://news.example.org/u/1"
    failure = refusal(
        with_fields(issue(text=f"{bad} {ADDRESS}", html=f"{bad} {ADDRESS}"), unsubscribe_url=bad)
    )

    assert "https" in failure.problem


def test_an_international_site_becomes_ascii() -> None:
    """The domain turns into A-labels and the path into percent signs."""
    content = raw(with_fields(issue(), archive_url="https://bücher.example/nümmer/1?ü=1"))

    assert lines(content, "Archived-At") == [b"<https://xn--bcher-kva.example/n%C3%BCmmer/1?%C3%BC=1>"]


# --------------------------------------------------------------------------- H7 and H8: who, when, which list


def test_the_list_is_named_and_stays_the_same() -> None:
    """A new title changes the words, never the list's id (H7)."""
    before, after = raw(), raw(with_fields(issue(), list_name="Neuer Name: Größe"))

    assert lines(before, "List-Id") == [b"The Broadside <weekly.example.org>"]
    assert lines(after, "List-Id")[0].endswith(b"<weekly.example.org>")
    assert lines(before, "List-Post") == [b"NO"]
    assert lines(before, "List-Owner") == [b"<mailto:desk@example.org>"]


def test_the_head_holds_each_field_once() -> None:
    """Two of a kind would let readers and signatures disagree."""
    names = re.findall(rb"(?m)^([A-Za-z-]+):", head(raw()))

    assert len(names) == len(set(names))
    assert {b"Date", b"From", b"Reply-To", b"To", b"Subject", b"Message-ID", b"MIME-Version"} <= set(names)


def test_the_date_is_the_slot_with_its_zone() -> None:
    """Never the clock: a retry tomorrow has the same date (H8)."""
    assert lines(raw(), "Date") == [b"Fri, 27 Nov 2026 09:00:00 +0700"]
    assert lines(raw(issue(date=SLOT.astimezone(UTC))), "Date") == [b"Fri, 27 Nov 2026 02:00:00 +0000"]


def test_the_same_delivery_gives_the_same_bytes() -> None:
    """A second try is the same email, byte for byte; another key is another email (H8)."""
    assert raw() == raw()
    assert lines(raw(), "Message-ID") == [b"<" + KEY[:32].encode() + b"@weekly.example.org>"]
    assert lines(raw(key="f" * 64), "Message-ID") != lines(raw(), "Message-ID")


def test_a_date_without_a_zone_is_refused() -> None:
    """A naive time would be somebody else's nine o'clock."""
    assert "zone" in refusal(issue(date=datetime(2026, 11, 27, 9, 0))).problem  # noqa: DTZ001
    assert "date" in refusal(issue(date=None)).problem


def test_newsletters_are_not_marked_as_written_by_a_machine() -> None:
    """People wrote them; vacation programs are quieted by List-Id and Precedence."""
    assert lines(raw(), "Auto-Submitted") == []
    assert lines(raw(), "Precedence") == [b"bulk"]


def test_confirmations_are_marked_as_written_by_a_machine() -> None:
    """RFC 3834 (H11)."""
    assert lines(raw(issue(kind="confirm")), "Auto-Submitted") == [b"auto-generated"]


# --------------------------------------------------------------------------- H9 and H10: bytes


@pytest.mark.parametrize("token", ["short-token", TOKEN])
@pytest.mark.parametrize(
    "body", ["plain", "Grüße", "ข่าว" * 3000, "خبر " * 3000, "a" * 5000, ".\n.dot\nFrom me"]
)
def test_the_email_is_seven_bit_with_short_lines(body: str, token: str) -> None:
    """CRLF only, at most 998 bytes a line, no NUL, nothing above 0x7f (H9, H10)."""
    plain = issue(token=token)
    content = raw(
        replace(plain, text=body + plain.text, html=body + plain.html, subject=body[:300].replace("\n", " "))
    )

    assert content.isascii()
    assert b"\0" not in content
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", content)
    assert content.endswith(b"\r\n")
    assert max(map(len, content.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    "body", ["plain", "Grüße", "ข่าว" * 3000, "a" * 5000, ".\n.dot\nFrom me", "trailing \t\n \n"]
)
def test_both_bodies_come_back_as_they_were(body: str) -> None:
    """Encoding loses nothing."""
    plain = issue()
    sent = replace(plain, text=body + plain.text, html=body + plain.html)

    read = parsed(raw(sent))

    text, html = read.iter_parts()
    assert isinstance(text, EmailMessage)
    assert isinstance(html, EmailMessage)
    assert (words(text), words(html)) == (sent.text, sent.html)


def test_line_ends_of_every_kind_become_one() -> None:
    """Text from Windows and from old Macs is read as lines."""
    plain = issue(html="")

    read = parsed(raw(replace(plain, text="one\r\ntwo\rthree\n" + plain.text)))

    assert words(read).startswith("one\ntwo\nthree\n")


def test_the_shorter_encoding_wins() -> None:
    """English stays readable in the source, Thai does not grow threefold."""
    plain = issue(html="")
    thai = replace(plain, text="ข่าว" * 500 + plain.text)

    assert parsed(raw(plain))["Content-Transfer-Encoding"] == "quoted-printable"
    assert parsed(raw(thai))["Content-Transfer-Encoding"] == "base64"


# --------------------------------------------------------------------------- subjects and names

SUBJECTS = [
    "Plain",
    "Grüße aus Köln",
    "ข่าวประจำสัปดาห์ " * 12,
    "العدد ١٢: ستة أخبار",
    "word " * 60,
    "=?utf-8?q?not_encoded?=",
    "x" * 200,
    "two  spaces",
    "🙂" * 60,
]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_a_subject_comes_back_as_it_was(subject: str) -> None:
    """Through encoded words of at most 75 characters on lines of at most 76 (H9)."""
    content = raw(issue(subject=subject))

    (value,) = lines(content, "Subject")
    assert _decoded(value) == subject.strip()
    assert parsed(content)["Subject"] == subject.strip()
    for line in (b"Subject: " + value).split(b"\r\n"):
        assert len(line) <= (76 if b"=?" in line else 78)
    assert all(len(word) <= 75 for word in re.findall(rb"=\?\S+\?=", value))


@pytest.mark.parametrize("letters", ["é", "ü🙂"])
def test_each_encoded_word_can_be_read_by_itself(letters: str) -> None:
    """A word is never cut within a character, wherever that stands (RFC 2047, section 5)."""
    for before in range(80):
        subject = "a" * before + letters + "b" * 80

        (value,) = lines(raw(issue(subject=subject)), "Subject")

        words = re.findall(rb"=\?\S+\?=", value)
        assert "".join(_decoded(word) for word in words) == subject
        assert len(words) > 1
        assert all(len(word) <= 75 for word in words)


PRINTABLE = st.text(
    st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp", "Cn", "Co"), blacklist_characters="\x85"),
    max_size=120,
)


@given(PRINTABLE)
def test_any_printable_subject_survives(subject: str) -> None:
    """Whatever a title holds, the reader sees it."""
    subject = subject.strip()
    content = raw(issue(subject=subject))

    assert _decoded(lines(content, "Subject")[0]) == subject
    assert content.isascii()


@given(PRINTABLE)
def test_any_printable_name_survives(name: str) -> None:
    """Quotes, commas, brackets and every script, in the reader's name and in the sender's."""
    name = name.strip()
    content = raw(to=replace(READER, name=name))

    (value,) = lines(content, "To")
    (to,) = parsed(content)["To"].addresses
    assert to.addr_spec == "ana@example.com"
    shown = _decoded(value.removesuffix(b" <ana@example.com>")) if b"=?" in value else to.display_name
    assert _squeezed(shown) == _squeezed(name)


def _decoded(value: bytes) -> str:
    """As RFC 2047 has it; Python 3.11's newer reader puts spaces between encoded words of a phrase."""
    return str(make_header(decode_header(value.decode().replace("\r\n", ""))))


def _squeezed(text: str) -> str:
    """Python's own reader joins runs of white space in a quoted name."""
    return " ".join(text.split())


@pytest.mark.parametrize("sender", ['"Hope, Inc." <news@example.org>', "Hope, Inc. <news@example.org>"])
def test_a_sender_with_a_comma_is_one_mailbox(sender: str) -> None:
    """From holds exactly one mailbox (H8)."""
    assert lines(raw(with_fields(issue(), sender=sender)), "From") == [b'"Hope, Inc." <news@example.org>']


@pytest.mark.parametrize("sender", ["", "nobody", "a@b@c", "<>", "a <b> <c@example.org", "a b@example.org"])
def test_a_sender_that_is_no_mailbox_is_the_senders_fault(sender: str) -> None:
    """Every further email would fail too, so the whole channel stops."""
    assert refusal(with_fields(issue(), sender=sender)).blame is Blame.SENDER


# --------------------------------------------------------------------------- H12: international addresses


def test_an_international_domain_is_written_in_ascii() -> None:
    """IDNA 2008, in the header and in the envelope (H12)."""
    ready = letter(replace(READER, address="Ana@BÜCHER.example"))

    assert ready.recipient == "Ana@xn--bcher-kva.example"
    assert lines(ready.content, "To") == [b"Ana <Ana@xn--bcher-kva.example>"]
    assert ready.content.isascii()


def test_idna_2008_keeps_the_sharp_s() -> None:
    """The older IDNA would send mail for straße.example to strasse.example."""
    ready = letter(replace(READER, address="a@straße.example"))

    assert ready.recipient == "a@xn--strae-oqa.example"


def test_only_a_local_part_outside_ascii_makes_an_email_eight_bit() -> None:
    """There is no other way to write it (RFC 6531, 6532)."""
    ready = letter(replace(READER, address="ünal@bücher.example"))

    assert ready.recipient == "ünal@xn--bcher-kva.example"
    assert [line for line in ready.content.split(b"\r\n") if not line.isascii()] == [
        "To: Ana <ünal@xn--bcher-kva.example>".encode()
    ]


@pytest.mark.parametrize(
    "address", ["", "ana", "@example.com", "ana@", "a b@example.com", "ana@exa mple.com", "a@-x"]
)
def test_an_address_that_cannot_be_is_the_recipients_fault(address: str) -> None:
    """Others still get their mail, and the error does not repeat the address."""
    failure = refusal(to=replace(READER, address=address))

    assert failure.blame is Blame.RECIPIENT
    assert not address or address not in failure.problem


# --------------------------------------------------------------------------- H13: header injection

BREAKERS = [
    "\r",
    "\n",
    "\r\nBcc: x@example.com",
    "\0",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x85",
    "\u2028",
    "\u2029",
    "\x7f",
]


@pytest.mark.parametrize("breaker", BREAKERS)
def test_nothing_can_begin_a_new_header(breaker: str) -> None:
    """Refused in the subject, the names, the addresses and the URLs (H13)."""
    evil = f"a{breaker}b"

    assert refusal(issue(subject=evil)).blame is Blame.MESSAGE
    assert refusal(with_fields(issue(), list_name=evil)).blame is Blame.MESSAGE
    assert refusal(with_fields(issue(), archive_url=f"https://example.org/{evil}")).blame is Blame.MESSAGE
    assert refusal(with_fields(issue(), sender=f"{evil} <news@example.org>")).blame is Blame.SENDER
    assert refusal(with_fields(issue(), reply_to=f"{evil}@example.org")).blame is Blame.SENDER
    assert refusal(to=replace(READER, name=evil)).blame is Blame.RECIPIENT
    assert refusal(to=replace(READER, address=f"{evil}@example.com")).blame is Blame.RECIPIENT
    assert refusal(to=replace(READER, address=f"ana@{evil}.com")).blame is Blame.RECIPIENT


def test_a_header_that_cannot_be_folded_is_refused() -> None:
    """A token of 1,000 characters would make a line that no server must take."""
    assert "List-Unsubscribe" in refusal(issue(token="x" * 1000)).problem


# --------------------------------------------------------------------------- C5: what the law asks


@pytest.mark.parametrize("part", ["text", "html"])
def test_an_issue_without_its_legal_lines_is_refused(part: str) -> None:
    """Postal address and unsubscribe link, in both parts."""
    whole = issue()
    body = getattr(whole, part)
    without_link = replace(whole, **{part: body.replace(URL, "https://elsewhere.example/")})
    without_address = replace(whole, **{part: body.replace("Harbour", "")})

    assert "unsubscribe link" in refusal(without_link).problem
    assert "postal address" in refusal(without_address).problem


def test_an_issue_without_the_setting_is_refused() -> None:
    """The advice names the setting."""
    with pytest.raises(PermanentFailure, match="set postal_address"):
        compile_message(issue())


def test_a_link_with_an_ampersand_is_found_in_html() -> None:
    """HTML writes & as &amp;."""
    url = URL + "t?a=1&b=2"
    message = issue(text=f"{url} {ADDRESS}", html=f'<a href="{url.replace("&", "&amp;")}">x</a> {ADDRESS}')

    assert lines(raw(with_fields(message, unsubscribe_url=url)), "List-Unsubscribe") == [f"<{url}>".encode()]


@pytest.mark.parametrize("part", ["text", "html", "subject"])
def test_an_unfilled_personal_piece_is_refused(part: str) -> None:
    """Nobody gets somebody's placeholder."""
    whole = issue()

    refusal(replace(whole, **{part: getattr(whole, part) + placeholder("unsubscribe_token")}))


def test_a_message_for_another_channel_is_refused() -> None:
    """A post has no sender."""
    assert "not made for email" in refusal(issue(mailing=None)).problem


# --------------------------------------------------------------------------- pictures


@pytest.fixture
def picture(tmp_path: Path) -> Media:
    path = tmp_path / "secret-name.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4)
    return Media(path=path, mime_type="image/png", alt="A harbour", cid="p1@broadside")


def test_pictures_go_along_inside_the_html(picture: Media) -> None:
    """Text beside (HTML with its pictures); the file's name stays at home."""
    whole = issue(media=(picture, picture))
    content = raw(replace(whole, html='<img src="cid:p1@broadside" alt="">' + whole.html))

    text, related = parsed(content).iter_parts()
    html, image = related.iter_parts()  # type: ignore[union-attr]
    assert parsed(content).get_content_type() == "multipart/alternative"
    assert (text.get_content_type(), related.get_content_type()) == ("text/plain", "multipart/related")
    assert (html.get_content_type(), image["Content-ID"]) == ("text/html", "<p1@broadside>")
    assert image.get_content() == picture.path.read_bytes()  # type: ignore[attr-defined]
    assert image.get_content_disposition() == "inline"
    assert b"secret-name" not in content


def test_a_changed_picture_is_read_again(picture: Media) -> None:
    """Read once for all readers, yet never stale."""
    before = raw(issue(media=(picture,)))
    picture.path.write_bytes(b"\x89PNG another, shorter one")

    assert raw(issue(media=(picture,))) != before


def test_a_missing_picture_is_told(picture: Media) -> None:
    """With its path; the issue does not go out without it."""
    picture.path.unlink()

    assert str(picture.path) in refusal(issue(media=(picture,))).problem


def test_a_message_of_text_alone_has_one_part() -> None:
    """No HTML, no multipart."""
    assert parsed(raw(issue(html=""))).get_content_type() == "text/plain"
