"""Whatever bytes arrive: an answer, soon, and never a traceback."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.audience.bounces import understand
from bot.audience.bounces.opened import LARGEST, MOST_BLOCKS
from tests.support.bounces import complaint, dsn, plain

GENUINE = [path.read_bytes() for path in sorted((Path(__file__).parent / "data" / "dsn").glob("*.eml"))]
BOUNCE = b"From: MAILER-DAEMON\nSubject: undeliverable\n\n"
PAGE = b"From: MAILER-DAEMON\nSubject: undeliverable\nContent-Type: text/html\n\n"
NEST = b"Content-Type: multipart/mixed; boundary=b\n\n"
PIECES = [
    NEST,
    b"Content-Type: message/rfc822\n",
    b"--b\n",
    b"--b--\n",
    b"\n\n",
    b"Content-Type: text/plain; charset=utf-7\n",
    b"Content-Type: text/plain; charset*=x''%ff\n",
    b"Content-Type: message/delivery-status\n",
    b"Content-Type: message/global-delivery-status\n",
    b"Content-Type: message/feedback-report\n",
    b"Content-Type: multipart/digest; boundary=b\n",
    b"Content-Transfer-Encoding: base64\n",
    b"Content-Transfer-Encoding: uuencode\n\nbegin 666 x\n",
    b"=?utf-8?b?////?=",
    b"Subject: =?x?q?=ff?=\n",
    b"Final-Recipient: rfc822; a@b.example\n",
    b"Action: failed\n",
    b"Status: 5.1.1\n",
    b" folded\n",
    b"\0",
    b"\xff\xfe",
]


@given(st.binary(max_size=4_000))
def test_any_bytes(raw: bytes) -> None:
    assert understand(raw)


@given(st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join))
@settings(max_examples=200)
def test_any_heap_of_pieces_of_mail(raw: bytes) -> None:
    assert understand(raw)


@given(st.sampled_from([*GENUINE, dsn(), plain("x"), complaint()]), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_any_report_that_was_damaged_on_the_way(raw: bytes, random: Random) -> None:
    damaged = bytearray(raw)
    for _ in range(random.randint(1, 30)):
        place = random.randrange(len(damaged))
        deed = random.choice(("change", "cut", "put", "swap"))
        if deed == "change":
            damaged[place] = random.randrange(256)
        elif deed == "cut":
            del damaged[place : place + random.randint(1, 80)]
        elif deed == "put":
            damaged[place:place] = random.choice(PIECES)
        else:
            damaged = damaged[place:] + damaged[:place]
        damaged = damaged or bytearray(b"x")

    assert understand(bytes(damaged))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(NEST + (b"--b\n" + NEST) * 5_000, id="nested"),
        pytest.param(b"Content-Type: message/rfc822\n\n" * 5_000, id="mails in mails"),
        pytest.param(BOUNCE + b"a" * 5_000_000, id="one line"),
        pytest.param(BOUNCE + b"\n" * 5_000_000, id="empty lines"),
        pytest.param(BOUNCE + b"user address " * 40_000, id="words that rules look for"),
        pytest.param(BOUNCE + b"a@" * 200_000, id="at signs"),
        pytest.param(BOUNCE + b"x@y.example\n" * 40_000, id="addresses"),
        pytest.param(BOUNCE + b"a.b-" * 100_000, id="hosts"),
        pytest.param(PAGE + b"<" * 400_000, id="tags"),
        pytest.param(PAGE + b"<style><!--" * 40_000, id="open styles"),
        pytest.param(b"Subject: " + b"=?utf-8?q?" * 100_000 + b"\n\nx", id="encoded words"),
        pytest.param(BOUNCE + b"550 " * 100_000, id="codes"),
        pytest.param(BOUNCE + b"your message " * 30_000, id="openings"),
    ],
)
def test_no_mail_takes_long(raw: bytes) -> None:
    """The slowest of these takes a fraction of this on a quiet machine; another may be asked again."""

    def took() -> float:
        start = time.process_time()
        understand(raw)
        return time.process_time() - start

    assert any(took() < 3 for _ in range(2))


ENOUGH = 0.2  # seconds of the processor for one mail


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"-" * 40_000, id="hyphens"),
        pytest.param((b"-" * 3_000 + b"\n") * 13, id="lines of hyphens"),
        pytest.param(b"- " * 20_000, id="hyphens and blanks"),
        pytest.param(b"\n" * 40_000, id="blank lines"),
        pytest.param(b" \n" * 20_000, id="lines of a blank"),
        pytest.param(b"a@" * 20_000, id="at signs"),
        pytest.param(b"a." * 20_000, id="dots"),
        pytest.param(b"authenticat" * 4_000, id="a word that goes on"),
    ],
)
def test_forty_kilobytes_freeze_nothing(body: bytes) -> None:
    """They took up to 27 seconds, and ``re`` lets no other thread run meanwhile."""
    raw = BOUNCE + body

    assert _least(raw) < ENOUGH
    assert _least(PAGE + body) < ENOUGH


WORDS = [
    *(
        b"-",
        b"- ",
        b"\n",
        b" \n",
        b" ",
        b"\t",
        b"> ",
        b"@",
        b"a@b.example ",
        b"a.",
        b"<",
        b"<style>",
        b"<!--",
        b"&#",
        b"=?",
    ),
    *(
        b"user address ",
        b"authenticat",
        b"mail server ",
        b"550 ",
        b"5.1.1 ",
        b"5.1.1.",
        b"from: ",
        b"the ",
        b"x-",
        b":",
    ),
    *(
        b"does not exist ",
        b"the following address",
        b"domain name ",
        b"non-exist",
        b"no such ",
        b"www.",
        b"blocklist",
    ),
]


def _hostile(random: Random) -> bytes:
    """Some 40 kB: runs of a few pieces, in a report, a page, or words for people."""
    body = b""
    while len(body) < 40_000:
        some = b"".join(random.choices([*WORDS, *PIECES], k=random.randint(1, 3)))
        body += some * random.choice((1, 10, 1_000, 10_000))
    body = body[:40_000]
    return random.choice(
        (BOUNCE + body, PAGE + body, dsn(text=body.decode("latin-1")), dsn(body.decode("latin-1")))
    )


def _least(raw: bytes) -> float:
    """Another may be asked again: the machine may be busy."""
    took = 0.0
    for _ in range(3):
        start = time.thread_time()
        understand(raw)
        took = time.thread_time() - start
        if took < ENOUGH:
            break
    return took


def test_fifty_hostile_mails_are_judged_in_no_time() -> None:
    assert max(_least(_hostile(Random(seed))) for seed in range(50)) < ENOUGH


@pytest.mark.slow
def test_a_thousand_hostile_mails_are_judged_in_no_time() -> None:
    assert max(_least(_hostile(Random(seed))) for seed in range(1_000)) < ENOUGH


def test_a_report_with_very_many_recipients_is_cut() -> None:
    block = b"\n\nFinal-Recipient: rfc822; a%d@b.example\nAction: failed\nStatus: 5.1.1"
    many = b"".join(block % number for number in range(5_000))
    raw = dsn().replace(b"\n\nFinal-Recipient", many + b"\n\nFinal-Recipient", 1)

    assert len(understand(raw)) <= MOST_BLOCKS


def test_what_comes_after_the_first_half_megabyte_is_not_read() -> None:
    assert understand(plain("x" * LARGEST + "\n550 5.1.1 user unknown"))[0].code == ""


def test_an_encoded_word_that_is_damaged_stays_as_it_is() -> None:
    """Its base64 does not decode: the subject is read as it was written, and the rest of the mail as ever."""
    raw = b"From: a@example.org\nSubject: =?utf-8?b?QUJD\xe4RA=?= =?utf-8?b?A?=\n\nHello.\n"

    assert understand(raw)[0].kind is not None
