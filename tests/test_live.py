"""The whole path in live mode: ticks and commands, the real libraries, servers on this machine."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import struct
import zlib
from collections.abc import AsyncIterator
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from bot.app.control import retry
from bot.app.loop import LONGEST_NAP, nap
from bot.app.preview import draft
from bot.app.publish import tick
from bot.app.readers import add_reader
from bot.app.send_test import compose_test
from bot.app.words import Outgoing
from bot.app.workspace import Workspace
from bot.model import Issue, State
from bot.store.engine import writing
from bot.store.schema import preference, subscriber
from tests.support import mastodon_server, telegram_server
from tests.support.listening import free_port
from tests.support.live_workspace import (
    NOW,
    PASSWORD,
    SECRET_KEY,
    Live,
    addresses,
    deliveries,
    ended,
    live_servers,
    mail_only,
    personal_words,
    start,
)
from tests.support.mastodon_server import POST_STATUS, MastodonServer
from tests.support.smtp_server import Taken, self_made_certificate, smtp_server

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_made_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def live(tmp_path: Path, certificate: Path) -> AsyncIterator[Live]:
    """Three readers, a Mastodon account and a Telegram channel, all due on Friday at 09:00."""
    async with live_servers(tmp_path, certificate) as running:
        yield running


def drafted(here: Path) -> dict[str, Outgoing]:
    """What a preview shows a minute before; the issue and the posts of the first item by their channel."""
    workspace = Workspace(here, readonly=True)
    try:
        outgoing = draft(workspace, (), newsletter=None, now=NOW - MINUTE)
    finally:
        workspace.engine.dispose()
    return {out.channel: out for out in outgoing if isinstance(out.what, Issue) or out.what.id == "window"}


def mail_of(taken: Taken) -> EmailMessage:
    mail = message_from_bytes(taken.content, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return mail


def part(mail: EmailMessage, kind: str) -> str:
    found = mail.get_body((kind,))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")


def receivers(live: Live) -> list[str]:
    return sorted(taken.recipients[0] for taken in live.mail.taken)


# --------------------------------------------------------------------------- one tick


async def test_the_words_that_arrive_are_the_words_of_the_preview(live: Live) -> None:
    """Mail by mail, in both parts, with each reader's own link; the status and the post too."""
    shown = drafted(live.here)

    await live.tick()

    assert receivers(live) == sorted(addresses(3))
    for taken in live.mail.taken:
        mail, words = mail_of(taken), personal_words(live.here, shown["mail"], taken.recipients[0])
        assert (part(mail, "plain"), part(mail, "html")) == (words.text, words.html)
        assert mail["Subject"] == words.subject
        assert words.mailing is not None
        assert mail["List-Unsubscribe"] == f"<{words.mailing.unsubscribe_url}>"
    assert [status.text for status in live.mastodon.statuses] == [shown["mastodon"].message.text]
    (message,) = live.telegram.messages
    assert message.parameters["caption"] == shown["telegram"].message.text


async def test_a_newsletter_that_greets_says_each_readers_name(live: Live) -> None:
    """In their own language; who told no name is greeted without one."""
    live.change('slots = ["Fri 09:00"]\nsender', 'greeting = true\nslots = ["Fri 09:00"]\nsender')
    workspace = Workspace(live.here)
    ana, layla, nobody = addresses(3)
    add_reader(workspace, ana, name="Ana <b>O’Neill</b>")
    add_reader(workspace, layla, name="ليلى", lang="ar")
    with writing(workspace.engine) as connection:
        connection.execute(update(subscriber).where(subscriber.c.address == nobody).values(name=""))
    workspace.release()

    await live.tick()

    mails = {taken.recipients[0]: mail_of(taken) for taken in live.mail.taken}
    assert "\nHello Ana <b>O’Neill</b>,\n" in part(mails[ana], "plain")
    assert 'Hello <span dir="auto">Ana &lt;b&gt;O’Neill&lt;/b&gt;</span>,' in part(mails[ana], "html")
    assert "\nمرحبًا ليلى،\n" in part(mails[layla], "plain")
    assert "\nHello,\n" in part(mails[nobody], "plain")


async def test_each_reader_gets_the_issue_as_they_want_it(live: Live) -> None:
    """One in Arabic around the stories, one as plain text, one as headlines; the rest as ever."""
    workspace = Workspace(live.here)
    arabic, plain, headlines = addresses(3)
    add_reader(workspace, arabic, lang="ar")
    with writing(workspace.engine) as connection:
        for address, form in ((plain, "plain"), (headlines, "headlines")):
            reader = workspace.audience.find(address)
            assert reader is not None
            row = {"newsletter": "weekly", "subscriber_id": reader.id, "form": form}
            connection.execute(insert(preference), row)
    workspace.release()

    await live.tick()

    mails = {taken.recipients[0]: mail_of(taken) for taken in live.mail.taken}
    assert "إلغاء الاشتراك" in part(mails[arabic], "html")
    assert mails[plain].get_content_type() == "text/plain"
    assert "Unsubscribe" in part(mails[plain], "plain")
    assert len(part(mails[headlines], "html")) < len(part(mails[arabic], "html"))
    summary = Workspace(live.here, readonly=True).item("window").summary
    assert summary in part(mails[plain], "plain").replace("\n", " ")
    assert summary not in part(mails[headlines], "plain").replace("\n", " ")
    assert all(mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click" for mail in mails.values())


async def test_only_what_may_be_recorded_asks_what_the_readers_want(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A preview and a test mail have the ordinary words; a dry run walks the way of the real one."""
    workspace = Workspace(live.here, readonly=True)
    asked: list[str] = []
    wishes = workspace.audience.wishes

    def watched(newsletter: str) -> frozenset[tuple[str, str]]:
        asked.append(newsletter)
        return wishes(newsletter)

    monkeypatch.setattr(workspace.audience, "wishes", watched)

    draft(workspace, (), newsletter=None, now=NOW - MINUTE)
    compose_test(workspace, "editor@news.shelf.ngo", (), newsletter="weekly", now=NOW - MINUTE)
    assert asked == []

    await tick(workspace, NOW, dry_run=True)
    assert asked == ["weekly"]
    workspace.release()


async def test_no_picture_says_where_it_was_taken(live: Live) -> None:
    """What a camera wrote into the file goes out nowhere; the file itself stays as it is."""
    picture = live.here / "queue" / "images" / "window.png"
    whole, secret = picture.read_bytes(), b"13.7563N 100.5018E"
    note = struct.pack(">I", len(secret) + 8) + b"tEXt" + b"Comment\0" + secret
    note += struct.pack(">I", zlib.crc32(note[4:]))
    picture.write_bytes(whole[:33] + note + whole[33:])

    await live.tick()

    pictures = [part for mail in map(mail_of, (t for t in live.mail.taken)) for part in mail.walk()]
    sent = [part.get_content() for part in pictures if part.get_content_type() == "image/png"]
    sent += [upload.data for upload in live.mastodon.uploads.values()]
    sent += [message.photo for message in live.telegram.messages]
    assert len(sent) == 5
    assert sent == [whole] * 5
    assert secret in picture.read_bytes()


async def test_one_tick_sends_each_thing_once_and_a_second_one_nothing(live: Live) -> None:
    """Three mails, one status with key, note and described picture, one photo; then nothing is due."""
    first = await live.tick()
    second = await live.tick()
    status = await live.bot("status")

    assert first.report is not None
    assert second.report is not None
    assert (first.report.sent, dict(second.report.outcomes), second.outgoing) == (5, {}, ())
    assert first.report.problems == first.problems == second.plan.notices == ()
    (posted,) = live.mastodon.statuses
    (delivery,) = [d for d in live.deliveries() if d.channel == "mastodon"]
    (upload,) = live.mastodon.uploads.values()
    picture = (live.here / "queue/images/window.png").read_bytes()
    assert (posted.key, posted.spoiler_text) == (delivery.key, "Speaks of forced labour")
    assert (upload.description, upload.data) == ("A window; one pane holds a blue heart.", picture)
    assert posted.media_ids == (upload.id,)
    assert [message.photo for message in live.telegram.messages] == [picture]
    assert len(live.mail.taken) == 3
    assert status.code == 0
    assert "Mode: live" in status.out
    assert {(d.channel, d.state) for d in live.deliveries()} == {
        ("mail", State.SENT),
        ("mastodon", State.SENT),
        ("telegram", State.SENT),
    }


async def test_a_fault_of_our_own_over_one_item_stops_no_other(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a service's limits or an item's words trip over, the issue goes out, and the place is told."""
    workspace = Workspace(live.here)

    def broken(*_: object) -> Outgoing:
        raise KeyError("ana@example.org")

    async def gone() -> None:
        raise RuntimeError("ana@example.org")

    monkeypatch.setattr("bot.app.publish.post_words", broken)
    monkeypatch.setattr(workspace.channels["mastodon"], "refresh", gone)
    try:
        ticked = await tick(workspace, NOW)
    finally:
        await workspace.close()
        workspace.engine.dispose()

    assert receivers(live) == sorted(addresses(3))
    assert len(ticked.problems) == 2
    assert all("could not be rendered: KeyError at " in problem for problem in ticked.problems)
    assert "ana@" not in "".join(ticked.problems)


async def test_a_dry_run_in_live_mode_reaches_no_server(live: Live) -> None:
    """It shows every word, and neither a server nor the ledger hears of it."""
    ran = await live.bot("run", "--once", "--dry-run", "--now", "2026-11-27 09:00")

    assert ran.code == 0, ran.err
    assert "to 3 recipients" in ran.out
    assert (live.mail.connections, live.mastodon.requests, live.telegram.calls) == (0, [], [])
    assert live.deliveries() == []


async def test_a_test_mail_goes_to_one_address_and_leaves_no_trace(live: Live) -> None:
    """Marked as a test; the ledger does not count it."""
    ran = await live.bot("send-test", "--to", "editor@news.shelf.ngo")

    assert ran.code == 0, ran.err
    assert receivers(live) == ["editor@news.shelf.ngo"]
    assert str(mail_of(live.mail.taken[0])["Subject"]).startswith("[Test] ")
    assert live.deliveries() == []


# --------------------------------------------------------------------------- faults


async def test_a_status_whose_answer_was_lost_is_found_by_the_next_tick(live: Live) -> None:
    """502 after it was published: unknown, then settled by looking; it is posted exactly once."""
    live.mastodon.fail_next(POST_STATUS, mastodon_server.Fault.after(502))

    first = await live.tick()
    second = await live.tick(NOW + MINUTE)

    assert first.report is not None
    assert second.report is not None
    assert (first.report.unknown, first.report.sent) == (1, 4)
    assert (second.report.sent, second.report.unknown) == (1, 0)
    assert len(live.mastodon.statuses) == live.mastodon.count(POST_STATUS) == 1
    assert live.deliveries(State.UNKNOWN) == []


async def test_a_telegram_post_whose_answer_was_lost_waits_for_a_person(live: Live) -> None:
    """No tick posts it again; status says so with code 1, until somebody says what they saw."""
    live.telegram.fail_next(telegram_server.Fault.BAD_GATEWAY_AFTER)

    await live.tick()
    second = await live.tick(NOW + MINUTE)
    waiting = await live.bot("status")
    (unknown,) = live.deliveries(State.UNKNOWN)
    settled = await live.bot("settle", unknown.key[:8], "--sent")
    after = await live.bot("status")
    await live.tick(NOW + 2 * MINUTE)

    assert second.report is not None
    assert second.report.unknown == 1
    assert waiting.code == 1
    assert unknown.key[:12] in waiting.out
    assert "bot settle KEY" in waiting.err
    assert (settled.code, settled.out) == (0, "Now sent: window on telegram\n")
    assert after.code == 0
    assert len(live.telegram.messages) == 1


async def test_a_rehearsal_and_a_preview_know_the_limits_of_the_last_run(live: Live) -> None:
    """5,000 characters, told to the live run; later nobody asks."""
    live.mastodon.instance_v2 = MastodonServer(max_characters=5000).instance_v2
    await live.tick()
    asked = live.mastodon.count("GET /api/v2/instance")
    live.change('mode = "live"', 'mode = "rehearsal"')
    workspace = Workspace(live.here, readonly=True)

    assert workspace.channels["mastodon"].limits.characters == 5000
    assert live.mastodon.count("GET /api/v2/instance") == asked
    workspace.release()


async def test_a_post_refused_for_its_words_is_composed_anew_by_retry(live: Live) -> None:
    """The person mended the item: the new words go out, once."""
    too_long = mastodon_server.Fault.before(422, error="Validation failed: Text character limit exceeded")
    live.mastodon.fail_next(POST_STATUS, too_long)
    await live.tick()
    (failed,) = live.deliveries(State.FAILED)
    (file,) = live.here.glob("queue/*window*.md")
    title = re.search(r"^title: (.+)$", file.read_text(), re.MULTILINE)
    assert title is not None
    file.write_text(file.read_text().replace(title[1], '"A mended title"', 1))

    workspace = Workspace(live.here)
    retry(workspace, [failed.key[:8]], now=NOW + MINUTE)
    workspace.release()
    await live.tick(NOW + MINUTE)

    (status,) = live.mastodon.statuses
    assert "A mended title" in status.text


async def test_a_pause_that_a_service_asks_for_is_kept(live: Live) -> None:
    """429 with its time: not a second earlier, and nothing else waits for it."""
    wait = mastodon_server.Fault.before(429, headers={"Retry-After": "600"})
    live.mastodon.fail_next(POST_STATUS, wait)
    live.telegram.fail_next(telegram_server.Fault.FLOOD, retry_after=600)

    reports = [(await live.tick(NOW + n * MINUTE)).report for n in (0, 9, 10)]

    counts = [(report.sent, report.deferred) for report in reports if report]
    assert counts == [(3, 2), (0, 0), (2, 0)]
    assert (len(live.mastodon.statuses), len(live.telegram.messages)) == (1, 1)


async def test_a_mail_server_that_is_down_costs_nothing_but_time(live: Live) -> None:
    """Nobody is lost; each mail keeps the Message-ID that its key gave it."""
    live.change(f"port = {live.mail.port}", f"port = {(down := free_port())}")
    first = await live.tick()
    waiting = live.deliveries(State.PLANNED, State.DEFERRED)
    live.change(f"port = {down}", f"port = {live.mail.port}")

    second = await live.tick(NOW + 5 * MINUTE)

    assert first.report is not None
    assert second.report is not None
    assert (len(waiting), first.report.sent, second.report.sent) == (3, 2, 3)
    assert first.report.deferred == sum(each.state is State.DEFERRED for each in waiting) >= 1
    assert {each.attempts for each in waiting} == {0}
    ids = {f"<{d.key[:32]}@weekly.news.shelf.ngo>" for d in live.deliveries() if d.channel == "mail"}
    assert {mail_of(taken)["Message-ID"] for taken in live.mail.taken} == ids


async def test_a_second_attempt_is_the_same_mail_to_the_byte(live: Live) -> None:
    """Refused for now at the very end: later the same Message-ID and the same words come again."""
    live.mail.fail("DOT", "451 4.3.0 later")

    await live.tick()
    await live.tick(NOW + 5 * MINUTE)

    again = [taken.recipients for taken in live.mail.taken]
    (twice,) = [r for r in set(again) if again.count(r) == 2]
    first, second = (taken.content for taken in live.mail.taken if taken.recipients == twice)
    assert first == second
    assert len(again) == 4


async def test_a_reader_whose_address_is_gone_fails_alone(live: Live) -> None:
    """The others get theirs; neither status nor ledger repeats the address."""
    live.mail.fail("RCPT", "550 5.1.1 <reader0@inbox0.ngo> reader0 is unknown here")

    ran = await live.tick()
    status = await live.bot("status", "--json")

    assert ran.report is not None
    assert (ran.report.failed, ran.report.sent) == (1, 4)
    assert len(live.mail.taken) == 2
    assert "550" in status.out
    assert "inbox" not in status.out


@pytest.mark.parametrize(
    ("broken", "advice"),
    [
        ("mastodon", "check access_token"),
        ("telegram", "copy it again from @BotFather"),
        ("mail", "535"),
    ],
)
async def test_a_wrong_secret_stops_its_channel_and_no_other(live: Live, broken: str, advice: str) -> None:
    """One sentence says what to do, nothing is given up, and when it is mended all of it goes out."""
    right = {"mastodon": live.mastodon.token, "telegram": live.telegram.token, "mail": PASSWORD}[broken]
    wrong = right[:-1] + ("2" if right[-1] != "2" else "3")
    live.change(right, wrong, file=".env")

    first = await live.tick()
    live.change(wrong, right, file=".env")
    second = await live.tick(NOW + 5 * MINUTE)

    assert first.report is not None
    assert second.report is not None
    (problem,) = first.report.problems
    assert problem.startswith(f"{broken}: stopped for this run: ")
    assert advice in problem
    assert wrong not in problem
    assert first.report.sent + second.report.sent == 5
    assert second.report.sent == (3 if broken == "mail" else 1)
    assert (len(live.mail.taken), len(live.mastodon.statuses), len(live.telegram.messages)) == (3, 1, 1)


async def test_the_loop_does_not_hammer_a_server_that_refuses_the_login(
    tmp_path: Path, certificate: Path
) -> None:
    """Most mails are still overdue then: the loop sleeps its longest nap, or the account is locked."""
    async with live_servers(tmp_path, certificate, readers=9) as live:
        live.change(PASSWORD, "wrong " + PASSWORD, file=".env")
        await live.tick()
        workspace = Workspace(live.here, readonly=True)

        assert nap(workspace, NOW) == LONGEST_NAP
        assert len(live.mail.logins) <= 2
        workspace.engine.dispose()


async def test_who_leaves_between_planning_and_sending_gets_nothing(live: Live) -> None:
    """Planned, put off, and then unsubscribed: cancelled."""
    live.mail.fail("MAIL", "451 4.3.0 later", times=9)
    await live.tick()
    live.mail.faults.clear()
    removed = await live.bot("subscribers", "remove", addresses(3)[1])

    await live.tick(NOW + 5 * MINUTE)

    assert removed.code == 0
    assert receivers(live) == [addresses(3)[0], addresses(3)[2]]
    (cancelled,) = live.deliveries(State.CANCELLED)
    assert cancelled.error == "no longer subscribed"


# --------------------------------------------------------------------------- stop


@pytest.mark.parametrize("what", ["everything", "weekly", "mail", "window", "STOP"])
async def test_a_stop_in_the_middle_of_a_send_lets_only_the_calls_in_flight_through(
    tmp_path: Path, certificate: Path, what: str
) -> None:
    """While the mail server thinks about the first mail somebody stops; two are on the wire, no third one."""
    async with live_servers(tmp_path, certificate, readers=12) as live:
        stopped = asyncio.Event()

        async def stop(_: Taken) -> None:
            live.mail.when_taken = thinking
            if what == "STOP":
                (live.here / "STOP").touch()
            else:
                assert (await live.bot("hold", what)).code == 0
            stopped.set()

        async def thinking(_: Taken) -> None:
            await stopped.wait()

        live.mail.when_taken = stop
        await live.tick()
        stopped_at = len(live.mail.taken)
        await live.tick(NOW + MINUTE)
        still = len(live.mail.taken)
        (live.here / "STOP").unlink(missing_ok=True)
        await live.bot("resume", what if what != "STOP" else "everything")
        await live.tick(NOW + 2 * MINUTE)

        assert 1 <= stopped_at <= 2
        assert still == stopped_at
        assert receivers(live) == sorted(addresses(12))


async def test_a_stop_file_also_stops_what_was_planned_before(live: Live) -> None:
    """Deliveries that were put off stay where they are as long as the file lies there."""
    live.mastodon.fail_next(POST_STATUS, mastodon_server.Fault.before(429))
    await live.tick()
    (live.here / "STOP").touch()

    await live.tick(NOW + 60 * MINUTE)

    assert live.mastodon.statuses == []
    assert len(live.deliveries(State.DEFERRED)) == 1


# --------------------------------------------------------------------------- processes


@pytest.mark.slow
async def test_the_loop_sends_and_ends_on_sigterm(tmp_path: Path) -> None:
    """``bot run`` ticks at once; SIGTERM ends it with code 0, long before its nap is over."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=3)
        all_taken = asyncio.Event()

        async def ring(_: Taken) -> None:
            if len(mail.taken) == 3:
                all_taken.set()

        mail.when_taken = ring
        process = await start(here, NOW, "run")
        await asyncio.wait_for(all_taken.wait(), 60)
        process.send_signal(signal.SIGTERM)
        ran = await asyncio.wait_for(ended(process), 30)

    assert ran.code == 0, ran.err
    assert "Running in live mode" in ran.out
    assert "weekly@2026-11-27T09:00+07:00: 3 sent" in ran.err
    assert "@inbox" not in ran.out + ran.err


@pytest.mark.slow
@pytest.mark.parametrize(("args", "code"), [(("run",), 0), (("run", "--once"), 130)])
async def test_sigterm_in_the_middle_of_a_send_finishes_what_is_on_the_wire(
    tmp_path: Path, args: tuple[str, ...], code: int
) -> None:
    """It does not wait for the whole list, and nothing is left in doubt."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=12)

        async def terminate(_: Taken) -> None:
            mail.when_taken = None
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(1.5)  # the answer is slower than the signal

        mail.when_taken = terminate
        process = await start(here, NOW, *args)
        ran = await ended(process)

    assert ran.code == code, ran.err
    assert 1 <= len(mail.taken) <= 4
    states = {state: sum(d.state is state for d in deliveries(here)) for state in State}
    assert states[State.SENT] == len(mail.taken)
    assert states[State.PLANNED] == 12 - len(mail.taken)


@pytest.mark.slow
async def test_two_runs_at_once_send_nothing_twice(tmp_path: Path) -> None:
    """Ten times: the one that comes second ends with code 5 while the first is still at work."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=4)
        for week in range(10):
            new = (here / "queue" / "ports.md").read_text().replace("Ports", f"Ports {week}")
            (here / "queue" / f"ports-{week}.md").write_text(new)
            moment = NOW + timedelta(weeks=week)
            rivals = [await start(here, moment, "run", "--once") for _ in range(2)]
            ends = [asyncio.ensure_future(ended(rival)) for rival in rivals]

            async def wait_for_the_loser(_: Taken, ends: list[asyncio.Future[object]] = ends) -> None:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED, timeout=30)

            mail.when_taken = wait_for_the_loser
            ran = await asyncio.gather(*ends)
            assert sorted(r.code for r in ran) == [0, 5], [r.err for r in ran]
            assert "another run is at work here" in "".join(r.err for r in ran)

    ids = [mail_of(taken)["Message-ID"] for taken in mail.taken]
    assert len(ids) == len(set(ids)) == 40


# --------------------------------------------------------------------------- what must never be seen


async def test_no_secret_and_no_address_is_in_any_log(live: Live, caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG, through good and bad: no password, token or key; and in our own lines no address."""
    caplog.set_level(logging.DEBUG)
    for name in ("mail.log", "mail.debug"):  # the test's own mail server
        logging.getLogger(name).setLevel(logging.CRITICAL)
    live.mail.fail("RCPT", "550 5.1.1 <reader0@inbox0.ngo> reader0 is unknown here")
    live.telegram.fail_next(telegram_server.Fault.DROP)
    live.mastodon.fail_next(POST_STATUS, mastodon_server.Fault.after(502))

    for minutes in (0, 5, 60):
        await live.tick(NOW + minutes * MINUTE)
    live.change(PASSWORD, "wrong " + PASSWORD, file=".env")
    doctor = await live.bot("doctor")

    written = caplog.text + doctor.out + doctor.err
    assert re.search(r"weekly@2026-11-27T09:00\+07:00: \d+ sent", caplog.text)
    assert "httpcore" in caplog.text
    secret = (
        PASSWORD,
        SECRET_KEY,
        live.mastodon.token,
        live.telegram.token,
        live.telegram.token.split(":")[1],
    )
    assert [word for word in secret if word in written] == []
    ours = [record.getMessage() for record in caplog.records if record.name.split(".")[0] == "bot"]
    assert ours
    assert [line for line in ours if "inbox" in line] == []


# --------------------------------------------------------------------------- doctor


async def test_the_doctor_is_content(live: Live) -> None:
    """Each channel answers; nothing was sent."""
    ran = await live.bot("doctor")

    assert ran.code == 0, ran.out + ran.err
    assert "TLSv1.3, logged in as weekly@news.shelf.ngo" in ran.out
    assert "Live: what is due is sent for real" in ran.out
    assert re.search(r"newsletter weekly has [\d,]+ readers", ran.out)
    assert "posts as @broadside" in ran.out
    assert "may post to The Weekly Shelf" in ran.out
    assert (live.mail.taken, live.mastodon.statuses, live.telegram.messages) == ([], [], [])


@pytest.mark.parametrize(
    ("variable", "told"),
    [
        ("MAIL__PASSWORD", "check username in bot.toml and the password in .env"),
        ("MASTODON__ACCESS_TOKEN", "check access_token"),
        ("TELEGRAM__TOKEN", "copy it again from @BotFather"),
    ],
)
@pytest.mark.parametrize("secret", ["wrong", "missing"])
async def test_the_doctor_names_a_wrong_or_missing_secret(
    live: Live, variable: str, told: str, secret: str
) -> None:
    """Code 1 and advice; the other channels are asked all the same."""
    lines = (live.here / ".env").read_text().splitlines()
    (line,) = [line for line in lines if variable in line]
    name, _, value = line.partition("=")
    other = value[:-3] + ('zz"' if secret == "wrong" else "")
    live.change(line, f"{name}={other if secret == 'wrong' else ''}", file=".env")

    ran = await live.bot("doctor")

    assert ran.code == 1, ran.out + ran.err
    assert (told if secret == "wrong" else f"{name} is empty") in ran.out
    assert ran.out.count("✗") == 1
    assert sum(words in ran.out for words in ("logged in as", "posts as @", "may post to")) == 2


@pytest.mark.parametrize("silent", ["mail", "mastodon", "telegram"])
async def test_the_doctor_names_a_server_that_does_not_answer(live: Live, silent: str) -> None:
    """Code 1; which channel, and that nobody is there."""
    used = {
        "mail": f"port = {live.mail.port}",
        "mastodon": live.mastodon.url,
        "telegram": live.telegram.base_url,
    }[silent]
    port = used[-5:].strip(" :=")
    live.change(used, used.replace(port, str(free_port())))

    ran = await live.bot("doctor")

    assert ran.code == 1, ran.out + ran.err
    assert ran.out.count("✗") == 1
    (finding,) = [line for line in ran.out.splitlines() if line.startswith("✗")]
    assert f"{silent}: " in finding
