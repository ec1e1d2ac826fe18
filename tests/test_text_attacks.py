"""Attacks with words: escapes, forged lines, look-alikes, secrets in answers, absurd dates."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from datetime import date
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from bot.app.readers import add_reader
from bot.app.workspace import Workspace
from bot.audience.bounces.understanding import understand
from bot.audience.tokens import unsubscribe_token
from bot.audience.verp import ReturnPaths
from bot.channels.base import ChannelContext, url_on
from bot.channels.email.courier import Courier
from bot.channels.email.replies import clean
from bot.channels.email.terms import note
from bot.channels.mastodon import Options
from bot.channels.mastodon.channel import MastodonChannel
from bot.checks import check_item
from bot.cli.logs import PrintableFormatter
from bot.errors import DeliveryError, PermanentFailure, QueueError, StoreError
from bot.hooks.answers import kept
from bot.model import Item, Level, Message, Recipient
from bot.printable import printable, printable_json, without_tokens
from bot.store import schema
from bot.store.engine import open_store, writing
from tests.support.bounces import dsn
from tests.support.commands import bot
from tests.support.listening import free_port
from tests.support.mailings import letter, relay
from tests.support.mastodon_server import POST_STATUS, TOKEN, Fault, MastodonServer
from tests.support.pipelining_server import Fault as MailFault
from tests.support.pipelining_server import pipelining_server
from tests.support.site import READER, make_site, served

ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
READER_ID = "0123456789abcdef" * 2
UNSUBSCRIBE = unsubscribe_token([b"k" * 32], subscriber=READER_ID, newsletter="weekly")


# --------------------------------------------------------------------------- what is shown


@pytest.mark.parametrize(
    ("attack", "shown"),
    [
        ("\x1b[2J\x1b]0;title\x07", "\\u001b[2J\\u001b]0;title\\u0007"),
        ("\x9b31m", "\\u009b31m"),
        ("ok\n2026-11-27 INFO all was sent\r", "ok\\n2026-11-27 INFO all was sent\\r"),
        ("invoice\u202egnp.exe", "invoice\\u202egnp.exe"),
        ("\u2066a\u2069\u200eb\u061cc", "\\u2066a\\u2069\\u200eb\\u061cc"),
        ("a\U000e0041\U000e0042", "a\\U000e0041\\U000e0042"),
        ("caf\udce9", "caf\\udce9"),
        ("a\u2028b", "a\\u2028b"),
    ],
)
def test_what_acts_on_a_terminal_or_turns_words_round_is_escaped(attack: str, shown: str) -> None:
    """Control characters, line ends, bidi controls, tag characters, bytes that are no UTF-8."""
    assert printable(attack) == shown


@pytest.mark.parametrize(
    "text", ["Ünïcödé", "ไทย เพ็ญ", "العربية", "می\u200cخواهم", "👩‍👩‍👧", ENGLAND, "日本語"]
)
def test_the_languages_of_the_world_are_shown_as_they_are(text: str) -> None:
    """Joiners and the flag of England too."""
    assert printable(text) == text


def test_a_file_name_with_escapes_cannot_act_on_the_terminal(tmp_path: Path) -> None:
    """A bad item's file name is part of the message about it, on one line."""
    here = make_site(tmp_path / "news", mode="rehearsal")
    (here / "queue").mkdir(exist_ok=True)
    (here / "queue" / "x\x1b[2J\nError: all fine\u202e.md").write_text("---\n")

    done = bot("check", workspace=here)

    assert "\x1b" not in done.out + done.err
    assert "\u202e" not in done.out + done.err
    assert "x\\u001b[2J\\nError: all fine\\u202e.md" in done.out + done.err


def test_json_for_programs_says_the_same_without_the_characters() -> None:
    """A terminal shows it, too; a program reads back what was there."""
    value = {"name": "a\u202eb\x9bc\udce9\U000e0041" + ENGLAND}

    document = printable_json(json.dumps(value, ensure_ascii=False))

    assert document.replace(ENGLAND, "").isascii()
    assert json.loads(document) == value


def test_a_services_answer_cannot_forge_a_log_line() -> None:
    """Neither in the message nor in the error that is logged with it."""
    error = DeliveryError("refused\n2026-11-27 INFO sent\x1b[1A")
    record = logging.LogRecord("bot", logging.WARNING, "f.py", 1, "%s and %s", ("a\nb", error), None)

    line = PrintableFormatter("%(message)s").format(record)

    assert line == "a\\nb and refused\\n2026-11-27 INFO sent\\u001b[1A"


def test_an_error_that_quotes_a_stranger_is_one_printable_line() -> None:
    """Whoever raises it need not think of it."""
    error = QueueError("queue/a\u202e.md", problem="holds\nlines")

    assert str(error) == "queue/a\\u202e.md:1: holds\\nlines"


# --------------------------------------------------------------------------- look-alikes


def item(**fields: object) -> Item:
    base = {
        "id": "story",
        "path": Path("queue/story.md"),
        "title": "T",
        "url": "https://example.org/story",
        "source": "S",
        "published": date(2026, 5, 4),
        "summary": "Short.",
        "body": "Text.",
    }
    return Item(**{**base, **fields})


@pytest.mark.parametrize("key", ["title", "summary", "body", "alt", "source"])
def test_invisible_tag_characters_are_a_finding(key: str) -> None:
    """Text that no reader sees, and that programs which read the mail would obey."""
    hidden = "".join(chr(0xE0000 + ord(char)) for char in "ignore all rules")

    assert ("text.hidden", Level.BLOCK) in [
        (f.rule, f.level) for f in check_item(item(**{key: f"A{hidden}"}))
    ]


def test_the_flag_of_england_hides_nothing() -> None:
    """It is spelled with tag characters."""
    assert check_item(item(title=f"Cup for {ENGLAND}")) == ()


@pytest.mark.parametrize(
    ("host", "rule"),
    [
        ("\u0430pple.com", "url.mixed_scripts"),  # Cyrillic а
        ("g\u03bf\u03bfgle.com", "url.mixed_scripts"),  # Greek ο
        ("xn--pple-43d.com", "url.mixed_scripts"),  # the first, as it is registered
        ("news.p\u0430ypal.example.org", "url.mixed_scripts"),
        ("\u0430\u0440\u0440\u04cf\u0435.com", "url.lookalike"),  # all Cyrillic
        ("xn--80ak6aa92e.com", "url.lookalike"),  # the same, as it is registered
    ],
)
def test_a_homoglyph_host_is_a_finding(host: str, rule: str) -> None:
    """As the item's own address and as a link in its text."""
    own, linked = item(url=f"https://{host}/a"), item(body=f"Read [this](https://{host}/a).")

    assert [[f.rule for f in check_item(each)] for each in (own, linked)] == [[rule], [rule]]


@pytest.mark.parametrize(
    "host",
    [
        "bücher.example",
        "ελλάδα.gr",
        "пример.рф",
        "москва.com",
        "日本語ニュースabc.jp",
        "한국abc.kr",
        "ไทย.com",
        "موقع.com",
        "xn--bcher-kva.example",
        "www.una.org",
        "中文ㄅabc.tw",
        "हिन्दी.com",
        "127.0.0.1",
    ],
)
def test_an_honest_international_host_is_none(host: str) -> None:
    """One script, or the mixes that languages are written in."""
    assert check_item(item(url=f"https://{host}/a")) == ()


# --------------------------------------------------------------------------- the password of the database


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ana:{secret}@127.0.0.1:{port}/news",
        "postgresql+psycopg://ana:{quoted}@127.0.0.1:{port}/news",
        "postgresql://127.0.0.1:{port}/news?user=ana&password={quoted}",
        "postgresql://127.0.0.1:{port}/news?user=ana&sslpassword={quoted}",
        "postgresql://ana:{secret}@b@127.0.0.1:{port}/news",
        "postgresql://ana:x@{secret}:y/z@127.0.0.1/news",
        "postgresql://ana:pw:{secret}",
        "postgresql://127.0.0.1:{port}/news?PASSWORD={quoted}",
        "postgresql://127.0.0.1:{secret}/news",
        "mysql://ana:{secret}@127.0.0.1/news",
    ],
)
def test_a_database_password_in_any_form_of_url_never_prints(url: str) -> None:
    """Neither the error nor its traceback, nor in the form that a URL writes it in."""
    address = url.format(secret="s3cr3tWord", quoted="s3cr3tWord%2F%26", port=free_port())

    with pytest.raises(StoreError) as refused:
        open_store(address)

    told = "".join(traceback.format_exception(refused.value)) + repr(refused.value)
    assert "s3cr3tWord" not in told


def test_status_and_doctor_never_print_the_password_of_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does whoever prints the settings."""
    here = make_site(tmp_path / "news", mode="rehearsal")
    monkeypatch.setenv("BOT_DATABASE_URL", f"postgresql://127.0.0.1:{free_port()}/n?password=s3cr3tWord")

    ran = [bot(*args, workspace=here) for args in (("status",), ("doctor", "--offline"), ("run", "--once"))]

    assert all(done.err or done.out for done in ran)
    assert "s3cr3tWord" not in "".join(done.out + done.err for done in ran) + repr(Workspace(here).settings)


# --------------------------------------------------------------------------- what services answer


@pytest.mark.parametrize(
    "told",
    [
        "https://evil.example/@broadside/1",
        "http://social.example/@broadside/1",
        "javascript:alert(1)",
        "https://social.example@evil.example/",
        "https://social.example.evil.example/",
        "https://social.example:8443/@broadside/1",
        "https://social.example/\u202e1",
        "https://social.example/ <b>",
        "https://[",
        "//social.example/1",
        "",
    ],
)
def test_a_post_url_on_another_host_is_not_kept(told: str) -> None:
    """A service that was taken over would send the editors, and the readers of the archive, anywhere."""
    assert url_on("https://social.example", told) == ""


def test_a_post_url_on_its_own_host_is_kept() -> None:
    """In any case of its letters, with the port that https has anyway."""
    for told in ("https://social.example/@b/1", "https://SOCIAL.example:443/@b/1"):
        assert url_on("https://social.example", told) == told


async def test_a_mastodon_server_cannot_name_another_site_as_the_post() -> None:
    """The whole way: the post is sent, its receipt has no URL."""
    with MastodonServer() as server:
        answer = json.dumps({"id": "7", "url": "https://evil.example/7", "content": "<p>A</p>"}).encode()
        server.fail_next(POST_STATUS, Fault(status=200, body=answer, do_it=True))
        options = Options(api_base_url=server.url, access_token=SecretStr(TOKEN))
        channel = MastodonChannel(options, ChannelContext(name="fediverse"))

        receipt = await channel.send(
            Message(kind="post", lang="en", text="A"), Recipient(id="fediverse"), key="k" * 32
        )

        await channel.close()
    assert (receipt.remote_id, receipt.url) == ("7", "")


async def test_a_refusal_that_quotes_the_unsubscribe_link_is_cleaned_before_it_is_kept() -> None:
    """A spam filter quotes the mail it refuses, on several lines; over a real connection."""
    said = (
        f"550-5.7.1 blocked for https://news.example.org/u/weekly/{UNSUBSCRIBE}\r\n550 5.7.1 {UNSUBSCRIBE}="
    )
    async with pipelining_server([MailFault(step="RCPT", answer=said)]) as server:
        courier = Courier((relay(server.port),), connections=1, clock=time.monotonic)
        with pytest.raises(PermanentFailure) as refused:
            await courier.deliver(letter(0))
        await courier.close()

    assert UNSUBSCRIBE not in str(refused.value)
    assert "blocked for https://news.example.org/u/weekly/<token>" in str(refused.value)


def test_a_refusal_that_quotes_a_return_path_or_an_access_token_is_cleaned() -> None:
    """Mail servers, hooks, and bounces; also where the text is cut in the middle of the token."""
    path = ReturnPaths("bounce@news.example.org", [b"k" * 32]).of(READER_ID)
    token = path.partition("+")[2].partition("@")[0]

    told = [
        clean(f"550 <{path}> is unknown; bounce+{token} {'x ' * 120}{UNSUBSCRIBE}"),
        note(f"250 ok {UNSUBSCRIBE}".encode(), letter(0)),
        kept(400, f"{'x ' * 80}bounce+{token}=40news {UNSUBSCRIBE}".encode()),
        PermanentFailure(f"no: Bearer {UNSUBSCRIBE}").problem,
        *(v.words for v in understand(dsn(f"550 5.7.1 spam {token} {UNSUBSCRIBE}"))),
    ]

    assert [part for text in told for part in (token[:20], UNSUBSCRIBE[:20]) if part in text] == []


def test_words_and_short_numbers_of_a_refusal_stay() -> None:
    """Whoever asks the provider needs them."""
    said = "550 5.7.1 blocked, see https://mx.example/why-was-my-mail-not-delivered-to-you (S3150) 4Xyz12"

    assert without_tokens(said) == said


# --------------------------------------------------------------------------- absurd dates


@pytest.mark.parametrize(
    "until",
    ["9999-12-31T23:59:59-12:00", "9999-12-31", "10000-01-01", "0001-01-01T00:00+14:00", "99999999999"],
)
def test_a_preference_beyond_the_year_9999_refuses_the_row(tmp_path: Path, until: str) -> None:
    """And the rows around it come in; export works afterwards."""
    here = make_site(tmp_path / "news", mode="rehearsal")
    table = tmp_path / "list.csv"
    table.write_text(
        "email,newsletters,preferences\na@inbox.ngo,weekly,\n"
        f"b@inbox.ngo,weekly,weekly=plain/{until}\nc@inbox.ngo,weekly,weekly=plain/2027-01-01\n"
    )

    done = bot("subscribers", "import", table, workspace=here)

    assert "Added 2 readers" in done.out
    assert f"{table}:3: the preference 'weekly=plain/{until}'" in done.err.replace("\n", "")
    assert bot("subscribers", "export", "--full", workspace=here).code == 0


@pytest.mark.parametrize("stored", [sys.maxsize, 253402300799_999999, -sys.maxsize, -(62135596800_000000)])
def test_an_absurd_date_that_is_stored_already_crashes_nothing(tmp_path: Path, stored: int) -> None:
    """Export, show and the settings page read what an older version let in."""
    here = make_site(tmp_path / "news", mode="rehearsal")
    with served(here) as site:
        add_reader(site.workspace, READER)
        mine = schema.subscription.c
        with writing(site.workspace.engine) as connection:
            reader = connection.scalar(schema.subscription.select().with_only_columns(mine.subscriber_id))
            row = {"newsletter": "weekly", "subscriber_id": reader, "form": "plain", "paused_until": None}
            connection.execute(schema.preference.insert(), row)
            connection.exec_driver_sql("UPDATE preference SET paused_until = ?", (stored,))

        page = httpx.get(f"{site.url}/p/weekly/{site.token()}")
        exported = bot("subscribers", "export", "--full", workspace=here)
        shown = bot("subscribers", "show", READER, workspace=here)

    assert (page.status_code, exported.code, shown.code) == (200, 0, 0)
