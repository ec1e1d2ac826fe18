"""The pages of readers over real HTTP: who asks, confirms, changes their mind and leaves."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from bot.app import confirmations
from bot.app.publish import tick
from bot.app.readers import add_reader
from bot.app.workspace import Workspace
from bot.audience.confirming import confirm_token, form_stamp
from tests.support import site as site_support
from tests.support.live_workspace import NOW, SETTINGS, make_live
from tests.support.site import READER, Clock, Site, confirming, make_site, served, stamp_of
from tests.support.smtp_server import Server, Taken, smtp_server

HOUR = timedelta(hours=1)


class Visitor(httpx.AsyncClient):
    """Somebody at the site, who waits a little before sending a form."""

    def __init__(self, site: Site, **options: object) -> None:
        super().__init__(base_url=site.url, timeout=60, **options)  # type: ignore[arg-type]
        self.site = site

    async def ask(self, address: str, *newsletters: str, **fields: str) -> httpx.Response:
        """Open the form, take half a minute, send it."""
        stamp = stamp_of((await self.get("/subscribe")).text)
        self.site.clock.move(timedelta(seconds=30))
        form = {"address": address, "newsletter": list(newsletters or ["weekly"]), "stamp": stamp, **fields}
        return await self.post("/subscribe", data=form)


@asynccontextmanager
async def opened(folder: Path, *, url: str = "", proxies: int = 0) -> AsyncIterator[tuple[Visitor, Server]]:
    """A site, its mail server, and somebody who visits."""
    async with smtp_server() as mail:
        here = make_site(folder / "news", port=mail.port, url=url, proxies=proxies)
        with served(here) as site, confirming(site):
            async with Visitor(site) as visitor:
                yield visitor, mail


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - neither a table nor a folder has a bell to ring
            await asyncio.sleep(0.01)


async def arrived(mail: Server, count: int) -> list[Taken]:
    """The mails, once there are so many; and not one more."""
    await until(lambda: len(mail.taken) >= count)
    assert len(mail.taken) == count
    return mail.taken


def parsed(taken: Taken) -> EmailMessage:
    message = email.message_from_bytes(taken.content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def link_in(taken: Taken) -> str:
    """The path of the link for confirming."""
    found = re.findall(r"https://news\.shelf\.ngo(/c/[\w-]+)", parsed(taken).get_content())
    assert len(found) == 1
    return str(found[0])


def same(answer: httpx.Response) -> tuple[object, ...]:
    """All of an answer but the time of day."""
    return answer.status_code, {k: v for k, v in answer.headers.items() if k != "date"}, answer.content


# --------------------------------------------------------------------------- the whole circle


async def test_the_whole_circle(tmp_path: Path, store_url: str) -> None:
    """Ask, confirm, read, let a scanner open every link twice, leave with one click: and be gone."""
    async with smtp_server() as mail:
        here = make_live(tmp_path / "news", SETTINGS.format(port=mail.port) + 'security = "none"\n')
        with (here / ".env").open("a") as file:
            file.write(f"BOT_DATABASE_URL={store_url}\n")
        with served(here, Clock(now=NOW - 2 * HOUR)) as site, confirming(site):
            async with Visitor(site) as visitor:
                assert (await visitor.ask(READER)).status_code == 200
                (asked,) = await arrived(mail, 1)
                assert (await visitor.post(link_in(asked))).status_code == 200

                site.workspace.ledger.note_schedules(site.workspace.schedules(), NOW - HOUR)
                await _send(here)
                issue = (await arrived(mail, 2))[1]
                assert issue.recipients == (READER,)
                before = site.contents()
                links = _links(parsed(issue))
                assert {path[:3] for path in links} >= {"/u/", "/p/"}
                for path in [*links, link_in(asked)] * 2:
                    assert (await visitor.get(path)).status_code < 500
                    assert (await visitor.head(path)).status_code < 500
                assert site.contents() == before
                for path in links:
                    if path.startswith(("/u/", "/p/")):
                        assert (await visitor.get(path)).status_code == 200

                leave = re.search(r"<https://news\.shelf\.ngo(/u/[^>]+)>", issue.content.decode())
                assert leave
                for _ in range(2):
                    answer = await visitor.post(leave[1], data={"List-Unsubscribe": "One-Click"})
                    assert answer.status_code == 200
                    assert "location" not in answer.headers
                    assert "set-cookie" not in answer.headers
                assert site.workspace.audience.find(READER) is None
                proofs = site.contents()["consent"]
                events = {"asked", "confirmed", "left"}
                assert sorted(word for row in proofs for word in row if word in events) == sorted(events)


async def _send(here: Path) -> None:
    workspace = Workspace(here)
    try:
        await tick(workspace, NOW)
    finally:
        await workspace.close()
        workspace.release()


def _links(message: EmailMessage) -> list[str]:
    """The paths of all links to the site, in both parts and in the head."""
    parts = [part.get_content() for part in message.walk() if part.get_content_maintype() == "text"]
    words = "\n".join([*parts, *map(str, message.values())]).replace("&amp;", "&")
    return sorted(set(re.findall(r"https://news\.shelf\.ngo(/[^\s\"'<>)]*)", words)))


# --------------------------------------------------------------------------- nothing to ask for


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose bot.toml names no newsletter."""
    here = make_site(tmp_path_factory.mktemp("bare") / "news", mode="rehearsal")
    settings = here / "bot.toml"
    settings.write_text(re.sub(r"(?ms)^\[newsletters\..*?(?=^\[(?!newsletters))", "", settings.read_text()))
    with served(here) as site:
        assert not site.workspace.settings.mailings
        yield site


@pytest.mark.parametrize("lang", ["ar", "de", "en", "es", "fr", "pt", "th"])
def test_without_a_newsletter_a_sentence_stands_in_place_of_the_form(bare: Site, lang: str) -> None:
    """In each language; also for whoever sends a form that was opened before."""
    words = bare.workspace.templates.strings(lang)
    stamp = form_stamp(bare.workspace.settings.signing_keys, bare.clock() - HOUR)
    form = {"address": READER, "newsletter": "weekly", "stamp": stamp, "page": lang}

    asked = httpx.get(f"{bare.url}/subscribe?lang={lang}")
    sent = httpx.post(f"{bare.url}/subscribe", data=form)

    assert (asked.status_code, sent.status_code) == (200, 422)
    for answer in (asked, sent):
        assert f'<html lang="{lang}"' in answer.text
        assert words["join_none"] in answer.text
        assert "<form" not in answer.text
        assert words["join_wrong_newsletter"] not in answer.text


# --------------------------------------------------------------------------- asking


async def test_the_confirmation_says_nothing_of_the_topic(tmp_path: Path) -> None:
    """Only the title in From, as its signature: not the publication's, nothing that was typed, no list."""
    async with opened(tmp_path) as (visitor, mail):
        await visitor.ask(READER, "weekly", "monthly", name="Buy now", website="")
        message = parsed((await arrived(mail, 1))[0])

    assert message["subject"] == "Please confirm"
    assert message["auto-submitted"] == "auto-generated"
    assert not [name for name in message.keys() if name.lower().startswith("list-")]  # noqa: SIM118
    words = message.get_content()
    assert message.get_content_type() == "text/plain"
    assert message["from"] == "The Weekly Shelf <weekly@news.shelf.ngo>"
    assert words.splitlines()[-1] == "The Weekly Shelf"
    for telling in ("Harbour", "the shelf", "Long Table", "mara", "Buy now"):
        assert telling not in words


async def test_a_confirmation_comes_under_the_newsletters_title(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever name stands before the address in bot.toml: the person asked for this title."""
    other = site_support.SETTINGS.replace('"The Weekly Shelf <', '"Harbour desk <')
    monkeypatch.setattr(site_support, "SETTINGS", other)
    async with opened(tmp_path) as (visitor, mail):
        await visitor.ask(READER, "weekly")
        message = parsed((await arrived(mail, 1))[0])

    assert message["from"] == "The Weekly Shelf <weekly@news.shelf.ngo>"


async def test_every_address_gets_the_same_answer(tmp_path: Path) -> None:
    """Known, unknown, suppressed, asked before, trapped: to the byte."""
    async with opened(tmp_path) as (visitor, mail):
        add_reader(visitor.site.workspace, "known@inbox.ngo", newsletters=["weekly"])
        add_reader(visitor.site.workspace, "gone@inbox.ngo", newsletters=["weekly"])
        visitor.site.workspace.audience.remove("gone@inbox.ngo", now=visitor.site.clock())
        answers = [
            await visitor.ask("unknown@inbox.ngo"),
            await visitor.ask("unknown@inbox.ngo"),
            await visitor.ask("known@inbox.ngo"),
            await visitor.ask("gone@inbox.ngo"),
            await visitor.ask("trapped@inbox.ngo", website="https://spam.example"),
        ]
        await arrived(mail, 2)  # unknown, and gone: only they can lift what keeps them out
        await asyncio.sleep(0.3)

        assert len(mail.taken) == 2
        assert len({repr(same(answer)) for answer in answers}) == 1
        assert answers[0].status_code == 200
        asked = {taken.recipients[0] for taken in mail.taken}
    assert {"unknown@inbox.ngo", "gone@inbox.ngo"} <= asked
    assert not {"known@inbox.ngo", "trapped@inbox.ngo"} & asked
    assert len(asked) == 2


@pytest.mark.slow
async def test_a_thousand_forms_for_one_address_are_one_mail(tmp_path: Path) -> None:
    """From as many networks, however the domain is written."""
    async with opened(tmp_path, proxies=1) as (visitor, mail):
        keys, opened_at = visitor.site.workspace.settings.signing_keys, visitor.site.clock()
        visitor.site.clock.move(timedelta(minutes=1))
        answers: set[str] = set()
        for number in range(1_000):
            stamp = form_stamp(keys, opened_at)
            domain = ("inbox.ngo", "INBOX.NGO", "Inbox.Ngo")[number % 3]
            form = {"address": f"mara@{domain}", "newsletter": "weekly", "stamp": stamp}
            network = {"X-Forwarded-For": f"10.9.9.9, 198.{number // 250}.{number % 250}.7"}
            answers.add(repr(same(await visitor.post("/subscribe", data=form, headers=network))))
        await arrived(mail, 1)

    assert len(answers) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"address": "mara at inbox"}, "Enter an email address"),
        ({"address": "mara@inbox.ngo\r\nBcc: all@inbox.ngo"}, "Enter an email address"),
        ({"address": ""}, "Enter an email address"),
        ({"newsletter": "daily"}, "Choose at least one newsletter"),
        ({"newsletter": []}, "Choose at least one newsletter"),
        ({"stamp": "never"}, "Please fill it in once more"),
    ],
)
async def test_a_form_that_is_wrong_comes_back(tmp_path: Path, change: dict[str, str], words: str) -> None:
    """With what to do, said once, and with the address to be mended; no mail, nothing kept."""
    async with opened(tmp_path) as (visitor, mail):
        before = visitor.site.contents()
        answer = await visitor.ask(**{"address": READER, **change})  # type: ignore[arg-type]

        assert answer.status_code == 422
        assert words in answer.text
        assert answer.text.count(words) == 1
        assert f'value="{change.get("address", READER)}"' in answer.text
        assert visitor.site.contents() == before
        assert not mail.taken


async def test_a_form_that_comes_at_once_is_asked_for_again(tmp_path: Path) -> None:
    """A person may be that quick; pressing the button once more is enough."""
    async with opened(tmp_path) as (visitor, mail):
        page = (await visitor.get("/subscribe")).text
        form = {"address": READER, "newsletter": "weekly", "stamp": stamp_of(page)}
        hasty = await visitor.post("/subscribe", data=form)
        assert hasty.status_code == 422

        visitor.site.clock.move(timedelta(seconds=4))
        again = await visitor.post("/subscribe", data={**form, "stamp": stamp_of(hasty.text)})
        assert again.status_code == 200
        await arrived(mail, 1)


@pytest.mark.parametrize("answer", ["550 5.1.1 no such person", "451 4.3.0 later"])
async def test_whoever_got_no_mail_may_ask_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    """Only a mail that went counts as the one of the day."""
    monkeypatch.setattr(confirmations, "PAUSES", ())
    async with opened(tmp_path) as (visitor, mail):
        mail.fail("RCPT", answer)
        await visitor.ask(READER)
        await until(lambda: not visitor.site.contents()["signup"])
        assert not mail.taken

        await visitor.ask(READER)
        await arrived(mail, 1)
        await visitor.ask(READER)
        await asyncio.sleep(0.2)
        assert len(mail.taken) == 1


async def test_a_mail_server_that_says_later_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person need not know."""
    monkeypatch.setattr(confirmations, "PAUSES", (0.01,))
    async with opened(tmp_path) as (visitor, mail):
        mail.fail("RCPT", "451 4.3.0 later")
        await visitor.ask(READER)
        await arrived(mail, 1)


async def test_stop_stops_confirmations_too(tmp_path: Path) -> None:
    """And whoever asked meanwhile may ask again."""
    async with opened(tmp_path) as (visitor, mail):
        visitor.site.workspace.ledger.hold("*", "held by mali", visitor.site.clock())
        await visitor.ask(READER)
        await until(lambda: not visitor.site.contents()["signup"])
        assert not mail.taken

        visitor.site.workspace.ledger.release("*")
        await visitor.ask(READER)
        await arrived(mail, 1)


# --------------------------------------------------------------------------- confirming


async def test_looking_is_not_confirming(tmp_path: Path) -> None:
    """A scanner opens the link; a person presses the button, and may press it twice."""
    async with opened(tmp_path) as (visitor, mail):
        await visitor.ask(READER, "weekly", "monthly")
        path = link_in((await arrived(mail, 1))[0])
        before = visitor.site.contents()
        page = await visitor.get(path)
        await visitor.head(path)
        assert "The Long Table" in page.text
        assert READER not in page.text
        assert visitor.site.contents() == before

        first = await visitor.post(path)
        kept = visitor.site.contents()
        second = await visitor.post(path)
        assert same(first) == same(second)
        assert visitor.site.contents() == kept
        assert set(visitor.site.reader().newsletters) == {"weekly", "monthly"}


async def test_a_link_runs_out_after_seven_days(tmp_path: Path) -> None:
    """And says where to get a new one; nothing has changed."""
    async with opened(tmp_path) as (visitor, mail):
        await visitor.ask(READER)
        path = link_in((await arrived(mail, 1))[0])
        visitor.site.clock.move(timedelta(days=7))

        for answer in (await visitor.get(path), await visitor.post(path)):
            assert answer.status_code == 410
            assert "/subscribe" in answer.text
        assert visitor.site.workspace.audience.find(READER) is None


async def test_a_link_that_we_did_not_make_does_nothing(tmp_path: Path) -> None:
    """For each purpose and method: 400, and the store as it was."""
    async with opened(tmp_path) as (visitor, _):
        add_reader(visitor.site.workspace, READER)
        reader, token = visitor.site.reader(), visitor.site.token()
        keys = visitor.site.workspace.settings.signing_keys
        wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
        paths = [
            f"/u/weekly/{wrong}",
            f"/p/weekly/{wrong}",
            f"/u/monthly/{token}",
            f"/p/monthly/{token}",
            f"/c/{token}",
            "/c/x",
            f"/u/weekly/{confirm_token(keys, signup=reader.id)}",
        ]
        before = visitor.site.contents()
        for path in paths:
            for answer in (await visitor.get(path), await visitor.post(path, data={"pause": "weeks"})):
                assert answer.status_code == 400
        assert visitor.site.contents() == before


async def test_a_signup_that_nobody_knows_has_run_out(tmp_path: Path) -> None:
    """Signed by us, and swept away."""
    async with opened(tmp_path) as (visitor, _):
        keys = visitor.site.workspace.settings.signing_keys
        answer = await visitor.post(f"/c/{confirm_token(keys, signup='ab' * 16)}")

        assert answer.status_code == 410


# --------------------------------------------------------------------------- leaving


@pytest.fixture
def reading(tmp_path: Path) -> Iterator[tuple[Site, str]]:
    """A site with a reader of both newsletters, and their token for the weekly one."""
    with served(make_site(tmp_path / "news")) as site:
        add_reader(site.workspace, READER, name="Mara", newsletters=["weekly", "monthly"])
        yield site, site.token()


@pytest.mark.parametrize("form", ["urlencoded", "multipart", "page", "empty", "broken"])
def test_one_post_is_enough(reading: tuple[Site, str], form: str) -> None:
    """As a mailbox provider sends it, either way, and as the page does: 200, no redirect, no cookie."""
    site, token = reading
    field = {"List-Unsubscribe": "One-Click"}
    request = {
        "urlencoded": {"data": field},
        "multipart": {"files": {name: (None, value) for name, value in field.items()}},
        "page": {"data": {}},
        "empty": {},
        "broken": {"content": b"\xff\x00--", "headers": {"content-type": "multipart/form-data"}},
    }[form]

    for _ in range(2):
        answer = httpx.post(f"{site.url}/u/weekly/{token}", **request)  # type: ignore[arg-type]

        assert answer.status_code == 200
        assert not {"location", "set-cookie"} & set(answer.headers)
    assert site.reader().newsletters == ("monthly",)
    (left,) = [row for row in site.contents()["consent"] if "left" in row]
    assert ("one click" if form in ("urlencoded", "multipart") else "page") in left


def test_a_forwarded_link_shows_nobody(reading: tuple[Site, str]) -> None:
    """Neither address nor name, on no page; and who has left looks like who has not."""
    site, token = reading
    pages = [httpx.get(f"{site.url}/{kind}/weekly/{token}") for kind in "up"]
    answer = httpx.post(f"{site.url}/u/weekly/{token}")
    after = httpx.get(f"{site.url}/u/weekly/{token}")

    for page in (*pages, answer, after):
        assert "mara" not in page.text.casefold()
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "noindex" in page.headers["x-robots-tag"]
    assert same(pages[0]) == same(after)
    assert httpx.get(f"{site.url}/p/weekly/{token}").status_code == 410


def test_a_newsletter_that_is_no_more_can_still_be_left(reading: tuple[Site, str]) -> None:
    """Links never run out, whatever becomes of bot.toml."""
    site, _ = reading
    token = site.token("an_old_one")

    assert httpx.get(f"{site.url}/u/an_old_one/{token}").status_code == 200
    assert httpx.post(f"{site.url}/u/an_old_one/{token}").status_code == 200


# --------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("pause", "day", "until"),
    [
        ("none", "", None),
        ("weeks", "", "2026-12-09T00:00:00+07:00"),
        ("date", "2026-12-24", "2026-12-24T00:00:00+07:00"),
    ],
)
def test_settings_are_kept(reading: tuple[Site, str], pause: str, day: str, until: str | None) -> None:
    """The form, the language of the newsletter's words, and the first day with mail again."""
    site, token = reading
    form = {"form": "plain", "lang": "th", "pause": pause, "day": day}
    answer = httpx.post(f"{site.url}/p/weekly/{token}", data=form)

    assert answer.status_code == 200
    kept = site.workspace.leaving.preferences(site.reader().id, "weekly")
    assert kept is not None
    assert (kept.form, kept.lang) == ("plain", "th")
    zone = site.workspace.settings.publication.timezone
    paused = kept.paused_until and kept.paused_until.astimezone(zone).isoformat()
    assert paused == until


@pytest.mark.parametrize("day", ["", "tomorrow", "2026-11-25", "2026-11-01", "2027-12-01", "20261224x"])
def test_a_day_that_cannot_be_is_told(reading: tuple[Site, str], day: str) -> None:
    """And nothing is kept."""
    site, token = reading
    before = site.contents()
    form = {"form": "plain", "lang": "th", "pause": "date", "day": day}
    answer = httpx.post(f"{site.url}/p/weekly/{token}", data=form)

    assert answer.status_code == 422
    assert "Choose a day" in answer.text
    assert site.contents() == before


def test_what_a_form_does_not_say_stays(reading: tuple[Site, str]) -> None:
    """An unknown form, language or pause changes nothing of what there was."""
    site, token = reading
    url = f"{site.url}/p/weekly/{token}"
    httpx.post(url, data={"form": "headlines", "lang": "es", "pause": "month"})
    before = site.contents()
    httpx.post(url, data={"form": "loud", "lang": "tlh", "pause": "for ever"})

    assert site.contents() == before


# --------------------------------------------------------------------------- a rehearsal


async def test_a_rehearsal_can_be_played_through(tmp_path: Path) -> None:
    """The mail is a file, and its link leads to the server on this machine."""
    with served(make_site(tmp_path / "news", mode="rehearsal")) as site, confirming(site):
        async with Visitor(site) as visitor:
            answer = await visitor.ask(READER)
            assert "outbox/" in answer.text
            outbox = tmp_path / "news" / "outbox" / "mail"
            await until(lambda: list(outbox.glob("*.eml")))
            (file,) = outbox.glob("*.eml")
            message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            (link,) = re.findall(r"http://\S+", message.get_content())
            assert link.startswith(f"{site.url}/c/")
            assert (await visitor.post(link)).status_code == 200
            assert site.workspace.audience.find(READER) is not None


# --------------------------------------------------------------------------- taking it back, reading on


def back_path(page: str) -> str:
    found = re.search(r'action="(/u/weekly/[\w-]{43}/back)"', page)
    assert found
    return found[1]


def test_leaving_can_be_taken_back_for_a_minute(reading: tuple[Site, str]) -> None:
    """Whole: the same reader with the same links, wishes and date; the record says both. By POST only."""
    site, token = reading
    before = site.contents()
    left = httpx.post(f"{site.url}/u/weekly/{token}")
    path = back_path(left.text)
    looked = httpx.get(site.url + path)

    site.clock.move(timedelta(seconds=59))
    back = httpx.post(site.url + path)

    assert looked.status_code == 405
    assert back.status_code == 200
    assert "Subscribed as before" in back.text
    after = site.contents()
    for table in ("subscriber", "subscription", "preference", "suppression"):
        assert after[table] == before[table]
    assert [row for row in after["consent"] if "taken back" in row]
    assert httpx.get(f"{site.url}/p/weekly/{token}").status_code == 200


def test_after_a_minute_or_a_second_time_it_is_too_late(reading: tuple[Site, str]) -> None:
    site, token = reading
    path = back_path(httpx.post(f"{site.url}/u/weekly/{token}").text)
    site.clock.move(timedelta(seconds=61))

    late = httpx.post(site.url + path)

    assert late.status_code == 410
    assert "Too late to take it back" in late.text
    assert "weekly" not in site.reader().newsletters


def test_attack_whoever_has_the_link_of_somebody_who_left_brings_nobody_back(
    reading: tuple[Site, str],
) -> None:
    """Leaving once more gives a page of the same look, whose button opens nothing; nor does another token."""
    site, token = reading
    first = httpx.post(f"{site.url}/u/weekly/{token}")

    second = httpx.post(f"{site.url}/u/weekly/{token}")

    assert httpx.post(site.url + back_path(second.text)).status_code == 410
    assert httpx.post(f"{site.url}/u/weekly/{token}/back").status_code == 400
    assert httpx.post(site.url + back_path(first.text).replace("weekly", "monthly")).status_code == 400
    assert "weekly" not in site.reader().newsletters
    hide = re.compile(r"/u/weekly/[\w-]{43}/back")
    assert hide.sub("", first.text) == hide.sub("", second.text)


def test_who_was_erased_meanwhile_is_not_brought_back(reading: tuple[Site, str]) -> None:
    """The later decision stands."""
    site, token = reading
    path = back_path(httpx.post(f"{site.url}/u/weekly/{token}").text)
    site.workspace.leaving.erase(READER, site.clock())

    assert httpx.post(site.url + path).status_code == 410
    assert site.workspace.audience.find(READER) is None


def test_the_last_page_leads_on(reading: tuple[Site, str]) -> None:
    """To the first page, where nothing has gone out yet; see the archive's tests for the latest issue."""
    site, token = reading

    assert 'href="/"' in httpx.post(f"{site.url}/u/weekly/{token}").text
