"""What composing one personal email costs: ours compiled and spliced, and the standard library's beside it.

    .venv/bin/python benchmarks/compose.py [ROUNDS]

A newsletter of about 50 kB with a name, a token and an unsubscribe link in both parts, a personal subject and
a return path of its own; without and with a DKIM signature (RSA-2048). The ways take turns, so that a busy
moment of the machine hits all of them. Times are CPU microseconds an email, medians over the rounds; the
ratio is the median of the ratios within each round. Every way's email is parsed and compared once.
"""

from __future__ import annotations

import email
import email.policy
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from email.message import EmailMessage
from email.utils import format_datetime
from functools import lru_cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bot.channels.email.compiled import Compiled, compile_message
from bot.channels.email.dkim import Signer
from bot.model import Message, Recipient
from bot.rendering.personal import personalised
from tests.support.issues import ADDRESS, NAME, TOKEN, URL, open_issue

STORY = (
    "The court heard both sides on Friday. Grüße aus Köln, and \u201call the best\u201d; read more = less. "
)
WAYS: dict[str, int] = {  # emails of one round
    "ours": 1000,
    "ours, compiled again for each": 20,
    "ours, DKIM": 100,
    "EmailMessage": 10,
    "EmailMessage, base64": 10,
    "EmailMessage, dkimpy": 10,
}


def newsletter() -> Message:
    """About 40 kB of HTML and 7 kB of text."""
    story = f'<tr><td style="padding:4px 0;font-size:16px">\n  <p class="body">{STORY}</p>\n</td></tr>\n'
    return open_issue(
        f"Six items for {NAME}",
        text=f"Good morning {NAME}\n\n" + f"{STORY}\n" * 65 + f"\nLeave: {URL}{TOKEN}\n{ADDRESS}\n",
        html=f"<p>Good morning {NAME}</p><table>{story * 220}</table>"
        f'<p><a href="{URL}{TOKEN}">Leave</a><br>{URL}{TOKEN}<br>{ADDRESS}</p>\n',
    )


@lru_cache(maxsize=2000)
def reader(number: int) -> tuple[Recipient, str, dict[str, str]]:
    """Somebody, their key and their values; every third name needs encoding."""
    name = ("Ana Reader", "Zoë Größe", "สมชาย ใจดี")[number % 3]
    to = Recipient(id=f"r{number}", address=f"reader{number}@example.com", name=name)
    return to, f"{number:032x}", {"name": name, "unsubscribe_token": f"{number:05x}" + "AbC-_x9Z" * 6}


def return_path(to: Recipient) -> str:
    return f"bounces+{to.id}@example.org"


def by_the_library(message: Message, to: Recipient, key: str, cte: str) -> EmailMessage:
    """The same email, built as its manual says."""
    whole = EmailMessage(policy=email.policy.SMTP)
    mailing, date = message.mailing, message.date
    assert mailing is not None
    assert date is not None
    whole["From"], whole["To"] = mailing.sender, f"{to.name} <{to.address}>"
    whole["Subject"], whole["Message-ID"] = message.subject, f"<{key}@weekly.example.org>"
    whole["Date"], whole["Reply-To"] = format_datetime(date), mailing.reply_to
    whole["List-Id"] = f"{mailing.list_name} <{mailing.list_id}>"
    whole["List-Unsubscribe"] = f"<{mailing.unsubscribe_url}>"
    whole["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    whole["List-Help"], whole["List-Archive"] = f"<{mailing.help_url}>", f"<{mailing.archive_url}>"
    whole.set_content(message.text, cte=cte)
    whole.add_alternative(message.html, subtype="html", cte=cte)
    return whole


def ways() -> dict[str, Callable[[int], bytes]]:
    """One email each, for the reader of that number."""
    message = newsletter()
    key = _private_key()
    signer = Signer("example.org", "mail", key)
    plain = compile_message(message, postal_address=ADDRESS, verp=return_path)
    signing = compile_message(message, postal_address=ADDRESS, verp=return_path, signer=signer)

    def library(number: int, cte: str = "quoted-printable") -> bytes:
        to, key, values = reader(number)
        return by_the_library(personalised(message, values), to, key, cte).as_bytes()

    def library_signed(number: int) -> bytes:
        import dkim

        content = library(number)
        return bytes(dkim.sign(content, b"mail", b"example.org", key)) + content

    return {
        "ours": lambda number: ours(plain, number),
        "ours, compiled again for each": lambda number: ours(
            compile_message(replace(message, lang="en"), postal_address=ADDRESS), number
        ),
        "ours, DKIM": lambda number: ours(signing, number),
        "EmailMessage": library,
        "EmailMessage, base64": lambda number: library(number, "base64"),
        "EmailMessage, dkimpy": library_signed,
    }


def ours(compiled: Compiled, number: int) -> bytes:
    to, key, values = reader(number)
    return compiled.letter(to, key=key, values=values).content


def _private_key() -> bytes:
    from cryptography.hazmat.primitives import serialization as to
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(to.Encoding.PEM, to.PrivateFormat.PKCS8, to.NoEncryption())


def check(compose: Callable[[int], bytes]) -> None:
    """What the reader sees is what the newsletter says."""
    _to, _key, values = reader(1)
    expected = personalised(newsletter(), values)
    seen = email.message_from_bytes(compose(1), policy=email.policy.default)
    parts = [part.get_content().replace("\r\n", "\n") for part in seen.iter_parts()]  # type: ignore[attr-defined]
    assert (seen["Subject"], parts) == (expected.subject, [expected.text, expected.html])


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    all_ways = ways()
    for compose in all_ways.values():
        check(compose)
    size = len(all_ways["ours"](1))
    for _ in range(rounds):
        for way, count in WAYS.items():
            compose = all_ways[way]
            start = time.process_time()
            for number in range(count):
                compose(number)
            found[way].append((time.process_time() - start) / count * 1e6)
    print(f"{size} bytes an email; median of {rounds} interleaved rounds\n")
    print(f"{'':32}{'CPU us':>10}{'min':>10}{'/ ours':>10}")
    for way, times in found.items():
        ratio = statistics.median(t / o for t, o in zip(times, found["ours"], strict=True))
        print(f"{way:32}{statistics.median(times):10.1f}{min(times):10.1f}{ratio:10.1f}")


if __name__ == "__main__":
    main()
