"""What happens to readers and issues is told: with the change itself, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.app.hooks import tell_due
from bot.app.leaving import erase
from bot.app.publish import tick
from bot.app.workspace import Workspace
from bot.store.bouncing import Bounce
from bot.store.joining import Joining, Recorded, SignupRequest, Wording
from bot.store.leaving import Leaving
from tests.support.commands import bot
from tests.support.hook_server import SECRET, HookServer, Reply, hook_server
from tests.support.live_workspace import NOW, SECRET_KEY, SETTINGS, mail_only
from tests.support.site import record
from tests.support.smtp_server import smtp_server

ANA = "ana@shelf.ngo"
HOOK = '\n[hooks.crm]\nurl = "{url}"\naddresses = true\n'


@pytest.fixture
def server() -> Iterator[HookServer]:
    with hook_server(Reply()) as there:
        yield there


@pytest.fixture
def here(tmp_path: Path, server: HookServer, store_url: str) -> Iterator[Workspace]:
    """A live workspace on either database."""
    folder = tmp_path / "news"
    (folder / "queue").mkdir(parents=True)
    settings = SETTINGS.format(port=25) + 'security = "none"\n' + HOOK.format(url=server.url)
    (folder / "bot.toml").write_text(settings)
    secrets = f"BOT_SECRET_KEY={SECRET_KEY}\nBOT_HOOKS__CRM__SECRET={SECRET}\n"
    (folder / ".env").write_text(f"{secrets}BOT_DATABASE_URL={store_url}\n")
    workspace = Workspace(folder)
    yield workspace
    workspace.release()


def told(here: Workspace, server: HookServer) -> list[tuple[str, str, str]]:
    """Type, newsletter and address of what is told now."""
    before = len(server.heard)
    asyncio.run(tell_due(here, clock=lambda: NOW + timedelta(minutes=1)))
    events = [heard.event for heard in server.heard[before:]]
    return [(event["type"], event["newsletter"], event.get("address", "")) for event in events]


def ask(here: Workspace) -> str:
    wording = Wording(version="1", lang="en", body="Yes, send me the newsletter.")
    request = SignupRequest(
        id="a" * 32,
        address=ANA,
        newsletters=("weekly",),
        lang="en",
        form_url="https://news.shelf.ngo/subscribe",
        wording=wording,
        ip="192.0.2.0",
        asked_at=NOW,
    )
    assert record(here.joining, request) is Recorded.YES
    return request.id


def joined(here: Workspace) -> str:
    here.audience.add(ANA, "", "", ("weekly",), NOW, "test")
    ana = here.audience.find(ANA)
    assert ana is not None
    return ana.id


def test_whoever_asks_is_told_of_only_when_they_confirm(here: Workspace, server: HookServer) -> None:
    """Somebody else may have typed the address; and a second click is nothing new."""
    signup = ask(here)
    asked = told(here, server)
    here.joining.confirm(signup, now=NOW, means="confirmation page", ip="")
    here.joining.confirm(signup, now=NOW, means="confirmation page", ip="")

    assert asked == []
    assert told(here, server) == [("confirmed", "weekly", ANA), ("subscribed", "weekly", ANA)]
    ana = here.audience.find(ANA)
    assert ana is not None
    assert {heard.event["subscriber"] for heard in server.heard} == {ana.id}


def test_leaving_is_told_once(here: Workspace, server: HookServer) -> None:
    """One click, or two."""
    ana = joined(here)

    for _ in range(2):
        here.leaving.unsubscribe(ana, "weekly", now=NOW, means="one click")

    assert told(here, server) == [("left", "weekly", ANA)]


def test_what_cannot_be_noted_does_not_happen(here: Workspace) -> None:
    """The change and its note are one."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    ana, signup = joined(here), ask_again(here)

    with pytest.raises(ZeroDivisionError):
        Leaving(here.engine, here.hasher, tell=broken).unsubscribe(ana, "weekly", now=NOW, means="page")
    with pytest.raises(ZeroDivisionError):
        Joining(here.engine, here.hasher, tell=broken).confirm(signup, now=NOW, means="page", ip="")

    assert here.audience.find(ANA) is not None
    assert here.audience.find("bo@shelf.ngo") is None


def ask_again(here: Workspace) -> str:
    """Somebody else asks."""
    wording = Wording(version="1", lang="en", body="Yes, send me the newsletter.")
    request = SignupRequest(
        id="b" * 32,
        address="bo@shelf.ngo",
        newsletters=("weekly",),
        lang="en",
        form_url="",
        wording=wording,
        ip="",
        asked_at=NOW,
    )
    record(here.joining, request)
    return request.id


def test_bounces_and_complaints_are_told(here: Workspace, server: HookServer) -> None:
    """Not our own faults; and the same mail counts once."""
    ana = joined(here)
    for digest, kind in (("1", "dead"), ("1", "dead"), ("2", "sender"), ("3", "complaint")):
        bounce = Bounce(digest=digest, at=NOW, subscriber=ana, kind=kind, source="dsn", signed=True)
        here.bounces.record(bounce)
    unsigned = Bounce(digest="4", at=NOW, subscriber=ana, kind="dead", source="text")
    here.bounces.record(unsigned)  # anybody may have written it: no program is told
    here.bounces.suppress(ana, reason="complained", now=NOW)

    assert told(here, server) == [("bounced", "", ANA), ("complained", "", ANA), ("left", "", ANA)]
    assert server.heard[0].event["data"] == {"kind": "dead", "source": "dsn", "code": ""}
    assert server.heard[2].event["data"] == {"reason": "complained"}


def test_commands_are_told_too(here: Workspace, server: HookServer) -> None:
    """What a person does at the keyboard is no less true."""
    bot("subscribers", "add", ANA, workspace=here.root)
    bot("subscribers", "add", ANA, workspace=here.root)
    bot("subscribers", "remove", ANA, workspace=here.root)

    # What a command noted by its own clock is due by then.
    asyncio.run(tell_due(here, clock=lambda: datetime.now(UTC) + timedelta(minutes=1)))

    assert [heard.event["type"] for heard in server.heard] == ["subscribed", "left"]


def test_a_list_is_told_to_nobody(here: Workspace, server: HookServer, tmp_path: Path) -> None:
    """A million calls would help no one: who imports a list here can import it there."""
    (tmp_path / "list.csv").write_text(f"email,status\n{ANA},\nbo@shelf.ngo,unsubscribed\n")

    ran = bot("subscribers", "import", tmp_path / "list.csv", workspace=here.root)

    assert "Added 1 reader" in ran.out
    assert told(here, server) == []


def test_an_erased_reader_is_told_of_without_an_address(here: Workspace, server: HookServer) -> None:
    """Whoever knows them by their id must forget them; what waited to be told of them is gone."""
    server.replies = [Reply(status=500), Reply()]
    ana = joined(here)
    here.leaving.unsubscribe(ana, "weekly", now=NOW, means="page")
    ana = rejoined(here)
    told(here, server)

    erase(here, ANA, now=NOW)
    after = told(here, server)

    assert ("left", "", "") in after
    assert all(address == "" for _, _, address in after)
    assert server.heard[-1].event["data"] == {"reason": "erased"}
    assert server.heard[-1].event["subscriber"] == ana


def rejoined(here: Workspace) -> str:
    here.joining.confirm(ask(here), now=NOW, means="page", ip="")
    ana = here.audience.find(ANA)
    assert ana is not None
    return ana.id


def test_the_erased_stay_nameless_when_a_list_says_they_left(here: Workspace, tmp_path: Path) -> None:
    """Their address does not come back as a suppression, either."""
    joined(here)
    erase(here, ANA, now=NOW)
    (tmp_path / "unsubscribed_members_export_1.csv").write_text(f"Email Address,LEID,EUID\n{ANA},1,a\n")

    ran = bot("subscribers", "import", tmp_path / "unsubscribed_members_export_1.csv", workspace=here.root)

    assert "Suppressed 0 who left there; 1 were so already." in ran.out
    assert here.leaving.person(ANA).get("suppressions", [{}])[0].get("address_key", "").startswith("erased:")


async def test_an_issue_is_told_when_its_last_letter_is_gone(tmp_path: Path, server: HookServer) -> None:
    """Once, with how it went; looking again tells nothing new."""
    async with smtp_server() as mail:
        folder = mail_only(tmp_path, mail.port, readers=3)
        with (folder / "bot.toml").open("a") as file:
            file.write(HOOK.format(url=server.url))
        with (folder / ".env").open("a") as file:
            file.write(f"BOT_HOOKS__CRM__SECRET={SECRET}\n")
        here = Workspace(folder)
        await tick(here, NOW)
        for _ in range(2):
            await tell_due(here, clock=lambda: NOW + timedelta(days=1))
        await here.close()
        here.release()

    events = [heard.event for heard in server.heard if heard.event["type"] == "issue.sent"]
    assert [event["data"] for event in events] == [
        {"number": 1, "url": "https://news.shelf.ngo/issues/weekly/1", "readers": 3, "sent": 3, "failed": 0}
    ]
    assert events[0]["newsletter"] == "weekly"
