"""Python's usual ways to send: WHICH PORT COUNT FOLDER, run by the peers' own interpreter."""

from __future__ import annotations

import asyncio
import sys
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr
from pathlib import Path

HOST = "news.shelf.ngo"
NAMES = ("Ana", "สมชาย", "ليلى الأحمد", "Jean-Baptiste de la Tour", "")
SUBJECT = "The Shelf: 30 items, 20 November 2026"
SENDER = f"The Shelf <weekly@{HOST}>"


def address(n: int) -> str:
    return f"reader{n}@example{n % 50}.com"


def link(n: int) -> str:
    return f"https://{HOST}/u/weekly/{n:x>43}"


def headers(n: int) -> dict[str, str]:
    return {
        "Message-ID": f"<{n:032}@{HOST}>",
        "List-Unsubscribe": f"<{link(n)}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "List-Id": f"The Shelf <weekly.{HOST}>",
    }


def django(port: int, count: int, html: str, text: str) -> None:
    """EmailMultiAlternatives, as the manual says: one connection for all of them."""
    import django
    from django.conf import settings
    from django.core.mail import EmailMultiAlternatives, get_connection

    settings.configure(
        EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend", EMAIL_HOST="127.0.0.1", EMAIL_PORT=port
    )
    django.setup()
    with get_connection() as connection:
        for n in range(count):
            to = formataddr((NAMES[n % 5], address(n)))
            mail = EmailMultiAlternatives(
                SUBJECT, text.replace("@TOKEN@", link(n)), SENDER, [to], headers=headers(n)
            )
            mail.attach_alternative(html.replace("@TOKEN@", link(n)), "text/html")
            mail.connection = connection
            assert mail.send() == 1


async def aiosmtplib(port: int, count: int, html: str, text: str) -> None:
    """Ten clients, each with a connection of its own, and the standard library's EmailMessage."""
    from aiosmtplib import SMTP as Client  # noqa: N811

    numbers = iter(range(count))

    async def one() -> None:
        async with Client(hostname="127.0.0.1", port=port, start_tls=False) as client:
            for n in numbers:
                mail = EmailMessage(policy=SMTP)
                mail["From"], mail["To"] = SENDER, formataddr((NAMES[n % 5], address(n)))
                mail["Subject"] = SUBJECT
                for name, value in headers(n).items():
                    mail[name] = value
                mail.set_content(text.replace("@TOKEN@", link(n)), cte="quoted-printable")
                mail.add_alternative(html.replace("@TOKEN@", link(n)), subtype="html", cte="quoted-printable")
                await client.send_message(mail, sender=f"bounce+{n}@{HOST}", recipients=[address(n)])

    await asyncio.gather(*(one() for _ in range(10)))


if __name__ == "__main__":
    which, port, count, folder = sys.argv[1:]
    words = Path(folder, "html").read_text(), Path(folder, "text").read_text()
    if which == "django":
        django(int(port), int(count), *words)
    else:
        asyncio.run(aiosmtplib(int(port), int(count), *words))
