"""The compiled email: the same mail as the standard library builds, for every reader and from every place."""

from __future__ import annotations

import base64
import email
import email.policy
import html as markup
import quopri
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.channels.base import ChannelContext
from bot.channels.email import Options, connect
from bot.channels.email.compiled import Compiled, compile_message
from bot.channels.email.splice import Body, Quoted, Shifted
from bot.errors import Blame, PermanentFailure
from bot.model import Media, Message, Recipient, placeholder
from bot.rendering.personal import personalised
from tests.support.issues import ADDRESS, KEY, NAME, READER, TOKEN, URL, VALUES, open_issue

ENGLISH = "Good morning. The port is open, the harbour = closed. " * 12 + "\n.\n..dots\n"
THAI = "ข่าวประจำสัปดาห์ " * 60


def newsletter(words: str = ENGLISH, **changes: object) -> Message:
    """An issue whose personal pieces are still open, in every place where they may stand."""
    message = open_issue(
        f"{NAME}, here are six items",
        text=f"{NAME}\n\n{words}{NAME}{NAME} {words}\n{NAME}. Leave: {URL}{TOKEN}\n{ADDRESS}\n",
        html=f'<p title="{NAME}">{words}{NAME}</p>{words}<a href="{URL}{TOKEN}">Leave</a><p>{ADDRESS}</p>\n',
    )
    return replace(message, **changes)  # type: ignore[arg-type]


def compiled(message: Message | None = None) -> Compiled:
    return compile_message(message or newsletter(), postal_address=ADDRESS)


ISSUES = {"quoted-printable": newsletter(ENGLISH), "base64": newsletter(THAI)}
COMPILED = {encoding: compiled(message) for encoding, message in ISSUES.items()}


def parsed(content: bytes) -> EmailMessage:
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def bodies(message: EmailMessage) -> list[str]:
    """The decoded parts."""
    return [str(part.get_content()).replace("\r\n", "\n") for part in message.iter_parts()]  # type: ignore[attr-defined]


def by_the_library(message: Message, to: Recipient) -> EmailMessage:
    """The same email as Python's manual builds it, of a message without open places."""
    whole = EmailMessage(policy=email.policy.SMTP)
    mailing, date = message.mailing, message.date
    assert mailing is not None
    assert date is not None
    whole["Date"], whole["From"], whole["Reply-To"] = format_datetime(date), mailing.sender, mailing.reply_to
    whole["To"] = Address(display_name=to.name, addr_spec=to.address)
    whole["Subject"], whole["Message-ID"] = message.subject, f"<{KEY[:32]}@{mailing.list_id}>"
    whole["List-Id"] = f"{mailing.list_name} <{mailing.list_id}>"
    whole["List-Unsubscribe"] = f"<{mailing.unsubscribe_url}>"
    whole["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    whole["List-Help"], whole["List-Archive"] = f"<{mailing.help_url}>", f"<{mailing.archive_url}>"
    whole["Archived-At"] = f"<{mailing.archive_url}>"
    whole["List-Owner"], whole["List-Post"] = f"<mailto:{mailing.reply_to}>", "NO"
    whole["Precedence"] = "bulk"
    whole.set_content(message.text, cte="quoted-printable")
    whole.add_alternative(message.html, subtype="html", cte="quoted-printable")
    whole["Content-Language"] = message.lang
    return whole


def shown(message: EmailMessage) -> dict[str, str]:
    """Every header, decoded, but those that describe the encoding of the body."""
    described = ("content-type", "content-transfer-encoding", "to")
    heads = {name: str(value) for name, value in message.items() if name.lower() not in described}
    return heads | {"type": message.get_content_type(), "to": message["To"].addresses[0].addr_spec}


def name_in(content: bytes) -> str:
    """The reader's name in the To field, as RFC 2047 has it."""
    (value,) = re.findall(rb"(?m)^To: ([^\r]*(?:\r\n[ \t][^\r]*)*)", content)
    words = value.replace(b"\r\n", b"").rpartition(b"<")[0].strip().decode()
    return str(make_header(decode_header(words))) if "=?" in words else re.sub(r'\\(.)|"', r"\1", words)


EDGES = (
    "=", "=41", "a=", ".", "..", ".hidden", " ", "x" * 300, "=" * 300, "." * 300, "a b" * 100, "é" * 300,
    "👩🏽\u200d🚀" * 75, "صباح الخير يا آنا", "\u200f\u202bשלום\u202c", "<b>&amp;\"'", "a  b", "From me",
    "_?=", "=?utf-8?q?x?=", "x" * 74 + "é", "é" * 12 + "abc", "สมชาย" * 20,
    *("x" * length for length in range(70, 78)),
)  # fmt: skip
PRINTABLE = st.text(
    st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp", "Cn"), blacklist_characters="\x85"),
    max_size=300,
)
NAMES = st.one_of(st.sampled_from(EDGES), PRINTABLE, st.text(" .=é🙂ชا<&'_?", max_size=120)).map(str.strip)


# --------------------------------------------------------------------------- the same as the library's


@pytest.mark.parametrize("encoding", ISSUES)
@settings(deadline=None)
@given(NAMES)
def test_it_parses_to_what_the_standard_library_builds(encoding: str, name: str) -> None:
    """Every header and both decoded parts, whatever the reader is called."""
    to, values = replace(READER, name=name), VALUES | {"name": name}

    content = COMPILED[encoding].letter(to, key=KEY, values=values).content

    message = personalised(ISSUES[encoding], values)
    built, seen = by_the_library(message, to), parsed(content)
    # The library takes a subject that looks like an encoded word for one.
    assert shown(seen) == shown(built) | {"Subject": message.subject}
    assert bodies(seen) == bodies(built)
    assert name_in(content) == name


@pytest.mark.parametrize("encoding", ISSUES)
@given(NAMES)
def test_its_lines_are_short_and_seven_bit(encoding: str, name: str) -> None:
    """At most 76 in a body; no bare CR or LF, no byte above 0x7f, no dot at the start of a line."""
    letter = COMPILED[encoding].letter(replace(READER, name=name), key=KEY, values=VALUES | {"name": name})

    body = letter.content.partition(b"\r\n\r\n")[2]
    assert max(map(len, body.split(b"\r\n"))) <= 76
    assert letter.content.isascii()
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|^\.|\n\.", letter.content)
    assert letter.content.endswith(b"\r\n")


def test_both_encodings_are_tried_here() -> None:
    """The tests above would prove half as much without."""
    for encoding, ready in COMPILED.items():
        assert {part["Content-Transfer-Encoding"] for part in parsed(whole(ready)).iter_parts()} == {encoding}


def whole(ready: Compiled, values: Mapping[str, str] = VALUES) -> bytes:
    return ready.letter(READER, key=KEY, values=values).content


@given(NAMES)
def test_filling_in_before_or_after_compiling_is_the_same(name: str) -> None:
    """A message personalised by rendering, and the compiled one: one email to its reader."""
    values = VALUES | {"name": name}

    before, after = (
        parsed(whole(compiled(personalised(newsletter(), values)))),
        parsed(whole(compiled(), values)),
    )

    assert (shown(before), bodies(before)) == (shown(after), bodies(after))


@pytest.mark.parametrize("words", [ENGLISH * 20, THAI * 10], ids=["quoted-printable", "base64"])
def test_what_is_the_same_for_all_readers_is_held_once(words: str) -> None:
    """Hundreds of letters wait made for their turn: each holds no more than what is its reader's own."""
    issue = compiled(newsletter(words))

    first, second = (issue.letter(READER, key=KEY, values=VALUES) for _ in range(2))

    shared = {id(piece) for piece in first.pieces}
    own = sum(len(piece) for piece in second.pieces if id(piece) not in shared)
    assert own < 4_000 < second.size / 5


def test_what_is_the_same_for_all_readers_is_the_same() -> None:
    """Boundaries too: they come from the words, so a provider can see that it is one issue."""
    ready = compiled(newsletter(subject="Six items"))
    other = ready.letter(
        Recipient(id="r2", address="ben@example.com"),
        key="f" * 64,
        values={"name": "B", "unsubscribe_token": "t"},
    )

    boundaries = [parsed(content).get_boundary() for content in (whole(ready), other.content)]

    assert boundaries[0] == boundaries[1]
    assert compiled(newsletter("Other words. ")).body != ready.body


def test_nothing_more_is_needed_for_data() -> None:
    """No line begins with a dot, so the stuffed bytes are the bytes."""
    message = newsletter(".\n..\n.dot" + "." * 400 + "\n" + f".{NAME}\n{NAME}." * 3)
    letter = compiled(message).letter(READER, key=KEY, values=VALUES | {"name": "." * 200})

    assert b"".join(letter.ready) == letter.content
    assert b"\n." not in letter.content
    assert bodies(parsed(letter.content))[0] == personalised(message, VALUES | {"name": "." * 200}).text


# --------------------------------------------------------------------------- bodies by themselves

WORDS = st.text(st.sampled_from("ab= .\n\t<é🙂ช"), max_size=200) | st.text("x", min_size=50, max_size=200)
TEXTS = st.lists(WORDS | st.sampled_from([NAME, TOKEN]), max_size=8).map("".join)
LINES = st.text(st.sampled_from("ab= .<&é🙂ช"), max_size=200) | st.text("y", min_size=50, max_size=200)


def joined(body: Quoted | Shifted, values: Mapping[str, str]) -> bytes:
    return b"".join(Body.of([body]).pieces(values))


def expected(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(placeholder(name), markup.escape(value))
    return text


@given(TEXTS, LINES, LINES)
@example(f"{NAME} ", "", " ")
@example("x" * 76 + NAME, "y" * 76, "")
@example(f"{NAME}{TOKEN}", " ", " ")
def test_any_text_with_any_values_survives_quoted_printable(text: str, name: str, token: str) -> None:
    """Places at the start, at the end, side by side, after a line of exactly 76."""
    values = {"name": name, "unsubscribe_token": token}

    body = joined(Quoted.of(text, markup.escape), values)

    assert quopri.decodestring(body).decode().replace("\r\n", "\n") == expected(text, values)
    assert all(len(line) <= 76 and line[:1] != b"." and line[-1:] != b" " for line in body.split(b"\r\n"))


@given(TEXTS, LINES, LINES)
@example("x" * 200 + NAME + "y" * 200, "", "")
@example("x" * 57 + NAME + "y" * 57 + TOKEN, "a", "b")
def test_any_text_with_any_values_survives_base64(text: str, name: str, token: str) -> None:
    """Whatever the number of bytes before a stretch is, mod three."""
    values = {"name": name, "unsubscribe_token": token}

    body = joined(Shifted.of(text, markup.escape), values)

    assert base64.b64decode(body).decode().replace("\r\n", "\n") == expected(text, values)
    assert b"=" not in body.rstrip(b"=\r\n")
    assert all(len(line) <= 76 for line in body.split(b"\r\n"))


# --------------------------------------------------------------------------- envelope, threads, refusals


def test_bounces_of_each_reader_have_an_address_of_their_own() -> None:
    """VERP: the return path names the reader by an opaque id; without it, by the settings or From."""
    verp = compile_message(newsletter(), postal_address=ADDRESS, verp=lambda to: f"b+{to.id}@example.org")
    fixed = compile_message(newsletter(), postal_address=ADDRESS, envelope_sender="bounces@example.org")

    senders = [c.letter(READER, key=KEY, values=VALUES).sender for c in (verp, fixed, compiled())]

    assert senders == ["b+r1@example.org", "bounces@example.org", "news@example.org"]


def test_a_return_path_that_cannot_be_is_our_fault() -> None:
    """Every further one would fail too."""
    verp = compile_message(newsletter(), postal_address=ADDRESS, verp=lambda to: "b+\r\nDATA@example.org")

    with pytest.raises(PermanentFailure) as caught:
        verp.letter(READER, key=KEY, values=VALUES)

    assert caught.value.blame is Blame.SENDER


def test_the_callers_tag_comes_back() -> None:
    """Whatever it is; it is not looked at."""
    tag = object()

    assert compiled().letter(READER, key=KEY, values=VALUES, tag=tag).tag is tag


def test_threads_share_it() -> None:
    """The same bytes from eight threads as from one."""
    ready = compiled()
    names = [f"Reader {number} \u202eé" for number in range(200)]

    def compose(name: str) -> bytes:
        return whole(ready, VALUES | {"name": name})

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(compose, names)) == [compose(name) for name in names]


def test_an_unfilled_place_is_refused() -> None:
    """By its name; nobody gets a placeholder."""
    with pytest.raises(PermanentFailure, match="unsubscribe_token"):
        compiled().letter(READER, key=KEY, values={"name": "Ana"})


@pytest.mark.parametrize("mark", ["\ufdd0", "\ufdd1", "\ufdd0Name\ufdd1", "\0", "\ud800"])
@pytest.mark.parametrize("part", ["text", "html", "subject"])
def test_a_broken_place_is_refused(part: str, mark: str) -> None:
    """When it is compiled, not for the first reader."""
    message = newsletter()

    with pytest.raises(PermanentFailure):
        compiled(replace(message, **{part: getattr(message, part) + mark}))


@pytest.mark.parametrize(
    "evil", ["\r\nBcc: x@example.com", "\n", "\r", "\0", "\u2028", "\x85", "\ufdd0", "\ud800"]
)
@pytest.mark.parametrize("place", VALUES)
def test_a_value_is_one_line(place: str, evil: str) -> None:
    """Only this reader is concerned."""
    with pytest.raises(PermanentFailure) as caught:
        compiled().letter(READER, key=KEY, values=VALUES | {place: f"a{evil}b"})

    assert caught.value.blame is Blame.RECIPIENT


@pytest.mark.parametrize("token", ["a b", "<x>", "tök"])
def test_a_token_cannot_leave_the_link(token: str) -> None:
    """In the header it is written in percent signs where it must be."""
    content = whole(compiled(), VALUES | {"unsubscribe_token": token})

    (link,) = re.findall(rb"(?m)^List-Unsubscribe: (.*)\r$", content)
    assert re.fullmatch(rb"<https://news\.example\.org/u/weekly/[!-;=?-~]+>", link)


def test_the_legal_lines_are_asked_for_once() -> None:
    """An issue that lacks them is not compiled at all."""
    with pytest.raises(PermanentFailure, match="no unsubscribe link"):
        compiled(newsletter(text=f"{ADDRESS}\n"))
    with pytest.raises(PermanentFailure, match="no postal address"):
        compiled(newsletter(html=f'<a href="{URL}{TOKEN}">Leave</a>'))


def test_a_place_where_none_may_be_is_refused() -> None:
    """The archive is the same for all."""
    message = newsletter()
    assert message.mailing is not None

    with pytest.raises(PermanentFailure):
        compiled(replace(message, mailing=replace(message.mailing, archive_url=URL + TOKEN)))


# --------------------------------------------------------------------------- within the channel


def test_the_channel_compiles_a_message_once(tmp_path: Path) -> None:
    """And again when a picture in it has changed."""
    picture = tmp_path / "p.png"
    picture.write_bytes(b"\x89PNG")
    channel = connect(Options(host="localhost"), ChannelContext(name="mail", postal_address=ADDRESS))
    message = newsletter(media=(Media(path=picture, mime_type="image/png", alt="", cid="p1@broadside"),))
    first = channel.compiled(message)

    same = channel.compiled(replace(message))
    picture.write_bytes(b"\x89PNG, a longer one")

    assert same is first
    assert channel.compiled(message) is not first
    assert whole(channel.compiled(message)) != whole(first)


def test_the_channel_shows_what_the_compiled_message_sends() -> None:
    """One way to compose: the rehearsal's file is the letter's bytes."""
    channel = connect(Options(host="localhost"), ChannelContext(name="mail", postal_address=ADDRESS))
    message = personalised(newsletter(), VALUES)

    assert channel.request(message, READER, key=KEY).body == whole(channel.compiled(message))
