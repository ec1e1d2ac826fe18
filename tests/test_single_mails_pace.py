"""Confirmations and tests count against their account's pace: they wait for it, and none is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.app import confirmations
from bot.app.confirmations import Errand, send_confirmation, send_due
from bot.app.joining import LATEST as SLOWEST_DRAW
from bot.app.joining import wording
from bot.app.pacing import rest_if_asked, wicket_for
from bot.app.workspace import Workspace
from bot.errors import Blame, PermanentFailure, StoreError, TemporaryFailure
from bot.pace import PaceRules
from bot.store.joining import Limits, Recorded, SignupRequest
from tests.support.commands import bot
from tests.support.live_workspace import mail_only
from tests.support.site import NOON, make_site, record
from tests.support.smtp_server import Server, smtp_server

LATER = NOON + timedelta(minutes=3)


@dataclass(kw_only=True)
class Office:
    """A workspace that asks people back, and its mail server."""

    here: Path
    workspace: Workspace
    mail: Server
    asked: int = 0

    def ask(self, newsletter: str = "weekly") -> SignupRequest:
        """Somebody asks; their mail is decided on."""
        self.asked += 1
        request = SignupRequest(
            id=f"{self.asked:032x}",
            address=f"reader{self.asked}@inbox.ngo",
            newsletters=(newsletter,),
            lang="en",
            form_url="https://news.shelf.ngo/subscribe",
            wording=wording(self.workspace, "en"),
            ip="",
            asked_at=NOON,
        )
        assert record(self.workspace.joining, request, limits=Limits(per_ip_hour=200)) is Recorded.YES
        return request

    async def send(self, request: SignupRequest, **options: float) -> Errand:
        return await send_confirmation(self.workspace, request, now=NOON, pauses=(), **options)

    def waiting(self) -> list[str]:
        """Whose mail is promised and not sent."""
        return [request.id for request in self.workspace.joining.unsent(before=LATER)]

    def recipients(self) -> list[str]:
        return sorted(taken.recipients[0] for taken in self.mail.taken)

    async def restart(self, rules: str) -> None:
        """Another process, after the operator has changed the pace."""
        await self.workspace.close()
        self.workspace.release()
        text = (self.here / "bot.toml").read_text().partition("[channels.mail.pace]")[0]
        (self.here / "bot.toml").write_text(f"{text}[channels.mail.pace]\n{rules}\n")
        self.workspace = Workspace(self.here)


@pytest.fixture
def office(tmp_path: Path, store_url: str) -> Callable[[str], object]:
    """Opens one with this pace."""

    @asynccontextmanager
    async def opened(rules: str) -> AsyncIterator[Office]:
        async with smtp_server() as mail:
            here = make_site(tmp_path / "news", port=mail.port, url=store_url)
            with (here / "bot.toml").open("a") as file:
                file.write(f"[channels.mail.pace]\n{rules}\n")
            found = Office(here=here, workspace=Workspace(here), mail=mail)
            try:
                yield found
            finally:
                await found.workspace.close()
                found.workspace.release()

    return opened


# --------------------------------------------------------------------------- confirmations


async def test_confirmations_are_spaced(office) -> None:  # type: ignore[no-untyped-def]
    """Three at once at two a second take a second, and nobody is told to ask again."""
    async with office("per_second = 2") as at:
        requests = [at.ask() for _ in range(3)]
        begun = time.monotonic()
        done = await asyncio.gather(*(at.send(request) for request in requests))

        assert time.monotonic() - begun >= 0.95
        assert (done, len(at.mail.taken)) == ([Errand.DONE] * 3, 3)


async def test_an_issue_that_takes_all_slots_holds_up_no_confirmation(office) -> None:  # type: ignore[no-untyped-def]
    """Whoever sends the issue asks again and again for more than there is; the single mail goes between."""
    async with office("per_second = 4") as at:
        over = False

        def issue() -> None:
            while not over:
                at.workspace.pace.reserve("mail", PaceRules(per_second=4), 100)

        sending = asyncio.create_task(asyncio.to_thread(issue))
        await asyncio.sleep(0.5)
        begun = time.monotonic()
        done = await at.send(at.ask())
        took = time.monotonic() - begun
        over = True
        await sending

    assert done is Errand.DONE
    assert took < 15  # it would wait for a minute


async def test_what_the_pace_has_no_room_for_waits_and_is_not_lost(office) -> None:  # type: ignore[no-untyped-def]
    """Two an hour: the third stays promised, over a restart, until there is room; then it goes once."""
    async with office("per_hour = 2") as at:
        done = [await at.send(at.ask()) for _ in range(3)]

        assert done == [Errand.DONE, Errand.DONE, Errand.WAITS]
        assert at.waiting() == [f"{3:032x}"]
        assert await send_due(at.workspace, clock=lambda: LATER) == 0
        await at.restart("per_hour = 3")
        assert await send_due(at.workspace, clock=lambda: LATER) == 1
        assert await send_due(at.workspace, clock=lambda: LATER) == 0
        assert at.recipients() == [f"reader{number}@inbox.ngo" for number in (1, 2, 3)]
        assert at.waiting() == []


async def test_a_pause_keeps_confirmations_too(office) -> None:  # type: ignore[no-untyped-def]
    """At once, whatever the patience; the account's other mails waiting for the same are not even tried."""
    async with office("") as at:
        at.workspace.pace.pause("mail", "somebody looks into it")
        requests = [at.ask() for _ in range(3)]
        begun = time.monotonic()

        assert await at.send(requests[0]) is Errand.WAITS
        assert await send_due(at.workspace, clock=lambda: LATER) == 0
        assert time.monotonic() - begun < 30  # the patience is a minute
        at.workspace.pace.resume("mail")
        assert await send_due(at.workspace, clock=lambda: LATER) == 3
        assert len(at.mail.taken) == 3


async def test_stopped_while_it_waits_the_mail_is_still_promised(office) -> None:  # type: ignore[no-untyped-def]
    """The server is told to stop; the next one sends it."""
    async with office("per_second = 0.1") as at:
        assert await at.send(at.ask()) is Errand.DONE
        errand = asyncio.create_task(at.send(at.ask()))
        await asyncio.sleep(0.5)
        errand.cancel()
        await asyncio.wait([errand])

        assert errand.cancelled()
        assert at.waiting() == [f"{2:032x}"]
        await at.restart("per_second = 500")
        assert await send_due(at.workspace, clock=lambda: LATER) == 1


@pytest.mark.parametrize("stop", ["shut", "cancelled"])
async def test_a_mail_that_was_taken_and_did_not_get_its_turn_is_given_back(  # type: ignore[no-untyped-def]
    office, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    """Between the store and the wire nothing is lost either."""

    async def turn(*_: object, **__: object) -> bool:
        if stop == "cancelled":
            raise asyncio.CancelledError
        return False

    async with office("per_second = 5") as at:
        monkeypatch.setattr("bot.sender.Wicket.turn", turn)
        errand = asyncio.create_task(at.send(at.ask()))
        await asyncio.wait([errand])

        assert errand.cancelled() or errand.result() is Errand.WAITS
        assert at.waiting() == [f"{1:032x}"]
        assert at.mail.taken == []


async def test_stopped_while_the_store_takes_its_time_the_mail_is_still_promised(  # type: ignore[no-untyped-def]
    office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import holds the database as the mail is taken, and the server is told to stop."""
    async with office("per_second = 50") as at:
        request, take = at.ask(), at.workspace.joining.take
        begun, go, ended = threading.Event(), threading.Event(), threading.Event()

        def slowly(*args: str, **options: datetime) -> bool:
            begun.set()
            go.wait(10)
            try:
                return bool(take(*args, **options))
            finally:
                ended.set()

        monkeypatch.setattr(at.workspace.joining, "take", slowly)
        errand = asyncio.create_task(at.send(request))
        await asyncio.to_thread(begun.wait, 10)
        errand.cancel()
        asyncio.get_running_loop().call_later(0.1, go.set)
        await asyncio.wait([errand])
        await asyncio.to_thread(ended.wait, 10)

        assert errand.cancelled()
        assert at.waiting() == [request.id]
        assert at.mail.taken == []


async def test_a_store_that_fails_loses_no_mail(office, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """Whoever asked was told that a mail comes: it is sent when the database is back."""

    def away(*_: object, **__: object) -> None:
        raise StoreError("the database is locked")

    async with office("per_second = 50") as at:
        request = at.ask()
        with monkeypatch.context() as patch:
            patch.setattr(at.workspace.pace, "reserve", away)
            with pytest.raises(StoreError):
                await at.send(request)
        assert at.waiting() == [request.id]

        at.mail.fail("MAIL", "421 4.7.0 slow down")
        with monkeypatch.context() as patch:
            patch.setattr(at.workspace.pace, "flush", away)
            done = await send_confirmation(at.workspace, request, now=NOON, pauses=(0.0,))
        assert (done, len(at.mail.taken)) == (Errand.DONE, 1)


async def test_a_hold_takes_back_no_mail_that_is_out(office) -> None:  # type: ignore[no-untyped-def]
    """Refused for now, it was tried again by whoever looks for what is left; the link in it stays good."""
    async with office("per_second = 50") as at:
        request = at.ask()
        at.mail.fail("RCPT", "451 4.3.0 later")
        errand = asyncio.create_task(send_confirmation(at.workspace, request, now=NOON, pauses=(4.0,)))
        while at.mail.connections == 0 or not await asyncio.to_thread(at.waiting):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        assert await send_due(at.workspace, clock=lambda: LATER) == 1
        at.workspace.ledger.hold("*", "held by mali", NOON)

        assert await errand is Errand.DONE
        assert len(at.mail.taken) == 1
        assert at.workspace.joining.pending(request.id, LATER) is not None


async def test_those_of_a_paused_account_keep_no_others_waiting(  # type: ignore[no-untyped-def]
    office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many they are: the turn of a newsletter on another account comes in the same round."""
    async with office("") as at:
        at.workspace.pace.pause("mail", "somebody looks into it")
        for _ in range(101):
            at.ask()
        other = at.ask("monthly")
        monkeypatch.setattr(
            confirmations,
            "wicket_for",
            lambda *args, **more: None if args[2] == other.address else wicket_for(*args, **more),
        )

        assert await send_due(at.workspace, clock=lambda: LATER) == 1
        assert at.recipients() == [other.address]
        assert len(at.workspace.joining.unsent(before=LATER, besides={"month", "w_ekly"})) == 100


async def test_a_server_that_asks_for_a_rest_gets_one(office) -> None:  # type: ignore[no-untyped-def]
    """For the issues of the same account, too."""
    async with office("") as at:
        at.mail.fail("MAIL", "421 4.7.0 slow down")
        assert await at.send(at.ask()) is Errand.FAILED

        row = at.workspace.pace.accounts()["mail"]
        assert row.strikes == 1
        assert at.workspace.pace.reserve("mail", PaceRules()).reason == "the remote asked for a rest"


async def test_strangers_cannot_pause_the_account(office) -> None:  # type: ignore[no-untyped-def]
    """Whoever signs up addresses that do not exist stops no newsletter by it."""
    async with office("pause = { refused = 0.01, of = 10 }") as at:
        for _ in range(5):
            at.mail.fail("RCPT", "550 5.1.1 no such user")
            assert await at.send(at.ask()) is Errand.FAILED

        assert at.workspace.pace.accounts()["mail"].paused == ""
        assert await at.send(at.ask()) is Errand.DONE


async def test_a_refused_test_mail_says_nothing_about_the_list(office) -> None:  # type: ignore[no-untyped-def]
    """A typing mistake of an organiser is no dead reader; a request to slow down counts."""
    refused = PermanentFailure("no such user", code=550, blame=Blame.RECIPIENT)
    async with office("") as at:
        gate = wicket_for(at.workspace, "mail", "editor@news.shelf.ngo")
        await rest_if_asked(gate, refused)
        assert at.workspace.pace.accounts() == {}

        await rest_if_asked(gate, TemporaryFailure("too fast", code=421))
        assert at.workspace.pace.accounts()["mail"].strikes == 1


async def test_a_rehearsal_has_no_pace(tmp_path: Path) -> None:
    """It writes a file; nothing is counted."""
    here = make_site(tmp_path / "news", mode="rehearsal")
    with (here / "bot.toml").open("a") as file:
        file.write("[channels.mail.pace]\nper_hour = 1\n")
    workspace = Workspace(here)
    at = Office(here=here, workspace=workspace, mail=None)  # type: ignore[arg-type]

    assert [await at.send(at.ask()) for _ in range(2)] == [Errand.DONE] * 2
    assert workspace.pace.accounts() == {}
    workspace.release()


def test_the_store_is_looked_into_often() -> None:
    """Whoever waits for a confirmation waits seconds, and minutes at most once the pace has room."""
    assert timedelta(seconds=8) >= timedelta(seconds=SLOWEST_DRAW) + confirmations.LOOK_EVERY
    assert timedelta(minutes=5) >= confirmations.AGAIN + confirmations.LOOK_EVERY


# --------------------------------------------------------------------------- tests


async def test_send_test_counts_and_says_why_it_waits(tmp_path: Path) -> None:
    """One an hour: the second one is not sent, and the sentence says how long that lasts."""
    async with smtp_server() as mail:
        here = mail_only(tmp_path, mail.port, readers=1)
        with (here / "bot.toml").open("a") as file:
            file.write("[channels.mail.pace]\nper_hour = 1\n")
        args = ("send-test", "--to", "editor@news.shelf.ngo")
        first = await asyncio.to_thread(bot, *args, workspace=here)
        begun = datetime.now()  # noqa: DTZ005
        second = await asyncio.to_thread(bot, *args, workspace=here)
        took = datetime.now() - begun  # noqa: DTZ005
        dry = await asyncio.to_thread(bot, *args, "--dry-run", workspace=here)

        assert (first.code, second.code, dry.code) == (0, 1, 0), first.err
        assert len(mail.taken) == 1
    assert "the pace of mail has no room: per_hour = 1 is used up; it goes on in about" in second.err
    assert took < timedelta(seconds=30)
