"""Other programs are told what happens: signed, at least once, and with no more than they asked for."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from standardwebhooks import Webhook, WebhookVerificationError

from bot.app.hooks import Told, scope_of, statuses, tell, tell_due, tell_until_stopped, try_again, try_out
from bot.app.workspace import Workspace
from bot.errors import ConfigError
from bot.hooks.answers import LEASE, TRIES, Answer, Verdict, judge, kept
from bot.hooks.calling import call, client
from bot.hooks.signing import headers, key_of
from bot.store.engine import reading, writing
from bot.store.hooks import FAILED, PLANNED, SENT, Event, Hooks
from bot.store.schema import hook_call
from tests.support.commands import bot
from tests.support.hook_server import SECRET, HookServer, Reply, hook_server
from tests.support.live_workspace import SECRET_KEY, SETTINGS

NOW = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)
READER = "00112233445566778899aabbccddeeff"


@contextmanager
def workspace(
    folder: Path, url: str, *, more: str = "", mode: str = "live", name: str = "crm"
) -> Iterator[Workspace]:
    """A workspace with one hook."""
    folder.mkdir(exist_ok=True)
    settings = SETTINGS.format(port=25).replace('mode = "live"', f'mode = "{mode}"')
    (folder / "bot.toml").write_text(f'{settings}security = "none"\n\n[hooks.{name}]\nurl = "{url}"\n{more}')
    secret = f"BOT_HOOKS__{name.upper()}__SECRET={SECRET}"
    (folder / ".env").write_text(f"BOT_SECRET_KEY={SECRET_KEY}\n{secret}\n")
    (folder / "queue").mkdir(exist_ok=True)
    here = Workspace(folder)
    try:
        yield here
    finally:
        here.release()


@pytest.fixture
def server() -> Iterator[HookServer]:
    with hook_server() as there:
        yield there


@pytest.fixture
def here(tmp_path: Path, server: HookServer) -> Iterator[Workspace]:
    with workspace(tmp_path / "news", server.url) as opened:
        yield opened


def told(here: Workspace, at: datetime = NOW) -> list[Told]:
    return asyncio.run(tell_due(here, clock=lambda: at))


def subscribed(here: Workspace, *, at: datetime = NOW, reader: str = READER) -> None:
    tell(here, "subscribed", now=at, newsletter="weekly", subscriber=reader, address="ana@shelf.ngo")


# --------------------------------------------------------------------------- what is told, and how


def test_an_event_is_told_once_and_signed(here: Workspace, server: HookServer) -> None:
    """With an opaque id, never the address; afterwards nothing of it is kept but that it was told."""
    subscribed(here)

    first, second = told(here), told(here)

    assert [each.verdict for each in first] == [Verdict.DONE]
    assert second == []
    (heard,) = server.heard
    assert heard.event == {
        "id": heard.id,
        "type": "subscribed",
        "timestamp": "2026-11-27T02:00:00Z",
        "publication": "The Weekly Shelf",
        "newsletter": "weekly",
        "subscriber": READER,
        "data": {},
    }
    assert heard.id.startswith("msg_")
    assert heard.headers["content-type"] == "application/json"
    assert heard.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    (kept_call,) = here.hooks.calls(states=[SENT], limit=9)
    assert (kept_call.body, kept_call.said) == ("", "204")


def test_the_standards_own_library_takes_it(server: HookServer) -> None:
    """A call of this moment verifies; a changed body does not."""
    now, body = datetime.now(UTC), b'{"id":"msg_1"}'
    signed = headers(SECRET, id="msg_1", at=now, body=body)

    assert Webhook(SECRET).verify(body, signed) == {"id": "msg_1"}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(b'{"id":"msg_2"}', signed)


@given(
    st.binary(min_size=24, max_size=64),
    st.text(st.characters(codec="utf-8")),
    st.datetimes(timezones=st.just(UTC)).filter(lambda at: at.year >= 1971),
)
def test_every_signature_is_the_standards(key: bytes, body: str, at: datetime) -> None:
    """Whatever the key, the body and the moment."""
    secret = "whsec_" + base64.b64encode(key).decode()

    signed = headers(secret, id="msg_1", at=at, body=body.encode())

    whole = at.replace(microsecond=0)
    assert signed["webhook-signature"] == Webhook(secret).sign("msg_1", whole, body)


def test_an_address_is_told_only_where_it_was_asked_for(tmp_path: Path, server: HookServer) -> None:
    """addresses = true."""
    with workspace(tmp_path / "news", server.url, more="addresses = true\n") as here:
        subscribed(here)
        told(here)

    assert server.heard[0].event["address"] == "ana@shelf.ngo"


def test_only_the_events_that_were_asked_for_are_told(tmp_path: Path, server: HookServer) -> None:
    """The others are not even noted."""
    with workspace(tmp_path / "news", server.url, more='events = ["left"]\n') as here:
        subscribed(here)
        tell(here, "left", now=NOW, newsletter="weekly", subscriber=READER)
        told(here)

    assert [heard.event["type"] for heard in server.heard] == ["left"]


def test_what_is_rolled_back_is_not_told(here: Workspace, server: HookServer) -> None:
    """An event is noted within the transaction in which it happened."""
    with suppress(ZeroDivisionError), writing(here.engine) as connection:
        here.teller(connection, Event(kind="subscribed", at=NOW, subscriber=READER))
        raise ZeroDivisionError

    assert told(here) == []
    assert server.heard == []


def test_an_issue_noticed_twice_has_one_id(here: Workspace, server: HookServer) -> None:
    """So whoever is told twice can know."""
    with writing(here.engine) as connection:
        for number, minutes in ((12, 0), (13, 0), (12, 5)):
            at = NOW + timedelta(minutes=minutes)
            here.teller(connection, Event(kind="issue.sent", at=at, data={"number": number}, once=True))

    told(here, NOW + timedelta(minutes=9))

    assert [heard.event["data"]["number"] for heard in server.heard] == [12, 13, 12]
    assert len(set(server.ids)) == 2


def test_a_rehearsal_tells_nobody(tmp_path: Path, server: HookServer) -> None:
    """It writes what it would tell, and nothing is left to be told when the mode becomes live."""
    with workspace(tmp_path / "news", server.url, mode="rehearsal") as here:
        subscribed(here)
        told(here)
        (file,) = (here.outbox_folder / "hooks").iterdir()
        assert json.loads(file.read_text())["type"] == "subscribed"
    with workspace(tmp_path / "news", server.url) as here:
        told(here)

    assert server.heard == []


# --------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(status=500, body=b"<h1>Oh\n no</h1> ana@shelf.ngo"), "500: <h1>Oh no</h1> <address>"),
        (Reply(status=404), "404"),
        (
            Reply(status=302, headers={"Location": "http://127.0.0.1:1/"}),
            "302: leads elsewhere, and is not followed",
        ),
        (Reply(status=503, body=b"\x00\xff" * 5_000), "503: "),
        (Reply(hang_up=True), "no answer: RemoteProtocolError"),
    ],
    ids=["an error", "not found", "a redirect", "garbage", "hangs up"],
)
def test_what_is_not_taken_is_told_again(
    here: Workspace, server: HookServer, caplog: pytest.LogCaptureFixture, reply: Reply, said: str
) -> None:
    """After a while, with the same id and a new time; nothing of the reader is in the log."""
    server.replies = [reply, Reply()]
    subscribed(here)

    with caplog.at_level(logging.DEBUG):
        (first,) = told(here)
        at_once = told(here)
        (second,) = told(here, NOW + timedelta(seconds=31))

    assert (first.verdict, second.verdict, at_once) == (Verdict.AGAIN, Verdict.DONE, [])
    assert first.said.startswith(said)
    assert len(first.said) < 220
    assert server.ids[0] == server.ids[1]
    times = [int(heard.headers["webhook-timestamp"]) for heard in server.heard]
    assert times[1] - times[0] == 31
    assert "ana@" not in caplog.text
    assert "private-part" not in caplog.text


async def once(server: HookServer, *, patience: float) -> Answer:
    body = b'{"id":"msg_1"}'
    signed = headers(SECRET, id="msg_1", at=NOW, body=body)
    async with client("Broadside") as http:
        return await call(http, server.url, headers=signed, body=body, patience=patience)


def test_a_late_answer_is_no_answer(server: HookServer) -> None:
    """The patience is for the whole attempt."""
    server.replies = [Reply(wait=10)]

    answer = asyncio.run(once(server, patience=0.4))

    assert answer == Answer(said="no answer within 0.4 seconds")


def test_words_that_come_drop_by_drop_are_not_waited_for(server: HookServer) -> None:
    """It was taken, as the status says; a hundred bytes would take most of a minute."""
    server.replies = [Reply(status=200, body=b"x" * 100, drip=0.4)]

    answer = asyncio.run(once(server, patience=4))

    assert answer.status == 200
    assert 0 < len(answer.said) < 20


def test_endless_words_are_not_read(server: HookServer) -> None:
    """A little of them is enough."""
    server.replies = [Reply(status=500, body=b"x" * 50_000_000)]

    answer = asyncio.run(once(server, patience=30))

    assert answer.said == "500: " + "x" * 200


def test_a_program_that_is_gone_is_paused_and_a_person_told(here: Workspace, server: HookServer) -> None:
    """410: no more calls until a person says so; what happens meanwhile waits."""
    server.replies = [Reply(status=410, body=b"moved out"), Reply()]
    subscribed(here)
    subscribed(here, reader="f" * 32)

    (gone,) = told(here)
    subscribed(here, at=NOW + timedelta(seconds=1), reader="e" * 32)
    quiet = told(here, NOW + timedelta(days=2))
    shown = bot("hooks", "list", workspace=here.root)
    retried = bot("hooks", "retry", "crm", workspace=here.root)
    after = told(here, datetime.now(UTC) + timedelta(minutes=1))

    assert gone.verdict is Verdict.GONE
    assert quiet == []
    assert shown.code == 1
    assert "wants no more calls" in " ".join(shown.out.split())
    assert "private-part" not in shown.out
    assert "3 events will be told to crm" in retried.out
    assert [each.verdict for each in after] == [Verdict.DONE] * 3
    assert len(set(server.ids)) == 3
    assert scope_of("crm") not in here.ledger.holds()


def test_after_eight_tries_within_a_day_a_person_is_asked(here: Workspace, server: HookServer) -> None:
    """The waits grow; the call is kept, and can be made again."""
    server.replies = [Reply(status=500)]
    subscribed(here)
    at, verdicts = NOW, list[Verdict]()
    while len(verdicts) < 20 and (due := here.hooks.calls(states=[PLANNED], limit=1)):
        assert due[0].due is not None
        at = due[0].due
        verdicts += [each.verdict for each in told(here, at)]

    assert verdicts == [Verdict.AGAIN] * 7 + [Verdict.FAILED]
    assert timedelta(hours=20) < at - NOW < timedelta(hours=26)
    assert len(set(server.ids)) == 1
    (status,) = statuses(here)
    assert [failed.said for failed in status.failed] == ["500"]
    server.replies = [Reply()]
    assert try_again(here, "crm", now=at) == 1
    assert [each.verdict for each in told(here, at)] == [Verdict.DONE]


def test_one_slow_program_does_not_keep_another_waiting(tmp_path: Path, server: HookServer) -> None:
    """Each hook has a line of its own; after a failure the rest of its line waits, too."""
    with hook_server(Reply(status=500)) as other:
        more = f'\n[hooks.desk]\nurl = "{other.url}"\n'
        folder = tmp_path / "news"
        folder.mkdir()
        with workspace(folder, server.url) as _:
            pass
        with (folder / "bot.toml").open("a") as file:
            file.write(more)
        with (folder / ".env").open("a") as file:
            file.write(f"BOT_HOOKS__DESK__SECRET={SECRET}\n")
        here = Workspace(folder)
        for number in range(5):
            subscribed(here, reader=f"{number:032x}")

        found = told(here)
        here.release()

    assert len(server.heard) == 5
    assert len(other.heard) == 1
    assert len(found) == 6


@given(
    attempts=st.integers(1, 50),
    status=st.none() | st.integers(100, 599),
    asked=st.none() | st.timedeltas(timedelta(), timedelta(days=400)),
)
def test_every_answer_has_one_meaning(attempts: int, status: int | None, asked: timedelta | None) -> None:
    """2xx is done, 410 is gone, all else is tried again within a day and at most eight times."""
    verdict, due = judge(Answer(said="", status=status, retry_after=asked), attempts=attempts, now=NOW)

    if status is not None and 200 <= status < 300:
        assert verdict is Verdict.DONE
    elif status == 410:
        assert verdict is Verdict.GONE
    elif attempts >= TRIES:
        assert verdict is Verdict.FAILED
    else:
        assert verdict is Verdict.AGAIN
        assert due is not None
        assert NOW < due <= NOW + timedelta(days=1)
        assert due >= NOW + min(asked or timedelta(), timedelta(days=1))
    assert (due is None) == (verdict is not Verdict.AGAIN)


@given(st.integers(400, 599), st.binary(max_size=3_000))
def test_of_an_answer_little_is_kept(status: int, body: bytes) -> None:
    """Printable, short."""
    said = kept(status, body)

    assert said.isprintable()
    assert len(said) <= 205


# --------------------------------------------------------------------------- the store


def add(engine: Engine, hook: str = "crm", *, at: datetime = NOW) -> None:
    with writing(engine) as connection:
        Hooks(engine).add(connection, hook, "left", '{"id":"msg_1"}', at)


def test_a_call_is_lent_to_one_process(any_store: Engine) -> None:
    """And to another one when the first died with it."""
    hooks = Hooks(any_store)
    add(any_store)

    first = hooks.take("crm", NOW, lease=LEASE)
    meanwhile = hooks.take("crm", NOW + LEASE / 2, lease=LEASE)
    second = hooks.take("crm", NOW + LEASE, lease=LEASE)

    assert first is not None
    assert second is not None
    assert meanwhile is None
    assert (first.body, first.attempts, second.attempts) == (second.body, 1, 2)


def test_who_comes_late_settles_nothing(any_store: Engine) -> None:
    """A process that slept over its lease does not undo what another one did."""
    hooks = Hooks(any_store)
    add(any_store)
    first = hooks.take("crm", NOW, lease=LEASE)
    second = hooks.take("crm", NOW + LEASE, lease=LEASE)
    assert first is not None
    assert second is not None

    hooks.settle(second, state=SENT, due=None, said="204")
    hooks.settle(first, state=FAILED, due=None, said="500")

    assert hooks.counts()["crm"].sent == 1
    assert hooks.take("crm", NOW + 9 * LEASE, lease=LEASE) is None


def test_old_calls_are_forgotten(any_store: Engine) -> None:
    """What was told after a week, everything after a month."""
    hooks = Hooks(any_store)
    for days in (1, 8, 29, 31):
        add(any_store, at=NOW - timedelta(days=days))
    for days in (1, 8):
        add(any_store, "desk", at=NOW - timedelta(days=days))
    while taken := hooks.take("desk", NOW, lease=LEASE):
        hooks.settle(taken, state=SENT, due=None, said="204")

    hooks.sweep(NOW)

    counts = hooks.counts()
    assert (counts["crm"].planned, counts["desk"].sent) == (3, 1)
    assert counts["crm"].oldest == NOW - timedelta(days=29)


# --------------------------------------------------------------------------- processes that end badly

TELLING = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from bot.app.hooks import tell_due
from bot.app.workspace import Workspace
asyncio.run(tell_due(Workspace(Path(sys.argv[1])), clock=lambda: datetime.fromisoformat(sys.argv[2])))
"""


def test_a_process_that_dies_while_it_tells_tells_again(here: Workspace, server: HookServer) -> None:
    """SIGKILL between the call and its answer: repeated after a while, with the same id."""
    server.replies = [Reply(wait=20), Reply()]
    subscribed(here)
    command = [sys.executable, "-c", TELLING, str(here.root), NOW.isoformat()]
    with subprocess.Popen(command) as child:
        assert server.arrived.wait(30)
        child.send_signal(signal.SIGKILL)

    too_soon = told(here, NOW + LEASE / 2)
    (again,) = told(here, NOW + LEASE)

    assert too_soon == []
    assert again.verdict is Verdict.DONE
    assert len(server.ids) == 2
    assert len(set(server.ids)) == 1


def tell_until_heard(here: Workspace, server: HookServer) -> None:
    """Beside other work, until a call has come in."""

    async def run() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(tell_until_stopped(here, stop, clock=lambda: NOW))
        await asyncio.to_thread(server.arrived.wait, 30)
        stop.set()
        await task

    asyncio.run(run())


def test_telling_goes_on_until_it_is_stopped(here: Workspace, server: HookServer) -> None:
    """Beside the sending of a running bot."""
    subscribed(here)

    tell_until_heard(here, server)

    assert len(server.heard) == 1
    with reading(here.engine) as connection:
        assert connection.scalars(select(hook_call.c.state)).all() == [SENT]


def test_a_fault_that_nobody_thought_of_is_told_and_ends_nothing(
    here: Workspace, server: HookServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says what and where, never what was in hand; the next look finds what is due."""
    subscribed(here)
    monkeypatch.setattr("bot.app.hooks.LOOK_EVERY", timedelta(milliseconds=10))
    take, broken = here.hooks.take, [RuntimeError(f"{READER} could not be told")]

    def taken(*args: object, **kwargs: object) -> object:
        if broken:
            raise broken.pop()
        return take(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(here.hooks, "take", taken)

    tell_until_heard(here, server)

    assert len(server.heard) == 1
    assert "RuntimeError at" in caplog.text
    assert READER not in caplog.text


# --------------------------------------------------------------------------- settings and commands


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("", "is empty: no call could be signed"),
        ("hush", "is not 'whsec_' and base64"),
        ("whsec_c2hvcnQ=", "of 24 to 64"),
    ],
)
def test_live_mode_wants_a_secret_that_signs(tmp_path: Path, secret: str, words: str) -> None:
    """And says how to make one, without showing what was written."""
    with workspace(tmp_path / "news", "https://crm.shelf.ngo/tell"):
        pass
    env = tmp_path / "news" / ".env"
    env.write_text(f"BOT_SECRET_KEY={SECRET_KEY}\nBOT_HOOKS__CRM__SECRET={secret}\n")

    with pytest.raises(ConfigError, match=words) as error:
        Workspace(tmp_path / "news")

    assert "BOT_HOOKS__CRM__SECRET" in str(error.value)
    assert "make one with" in str(error.value)
    assert not secret or secret not in str(error.value)


def test_the_secret_that_the_advice_makes_is_one() -> None:
    """The line in .env.example and in the error."""
    assert len(key_of("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())) == 32


@pytest.mark.parametrize(
    "url", ["http://crm.shelf.ngo/tell", "http://192.0.2.1/", "http://localhost.shelf.ngo/"]
)
def test_nobody_on_the_way_may_read_along(tmp_path: Path, url: str) -> None:
    """Live mode wants https, unless the program is on this computer."""
    with (
        pytest.raises(ConfigError, match=r"hooks\.crm\.url: is not https"),
        workspace(tmp_path / "news", url),
    ):
        pass


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost/", "https://crm.shelf.ngo"]
)
def test_a_program_on_this_computer_may_have_http(tmp_path: Path, url: str) -> None:
    """Nobody else can listen there."""
    with workspace(tmp_path / "news", url) as here:
        assert statuses(here)[0].to == url.rstrip("/").replace("[::1]", "::1")


def test_a_hook_can_be_tried_out(here: Workspace, server: HookServer) -> None:
    """A signed event of its own type; the exit code says whether it was taken."""
    server.replies = [Reply(status=200, body=b"thank you"), Reply(status=500)]

    well = bot("hooks", "test", "crm", workspace=here.root)
    badly = bot("hooks", "test", "crm", workspace=here.root)
    unknown = bot("hooks", "test", "desk", workspace=here.root)

    assert (well.code, badly.code, unknown.code) == (0, 1, 3)
    assert "crm: 200: thank you" in well.out
    assert "there is no hook 'desk' in bot.toml; hooks here: crm" in unknown.err
    assert [heard.event["type"] for heard in server.heard] == ["test", "test"]


def test_hooks_are_listed_for_people_and_programs(here: Workspace, server: HookServer) -> None:
    """Never with the whole address, which may hold a key."""
    subscribed(here)
    told(here)

    ran = bot("hooks", "list", workspace=here.root)
    listed = bot("hooks", "list", "--json", workspace=here.root)

    assert (ran.code, listed.code) == (0, 0)
    assert f"http://127.0.0.1:{server.port}" in ran.out
    assert "private-part" not in ran.out + listed.out
    assert json.loads(listed.out)[0]["counts"]["sent"] == 1


def test_the_doctor_sees_what_is_not_taken(here: Workspace, server: HookServer) -> None:
    """Well, and then paused."""
    server.replies = [Reply(status=410)]

    well = bot("doctor", "--offline", workspace=here.root)
    subscribed(here)
    told(here)
    ill = bot("doctor", "--offline", workspace=here.root)

    assert f"hook crm: http://127.0.0.1:{server.port} is told of subscribed, confirmed" in well.out
    assert "hook crm is paused: the other side wants no more calls (410)" in ill.out


def test_a_rehearsal_tries_nothing_out(tmp_path: Path, server: HookServer) -> None:
    """It says where it wrote what it would have told."""
    with workspace(tmp_path / "news", server.url, mode="rehearsal") as here:
        answer = asyncio.run(try_out(here, "crm", now=NOW))

    assert "a rehearsal tells nobody; see" in answer.said
    assert server.heard == []
